use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn longest(&self, text: String) -> Result<&str> {
        drop(text);
        Ok("")
    }
}

fn main() {}
