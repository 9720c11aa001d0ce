//! Identities: of somebody (the public half of an Ed25519 key), of a method, of a schema.
//!
//! Every node, peer and client *is* its key. Nothing else identifies anyone: addresses move, names
//! are labels. The secret half lives in [`crate::identity`]; links prove possession of it
//! (see [`crate::transport`]).

use std::{borrow::Cow, fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The Ed25519 public key (RFC 8032, 32 bytes) by which a node, peer or client is known.
///
/// The text form is 52 characters of lower-case base32 (RFC 4648, no padding).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

/// The identity of a method on the wire: 64 bits of SHA-256 over service and method name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct MethodId(pub u64);

/// A hash over the schemas of a method's arguments and result. Programs whose hashes agree may use
/// the compact codec; others use the self-describing one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct SchemaHash(pub u64);

/// A text that is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a key: expected 52 characters a-z and 2-7, as `id` prints them")]
pub struct InvalidKey {
    text: String,
}

impl PublicKey {
    /// Takes the 32 bytes of a key as RFC 8032 encodes them.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight characters of the text form: enough to tell nodes apart in a log or table,
    /// never enough to trust.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(8);
        text
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.short())
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let invalid = || InvalidKey {
            text: text.chars().take(64).collect(),
        };
        if text.len() != 52 || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(invalid());
        }
        let bytes = BASE32_NOPAD
            .decode(text.to_ascii_uppercase().as_bytes())
            .map_err(|_| invalid())?;
        bytes.try_into().map(Self).map_err(|_| invalid())
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?
                .parse()
                .map_err(de::Error::custom)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
    }
}

impl JsonSchema for PublicKey {
    fn schema_name() -> Cow<'static, str> {
        "PublicKey".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 52, "maxLength": 52 })
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_form() {
        let key = PublicKey::from_bytes([7; 32]);

        let text = key.to_string();

        assert_eq!(text.len(), 52);
        assert_eq!(text.parse(), Ok(key));
    }

    #[test]
    fn a_text_that_is_no_key_is_refused_and_quoted() {
        for text in ["", "abc", &"A".repeat(52), &"1".repeat(52), &"a".repeat(53)] {
            let error = text.parse::<PublicKey>().unwrap_err().to_string();

            assert!(error.contains("expected 52 characters"), "{error}");
        }
    }
}
