//! What changes the directory.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CollectionSpec, Document, Filter, Json, Refusal};
use crate::{
    fence::{Fence, Fences},
    id::PublicKey,
};

/// Conditions and operations that take effect all together or not at all, at one revision.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Transaction {
    /// What must hold beforehand.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// What is done, one after the other; later operations see the effect of earlier ones.
    #[serde(default)]
    pub operations: Vec<Operation>,
}

/// What must hold for a transaction to take effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Condition {
    /// The document exists and matches the filter.
    Matches {
        /// The collection.
        collection: String,
        /// The id.
        id: String,
        /// What it must match.
        filter: Filter,
    },
    /// The document was last changed at this revision.
    Revision {
        /// The collection.
        collection: String,
        /// The id.
        id: String,
        /// The revision.
        revision: u64,
    },
    /// There is no such document.
    Missing {
        /// The collection.
        collection: String,
        /// The id.
        id: String,
    },
    /// The collection has no document that matches.
    None {
        /// The collection.
        collection: String,
        /// What none may match.
        filter: Filter,
    },
    /// The directory's clock stands within these bounds when the transaction takes effect. It is the
    /// leader's, stands in the log, and never goes back: milliseconds since 1970, as in
    /// [`Document::updated_ms`].
    Clock {
        /// It has reached this.
        #[serde(default)]
        from_ms: Option<u64>,
        /// It has not reached this.
        #[serde(default)]
        until_ms: Option<u64>,
    },
}

/// One change of one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// Adds a document; refused with [`Refusal::Exists`] if its id is taken.
    Insert {
        /// The collection.
        collection: String,
        /// The id.
        id: String,
        /// The content.
        value: Json,
        /// Ends with this lease.
        #[serde(default)]
        lease: Option<u64>,
    },
    /// Adds a document or replaces its content, whatever it was.
    Put {
        /// The collection.
        collection: String,
        /// The id.
        id: String,
        /// The content.
        value: Json,
        /// Ends with this lease; without one, a lease that the document had is taken off it.
        #[serde(default)]
        lease: Option<u64>,
    },
    /// Replaces the content of a document that stands at `revision`; else [`Refusal::Revision`],
    /// or [`Refusal::Missing`]. The lease stays.
    Replace {
        /// The collection.
        collection: String,
        /// The id.
        id: String,
        /// The revision at which it must stand.
        revision: u64,
        /// The new content.
        value: Json,
    },
    /// Merges a patch into a document (RFC 7396): members replace, `null` removes. Refused with
    /// [`Refusal::Missing`] if there is none. The reply has the document as it then stands.
    Merge {
        /// The collection.
        collection: String,
        /// The id.
        id: String,
        /// The patch.
        patch: Json,
    },
    /// Adds to a number; a missing field counts as 0. Refused with [`Refusal::Bounds`] if the sum
    /// would be outside `min..=max`, or not exact for integers. The reply has the document as it
    /// then stands.
    Add {
        /// The collection.
        collection: String,
        /// The id.
        id: String,
        /// The field, by path.
        field: String,
        /// What is added: a JSON number, which may be negative.
        by: Json,
        /// The least sum allowed.
        #[serde(default)]
        min: Option<Json>,
        /// The greatest sum allowed.
        #[serde(default)]
        max: Option<Json>,
    },
    /// Removes a document; refused with [`Refusal::Missing`] if there is none.
    Delete {
        /// The collection.
        collection: String,
        /// The id.
        id: String,
        /// The revision at which it must stand, if that matters.
        #[serde(default)]
        revision: Option<u64>,
    },
}

/// Everything that the log can say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Command {
    Transact(Transaction),
    /// Creates a collection, or changes the one of that name to this. Refused if documents do not
    /// fit the new schema or unique indexes.
    CreateCollection(CollectionSpec),
    DropCollection {
        name: String,
    },
    GrantLease {
        ttl_ms: u64,
    },
    KeepLease {
        lease: u64,
    },
    /// Ends a lease with its documents.
    EndLease {
        lease: u64,
    },
}

/// What came of a command. Reads as `Result<Outcome, Refusal>` where it was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Outcome {
    /// The directory's revision after the command: its own if it changed something.
    pub(crate) revision: u64,
    /// For each `Merge` and `Add`, in order, the document as it then stands.
    pub(crate) documents: Vec<Document>,
    /// The number of the lease granted.
    pub(crate) lease: Option<u64>,
}

