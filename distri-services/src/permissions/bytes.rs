//! Ids, hashes and signatures: so many bytes, each kind a type of its own.
//!
//! In JSON and in tables they are lower-case base32, as keys are; in compact messages their bytes.

use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use serde::de;

use super::canonical::{Canonical, Malformed, Reader};

/// A text that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}: expected {characters} characters a-z and 2-7")]
pub struct InvalidText {
    what: &'static str,
    text: String,
    characters: usize,
}

pub(crate) fn to_text(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

fn from_text<const N: usize>(what: &'static str, text: &str) -> Result<[u8; N], InvalidText> {
    let invalid = || InvalidText {
        what,
        text: text.chars().take(64).collect(),
        characters: (8 * N).div_ceil(5),
    };
    if text.len() != (8 * N).div_ceil(5) || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(invalid());
    }
    let bytes = BASE32_NOPAD
        .decode(text.to_ascii_uppercase().as_bytes())
        .map_err(|_| invalid())?;
    bytes.try_into().map_err(|_| invalid())
}

/// Reads `N` bytes, however a codec hands them over.
pub(crate) struct Exactly<const N: usize>;

impl<'de, const N: usize> de::Visitor<'de> for Exactly<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<[u8; N], E> {
        bytes
            .try_into()
            .map_err(|_| E::invalid_length(bytes.len(), &self))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut bytes: A) -> Result<[u8; N], A::Error> {
        let mut array = [0; N];
        for (at, byte) in array.iter_mut().enumerate() {
            *byte = bytes
                .next_element()?
                .ok_or_else(|| de::Error::invalid_length(at, &Self))?;
        }
        match bytes.next_element::<u8>()? {
            None => Ok(array),
            Some(_) => Err(de::Error::invalid_length(N + 1, &Self)),
        }
    }
}

macro_rules! bytes_type {
    ($(#[doc = $doc:literal])* $name:ident, $length:literal, $what:literal) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $length]);

        impl $name {
            /// Takes its bytes.
            #[must_use]
            pub const fn from_array(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            #[must_use]
            pub const fn as_array(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&to_text(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = self.to_string();
                text.truncate(8);
                write!(f, concat!(stringify!($name), "({})"), text)
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, InvalidText> {
                from_text($what, text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(&self.0)
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                    text.parse().map_err(de::Error::custom)
                } else {
                    deserializer.deserialize_bytes(Exactly::<$length>).map(Self)
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let characters = ($length * 8_usize).div_ceil(5);
                schemars::json_schema!({
                    "type": "string", "minLength": characters, "maxLength": characters
                })
            }

            fn inline_schema() -> bool {
                true
            }
        }

        impl Canonical for $name {
            const LENGTH_MAX: usize = $length;
            const NAME: &'static str = $what;

            fn write(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.0);
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                from.array().map(Self)
            }
        }
    };
}

bytes_type!(
    /// The id of a grant: 128 random bits, chosen by its owner.
    GrantId, 16, "id of a grant"
);
bytes_type!(
    /// The id of an image: 128 random bits, no hash of what it shows.
    ImageId, 16, "id of an image"
);
bytes_type!(
    /// The id of the request that a grant answers: 128 random bits.
    RequestId, 16, "id of a request"
);
bytes_type!(
    /// The id of one look at an image: 128 random bits, chosen by the viewer. Whatever is asked
    /// again under it is the same view.
    RedeemId, 16, "id of a view"
);
bytes_type!(
    /// The hash of a grant's core: what every signature and seal of the grant is bound to.
    GrantHash, 32, "hash of a grant"
);
bytes_type!(
    /// What tells the viewer that a key is the one that the owner meant: AES-GCM alone does not, so
    /// that one file could be made to show two pictures.
    KeyCommitment, 32, "commitment to a key"
);
bytes_type!(
    /// The BLAKE3 hash of a stego image's file.
    FileHash, 32, "hash of a file"
);
bytes_type!(
    /// The hash of the list of a file's pieces, by which each is checked on arrival.
    ManifestHash, 32, "hash of a manifest"
);
bytes_type!(
    /// The hash of a share: what the owner signs, so that the share itself can be forgotten.
    ShareHash, 32, "hash of a share"
);
bytes_type!(
    /// The hash of an entry of a grant's audit, and of all entries before it.
    ChainHash, 32, "hash of an audit"
);
bytes_type!(
    /// An Ed25519 signature (RFC 8032).
    Signature, 64, "signature"
);

bytes_type!(
    /// An X25519 key (RFC 7748) to which something may be sealed.
    SealingKey, 32, "key to seal to"
);

impl FileHash {
    /// The hash of `file`.
    #[must_use]
    pub fn of(file: &[u8]) -> Self {
        Self(*blake3::hash(file).as_bytes())
    }
}
