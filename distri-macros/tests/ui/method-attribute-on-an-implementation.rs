use distri::Result;

#[distri::service]
trait Count {
    async fn count(&self, text: String) -> Result<usize>;
}

#[derive(Default)]
struct WordCount;

#[distri::service]
impl Count for WordCount {
    #[method(idempotent)]
    async fn count(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }
}

fn main() {}
