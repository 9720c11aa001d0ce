#[distri::service]
struct WordCount;

fn main() {}
