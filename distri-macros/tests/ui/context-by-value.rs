use distri::{Context, Result};

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, cx: Context, text: String) -> Result<usize> {
        cx.check()?;
        Ok(text.len())
    }
}

fn main() {}
