//! Services as users write them.
use distri::{Context, Result};

/// Counts words.
#[derive(Default)]
pub struct WordCount;

/// Counts words.
#[distri::service]
impl WordCount {
    /// Number of words in `text`.
    #[method(idempotent)]
    async fn count(&self, cx: &Context, /** Any text. */ text: String, least: Option<u32>) -> Result<usize> {
        let _ = cx;
        Ok(text.split_whitespace().filter(|w| w.len() >= least.unwrap_or(0) as usize).count())
    }
}
#[test]
fn x() {
    println!("{:#?}", WordCountClient::descriptor());
}
