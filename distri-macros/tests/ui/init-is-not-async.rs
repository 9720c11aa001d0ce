use distri::{NodeHandle, Result};

#[distri::message]
struct Settings {}

#[derive(Default)]
struct WordCount;

#[distri::service(init = WordCount::open)]
impl WordCount {
    async fn count(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }
}

impl WordCount {
    fn open(_: &NodeHandle, _: Settings) -> Result<Self> {
        Ok(Self)
    }
}

fn main() {}
