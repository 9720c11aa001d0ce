use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, _: String) -> Result<usize> {
        Ok(1)
    }
}

fn main() {}
