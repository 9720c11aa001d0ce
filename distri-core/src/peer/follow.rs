//! Follows the record of a peer, in the directory and on the local network, for as long as somebody
//! holds the peer.

#![expect(
    clippy::disallowed_methods,
    reason = "a driver: the tasks that follow a peer's record"
)]

use std::{
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use super::{
    Presence,
    near::Wanted,
    protocol::{PEERS, SEEN, Seen},
    remote::{PeerEvent, Whereabouts},
};
use crate::{
    client::{Client, pool::Pool},
    directory::{Document, Event, Filter, Json, Refusal},
    error::{Error, Result},
    id::PublicKey,
    signed::Signed,
    world,
};

/// Pauses before the directory is asked again that could not be asked: from the first, doubled each
/// time, to the last.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Starts the task, which `pool` owns.
pub(super) fn start(
    cloud: Client,
    pool: &Arc<Pool>,
    whereabouts: &Arc<Whereabouts>,
    key: PublicKey,
) {
    if let Some(near) = whereabouts.near() {
        let task = listen(near.want(key), Arc::downgrade(pool), whereabouts.clone());
        pool.own(world::spawn(task).abort_handle());
    }
    let task = follow(cloud, Arc::downgrade(pool), whereabouts.clone(), key);
    pool.own(world::spawn(task).abort_handle());
}

/// Follows what is heard of the peer on the local network.
async fn listen(wanted: Wanted, pool: Weak<Pool>, whereabouts: Arc<Whereabouts>) {
    loop {
        let mut changed = pin!(wanted.near.changed.notified());
        changed.as_mut().enable();
        let record = wanted.near.lock().of(wanted.key).cloned();
        let event = match &record {
            Some(record) => PeerEvent::Announced {
                seq: record.seq(),
                boot: record.unchecked().boot,
            },
            None => PeerEvent::Gone,
        };
        let is_news = whereabouts.course().heard(record);
        if is_news {
            let Some(pool) = pool.upgrade() else { return };
            whereabouts.tell(event);
            whereabouts.wake(&pool);
        }
        changed.await;
    }
}

async fn follow(cloud: Client, pool: Weak<Pool>, whereabouts: Arc<Whereabouts>, key: PublicKey) {
    let record = Record {
        cloud,
        pool,
        whereabouts,
        id: key.to_string(),
    };
    let mut pause = PAUSE;
    loop {
        let Err(error) = record.watch(&mut pause).await;
        tracing::debug!(
            peer = %key.short(),
            error = crate::error::chain(&error),
            "the record cannot be followed"
        );
        let Some(pool) = record.pool.upgrade() else {
            return;
        };
        record.whereabouts.course().unasked(error.message());
        record.whereabouts.wake(&pool);
        drop(pool);
        world::pause(world::about(pause)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// The record of one peer.
struct Record {
    cloud: Client,
    pool: Weak<Pool>,
    whereabouts: Arc<Whereabouts>,
    id: String,
}

impl Record {
    /// Reads it, and then every change of it, until that fails.
    async fn watch(&self, pause: &mut Duration) -> Result<std::convert::Infallible> {
        // Documents are decoded here, one by one: a node that tells nonsense is not to end the watch.
        let peers = self
            .cloud
            .directory()
            .timeout(PATIENCE)
            .collection::<Json>(PEERS);
        let only = Filter::eq("@id", self.id.as_str());
        let page = match peers.find(only.clone()).await {
            Ok(page) => page,
            Err(error) if is_no_collection(&error) => {
                // No peer has ever been here.
                self.absent(None);
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        match page.documents.into_iter().next() {
            Some(document) => self.found(document),
            None => self.absent(self.seen().await),
        }
        let mut watch = peers.watch().filter(only).after(page.revision).await?;
        *pause = PAUSE;
        loop {
            for event in watch.next().await?.events {
                match event {
                    Event::Put(document) => self.found(document),
                    Event::Deleted { .. } => self.absent(self.seen().await),
                }
            }
        }
    }

    /// What the directory remembers of the peer.
    async fn seen(&self) -> Option<Seen> {
        let directory = self.cloud.directory().timeout(PATIENCE);
        let found = directory.collection::<Seen>(SEEN).get(&self.id).await;
        found.ok().flatten().map(|document| document.value)
    }

    fn found(&self, document: Document<Json>) {
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        let record = match document.value.to::<Signed<Presence>>() {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(peer = self.id, %error, "a node told a record that is none");
                return;
            }
        };
        let (seq, boot) = (record.seq(), record.unchecked().boot);
        let found = self.whereabouts.course().found(record);
        match found {
            Ok(true) => {
                self.whereabouts.tell(PeerEvent::Announced { seq, boot });
                self.whereabouts.wake(&pool);
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(peer = self.id, %error, "a node told a record that is not to be believed");
                self.whereabouts.tell(PeerEvent::Refused(error));
            }
        }
    }

    fn absent(&self, seen: Option<Seen>) {
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        let is_news = self.whereabouts.course().absent(seen);
        if is_news {
            self.whereabouts.tell(PeerEvent::Gone);
            self.whereabouts.wake(&pool);
        }
    }
}

fn is_no_collection(error: &Error) -> bool {
    matches!(error.details(), Some(Refusal::NoCollection { .. }))
}
