use distri::Result;

struct Count(usize);

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, text: String) -> Result<Count> {
        Ok(Count(text.len()))
    }
}

fn main() {}
