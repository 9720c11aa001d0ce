//! This node's copy of the directory, and those who wait for it to change.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{Mutex, PoisonError, RwLock, RwLockReadGuard},
};

use bytes::Bytes;

use super::{command::Batch, state::State};
use crate::{consensus::Replicated, watch};

/// The state behind a lock that is held only while something is looked up or one entry is applied.
#[derive(Default)]
pub(crate) struct Replica {
    state: RwLock<State>,
    watched: Mutex<BTreeMap<String, watch::Sender<u64>>>,
}

impl Replica {
    /// Lets `look` see the state. Long searches take a [`State::view`] and go on without the lock.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.state())
    }

    /// How many documents there are, and their bytes with their ids.
    pub(crate) fn size(&self) -> (u64, u64) {
        self.read(State::size)
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of every change of a collection: the revision of the last one.
    pub(crate) fn subscribe(&self, collection: &str) -> watch::Receiver<u64> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = watched.get(collection) {
            return sender.subscribe();
        }
        let last = self.read(|state| state.last_change(collection));
        let (sender, receiver) = watch::channel(last);
        watched.insert(collection.to_owned(), sender);
        receiver
    }
}

impl Replicated for Replica {
    fn apply(&self, payload: &[u8]) -> io::Result<Vec<Bytes>> {
        let broken = |error: &dyn fmt::Display| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("an entry of the log was written by a newer version: {error}"),
            )
        };
        let batch: Batch = postcard::from_bytes(payload).map_err(|error| broken(&error))?;
        let verdicts = self
            .state
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .apply(&batch)
            .map_err(|error| broken(&error))?;
        verdicts
            .iter()
            .map(|verdict| {
                postcard::to_stdvec(verdict)
                    .map(Bytes::from)
                    .map_err(io::Error::other)
            })
            .collect()
    }

    fn applied(&self) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.is_empty() {
            return;
        }
        let state = self.state();
        watched.retain(|collection, sender| {
            let last = state.last_change(collection);
            sender.send_if_modified(|told| {
                let changed = *told != last;
                *told = last;
                changed
            });
            sender.receiver_count() > 0
        });
    }

    fn freeze(&self) -> Box<dyn Iterator<Item = Vec<u8>> + Send> {
        Box::new(self.read(State::freeze))
    }

    fn restore(&self, blocks: &mut dyn Iterator<Item = io::Result<Vec<u8>>>) -> io::Result<()> {
        let restored = State::from_blocks(blocks)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = restored;
        Ok(())
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").finish_non_exhaustive()
    }
}
