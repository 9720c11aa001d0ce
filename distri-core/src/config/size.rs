//! Sizes in configurations: a number of bytes, or a text such as `"16 MiB"`.
//!
//! ```
//! # extern crate distri_core as distri;
//! #[derive(serde::Deserialize)]
//! struct Settings {
//!     #[serde(with = "distri::config::size")]
//!     cache_max: u64,
//! }
//! ```

use std::fmt;

use serde::{
    Deserializer, Serializer,
    de::{self, Visitor},
};

/// Units from the largest binary one; a text is written in the largest binary unit that divides it.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

/// Reads a size.
///
/// # Errors
/// If the value is neither a number of bytes nor a number followed by a unit.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(SizeVisitor)
}

/// Writes a size in the largest binary unit that divides it.
///
/// # Errors
/// What the serializer fails with.
pub fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*value))
}

/// The text form of `value`.
pub fn format(value: u64) -> String {
    let binary = UNITS.into_iter().take(4);
    match binary
        .into_iter()
        .find(|(_, unit)| value != 0 && value.is_multiple_of(*unit))
    {
        Some((name, unit)) => format!("{} {name}", value / unit),
        None => format!("{value} B"),
    }
}

/// Reads the text form: a whole number and a unit (`B`, `KiB` … `TiB`, `kB` … `TB`; case does not
/// matter), or a number of bytes alone.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let (number, name) = text.split_at(split);
    let number: u64 = number.replace('_', "").parse().ok()?;
    let name = name.trim_start();
    if name.is_empty() {
        return Some(number);
    }
    let (_, unit) = UNITS
        .into_iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    number.checked_mul(unit)
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as \"16 MiB\", or a number of bytes")
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<u64, E> {
        Ok(bytes)
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<u64, E> {
        u64::try_from(bytes).map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

/// The same for fields of four bytes.
pub mod u32 {
    use serde::{Deserializer, Serializer, de::Error};

    /// Reads a size.
    ///
    /// # Errors
    /// As [`super::deserialize`], and if it is 4 GiB or more.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let bytes = super::deserialize(deserializer)?;
        u32::try_from(bytes).map_err(|_| {
            let found = super::format(bytes);
            D::Error::invalid_value(serde::de::Unexpected::Other(&found), &"a size below 4 GiB")
        })
    }

    /// Writes a size.
    ///
    /// # Errors
    /// What the serializer fails with.
    pub fn serialize<S: Serializer>(value: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        super::serialize(&u64::from(*value), serializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_and_units_are_read() {
        let cases = [
            ("17", 17),
            ("1_000", 1000),
            ("16 MiB", 16 << 20),
            ("16mib", 16 << 20),
            ("5 kB", 5000),
            ("3 B", 3),
            ("2TiB", 2 << 40),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_size_is_refused() {
        for text in ["", "MiB", "-1", "1.5 MiB", "5 M", "99999999 TiB", "_"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_size_survives_its_text(value: u64) {
            prop_assert_eq!(parse(&format(value)), Some(value));
        }

        #[test]
        fn any_text_is_a_size_or_none(text: String) {
            let _ = parse(&text);
        }
    }
}
