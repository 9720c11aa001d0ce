use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    #[method(placement = key(id))]
    async fn count(&self, user: String, text: String) -> Result<usize> {
        Ok(user.len() + text.len())
    }
}

fn main() {}