/// Who issues a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Actor {
    /// A node of the cloud, for itself or its services: may do everything.
    Node,
    /// Somebody else, as the node that took the command knows them.
    Client {
        key: PublicKey,
        /// Listed in that node's configuration.
        known: bool,
        roles: Vec<String>,
    },
}

/// By which a repeated command is recognised (Ongaro, "Consensus: Bridging Theory and Practice",
/// 2014, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RequestId {
    /// The client's session: 128 random bits.
    pub(crate) session: u128,
    /// Rises with each command of the session.
    pub(crate) serial: u64,
    /// All replies below this serial have arrived and need not be remembered.
    pub(crate) acknowledged: u64,
}

/// A command on its way into the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proposal {
    pub(crate) request: Option<RequestId>,
    pub(crate) actor: Actor,
    pub(crate) command: Command,
}

impl Proposal {
    /// The bytes of a proposal that takes effect only while `fences` stand, which come after it:
    /// those of one without are what they have always been.
    pub(crate) fn encode(&self, fences: &Fences) -> Result<Vec<u8>, postcard::Error> {
        let bytes = postcard::to_stdvec(self)?;
        if fences.is_empty() {
            return Ok(bytes);
        }
        postcard::to_extend(fences.as_slice(), bytes)
    }

    /// Reads a proposal with its fences, and nothing else.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, Vec<Fence>), postcard::Error> {
        let (proposal, rest) = postcard::take_from_bytes(bytes)?;
        if rest.is_empty() {
            return Ok((proposal, Vec::new()));
        }
        match postcard::take_from_bytes::<Vec<Fence>>(rest)? {
            (fences, []) if !fences.is_empty() => Ok((proposal, fences)),
            _ => Err(postcard::Error::SerdeDeCustom),
        }
    }
}

/// One entry of the log: commands proposed together.
///
/// Its proposals stay encoded (postcard) on their way from the node that took them, over the
/// leader, into every log; only applying decodes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Batch {
    /// The leader's clock, in milliseconds since 1970. The state's time is the greatest so far.
    pub(crate) time_ms: u64,
    /// The first batch of a leader: leases get their whole time to live again, since nobody could
    /// renew them while there was no leader.
    pub(crate) new_leader: bool,
    /// [`Proposal`]s, each encoded with its fences.
    pub(crate) proposals: Vec<Bytes>,
}

impl Outcome {
    pub(crate) fn at(revision: u64) -> Self {
        Self {
            revision,
            documents: Vec::new(),
            lease: None,
        }
    }
}

/// What a command came to.
pub(crate) type Verdict = Result<Outcome, Refusal>;

/// A transaction that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// The directory's revision at which it did.
    pub revision: u64,
    /// For each [`Operation::Merge`] and [`Operation::Add`], in order, the document as it then
    /// stands.
    pub documents: Vec<Document>,
}

impl Transaction {
    /// A transaction that does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes effect only if `condition` holds.
    #[must_use]
    pub fn require(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Does `operation` after those given before.
    #[must_use]
    pub fn then(mut self, operation: Operation) -> Self {
        self.operations.push(operation);
        self
    }

    /// Then adds a document; see [`Operation::Insert`].
    #[must_use]
    pub fn insert(
        self,
        collection: impl Into<String>,
        id: impl Into<String>,
        value: impl Into<Json>,
    ) -> Self {
        self.then(Operation::Insert {
            collection: collection.into(),
            id: id.into(),
            value: value.into(),
            lease: None,
        })
    }

    /// Then adds or replaces a document; see [`Operation::Put`].
    #[must_use]
    pub fn put(
        self,
        collection: impl Into<String>,
        id: impl Into<String>,
        value: impl Into<Json>,
    ) -> Self {
        self.then(Operation::Put {
            collection: collection.into(),
            id: id.into(),
            value: value.into(),
            lease: None,
        })
    }

    /// Then removes a document; see [`Operation::Delete`].
    #[must_use]
    pub fn delete(self, collection: impl Into<String>, id: impl Into<String>) -> Self {
        self.then(Operation::Delete {
            collection: collection.into(),
            id: id.into(),
            revision: None,
        })
    }
}
