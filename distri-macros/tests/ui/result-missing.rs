#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, text: String) -> usize {
        text.len()
    }
}

fn main() {}
