use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service(version =)]
impl WordCount {
    async fn count(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }
}

fn main() {}
