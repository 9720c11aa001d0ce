use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, text: &str, most: &[String]) -> Result<usize> {
        Ok(text.len() + most.len())
    }
}

fn main() {}
