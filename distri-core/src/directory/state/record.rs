//! Documents as the state keeps them: small, shared, never changed.

use std::{borrow::Borrow, cmp::Ordering, num::NonZeroU64, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    directory::{Document, Json, filter::Facts},
    id::PublicKey,
};

/// One version of a document. Collections, indexes, events and frozen copies share it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: Box<str>,
    pub(super) value: Json,
    pub(super) revision: u64,
    pub(super) created_revision: u64,
    pub(super) created_ms: u64,
    pub(super) updated_ms: u64,
    pub(super) lease: Option<NonZeroU64>,
    /// In a box, since most documents have none and 100,000 of them shall take little memory.
    pub(super) owner: Option<Box<PublicKey>>,
}

impl Record {
    pub(super) fn facts(&self) -> Facts<'_> {
        Facts {
            id: &self.id,
            revision: self.revision,
            created_revision: self.created_revision,
            created_ms: self.created_ms,
            updated_ms: self.updated_ms,
            owner: self.owner.as_deref(),
            lease: self.lease.map(NonZeroU64::get),
            value: self.value.as_str(),
        }
    }

    pub(super) fn document(&self) -> Document {
        Document {
            revision: self.revision,
            created_revision: self.created_revision,
            created_ms: self.created_ms,
            updated_ms: self.updated_ms,
            owner: self.owner.as_deref().copied(),
            lease: self.lease.map(NonZeroU64::get),
            ..Document::new(self.id.to_string(), self.value.clone())
        }
    }

    /// Bytes that it adds to a page or reply, about.
    pub(super) fn size(&self) -> usize {
        self.id.len() + self.value.as_str().len() + 64
    }
}

/// A document in its collection, which is ordered by the bytes of ids.
#[derive(Clone, Debug)]
pub(super) struct Entry(pub(super) Arc<Record>);

impl Borrow<[u8]> for Entry {
    fn borrow(&self) -> &[u8] {
        self.0.id.as_bytes()
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.id.as_bytes().cmp(other.0.id.as_bytes())
    }
}
