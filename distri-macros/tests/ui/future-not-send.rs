use std::rc::Rc;

use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, text: String) -> Result<usize> {
        let text = Rc::new(text);
        tokio::task::yield_now().await;
        Ok(text.len())
    }
}

fn main() {}
