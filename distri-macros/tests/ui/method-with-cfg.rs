use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    #[cfg(unix)]
    async fn count(&self) -> Result<usize> {
        Ok(1)
    }
}

fn main() {}
