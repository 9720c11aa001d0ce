//! Secrets of the stego service: the [`Key`] that opens a message, and the [`Mark`] by which a
//! group recognises its own images. Neither is ever printed, both are wiped when dropped.
//!
//! Deriving working keys from them is `seal`'s business.

use std::{fmt, str::FromStr};

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Bytes in a key and in a mark.
pub const KEY_LENGTH: usize = 32;

/// Longer passphrases are refused, so that a caller cannot make hashing one expensive.
const PASSPHRASE_MAX: usize = 4096;

/// What opens a hidden message: 32 random bytes, or a passphrase.
///
/// Bytes are as strong as they are random and cost nothing to use. A passphrase is stretched with
/// Argon2id (64 MiB, 3 passes, 1 lane) over a salt that differs in every image.
///
/// In JSON: `{"bytes": "<64 hex digits, or base64>"}` or `{"passphrase": "…"}`.
#[distri::message]
#[derive(Clone)]
#[serde(try_from = "KeyForm", into = "KeyForm")]
pub struct Key(pub(crate) Material);

#[derive(Clone)]
pub(crate) enum Material {
    Bytes(Zeroizing<[u8; KEY_LENGTH]>),
    Passphrase(Zeroizing<String>),
}

impl Key {
    /// A key of 32 bytes, which must be random: they are not stretched.
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_LENGTH]) -> Self {
        Self(Material::Bytes(Zeroizing::new(bytes)))
    }

    /// A key made of fresh random bytes.
    ///
    /// # Errors
    ///
    /// When the operating system gives no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        getrandom::fill(bytes.as_mut_slice())?;
        Ok(Self(Material::Bytes(bytes)))
    }

    /// A key that a person remembers. Its UTF-8 bytes count, exactly as given.
    ///
    /// # Errors
    ///
    /// When it is empty, or longer than 4096 bytes.
    pub fn from_passphrase(passphrase: impl Into<String>) -> Result<Self, KeyError> {
        let passphrase = Zeroizing::new(passphrase.into());
        match passphrase.len() {
            0 => Err(KeyError::EmptyPassphrase),
            1..=PASSPHRASE_MAX => Ok(Self(Material::Passphrase(passphrase))),
            is => Err(KeyError::LongPassphrase {
                is,
                limit: PASSPHRASE_MAX,
            }),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Material::Bytes(_) => "Key(bytes)",
            Material::Passphrase(_) => "Key(passphrase)",
        })
    }
}

/// What opens a message.
#[distri::message]
#[serde(rename_all = "snake_case")]
enum KeyForm {
    /// 32 random bytes, as 64 hex digits or as base64.
    Bytes(String),
    /// Words that a person remembers.
    Passphrase(String),
}

impl TryFrom<KeyForm> for Key {
    type Error = KeyError;

    fn try_from(form: KeyForm) -> Result<Self, KeyError> {
        match form {
            KeyForm::Bytes(text) => {
                read_secret(&Zeroizing::new(text)).map(|bytes| Self(Material::Bytes(bytes)))
            }
            KeyForm::Passphrase(passphrase) => Self::from_passphrase(passphrase),
        }
    }
}

impl From<Key> for KeyForm {
    fn from(key: Key) -> Self {
        match key.0 {
            Material::Bytes(bytes) => Self::Bytes(HEXLOWER_PERMISSIVE.encode(bytes.as_slice())),
            Material::Passphrase(passphrase) => Self::Passphrase(passphrase.to_string()),
        }
    }
}

/// A secret by which those who share it recognise each other's stego images, and nobody else
/// does. It opens nothing.
///
/// Without a mark, an image that carries a message for another key cannot be told from one that
/// carries none. With it, [`reveal`](super::Settings::reveal) can say which.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Mark(pub(crate) Zeroizing<[u8; KEY_LENGTH]>);

impl Mark {
    /// A mark of 32 bytes, which must be random.
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_LENGTH]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl FromStr for Mark {
    type Err = KeyError;

    /// Reads 64 hex digits, or base64.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        read_secret(text).map(Self)
    }
}

