use distri::Result;

struct Shelf<T>(T);

#[distri::service]
impl<T: Send + Sync + 'static> Shelf<T> {
    async fn len(&self) -> Result<usize> {
        Ok(1)
    }
}

fn main() {}
