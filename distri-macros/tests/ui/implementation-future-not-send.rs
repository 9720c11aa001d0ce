use std::rc::Rc;

use distri::Result;

#[distri::service]
trait Count {
    async fn count(&self, text: String) -> Result<usize>;
}

#[derive(Default)]
struct WordCount;

#[distri::service]
impl Count for WordCount {
    async fn count(&self, text: String) -> Result<usize> {
        let text = Rc::new(text);
        tokio::task::yield_now().await;
        Ok(text.len())
    }
}

fn main() {}
