//! What a collection is: its indexes, its schema, who may do what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Field, Json};

/// A collection as it is declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CollectionSpec {
    /// Its name: `a-z`, `0-9`, `-`, `_`, beginning with a letter. Names that begin with `_` are
    /// the directory's own.
    pub name: String,
    /// JSON Schema (draft 2020-12) that every document must meet.
    #[serde(default)]
    pub schema: Option<Json>,
    /// Secondary indexes.
    #[serde(default)]
    pub indexes: Vec<IndexSpec>,
    /// Who may read.
    #[serde(default)]
    pub read: Who,
    /// Who may insert, change and delete.
    #[serde(default)]
    pub write: Who,
}

/// A secondary index: searches by these fields need not look at every document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IndexSpec {
    /// The fields, the most significant first.
    pub fields: Vec<Field>,
    /// No two documents may have the same values in all of the fields. Documents that lack one of
    /// them are not compared.
    #[serde(default)]
    pub unique: bool,
}

/// Who may do something with the documents of a collection. Nodes of the cloud always may.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Who {
    /// Everybody whose link the nodes admit.
    Public,
    /// Keys that the nodes' configuration lists, in any role. The default.
    #[default]
    Authenticated,
    /// Keys with this role, such as `member`.
    Role(String),
    /// The document's owner: the key that inserted it. Any listed key may insert.
    Owner,
    /// Nodes of the cloud only.
    Node,
}

impl CollectionSpec {
    /// A collection without schema and indexes, open to listed keys.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            schema: None,
            indexes: Vec::new(),
            read: Who::default(),
            write: Who::default(),
        }
    }

    /// Every document must meet this JSON Schema.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<Json>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// Adds an index over `fields`.
    #[must_use]
    pub fn index<F: Into<Field>>(mut self, fields: impl IntoIterator<Item = F>) -> Self {
        self.indexes.push(IndexSpec {
            fields: fields.into_iter().map(Into::into).collect(),
            unique: false,
        });
        self
    }

    /// Adds an index over `fields` in which no two documents may be equal.
    #[must_use]
    pub fn unique<F: Into<Field>>(mut self, fields: impl IntoIterator<Item = F>) -> Self {
        self.indexes.push(IndexSpec {
            fields: fields.into_iter().map(Into::into).collect(),
            unique: true,
        });
        self
    }

    /// Says who may read.
    #[must_use]
    pub fn read(mut self, who: Who) -> Self {
        self.read = who;
        self
    }

    /// Says who may insert, change and delete.
    #[must_use]
    pub fn write(mut self, who: Who) -> Self {
        self.write = who;
        self
    }
}
