//! What to find, in which order, how much of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, Field, Filter, Json};

/// A search in one collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Query {
    /// The collection.
    pub collection: String,
    /// Which documents.
    pub filter: Filter,
    /// In which order; by id after that, and by id alone if it is empty.
    pub sort: Vec<Sort>,
    /// At most so many, at most [`super::limits::PAGE`].
    pub limit: u32,
    /// Goes on where the page that gave this cursor ended.
    pub cursor: Option<String>,
}

/// One key of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sort {
    /// By this field. Documents without it come first, as if it were less than `null`.
    pub field: Field,
    /// From the greatest to the least.
    pub descending: bool,
}

/// A part of what a search found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Page<T = Json> {
    /// The documents, in order.
    pub documents: Vec<Document<T>>,
    /// With this cursor the search goes on; `None` if all has been found.
    pub cursor: Option<String>,
    /// The directory's revision at which the search was made; a watch from here misses nothing.
    pub revision: u64,
}

impl Query {
    /// All documents of `collection`, a hundred at a time.
    pub fn new(collection: impl Into<String>) -> Self {
        Self {
            collection: collection.into(),
            filter: Filter::All,
            sort: Vec::new(),
            limit: 100,
            cursor: None,
        }
    }
}
