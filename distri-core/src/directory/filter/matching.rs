//! Whether a filter holds for a document.

use std::{borrow::Cow, cmp::Ordering};

use super::{Field, Filter};
use crate::{
    directory::{
        Document, Json,
        value::{self, Number, Value},
    },
    id::PublicKey,
};

/// What a filter may ask of a document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) id: &'a str,
    pub(crate) revision: u64,
    pub(crate) created_revision: u64,
    pub(crate) created_ms: u64,
    pub(crate) updated_ms: u64,
    pub(crate) owner: Option<&'a PublicKey>,
    pub(crate) lease: Option<u64>,
    /// The content, as JSON text.
    pub(crate) value: &'a str,
}

impl<'a> Facts<'a> {
    pub(crate) fn of(document: &'a Document) -> Self {
        Self {
            id: &document.id,
            revision: document.revision,
            created_revision: document.created_revision,
            created_ms: document.created_ms,
            updated_ms: document.updated_ms,
            owner: document.owner.as_ref(),
            lease: document.lease,
            value: document.value.as_str(),
        }
    }

    /// The field's value, if it is there.
    pub(crate) fn field(&self, field: &Field) -> Option<Value<'a>> {
        let number = |number: u64| Value::Number(Number::of_integer(number.into()));
        match field.as_str() {
            "@id" => Some(Value::Text(Cow::Borrowed(self.id))),
            "@owner" => self
                .owner
                .map(|owner| Value::Text(Cow::Owned(owner.to_string()))),
            "@revision" => Some(number(self.revision)),
            "@created_revision" => Some(number(self.created_revision)),
            "@created" => Some(number(self.created_ms)),
            "@updated" => Some(number(self.updated_ms)),
            "@lease" => self.lease.map(number),
            other if other.starts_with('@') => None,
            path => value::at(self.value, path),
        }
    }
}

/// A filter whose values are taken apart, to be held against many documents.
#[derive(Debug)]
pub(crate) enum Matcher<'f> {
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Test(&'f Field, Test<'f>),
    /// The filter has a text that is no JSON: nothing is known to match.
    Nothing,
}

/// What is asked of one field that is there.
#[derive(Debug)]
pub(crate) enum Test<'f> {
    Is(Value<'f>),
    Differs(Value<'f>),
    /// Of the value's kind, and ordered to it as wanted.
    Ordered(Value<'f>, fn(Ordering) -> bool),
    /// In order.
    OneOf(Vec<Value<'f>>),
    Begins(&'f str),
    Contains(Value<'f>),
    Exists,
}

impl<'f> Matcher<'f> {
    pub(crate) fn new(filter: &'f Filter) -> Self {
        let test = |field, json: &'f Json, test: fn(Value<'f>) -> Test<'f>| {
            value::parse(json.as_str())
                .map_or(Self::Nothing, |value| Self::Test(field, test(value)))
        };
        match filter {
            Filter::All => Self::And(Vec::new()),
            Filter::And(parts) => Self::And(parts.iter().map(Self::new).collect()),
            Filter::Or(parts) => Self::Or(parts.iter().map(Self::new).collect()),
            Filter::Not(part) => Self::Not(Box::new(Self::new(part))),
            Filter::Eq(field, json) => test(field, json, Test::Is),
            Filter::Ne(field, json) => test(field, json, Test::Differs),
            Filter::Lt(field, json) => test(field, json, |v| Test::Ordered(v, Ordering::is_lt)),
            Filter::Le(field, json) => test(field, json, |v| Test::Ordered(v, Ordering::is_le)),
            Filter::Gt(field, json) => test(field, json, |v| Test::Ordered(v, Ordering::is_gt)),
            Filter::Ge(field, json) => test(field, json, |v| Test::Ordered(v, Ordering::is_ge)),
            Filter::In(field, all) => {
                let mut values: Vec<_> = all
                    .iter()
                    .filter_map(|json| value::parse(json.as_str()).ok())
                    .collect();
                values.sort_by(Value::compare);
                Self::Test(field, Test::OneOf(values))
            }
            Filter::Prefix(field, start) => Self::Test(field, Test::Begins(start)),
            Filter::Contains(field, json) => test(field, json, Test::Contains),
            Filter::Exists(field) => Self::Test(field, Test::Exists),
        }
    }

    pub(crate) fn matches(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.matches(facts)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(facts)),
            Self::Not(part) => !part.matches(facts),
            Self::Test(field, Test::Begins(start)) if field.as_str() == "@id" => {
                facts.id.starts_with(start)
            }
            Self::Test(field, test) => facts.field(field).is_some_and(|value| test.holds(&value)),
            Self::Nothing => false,
        }
    }
}

impl Test<'_> {
    fn holds(&self, found: &Value<'_>) -> bool {
        match self {
            Self::Is(value) => found.equals(value),
            Self::Differs(value) => !found.equals(value),
            Self::Ordered(value, order) => {
                found.kind() == value.kind() && order(found.compare(value))
            }
            Self::OneOf(values) => values
                .binary_search_by(|value| value.compare(found))
                .is_ok(),
            Self::Begins(start) => matches!(found, Value::Text(text) if text.starts_with(start)),
            Self::Contains(value) => match (found, value) {
                (Value::Array(items), _) => items.iter().any(|item| item.equals(value)),
                (Value::Text(text), Value::Text(part)) => text.contains(part.as_ref()),
                _ => false,
            },
            Self::Exists => true,
        }
    }
}
