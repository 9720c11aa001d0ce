//! JSON texts taken apart: parse, look into, compare, write.
//!
//! Replicas of different builds must decide alike, so nothing here depends on how another crate was
//! configured: numbers keep their text, members their order, and the last of two members of one
//! name counts. A text may be looked into ([`at`]) without building a tree.

mod reader;

use std::{borrow::Cow, cmp::Ordering, fmt::Write as _};

pub(crate) use reader::{at, check, parse, parse_prefix};

/// Levels of arrays and objects in one value. Deeper ones are refused, so that walking a value
/// needs little stack; serde_json stops at 128.
pub(crate) const DEPTH: usize = 100;

/// A JSON value that borrows from its text.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Number<'a>),
    Text(Cow<'a, str>),
    Array(Vec<Self>),
    /// Each name once.
    Object(Vec<(Cow<'a, str>, Self)>),
}

/// A JSON number as written.
#[derive(Clone, Debug)]
pub(crate) struct Number<'a>(Cow<'a, str>);

/// A text that is not JSON, or is nested too deeply, or has a number that no 64 bits hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not JSON at byte {at}: expected {expected}")]
pub(crate) struct Malformed {
    pub(crate) at: usize,
    pub(crate) expected: &'static str,
}

/// The kinds of values, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    Text,
    Array,
    Object,
}

impl<'a> Value<'a> {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Number(_) => Kind::Number,
            Self::Text(_) => Kind::Text,
            Self::Array(_) => Kind::Array,
            Self::Object(_) => Kind::Object,
        }
    }

    /// Compares by the order that [`super::Filter`] documents.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.key().cmp(&b.key()),
            (Self::Text(a), Self::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Self::Array(a), Self::Array(b)) => compare_all(a.iter(), b.iter(), Self::compare),
            (Self::Object(a), Self::Object(b)) => {
                let (a, b) = (by_name(a), by_name(b));
                compare_all(a.iter(), b.iter(), |a, b| {
                    let names = a.0.as_bytes().cmp(b.0.as_bytes());
                    names.then_with(|| a.1.compare(&b.1))
                })
            }
            _ => self.kind().cmp(&other.kind()),
        }
    }

    pub(crate) fn equals(&self, other: &Self) -> bool {
        self.compare(other).is_eq()
    }

    /// The member of that name, of an object.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else {
            return None;
        };
        members
            .iter()
            .find(|(member, _)| member == name)
            .map(|(_, value)| value)
    }

    /// Levels of arrays and objects.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Array(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Object(members) => 1 + members.iter().map(|(_, v)| v.depth()).max().unwrap_or(0),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => 0,
        }
    }

    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    /// Appends the value's shortest JSON text. Numbers are written as they came.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(number) => out.push_str(&number.0),
            Self::Text(text) => write_text(text, out),
            Self::Array(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (n, (name, value)) in members.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    write_text(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    pub(crate) fn to_key(&self) -> Vec<u8> {
        let mut key = Vec::new();
        self.write_key(&mut key);
        key
    }

    /// Appends bytes that order as the values do, and of which none begins another's.
    pub(crate) fn write_key(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(key::NULL),
            Self::Bool(value) => out.push(key::FALSE + u8::from(*value)),
            Self::Number(number) => {
                let (nearest, rest) = number.key();
                out.push(key::NUMBER);
                out.extend_from_slice(&nearest.to_be_bytes());
                out.extend_from_slice(&key::signed(rest));
            }
            Self::Text(text) => {
                out.push(key::TEXT);
                key::text(text, out);
                out.push(key::END);
            }
            Self::Array(items) => {
                out.push(key::ARRAY);
                items.iter().for_each(|item| item.write_key(out));
                out.push(key::END);
            }
            Self::Object(members) => {
                out.push(key::OBJECT);
                for (name, value) in by_name(members) {
                    out.push(key::MEMBER);
                    key::text(name, out);
                    out.push(key::END);
                    value.write_key(out);
                }
                out.push(key::END);
            }
        }
    }
}

/// The bytes of keys.
pub(crate) mod key {
    pub(crate) const END: u8 = 0;
    /// Another member of an object: after the object's end, before any byte of a text.
    pub(crate) const MEMBER: u8 = 1;
    /// A field that is not there: before `null`.
    pub(crate) const MISSING: u8 = 1;
    pub(crate) const NULL: u8 = 2;
    pub(crate) const FALSE: u8 = 3;
    pub(crate) const NUMBER: u8 = 5;
    pub(crate) const TEXT: u8 = 6;
    pub(crate) const ARRAY: u8 = 7;
    pub(crate) const OBJECT: u8 = 8;
    /// Greater than every byte in a key.
    pub(crate) const AFTER: u8 = 0xFF;

