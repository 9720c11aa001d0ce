//! How a value is written and read in the formats that serde knows.
//!
//! In compact ones it is its text. In those for people it is itself; where that is `serde_json`, the
//! text is passed through as its `RawValue` does, since its own numbers have 64 bits.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;

use super::{Json, value};

/// Asked for a newtype of this name, `serde_json` gives the text of a value in a map with this one
/// key; every other format gives what it has. It is the name that `RawValue` asks by, and the tests
/// fail if that changes.
const TEXT: &str = "$serde_json::private::RawValue";

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_str(&self.0);
        }
        let parsed = value::parse(&self.0).map_err(ser::Error::custom)?;
        if fits_floats(&parsed) {
            let value: serde_json::Value =
                serde_json::from_str(&self.0).map_err(ser::Error::custom)?;
            return value.serialize(serializer);
        }
        let text: &RawValue = serde_json::from_str(&self.0).map_err(ser::Error::custom)?;
        text.serialize(serializer)
    }
}

/// No number in it has digits that 64 bits lose.
fn fits_floats(value: &value::Value<'_>) -> bool {
    match value {
        value::Value::Number(number) => fits_float(number.as_str()),
        value::Value::Array(items) => items.iter().all(fits_floats),
        value::Value::Object(members) => members.iter().all(|(_, value)| fits_floats(value)),
        value::Value::Null | value::Value::Bool(_) | value::Value::Text(_) => true,
    }
}

fn fits_float(number: &str) -> bool {
    let is_integer = number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
    is_integer
        || number.parse().is_ok_and(|float: f64| {
            // The shortest digits that give this float back.
            digits(number) == digits(&float.to_string())
        })
}

/// What is left of a number without its sign, its point and the zeros at its ends.
fn digits(number: &str) -> String {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').to_owned()
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_newtype_struct(TEXT, Readable)
        } else {
            deserializer.deserialize_str(Compact)
        }
    }
}

/// Takes the text from where it stands, so that it is copied once.
struct Compact;

impl de::Visitor<'_> for Compact {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Json, E> {
        text.parse().map_err(E::custom)
    }
}

/// Takes what a format for people gives.
struct Readable;

impl<'de> de::Visitor<'de> for Readable {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        match map.next_key::<String>()? {
            Some(key) if key == TEXT => {
                let text: String = map.next_value()?;
                let value = value::parse(&text).map_err(de::Error::custom)?;
                Ok(Json(value.to_text().into()))
            }
            // A format that gives what it has without a word of the newtype.
            first => {
                let mut members = serde_json::Map::new();
                if let Some(key) = first {
                    members.insert(key, map.next_value()?);
                }
                while let Some((key, value)) = map.next_entry()? {
                    members.insert(key, value);
                }
                Ok(serde_json::Value::from(members).into())
            }
        }
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        serde_json::Value::deserialize(deserializer).map(Json::from)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, items: A) -> Result<Json, A::Error> {
        let items = de::value::SeqAccessDeserializer::new(items);
        serde_json::Value::deserialize(items).map(Json::from)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Json, E> {
        Ok(Json::null())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Json, E> {
        Ok(value.into())
    }
}
