use distri::Result;

struct Text(String);

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, text: Text, times: u32) -> Result<usize> {
        Ok(text.0.len() * times as usize)
    }
}

fn main() {}
