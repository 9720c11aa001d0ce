use distri::Result;

#[distri::service]
trait Count {
    async fn count(&self, text: String) -> Result<usize>;
}

#[derive(Default)]
struct WordCount;

#[distri::service(timeout = "5s")]
impl Count for WordCount {
    async fn count(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }
}

fn main() {}
