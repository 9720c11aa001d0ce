//! A lease as programs hold it.

use std::time::Duration;

use super::Directory;
use crate::{directory::command::Command, error::Result, world};

/// A promise to be there: documents put with it are deleted when it is not renewed in time.
///
/// Dropping it does nothing: the lease ends by itself when its time is over, or at once with
/// [`Lease::end`].
#[derive(Clone, Debug)]
pub struct Lease {
    directory: Directory,
    id: u64,
    ttl: Duration,
}

impl Lease {
    pub(super) fn new(directory: Directory, id: u64, ttl: Duration) -> Self {
        Self { directory, id, ttl }
    }

    /// Its number, by which documents name it.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How long it lasts after it was granted or last renewed.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Renews it: it lasts for its time to live from now on.
    ///
    /// # Errors
    /// [`crate::directory::Refusal::NoLease`] if it has ended.
    pub async fn keep_alive(&self) -> Result<()> {
        let command = Command::KeepLease { lease: self.id };
        self.directory.write(command).await.map(drop)
    }

    /// Renews it again and again, three times in each time to live. Returns only when the lease is
    /// lost, with the reason; dropping the future stops the renewal.
    ///
    /// # Errors
    /// Always: [`crate::directory::Refusal::NoLease`] if it has ended, or why it could not be
    /// renewed for longer than its time to live.
    pub async fn hold(&self) -> Result<std::convert::Infallible> {
        let mut renewed = world::now();
        loop {
            world::pause(self.ttl / 3).await;
            let began = world::now();
            match self.keep_alive().await {
                Ok(()) => renewed = began,
                Err(error) if error.details::<crate::directory::Refusal>().is_some() => {
                    return Err(error);
                }
                Err(error) if world::now() - renewed > self.ttl => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Ends it now, with its documents.
    ///
    /// # Errors
    /// [`crate::directory::Refusal::NoLease`] if it has ended already.
    pub async fn end(self) -> Result<()> {
        let command = Command::EndLease { lease: self.id };
        self.directory.write(command).await.map(drop)
    }
}
