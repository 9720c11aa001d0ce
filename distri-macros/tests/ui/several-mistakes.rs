// Several mistakes: all are told together, so that one round mends them.

use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service(version = 0, retries = 3)]
impl WordCount {
    async fn count(&self, text: &str, most: &[String]) -> usize {
        text.len() + most.len()
    }

    #[method(timeout = 5)]
    async fn longest(self) -> Result<u8> {
        Ok(1)
    }
}

fn main() {}
