use distri::{Context, Result};

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, text: String, cx: &Context) -> Result<usize> {
        cx.check()?;
        Ok(text.len())
    }
}

fn main() {}
