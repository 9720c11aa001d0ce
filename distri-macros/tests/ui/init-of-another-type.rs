use distri::{NodeHandle, Result};

struct WordCount;

#[distri::service(init = open)]
impl WordCount {
    async fn count(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }
}

async fn open(_: &NodeHandle, (): ()) -> Result<String> {
    Ok(String::new())
}

fn main() {}
