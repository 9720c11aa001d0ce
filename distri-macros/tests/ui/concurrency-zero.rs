use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    #[method(concurrency = 0)]
    async fn count(&self) -> Result<usize> {
        Ok(1)
    }
}

fn main() {}
