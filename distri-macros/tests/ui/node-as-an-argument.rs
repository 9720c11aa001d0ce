use distri::{NodeHandle, Result};

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn name(&self, node: &NodeHandle) -> Result<String> {
        Ok(node.name().to_owned())
    }
}

fn main() {}
