use distri::Result;

struct Text(String);

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, texts: Vec<Text>) -> Result<usize> {
        Ok(texts.iter().map(|text| text.0.len()).sum())
    }
}

fn main() {}
