use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service(hedge = "50ms")]
impl WordCount {
    #[method(idempotent)]
    async fn count(&self) -> Result<usize> {
        Ok(1)
    }
}

fn main() {}
