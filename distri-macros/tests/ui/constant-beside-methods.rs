use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    const MOST: usize = 9;

    async fn count(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }
}

fn main() {}
