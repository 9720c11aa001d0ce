#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, text: String) {
        drop(text);
    }
}

fn main() {}
