//! A `Result` of any error that services can return, also under another name.

use std::io;

type Answer<T> = Result<T, distri::Error>;
type WordResult<T> = Answer<T>;

#[derive(Default)]
struct WordCount;

#[distri::service(register = false)]
impl WordCount {
    async fn own(&self) -> WordResult<usize> {
        Ok(1)
    }

    async fn standard(&self) -> Result<usize, distri::Error> {
        Ok(1)
    }

    async fn io(&self) -> io::Result<usize> {
        Ok(1)
    }
}
