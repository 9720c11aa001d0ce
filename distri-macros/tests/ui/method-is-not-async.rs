use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    fn count(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }
}

fn main() {}
