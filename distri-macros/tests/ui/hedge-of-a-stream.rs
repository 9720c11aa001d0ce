use distri::{Result, Stream};

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    #[method(idempotent, hedge = "50ms")]
    async fn words(&self) -> Result<Stream<String>> {
        Ok(Stream::from_items(Vec::new()))
    }
}

fn main() {}
