//! `mut` before an argument is the body's own business.

use distri::{Result, Stream};

#[derive(Default)]
struct WordCount;

#[distri::service(register = false)]
impl WordCount {
    async fn count(&self, mut words: Stream<String>, mut start: usize) -> Result<usize> {
        while let Some(word) = words.next().await {
            start += word?.len();
        }
        Ok(start)
    }
}
