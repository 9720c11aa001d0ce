use distri::Result;

#[derive(Debug)]
struct Refusal;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, text: String) -> Result<usize, Refusal> {
        if text.is_empty() { Err(Refusal) } else { Ok(text.len()) }
    }
}

fn main() {}
