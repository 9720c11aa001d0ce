//! Which documents: conditions on fields, combined.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Json;

/// A condition on a document.
///
/// The text form, as the command line takes it, is a sequence of tests that must all hold:
/// `owner=alice size>=1000 name^=cat`; see [`Filter::parse`].
///
/// Values compare in one order over all of JSON: `null` < `false` < `true` < numbers < texts <
/// arrays < objects; numbers by value, also between integers and fractions, texts by their bytes.
/// An order test (`<`, `>=`, …) holds only between values of one kind. A field that is missing
/// equals nothing but fails no `Not`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Holds for all documents.
    All,
    /// All of them hold.
    And(Vec<Self>),
    /// One of them holds.
    Or(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// The field equals the value.
    Eq(Field, Json),
    /// The field is there and differs from the value.
    Ne(Field, Json),
    /// The field is less than the value.
    Lt(Field, Json),
    /// The field is at most the value.
    Le(Field, Json),
    /// The field is greater than the value.
    Gt(Field, Json),
    /// The field is at least the value.
    Ge(Field, Json),
    /// The field equals one of the values.
    In(Field, Vec<Json>),
    /// The field is a text that begins so.
    Prefix(Field, String),
    /// The field is an array that has the value, or a text that has it as a part.
    Contains(Field, Json),
    /// The field is there.
    Exists(Field),
}

/// A field of a document, by path: `size`, `address.city`, `tags.0`. What the directory itself
/// knows of a document begins with `@`: `@id`, `@owner`, `@revision`, `@created_revision`,
/// `@created`, `@updated` (milliseconds since 1970), `@lease`.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Field(pub(super) String);

/// A text that is not a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a filter: {problem}")]
pub struct FilterError {
    pub(super) text: String,
    pub(super) problem: String,
}

impl Field {
    /// The path as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Field {
    fn from(path: T) -> Self {
        Self(path.into())
    }
}
