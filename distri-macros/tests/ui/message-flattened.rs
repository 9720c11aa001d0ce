#[distri::message]
struct Size {
    width: u32,
    #[serde(flatten)]
    more: Vec<u32>,
}

fn main() {}