    /// The first and the last leading byte of a kind.
    pub(crate) fn span(kind: super::Kind) -> (u8, u8) {
        match kind {
            super::Kind::Null => (NULL, NULL),
            super::Kind::Bool => (FALSE, FALSE + 1),
            super::Kind::Number => (NUMBER, NUMBER),
            super::Kind::Text => (TEXT, TEXT),
            super::Kind::Array => (ARRAY, ARRAY),
            super::Kind::Object => (OBJECT, OBJECT),
        }
    }

    /// UTF-8 with each byte raised by two: 0 ends, 1 is [`MEMBER`], and none reaches 0xFF.
    pub(crate) fn text(text: &str, out: &mut Vec<u8>) {
        out.extend(text.bytes().map(|byte| byte + 2));
    }

    pub(crate) fn signed(value: i16) -> [u8; 2] {
        (value.cast_unsigned() ^ 0x8000).to_be_bytes()
    }
}

impl<'a> Number<'a> {
    /// The number of a text that is known to be one.
    pub(crate) fn of_integer(value: i128) -> Self {
        Self(Cow::Owned(value.to_string()))
    }

    /// `None` if it is not finite.
    pub(crate) fn of_float(value: f64) -> Option<Self> {
        // The shortest text that reads as the same number, with `.0` or an exponent.
        value
            .is_finite()
            .then(|| Self(Cow::Owned(format!("{value:?}"))))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Its value if it is written without fraction and exponent and fits an `i64` or `u64`.
    pub(crate) fn integer(&self) -> Option<i128> {
        if self.0.len() > 20 {
            return None;
        }
        let value: i128 = self.0.parse().ok()?;
        (i128::from(i64::MIN)..=i128::from(u64::MAX))
            .contains(&value)
            .then_some(value)
    }

    pub(crate) fn float(&self) -> f64 {
        self.0.parse().unwrap_or(0.0)
    }

    pub(crate) fn into_owned(self) -> Number<'static> {
        Number(Cow::Owned(self.0.into_owned()))
    }

    /// Its digits as a whole number, and the power of ten by which they count, if they are few
    /// enough.
    pub(crate) fn decimal(&self) -> Option<(i128, i32)> {
        let (digits, exponent) = match self.0.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
            None => (self.as_str(), 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let digits = format!("{whole}{fraction}").parse().ok()?;
        let places = i32::try_from(fraction.len()).ok()?;
        Some((digits, exponent.checked_sub(places)?))
    }

    /// Is it a whole number, however written?
    pub(crate) fn is_whole(&self) -> bool {
        self.integer().is_some() || self.float().fract() == 0.0
    }

    /// Orders as the values do, exactly: the nearest `f64` as bits in order, and how far an integer
    /// is from it.
    pub(crate) fn key(&self) -> (u64, i16) {
        let (nearest, rest) = match self.integer() {
            Some(value) => {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "what the cast loses is the second part of the key"
                )]
                let nearest = value as f64;
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a whole `f64` below 2^65 fits an `i128`"
                )]
                let rest = value - nearest as i128;
                // At most half the distance of neighbours at 2^64: 1024.
                (nearest, i16::try_from(rest).unwrap_or(0))
            }
            None => (self.float(), 0),
        };
        // Adding zero makes -0 and 0 one.
        let bits = (nearest + 0.0).to_bits();
        let ordered = if bits >> 63 == 1 {
            !bits
        } else {
            bits | 1 << 63
        };
        (ordered, rest)
    }
}

fn compare_all<T>(
    a: impl ExactSizeIterator<Item = T>,
    b: impl ExactSizeIterator<Item = T>,
    compare: impl Fn(T, T) -> Ordering,
) -> Ordering {
    let lengths = a.len().cmp(&b.len());
    a.zip(b)
        .map(|(a, b)| compare(a, b))
        .find(|order| order.is_ne())
        .unwrap_or(lengths)
}

fn by_name<'v, 'a>(members: &'v [(Cow<'a, str>, Value<'a>)]) -> Vec<&'v (Cow<'a, str>, Value<'a>)> {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    sorted
}

/// Appends a text in quotes.
pub(crate) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(n) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
        out.push_str(&rest[..n]);
        match rest.as_bytes()[n] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte => {
                // Writing into a `String` does not fail.
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
        rest = &rest[n + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
#[path = "value/tests.rs"]
pub(in crate::directory) mod tests;
