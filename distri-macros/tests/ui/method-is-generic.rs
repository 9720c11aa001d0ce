use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count<T: ToString>(&self, text: T) -> Result<usize> {
        Ok(text.to_string().len())
    }
}

fn main() {}
