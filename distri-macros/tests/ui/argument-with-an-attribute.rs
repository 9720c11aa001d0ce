use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, #[serde(default)] text: String) -> Result<usize> {
        Ok(text.len())
    }
}

fn main() {}
