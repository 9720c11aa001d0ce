#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self) -> std::fmt::Result {
        Ok(())
    }
}

fn main() {}
