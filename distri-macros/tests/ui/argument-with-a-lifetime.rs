use std::borrow::Cow;

use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, text: Cow<'static, str>) -> Result<usize> {
        Ok(text.len())
    }
}

fn main() {}
