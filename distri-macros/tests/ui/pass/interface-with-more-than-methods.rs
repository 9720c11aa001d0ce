//! An interface may have supertraits and bodies; implementations may have helpers beside them.

use std::fmt;

use distri::{Context, Result};

#[distri::service]
trait Count: fmt::Debug {
    async fn count(&self, text: String) -> Result<usize>;

    async fn describe(&self, _cx: &Context, mut prefix: String, _unused: u32) -> Result<String> {
        prefix.push_str(&format!("{self:?}"));
        Ok(prefix)
    }
}

#[derive(Debug)]
struct WordCount;

#[distri::service(register = false)]
impl Count for WordCount {
    async fn count(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }
}

/// Not a service: an implementation that only tests use.
#[derive(Debug)]
struct Mock(usize);

impl Count for Mock {
    async fn count(&self, _: String) -> Result<usize> {
        Ok(self.0)
    }
}

#[tokio::test]
async fn an_implementation_that_is_no_service_is_called_directly() {
    assert_eq!(Mock(3).count(String::new()).await.unwrap(), 3);
}
