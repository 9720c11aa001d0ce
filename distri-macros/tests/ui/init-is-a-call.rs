use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service(init = WordCount::open())]
impl WordCount {
    async fn count(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }
}

fn main() {}
