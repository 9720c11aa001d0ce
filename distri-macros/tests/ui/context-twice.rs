use distri::{Context, Result};

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, cx: &Context, again: &Context) -> Result<usize> {
        cx.check()?;
        again.check()?;
        Ok(1)
    }
}

fn main() {}
