#[distri::message]
#[serde(tag = "kind")]
enum Shape {
    Dot,
    Circle { radius: u32 },
}

fn main() {}
