#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {}

fn main() {}
