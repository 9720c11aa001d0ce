use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async unsafe fn count(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }
}

fn main() {}
