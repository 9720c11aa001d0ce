//! `Self` is the service's own type, which may itself be a message.

use distri::{Result, Stream};

#[distri::message]
#[derive(Clone, Default)]
struct Settings {
    side: u32,
}

#[distri::service(register = false)]
impl Settings {
    async fn merge(&self, others: Vec<Self>) -> Result<Self> {
        Ok(others
            .into_iter()
            .max_by_key(|other| other.side)
            .unwrap_or_else(|| self.clone()))
    }

    async fn history(&self, from: Option<Self>) -> Result<Stream<Self>> {
        Ok(Stream::from_items(from))
    }
}
