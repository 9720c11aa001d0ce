use distri::Result;

struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }
}

fn main() {}
