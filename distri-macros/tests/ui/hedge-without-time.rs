use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    #[method(idempotent, hedge)]
    async fn count(&self) -> Result<usize> {
        Ok(1)
    }
}

fn main() {}
