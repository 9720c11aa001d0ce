//! A whole distri program: a service, and the command line that runs and calls it.
//!
//! ```text
//! cargo run -p example-hello -- node
//! cargo run -p example-hello -- call word-count count text="to be or not"     # in a second shell: 4
//! ```
use distri::Result;

#[derive(Default)]
struct WordCount;

/// Counts words.
#[distri::service]
impl WordCount {
    /// Number of words in `text`.
    async fn count(&self, text: String) -> Result<usize> {
        Ok(text.split_whitespace().count())
    }
}

distri::main!();
