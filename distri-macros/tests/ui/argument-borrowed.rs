use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, text: &str) -> Result<usize> {
        Ok(text.len())
    }
}

fn main() {}
