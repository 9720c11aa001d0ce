//! Decoding of filters, bounded in depth: bytes from outside must not exhaust the stack.

use std::cell::Cell;

use serde::{Deserialize, Deserializer, de};

use super::{Field, Filter};
use crate::directory::{Json, limits};

/// [`Filter`] as serde derives it; its parts count their depth again.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shape {
    All,
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Eq(Field, Json),
    Ne(Field, Json),
    Lt(Field, Json),
    Le(Field, Json),
    Gt(Field, Json),
    Ge(Field, Json),
    In(Field, Vec<Json>),
    Prefix(Field, String),
    Contains(Field, Json),
    Exists(Field),
}

thread_local! {
    /// Filters that are being decoded around the next one.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let _level = Level::enter().ok_or_else(|| {
            de::Error::custom(format_args!(
                "expected a filter of at most {} levels",
                limits::FILTER_DEPTH
            ))
        })?;
        Shape::deserialize(deserializer).map(Self::from)
    }
}

impl From<Shape> for Filter {
    fn from(shape: Shape) -> Self {
        match shape {
            Shape::All => Self::All,
            Shape::And(parts) => Self::And(parts),
            Shape::Or(parts) => Self::Or(parts),
            Shape::Not(part) => Self::Not(part),
            Shape::Eq(field, value) => Self::Eq(field, value),
            Shape::Ne(field, value) => Self::Ne(field, value),
            Shape::Lt(field, value) => Self::Lt(field, value),
            Shape::Le(field, value) => Self::Le(field, value),
            Shape::Gt(field, value) => Self::Gt(field, value),
            Shape::Ge(field, value) => Self::Ge(field, value),
            Shape::In(field, values) => Self::In(field, values),
            Shape::Prefix(field, start) => Self::Prefix(field, start),
            Shape::Contains(field, value) => Self::Contains(field, value),
            Shape::Exists(field) => Self::Exists(field),
        }
    }
}

/// One filter being decoded.
struct Level;

impl Level {
    fn enter() -> Option<Self> {
        DEPTH.with(|depth| {
            // Whether a filter may be proposed is decided elsewhere; once it is in the log it must
            // decode, whatever that bound will be. This one only protects the stack.
            (depth.get() < 4 * limits::FILTER_DEPTH).then(|| {
                depth.set(depth.get() + 1);
                Self
            })
        })
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
    }
}
