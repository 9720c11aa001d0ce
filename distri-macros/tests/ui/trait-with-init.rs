use distri::Result;

#[distri::service(init = open)]
trait Count {
    async fn count(&self, text: String) -> Result<usize>;
}

fn main() {}
