use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service(stop = Self::close)]
impl WordCount {
    async fn count(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }
}

impl WordCount {
    fn close(&self) {}
}

fn main() {}
