use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, (text, _): (String, u8)) -> Result<usize> {
        Ok(text.len())
    }
}

fn main() {}
