#[distri::service]
async fn count(text: String) -> distri::Result<usize> {
    Ok(text.len())
}

fn main() {}
