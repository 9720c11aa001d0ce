use distri::Result;

#[distri::service]
trait Count {
    async fn merge(&self, other: Self) -> Result<usize>
    where
        Self: Sized;
}

fn main() {}