impl TryFrom<String> for Mark {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        Zeroizing::new(text).parse()
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mark(…)")
    }
}

/// Reads 32 bytes written as hex, as base64 or as URL-safe base64, with or without padding.
fn read_secret(text: &str) -> Result<Zeroizing<[u8; KEY_LENGTH]>, KeyError> {
    let unpadded = text.trim_end_matches('=').as_bytes();
    let bytes = match text.len() {
        64 => HEXLOWER_PERMISSIVE.decode(text.as_bytes()),
        _ if text.contains(['-', '_']) => BASE64URL_NOPAD.decode(unpadded),
        _ => BASE64_NOPAD.decode(unpadded),
    };
    let bytes = Zeroizing::new(bytes.map_err(|_| KeyError::NotText)?);
    match <[u8; KEY_LENGTH]>::try_from(bytes.as_slice()) {
        Ok(bytes) => Ok(Zeroizing::new(bytes)),
        Err(_) => Err(KeyError::Length { is: bytes.len() }),
    }
}

/// Why something is not a key. The text that was tried is never part of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeyError {
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The passphrase is longer than anyone can mean.
    #[error("the passphrase has {is} bytes, at most {limit} are taken")]
    LongPassphrase {
        /// Its length.
        is: usize,
        /// The bound.
        limit: usize,
    },
    /// Neither hex nor base64.
    #[error("expected 32 bytes as 64 hex digits or as base64")]
    NotText,
    /// Readable, but not 32 bytes.
    #[error("expected 32 bytes, got {is}")]
    Length {
        /// How many there were.
        is: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(key: &Key) -> [u8; KEY_LENGTH] {
        match &key.0 {
            Material::Bytes(bytes) => **bytes,
            Material::Passphrase(_) => panic!("a passphrase"),
        }
    }

    #[test]
    fn a_key_is_read_from_hex_and_from_every_kind_of_base64() {
        let bytes: [u8; 32] = std::array::from_fn(|i| (i * 37 + 251) as u8);
        let forms = [
            HEXLOWER_PERMISSIVE.encode(&bytes),
            data_encoding::HEXUPPER.encode(&bytes),
            data_encoding::BASE64.encode(&bytes),
            BASE64_NOPAD.encode(&bytes),
            data_encoding::BASE64URL.encode(&bytes),
            BASE64URL_NOPAD.encode(&bytes),
        ];

        for form in forms {
            let key: Key = serde_json::from_value(serde_json::json!({ "bytes": form })).unwrap();

            assert_eq!(bytes_of(&key), bytes, "{form}");
        }
    }

    #[test]
    fn a_key_survives_the_wire() {
        let key = Key::from_passphrase("correct horse").unwrap();

        let back: Key = serde_json::from_str(&serde_json::to_string(&key).unwrap()).unwrap();

        assert!(matches!(back.0, Material::Passphrase(p) if *p == "correct horse"));
    }

    #[test]
    fn what_is_no_key_is_refused_without_repeating_it() {
        let tries = [
            serde_json::json!({ "bytes": "hunter2hunter2" }),
            serde_json::json!({ "bytes": "ünïcode" }),
            serde_json::json!({ "bytes": "" }),
            serde_json::json!({ "passphrase": "" }),
            serde_json::json!({ "passphrase": "x".repeat(PASSPHRASE_MAX + 1) }),
        ];

        for form in tries {
            let error = serde_json::from_value::<Key>(form).unwrap_err().to_string();

            assert!(
                !error.contains("hunter2") && !error.contains("xxx"),
                "{error}"
            );
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let key = Key::from_passphrase("hunter2").unwrap();
        let bytes = Key::from_bytes([0xAB; 32]);
        let mark = Mark::from_bytes([0xAB; 32]);

        let printed = format!("{key:?} {bytes:?} {mark:?}");

        assert_eq!(printed, "Key(passphrase) Key(bytes) Mark(…)");
    }
}
