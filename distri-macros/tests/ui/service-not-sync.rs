use std::cell::Cell;

use distri::Result;

#[derive(Default)]
struct WordCount {
    calls: Cell<u32>,
}

#[distri::service]
impl WordCount {
    async fn calls(&self) -> Result<u32> {
        Ok(self.calls.get())
    }
}

fn main() {}
