//! Which documents: conditions on fields, combined.

mod decode;
mod matching;
mod text;

use std::ops::Not;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, Json};
pub(crate) use matching::{Facts, Matcher};

/// A condition on a document.
///
/// The text form, as the command line takes it, is a sequence of tests that must all hold:
/// `owner=alice size>=1000 name^=cat`; see [`Filter::parse`].
///
/// Values compare in one order over all of JSON: `null` < `false` < `true` < numbers < texts <
/// arrays < objects; numbers by value, also between integers and fractions, texts by their bytes.
/// An order test (`<`, `>=`, …) holds only between values of one kind. A field that is missing
/// equals nothing but fails no `Not`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
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
    text: String,
    problem: String,
}

impl Filter {
    /// The field equals the value.
    pub fn eq(field: impl Into<Field>, value: impl Into<Json>) -> Self {
        Self::Eq(field.into(), value.into())
    }

    /// The field is there and differs from the value.
    pub fn ne(field: impl Into<Field>, value: impl Into<Json>) -> Self {
        Self::Ne(field.into(), value.into())
    }

    /// The field is less than the value.
    pub fn lt(field: impl Into<Field>, value: impl Into<Json>) -> Self {
        Self::Lt(field.into(), value.into())
    }

    /// The field is at most the value.
    pub fn le(field: impl Into<Field>, value: impl Into<Json>) -> Self {
        Self::Le(field.into(), value.into())
    }

    /// The field is greater than the value.
    pub fn gt(field: impl Into<Field>, value: impl Into<Json>) -> Self {
        Self::Gt(field.into(), value.into())
    }

    /// The field is at least the value.
    pub fn ge(field: impl Into<Field>, value: impl Into<Json>) -> Self {
        Self::Ge(field.into(), value.into())
    }

    /// The field equals one of the values.
    pub fn one_of<V: Into<Json>>(
        field: impl Into<Field>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        Self::In(field.into(), values.into_iter().map(Into::into).collect())
    }

    /// The field is a text that begins so.
    pub fn prefix(field: impl Into<Field>, start: impl Into<String>) -> Self {
        Self::Prefix(field.into(), start.into())
    }

    /// The field is an array that has the value, or a text that has it as a part.
    pub fn contains(field: impl Into<Field>, value: impl Into<Json>) -> Self {
        Self::Contains(field.into(), value.into())
    }

    /// The field is there.
    pub fn exists(field: impl Into<Field>) -> Self {
        Self::Exists(field.into())
    }

    /// Both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, filter) | (filter, Self::All) => filter,
            (Self::And(mut all), other) => {
                all.push(other);
                Self::And(all)
            }
            (filter, other) => Self::And(vec![filter, other]),
        }
    }

    /// One of them holds, or both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Or(mut any), other) => {
                any.push(other);
                Self::Or(any)
            }
            (filter, other) => Self::Or(vec![filter, other]),
        }
    }

    /// Does it hold for the document? For many documents, the directory prepares a filter once.
    pub fn matches(&self, document: &Document) -> bool {
        Matcher::new(self).matches(&Facts::of(document))
    }
}

impl Not for Filter {
    type Output = Self;

    /// It does not hold.
    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}

impl FilterError {
    /// The text, shortened if it is long.
    fn new(text: &str, problem: String) -> Self {
        Self {
            text: text.chars().take(200).collect(),
            problem,
        }
    }
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
