//! The peers of a cloud, as its directory lists them, and those of the local network.

use super::{Presence, protocol::PEERS};
use crate::{
    client::Client,
    directory::{Document, Filter, Json, Refusal},
    error::Result,
    id::PublicKey,
    signed::Signed,
};

/// How many peers are listed at most.
const PEERS_MAX: usize = 100_000;

impl Client {
    /// The peers that are there now, by key, as each says of itself. Records that are not to be
    /// believed are left out and logged.
    ///
    /// # Errors
    /// As any search of the directory.
    pub async fn peers(&self) -> Result<Vec<Signed<Presence>>> {
        let peers = self.directory().collection::<Json>(PEERS);
        let found = match peers.find(Filter::All).limit(1000).all(PEERS_MAX).await {
            Ok(found) => found,
            // No peer has ever been here.
            Err(error) if matches!(error.details(), Some(Refusal::NoCollection { .. })) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let good = found.into_iter().filter_map(|document| {
            let id = document.id.clone();
            let record = good(document);
            if record.is_none() {
                tracing::warn!(peer = id, "a node told a record that is not to be believed");
            }
            record
        });
        Ok(good.collect())
    }

    /// What the peer with this key says of itself, if it is there now. Nothing is dialled. A record
    /// that is not to be believed is none.
    ///
    /// # Errors
    /// As any read of the directory.
    pub async fn present(&self, key: PublicKey) -> Result<Option<Signed<Presence>>> {
        let peers = self.directory().collection::<Json>(PEERS);
        match peers.get(key.to_string()).await {
            Ok(found) => Ok(found.and_then(good)),
            Err(error) if matches!(error.details(), Some(Refusal::NoCollection { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The peers that are there now on the local network, by key, as each says of itself. None if this
    /// client does not listen; and until it has listened for a second or two, perhaps not all.
    pub fn peers_nearby(&self) -> Vec<Signed<Presence>> {
        let near = self.pool().near();
        near.map_or_else(Vec::new, |near| near.records())
    }
}

fn good(document: Document<Json>) -> Option<Signed<Presence>> {
    let key: PublicKey = document.id.parse().ok()?;
    let record = document.value.to::<Signed<Presence>>().ok()?;
    record.check_by(key).ok()?.check().ok()?;
    Some(record)
}
