use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, words: impl Iterator<Item = String>) -> Result<usize> {
        Ok(words.count())
    }
}

fn main() {}
