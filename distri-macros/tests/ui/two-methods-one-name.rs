use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }

    #[method(name = "count")]
    async fn count_words(&self) -> Result<usize> {
        Ok(1)
    }
}

fn main() {}
