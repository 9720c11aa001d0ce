use distri::Result;

#[distri::service]
trait Count<T> {
    async fn count(&self, text: String) -> Result<usize>;
}

fn main() {}
