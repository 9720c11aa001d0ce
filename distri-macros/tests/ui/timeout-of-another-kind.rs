use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    #[method(timeout = "half an hour")]
    async fn count(&self) -> Result<usize> {
        Ok(1)
    }
}

fn main() {}
