#[distri::message(rename_all = "kebab-case")]
struct Size {
    width: u32,
}

fn main() {}
