use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn new(&self) -> Result<usize> {
        Ok(1)
    }
}

fn main() {}
