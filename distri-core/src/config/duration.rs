//! Durations in configurations: `"250ms"`, `"5s"`, `"2m"`, `"1h"`, `"1d"`.
//!
//! ```
//! # extern crate distri_core as distri;
//! #[derive(serde::Deserialize)]
//! struct Settings {
//!     #[serde(with = "distri::config::duration")]
//!     pause: std::time::Duration,
//! }
//! ```

use std::{fmt, time::Duration};

use serde::{
    Deserializer, Serializer,
    de::{self, Visitor},
};

/// Units from the largest; a text is written in the largest that divides it.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads a duration.
///
/// # Errors
/// If the value is no text, or not a number followed by a unit.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_str(TextVisitor)
}

/// Writes a duration in the largest unit that divides it.
///
/// # Errors
/// What the serializer fails with.
pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*value))
}

/// The text form of `value`.
pub fn format(value: Duration) -> String {
    let nanoseconds = value.as_nanos();
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    let divides = |&(_, unit): &(&str, u128)| nanoseconds.is_multiple_of(unit);
    let (name, unit) = UNITS.into_iter().find(divides).unwrap_or(("ns", 1));
    format!("{}{name}", nanoseconds / unit)
}

/// Reads the text form: a number, whole or with a point, and a unit (`ns`, `us`, `ms`, `s`, `m`,
/// `h`, `d`).
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, name) = text.split_at(split);
    let (_, unit) = UNITS
        .into_iter()
        .find(|(known, _)| *known == name.trim_start())?;
    let nanoseconds = if number.contains('.') {
        let value: f64 = number.parse().ok()?;
        let nanoseconds = value * unit as f64;
        // Beyond this an f64 says nothing about single seconds, and nobody means it.
        (nanoseconds < 1e18).then_some(nanoseconds as u64)?
    } else {
        let value: u128 = number.parse().ok()?;
        u64::try_from(value.checked_mul(unit)?).ok()?
    };
    Some(Duration::from_nanos(nanoseconds))
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"5s\", \"250ms\" or \"2m\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_unit_is_read() {
        let cases = [
            ("7ns", Duration::from_nanos(7)),
            ("7us", Duration::from_micros(7)),
            ("250ms", Duration::from_millis(250)),
            ("1.5s", Duration::from_millis(1500)),
            (" 5 s ", Duration::from_secs(5)),
            ("2m", Duration::from_secs(120)),
            ("3h", Duration::from_secs(10_800)),
            ("1d", Duration::from_secs(86_400)),
            ("0s", Duration::ZERO),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_text_without_number_or_unit_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "5 minutes",
            "1.2.3s",
            ".s",
            "99999999999999999999d",
            "9e9s",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_duration_survives_its_text(nanoseconds: u64) {
            let value = Duration::from_nanos(nanoseconds);
            prop_assert_eq!(parse(&format(value)), Some(value));
        }

        #[test]
        fn any_text_is_a_duration_or_none(text: String) {
            let _ = parse(&text);
        }
    }
}
