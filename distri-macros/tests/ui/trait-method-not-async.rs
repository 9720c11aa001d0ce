use distri::Result;

#[distri::service]
trait Count {
    async fn count(&self, text: String) -> Result<usize>;

    fn helper(&self) -> usize;
}

fn main() {}
