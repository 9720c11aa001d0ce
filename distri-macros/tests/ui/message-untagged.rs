#[distri::message]
#[serde(untagged)]
enum Number {
    Whole(u32),
    Real(f32),
}

fn main() {}
