use distri::Result;

#[distri::service]
trait Count {
    async fn count(&self, text: String) -> Result<usize>;
}

#[derive(Default)]
struct WordCount;

#[distri::service]
#[async_trait::async_trait]
impl Count for WordCount {
    async fn count(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }
}

fn main() {}
