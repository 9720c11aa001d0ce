use distri::Result;

#[distri::service]
trait Count {
    type Word;

    async fn count(&self, text: String) -> Result<usize>;
}

fn main() {}
