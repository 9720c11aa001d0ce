struct Pixels(u32);

#[distri::message]
struct Size {
    width: Pixels,
}

fn main() {}
