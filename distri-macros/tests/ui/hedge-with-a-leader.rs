use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    #[method(idempotent, hedge = "50ms", placement = leader)]
    async fn count(&self) -> Result<usize> {
        Ok(1)
    }
}

fn main() {}
