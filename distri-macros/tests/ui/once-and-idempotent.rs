use distri::{Context, Result};

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    #[method(once, idempotent)]
    async fn count(&self, cx: &Context) -> Result<usize> {
        let _ = cx;
        Ok(1)
    }
}

fn main() {}
