use distri::{NodeHandle, Result};

struct Settings;

struct WordCount;

#[distri::service(init = WordCount::open)]
impl WordCount {
    async fn count(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }
}

impl WordCount {
    async fn open(_: &NodeHandle, _: Settings) -> Result<Self> {
        Ok(Self)
    }
}

fn main() {}
