//! The replicated state: a pure function of the commands applied.
//!
//! Every replica applies the same [`Batch`]es in the same order and comes to the same state, also
//! one that was rebuilt from a snapshot. So nothing here knows a clock, a die or the world: time is
//! what batches say. Consensus, reading under a lease of the leader, and waiting for changes are the
//! business of those who hold a `State`.
//!
//! - `apply` executes commands; `check` says which ones may be proposed at all, `access` who may do
//!   what, `edit` computes documents from documents.
//! - `collection` keeps documents (`record`) and indexes; `plan` and `find` search them.
//! - `fences` tells whether a leadership stands under which something is to be done.
//! - `leases`, `sessions` and `history` are what else is replicated.
//! - `snapshot` turns all of it into blocks and back.
//!
//! Everything is kept in persistent maps, so that a frozen copy, for a snapshot or a long search,
//! costs nothing and shares what does not change.

mod access;
mod apply;
mod check;
mod collection;
mod edit;
mod fences;
mod find;
mod history;
mod id;
mod leases;
mod plan;
mod record;
mod sessions;
mod snapshot;

use std::{borrow::Cow, sync::Arc, time::Duration};

use imbl::OrdMap;

use super::{Actor, CollectionSpec, Document, Events, Filter, Refusal, filter::Matcher};
pub(crate) use apply::UnknownCommand;
use collection::Collection;
pub(crate) use fences::{ELECTIONS, HOLDS, RINGS};
pub(crate) use find::View;
use history::{History, Sight};
use leases::Leases;
use sessions::Sessions;
pub(crate) use snapshot::{Frozen, InvalidSnapshot};

/// The directory as it stands after the commands applied so far. A clone takes no time and shares
/// everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    revision: u64,
    time_ms: u64,
    collections: OrdMap<Arc<str>, Arc<Collection>>,
    leases: Leases,
    sessions: Sessions,
    history: History,
}

/// A lease as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseInfo {
    pub(crate) ttl: Duration,
    /// Until it ends, by the state's time.
    pub(crate) remaining: Duration,
    /// Documents that end with it.
    pub(crate) documents: usize,
}

impl State {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Rises by one with each command that changes documents or collections.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The greatest time of all batches.
    pub(crate) fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// The document, if there is one that the actor may see.
    ///
    /// # Errors
    /// There is no such collection, or the actor may read nothing of it.
    pub(crate) fn get(
        &self,
        actor: &Actor,
        collection: &str,
        id: &str,
    ) -> Result<Option<Document>, Refusal> {
        let collection = self.collection(collection)?;
        let reach = access::reading(actor, collection.spec())?;
        Ok(collection
            .get(id)
            .filter(|record| reach.covers(record))
            .map(|record| record.document()))
    }

    /// A copy of one collection, to be searched while the state goes on. Takes no time.
    ///
    /// # Errors
    /// There is no such collection.
    pub(crate) fn view(&self, collection: &str) -> Result<View, Refusal> {
        let collection = Arc::clone(self.collection(collection)?);
        Ok(View::new(collection, self.revision))
    }

    /// All collections with their number of documents, by name.
    pub(crate) fn collections(&self) -> impl Iterator<Item = (&CollectionSpec, usize)> {
        self.collections
            .values()
            .map(|collection| (collection.spec(), collection.documents.len()))
    }

    /// How many documents there are, and their bytes with their ids.
    pub(crate) fn size(&self) -> (u64, u64) {
        let sizes = self.collections.values();
        let sizes = sizes.map(|collection| (collection.documents.len() as u64, collection.bytes()));
        sizes.fold((0, 0), |(documents, bytes), (more, larger)| {
            (documents + more, bytes + larger)
        })
    }

    pub(crate) fn lease(&self, lease: u64) -> Option<LeaseInfo> {
        self.leases.get(lease).map(|lease| LeaseInfo {
            ttl: Duration::from_millis(lease.terms.ttl_ms),
            remaining: Duration::from_millis(lease.terms.expires_ms.saturating_sub(self.time_ms)),
            documents: lease.documents.len(),
        })
    }

    /// When the next lease ends. A batch with this time or a later one ends it.
    pub(crate) fn next_expiry_ms(&self) -> Option<u64> {
        self.leases.next_expiry_ms()
    }

    /// The revision of the last change of a collection of which events are kept, its creation and
    /// its end included; 0 if there is none.
    pub(crate) fn last_change(&self, collection: &str) -> u64 {
        self.history.last(collection)
    }

    /// The changes of a collection after a revision, as far as the actor may see them and the
    /// filter lets them through. Ends after about `max_bytes`, or after a bounded number of
    /// changes, always with a whole revision; `Events::revision` says how far it looked.
    ///
    /// A document that matched before a change and no longer does is told as deleted. Asked for
    /// what comes after a revision that is not reached yet, it gives nothing, up to there.
    ///
    /// # Errors
    /// There is no such collection (what was left of a dropped one has been told), the actor may
    /// not read it, or the changes are no longer kept.
    pub(crate) fn events_after(
        &self,
        actor: &Actor,
        collection: &str,
        after: u64,
        filter: Option<&Filter>,
        max_bytes: usize,
    ) -> Result<Events, Refusal> {
        if let Some(filter) = filter {
            check::filter(filter)?;
        }
        let live = self.collections.get(collection);
        // Many may watch: for each of them the definition is looked at, not copied.
        let spec = match (live, self.history.readers_of_dropped(collection)) {
            (Some(live), _) => Cow::Borrowed(live.spec()),
            (None, Some(readers)) => {
                Cow::Owned(CollectionSpec::new(collection).read(readers.clone()))
            }
            (None, None) => return Err(no_collection(collection)),
        };
        let sight = Sight {
            reach: access::reading(actor, &spec)?,
            matcher: filter.map(Matcher::new),
            max_bytes,
        };
        let events = self
            .history
            .after(collection, after, self.revision, sight)?;
        // Whoever was told the end of a dropped collection learns at the next call that it is gone.
        if live.is_none() && events.events.is_empty() && after >= self.revision {
            return Err(no_collection(collection));
        }
        Ok(events)
    }

    fn collection(&self, name: &str) -> Result<&Arc<Collection>, Refusal> {
        self.collections
            .get(name)
            .ok_or_else(|| no_collection(name))
    }

    /// The collection, to be changed. Copies it (in no time) if somebody holds a view of it.
    fn collection_mut(&mut self, name: &str) -> Result<&mut Collection, Refusal> {
        self.collections
            .get_mut(name)
            .map(Arc::make_mut)
            .ok_or_else(|| no_collection(name))
    }
}

fn no_collection(name: &str) -> Refusal {
    Refusal::NoCollection { name: name.into() }
}

#[cfg(test)]
mod tests;
