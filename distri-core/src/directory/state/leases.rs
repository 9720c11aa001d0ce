//! Leases: documents that end with whoever keeps them.

use std::{num::NonZeroU64, sync::Arc};

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use crate::{
    directory::{Actor, Refusal, limits},
    id::PublicKey,
};

#[derive(Clone, Debug, Default)]
pub(super) struct Leases {
    /// The number of the latest lease; the next one has the next.
    latest: u64,
    by_number: OrdMap<u64, Lease>,
    /// When each ends, and its number.
    by_expiry: OrdSet<(u64, u64)>,
}

#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) terms: Terms,
    /// Collection and id of each document that ends with it.
    pub(super) documents: OrdSet<(Arc<str>, Arc<str>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Terms {
    pub(super) ttl_ms: u64,
    pub(super) expires_ms: u64,
    /// The client that asked for it. Only they may keep it, end it, and hang documents on it.
    /// `None`: a node.
    pub(super) holder: Option<PublicKey>,
}

impl Leases {
    pub(super) fn grant(
        &mut self,
        actor: &Actor,
        ttl_ms: u64,
        time_ms: u64,
    ) -> Result<u64, Refusal> {
        if self.by_number.len() >= limits::LEASES {
            return Err(Refusal::TooLarge {
                what: "the list of leases".into(),
                size: self.by_number.len() as u64 + 1,
                bound: limits::LEASES as u64,
            });
        }
        let number = self.latest + 1;
        let terms = Terms {
            ttl_ms,
            expires_ms: time_ms.saturating_add(ttl_ms),
            holder: match actor {
                Actor::Node => None,
                Actor::Client { key, .. } => Some(*key),
            },
        };
        self.restore(number, terms);
        self.latest = number;
        Ok(number)
    }

    /// The lease if there is one that the actor may use.
    pub(super) fn of(&self, actor: &Actor, number: u64) -> Result<&Lease, Refusal> {
        self.by_number
            .get(&number)
            .filter(|lease| match actor {
                Actor::Node => true,
                Actor::Client { key, .. } => lease.terms.holder == Some(*key),
            })
            .ok_or(Refusal::NoLease { lease: number })
    }

    pub(super) fn get(&self, number: u64) -> Option<&Lease> {
        self.by_number.get(&number)
    }

    /// Gives it its whole time again.
    pub(super) fn keep(&mut self, number: u64, time_ms: u64) {
        if let Some(lease) = self.by_number.get_mut(&number) {
            let terms = &mut lease.terms;
            self.by_expiry.remove(&(terms.expires_ms, number));
            terms.expires_ms = time_ms.saturating_add(terms.ttl_ms);
            self.by_expiry.insert((terms.expires_ms, number));
        }
    }

    pub(super) fn keep_all(&mut self, time_ms: u64) {
        let numbers: Vec<_> = self.by_number.keys().copied().collect();
        numbers
            .into_iter()
            .for_each(|number| self.keep(number, time_ms));
    }

    /// Takes a lease away.
    pub(super) fn end(&mut self, number: u64) -> Option<Lease> {
        let lease = self.by_number.remove(&number)?;
        self.by_expiry.remove(&(lease.terms.expires_ms, number));
        Some(lease)
    }

    /// The lease that has ended by `time_ms`, the one first that ended first.
    pub(super) fn expired(&self, time_ms: u64) -> Option<u64> {
        let (expires_ms, number) = self.by_expiry.get_min()?;
        (*expires_ms <= time_ms).then_some(*number)
    }

    pub(super) fn next_expiry_ms(&self) -> Option<u64> {
        self.by_expiry.get_min().map(|(expires_ms, _)| *expires_ms)
    }

    /// Hangs a document on one lease rather than another.
    pub(super) fn rehang(
        &mut self,
        collection: &Arc<str>,
        id: &str,
        from: Option<NonZeroU64>,
        to: Option<NonZeroU64>,
    ) {
        if from == to {
            return;
        }
        let entry = (Arc::clone(collection), Arc::from(id));
        if let Some(lease) = from.and_then(|number| self.by_number.get_mut(&number.get())) {
            lease.documents.remove(&entry);
        }
        if let Some(lease) = to.and_then(|number| self.by_number.get_mut(&number.get())) {
            lease.documents.insert(entry);
        }
    }

    pub(super) fn latest(&self) -> u64 {
        self.latest
    }

    pub(super) fn set_latest(&mut self, latest: u64) {
        self.latest = latest;
    }

    /// Leases after this one, in the order of their numbers.
    pub(super) fn after(&self, number: u64) -> impl Iterator<Item = (&u64, &Lease)> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.by_number
            .range((Excluded(number), Unbounded))
            .map(|(number, lease)| (number, lease))
    }

    /// Takes a lease from a snapshot.
    pub(super) fn restore(&mut self, number: u64, terms: Terms) {
        self.by_expiry.insert((terms.expires_ms, number));
        let documents = OrdSet::new();
        self.by_number.insert(number, Lease { terms, documents });
    }
}
