#[distri::message]
enum Shape {
    Dot,
    #[serde(skip)]
    Hidden,
    Circle(u32),
}

fn main() {}
