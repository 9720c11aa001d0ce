//! Elections as they stand in the directory.

use serde::{Deserialize, Serialize};

use super::{Fence, Holder};
use crate::{
    directory::{Actor, CollectionSpec, Document, ELECTIONS, Query, Replica, Who},
    id::PublicKey,
};

/// Before the names of the elections by which services are led; other elections may not begin so.
pub(crate) const OF_SERVICES: &str = "service/";

/// Who holds an election.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ElectionRecord {
    pub(super) key: PublicKey,
    pub(super) name: String,
    /// Which campaign of that node won: 64 random bits.
    pub(super) ticket: u64,
}

pub(super) fn collection() -> CollectionSpec {
    CollectionSpec::new(ELECTIONS)
        .read(Who::Node)
        .write(Who::Node)
}

/// Who holds the election `name`, as this node has it.
pub(super) fn find(replica: &Replica, name: &str) -> Option<Document<ElectionRecord>> {
    let found = replica.read(|state| state.get(&Actor::Node, ELECTIONS, name));
    // No collection yet, so nobody has ever won.
    found.ok()??.typed().ok()
}

/// All elections that are held.
pub(super) fn all(replica: &Replica) -> Vec<Document<ElectionRecord>> {
    let mut query = Query::new(ELECTIONS);
    query.limit = 10_000;
    let mut found = Vec::new();
    let Ok(view) = replica.read(|state| state.view(ELECTIONS)) else {
        return found;
    };
    while let Ok(page) = view.find(&Actor::Node, &query) {
        let documents = page.documents.into_iter();
        found.extend(documents.filter_map(|document| document.typed().ok()));
        match page.cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => break,
        }
    }
    found
}

impl From<Document<ElectionRecord>> for Holder {
    fn from(document: Document<ElectionRecord>) -> Self {
        Self {
            key: document.value.key,
            name: document.value.name,
            fence: Fence::new(document.id, document.created_revision),
        }
    }
}
