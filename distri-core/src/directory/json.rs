//! A JSON value, kept as its text.

mod forms;

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, de, de::DeserializeOwned};

use super::value;
use crate::id::PublicKey;

/// A JSON value (RFC 8259), kept as its text: reading a document copies bytes and parses nothing.
///
/// In JSON and other self-describing formats for people it stands as the value itself, in compact
/// formats as its text. Numbers keep all their digits, also those that no `f64` has (in JSON; such a
/// number cannot be written in another format for people). Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json(Arc<str>);

/// A text that is not JSON.
#[derive(Debug, thiserror::Error)]
#[error("not JSON: {0}")]
pub struct InvalidJson(serde_json::Error);

impl Json {
    /// `null`.
    pub fn null() -> Self {
        Self("null".into())
    }

    /// The JSON form of `value`.
    ///
    /// # Errors
    /// What cannot be said in JSON: maps with keys that are not text, or a `Serialize` that fails.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, InvalidJson> {
        serde_json::to_string(value)
            .map(|text| Self(text.into()))
            .map_err(InvalidJson)
    }

    /// Takes a `T` from it.
    ///
    /// # Errors
    /// The first place where the value does not fit `T`.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, InvalidJson> {
        serde_json::from_str(&self.0).map_err(InvalidJson)
    }

    /// The value as a tree.
    pub fn value(&self) -> serde_json::Value {
        // The text was checked when it came in.
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a text that this program wrote itself and therefore knows to be JSON.
    #[cfg(feature = "node")]
    pub(crate) fn trusted(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }
}

impl FromStr for Json {
    type Err = InvalidJson;

    fn from_str(text: &str) -> Result<Self, InvalidJson> {
        serde_json::from_str::<de::IgnoredAny>(text).map_err(InvalidJson)?;
        Ok(Self(text.into()))
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        Self(value.to_string().into())
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        let mut json = String::with_capacity(text.len() + 2);
        value::write_text(text, &mut json);
        Self(json.into())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<PublicKey> for Json {
    fn from(key: PublicKey) -> Self {
        Self::from(key.to_string())
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self(if value { "true" } else { "false" }.into())
    }
}

impl From<f64> for Json {
    /// The number, or `null` if it is not finite.
    fn from(value: f64) -> Self {
        value::Number::of_float(value)
            .map_or_else(Self::null, |number| Self(number.as_str().into()))
    }
}

macro_rules! from_integers {
    ($($integer:ty)*) => {$(
        impl From<$integer> for Json {
            fn from(value: $integer) -> Self {
                Self(value.to_string().into())
            }
        }
    )*};
}

from_integers!(i8 i16 i32 i64 isize u8 u16 u32 u64 usize);

impl<T: Into<Self>> From<Vec<T>> for Json {
    fn from(items: Vec<T>) -> Self {
        let items: Vec<String> = items
            .into_iter()
            .map(|item| item.into().to_string())
            .collect();
        Self(format!("[{}]", items.join(",")).into())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Json {
    fn schema_name() -> Cow<'static, str> {
        "Json".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "any JSON value" })
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use figment::{
        Figment,
        providers::{Format as _, Toml},
    };

    use super::*;

    #[test]
    fn a_value_is_itself_in_json_and_its_text_in_compact_formats() {
        let value: Json = r#"{"a":[1,null]}"#.parse().unwrap();

        let in_json = serde_json::to_string(&[&value]).unwrap();
        let compact = postcard::to_stdvec(&value).unwrap();

        assert_eq!(in_json, r#"[{"a":[1,null]}]"#);
        assert_eq!(postcard::from_bytes::<Json>(&compact).unwrap(), value);
        assert_eq!(
            serde_json::from_str::<[Json; 1]>(&in_json).unwrap(),
            [value]
        );
    }

    const DIGITS: &str = r#"{"pi":3.14159265358979323846264338,"many":[123456789012345678901234]}"#;

    #[test]
    fn numbers_keep_digits_that_no_float_has() {
        let value: Json = DIGITS.parse().unwrap();

        let out = serde_json::to_string(&[&value]).unwrap();
        let [back] = serde_json::from_str::<[Json; 1]>(&out).unwrap();

        assert_eq!(out, format!("[{DIGITS}]"));
        assert_eq!(back.as_str(), DIGITS);
        assert_eq!(Json::of(&value).unwrap(), value);
        assert_eq!(value.to::<Json>().unwrap(), value);
    }

    #[test]
    fn parts_of_a_message_keep_them_too() {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct Part {
            part: Json,
        }
        let text = format!(r#"{{"part":{DIGITS}}}"#);

        let message: Part = serde_json::from_str(&text).unwrap();

        assert_eq!(message.part.as_str(), DIGITS);
        assert_eq!(Json::of(&message).unwrap().as_str(), text);
    }

    #[test]
    fn what_was_read_already_or_stands_in_another_format_is_taken_as_it_is() {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Either {
            Json(Json),
        }
        let value = serde_json::json!({ "a": [1, 2.5, "b", null, true] });

        let Either::Json(buffered) = serde_json::from_value(value.clone()).unwrap();
        let toml = Toml::string("a = [1, 2.5]\n[b]\nc = 'd'");
        let toml: BTreeMap<String, Json> = Figment::from(toml).extract().unwrap();

        assert_eq!(buffered.value(), value);
        assert_eq!(
            serde_json::from_value::<Json>(value.clone())
                .unwrap()
                .value(),
            value
        );
        assert_eq!(serde_json::to_value(&buffered).unwrap(), value);
        assert_eq!(
            (toml["a"].as_str(), toml["b"].as_str()),
            ("[1,2.5]", r#"{"c":"d"}"#)
        );
    }

    #[test]
    fn space_between_the_parts_of_a_text_is_not_kept() {
        let text = "{ \"a\" : [ 1 ,\n2 ], \"b\": \" c \" }";

        let value: Json = serde_json::from_str(text).unwrap();

        assert_eq!(value.as_str(), r#"{"a":[1,2],"b":" c "}"#);
    }

    #[test]
    fn a_text_that_is_not_json_is_refused_also_when_it_comes_compact() {
        let compact = postcard::to_stdvec("{oops").unwrap();

        assert!("{oops".parse::<Json>().is_err());
        assert!(postcard::from_bytes::<Json>(&compact).is_err());
    }
}
