use distri::Result;

trait Count {
    async fn count(&self, text: String) -> Result<usize>;
}

#[derive(Default)]
struct WordCount;

#[distri::service]
impl Count for WordCount {
    async fn count(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }
}

fn main() {}
