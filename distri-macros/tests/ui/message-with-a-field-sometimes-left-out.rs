#[distri::message]
struct Size {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    height: u32,
}

fn main() {}
