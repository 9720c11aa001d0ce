//! What the directory keeps and tells: documents, and the events of their change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Json;
use crate::id::PublicKey;

/// A document as it stood at one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Document<T = Json> {
    /// Its id, one of a kind in its collection.
    pub id: String,
    /// The directory's revision at which it was last changed. Revisions rise by one with each
    /// change to the directory and are the same on every node.
    pub revision: u64,
    /// The revision at which it was inserted.
    pub created_revision: u64,
    /// When it was inserted, in milliseconds since 1970, by the leader's clock.
    pub created_ms: u64,
    /// When it was last changed, in milliseconds since 1970, by the leader's clock.
    pub updated_ms: u64,
    /// Whose it is, in collections with owners.
    #[serde(default)]
    pub owner: Option<PublicKey>,
    /// The lease with which it ends.
    #[serde(default)]
    pub lease: Option<u64>,
    /// Its content.
    pub value: T,
}

impl Document {
    pub(crate) fn new(id: String, value: Json) -> Self {
        Self {
            id,
            revision: 0,
            created_revision: 0,
            created_ms: 0,
            updated_ms: 0,
            owner: None,
            lease: None,
            value,
        }
    }

    /// The same document with its content as a `T`.
    ///
    /// # Errors
    /// The first place where the content does not fit `T`.
    pub fn typed<T: DeserializeOwned>(self) -> Result<Document<T>, super::InvalidJson> {
        let value = self.value.to()?;
        Ok(Document {
            id: self.id,
            revision: self.revision,
            created_revision: self.created_revision,
            created_ms: self.created_ms,
            updated_ms: self.updated_ms,
            owner: self.owner,
            lease: self.lease,
            value,
        })
    }
}

/// A change of one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event<T = Json> {
    /// It was inserted or changed, and now stands so.
    Put(Document<T>),
    /// It was deleted.
    Deleted {
        /// Its id.
        id: String,
        /// The revision of the deletion.
        revision: u64,
        /// Its lease ended, or its whole collection was dropped.
        expired: bool,
    },
}

impl<T> Event<T> {
    /// The id of the document.
    pub fn id(&self) -> &str {
        match self {
            Self::Put(document) => &document.id,
            Self::Deleted { id, .. } => id,
        }
    }

    /// The revision of the change.
    pub fn revision(&self) -> u64 {
        match self {
            Self::Put(document) => document.revision,
            Self::Deleted { revision, .. } => *revision,
        }
    }
}

/// Events of a watch, in the order of their revisions. All events of one revision come together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Events<T = Json> {
    /// The changes. Empty if nothing that matches was changed up to `revision`.
    pub events: Vec<Event<T>>,
    /// Everything that matches up to here has been told: a later watch goes on after it.
    pub revision: u64,
}
