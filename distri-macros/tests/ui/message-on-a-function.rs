#[distri::message]
fn size() {}

fn main() {}
