#[distri::message]
#[derive(Debug, serde::Serialize, Clone)]
struct Size {
    width: u32,
}

fn main() {}
