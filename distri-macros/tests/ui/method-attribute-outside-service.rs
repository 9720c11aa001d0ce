struct WordCount;

impl WordCount {
    #[method(idempotent)]
    async fn count(&self) -> distri::Result<usize> {
        Ok(1)
    }
}

fn main() {}
