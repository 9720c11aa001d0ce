use distri::{Context, Result};

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    #[method(once, timeout = "6m")]
    async fn count(&self, cx: &Context) -> Result<usize> {
        Ok(1)
    }
}

fn main() {}
