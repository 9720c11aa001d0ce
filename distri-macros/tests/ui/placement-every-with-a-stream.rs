use distri::{Result, Stream};

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    #[method(placement = every)]
    async fn count(&self, words: Stream<String>) -> Result<usize> {
        drop(words);
        Ok(1)
    }
}

fn main() {}
