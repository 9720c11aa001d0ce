//! Helpers and constructors stand in a block of their own.

use distri::Result;

/// Counts words.
#[derive(Default, Debug)]
pub(crate) struct WordCount {
    least: usize,
}

#[distri::service(register = false)]
impl WordCount {
    async fn count(&self, text: String) -> Result<usize> {
        Ok(self.words(&text).count())
    }
}

impl WordCount {
    /// Counts words of `least` letters and more.
    pub(crate) fn new(least: usize) -> Self {
        Self { least }
    }

    fn words<'a>(&self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let least = self.least;
        text.split_whitespace()
            .filter(move |word| word.len() >= least)
    }
}

#[test]
fn helpers_are_ordinary() {
    assert_eq!(WordCount::new(3).words("to be or not").count(), 1);
}
