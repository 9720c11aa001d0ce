//! The secret half of an Ed25519 key, and what it signs.
//!
//! An [`Identity`] is what a process *is*: its public half ([`PublicKey`]) names it everywhere, its
//! secret half proves it on links ([`crate::transport`]) and under records. The secret never leaves
//! this module: others ask it to sign. Where it is kept between runs is said in the child module
//! `file`. Who is welcome is not decided here.
//!
//! Signatures are Ed25519 (RFC 8032). Small-order and non-canonical public keys are refused by
//! [`PublicKey::verify`]: for the former anyone can make signatures, the latter would give one key
//! two names.

use std::{borrow::Cow, fmt, sync::Arc};

use data_encoding::BASE64;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

use crate::id::PublicKey;

mod file;
#[cfg(feature = "node")]
pub(crate) mod private_file;

pub use file::IdentityError;

/// The Ed25519 key by which this process proves who it is. Cheap to clone.
///
/// The secret is wiped from memory when the last clone is dropped, and no formatting prints it.
#[derive(Clone)]
pub struct Identity {
    inner: Arc<Inner>,
}

/// Keeps the key pair expanded: a handshake signs once, and expanding costs as much as signing.
struct Inner {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl Identity {
    /// Makes a new key from random bytes of the operating system.
    ///
    /// # Panics
    /// If the operating system has no random bytes to give, in which case nothing is safe.
    pub fn generate() -> Self {
        Self::from_seed(&new_seed())
    }

    /// Takes a secret key as RFC 8032 stores it. The same seed gives the same key: right for tests,
    /// and for keys kept elsewhere.
    ///
    /// The caller wipes its own copy.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let pair = expand(seed);
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        Self {
            inner: Arc::new(Inner {
                pair,
                public: PublicKey::from_bytes(public),
            }),
        }
    }

    /// The key by which others know this process.
    pub fn public(&self) -> PublicKey {
        self.inner.public
    }

    /// Signs `message`.
    ///
    /// Begin messages of each kind with a tag of their own (`distri/…/v1` and a zero byte), so that
    /// a signature under one kind never passes for another.
    pub fn sign(&self, message: &[u8]) -> Signature {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.inner.pair.sign(message).as_ref());
        Signature(bytes)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("public", &self.public())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // `ring` does not wipe its keys. Another key laid over this one does; the black box keeps
        // the compiler from leaving out a write that nobody reads.
        self.pair = expand(&[0; 32]);
        std::hint::black_box(&mut self.pair);
    }
}

/// An Ed25519 signature (RFC 8032, 64 bytes).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; 64]);

/// A signature that the key did not make over that message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not by {key}")]
pub struct InvalidSignature {
    /// Whose signature it was said to be.
    pub key: PublicKey,
}

impl Signature {
    /// Takes the 64 bytes of a signature; whether it is one is for [`PublicKey::verify`] to say.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&BASE64.encode(&self.0))
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(SignatureVisitor)
        } else {
            deserializer.deserialize_bytes(SignatureVisitor)
        }
    }
}

struct SignatureVisitor;

impl de::Visitor<'_> for SignatureVisitor {
    type Value = Signature;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a signature: 64 bytes, in text as base64")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Signature, E> {
        let bytes = bytes
            .try_into()
            .map_err(|_| E::invalid_length(bytes.len(), &self))?;
        Ok(Signature(bytes))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Signature, E> {
        let bytes = BASE64
            .decode(text.as_bytes())
            .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
        self.visit_bytes(&bytes)
    }
}

impl JsonSchema for Signature {
    fn schema_name() -> Cow<'static, str> {
        "Signature".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "contentEncoding": "base64", "minLength": 88, "maxLength": 88 })
    }

    fn inline_schema() -> bool {
        true
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Signature({:02x}{:02x}{:02x}{:02x}…)",
            self.0[0], self.0[1], self.0[2], self.0[3]
        )
    }
}

impl PublicKey {
    /// Checks that this key signed `message`, as strictly as other libraries' `verify_strict`.
    ///
    /// # Errors
    /// [`InvalidSignature`] if it did not, or if the key or the signature's point
    /// [is weak](Self::is_weak).
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), InvalidSignature> {
        let invalid = InvalidSignature { key: *self };
        let mut point = [0; 32];
        point.copy_from_slice(&signature.0[..32]);
        if self.is_weak() || Self::from_bytes(point).is_weak() {
            return Err(invalid);
        }
        UnparsedPublicKey::new(&ED25519, self.as_bytes())
            .verify(message, &signature.0)
            .map_err(|_| invalid)
    }

    /// Says whether these bytes are no honest key: a point of small order, under which anyone can
    /// sign, or a second spelling of another key.
    pub fn is_weak(&self) -> bool {
        let mut y = *self.as_bytes();
        y[31] &= 0x7f; // The top bit is the sign of x; a weak y is weak with either.
        let above_prime = y[0] >= 0xed && y[1..31].iter().all(|&b| b == 0xff) && y[31] == 0x7f;
        above_prime || SMALL_ORDER_Y.contains(&y)
    }
}

/// The y coordinates of the eight points whose order divides 8 (Edwards25519, little-endian).
const SMALL_ORDER_Y: [[u8; 32]; 5] = [
    little_endian_y(0x00, 0x00, 0x00),
    little_endian_y(0x01, 0x00, 0x00),
    little_endian_y(0xec, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

const fn little_endian_y(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

pub(crate) fn new_seed() -> Zeroizing<[u8; 32]> {
    let mut seed = Zeroizing::new([0; 32]);
    crate::world::secret(seed.as_mut_slice());
    seed
}

fn expand(seed: &[u8; 32]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are an Ed25519 seed")
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8032 §7.1, test 2.
    const SEED: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    const PUBLIC: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        bytes.try_into().unwrap()
    }

    #[test]
    fn keys_and_signatures_are_those_of_rfc_8032() {
        let identity = Identity::from_seed(&hex(SEED));

        let signature = identity.sign(&[0x72]);

        assert_eq!(identity.public(), PublicKey::from_bytes(hex(PUBLIC)));
        assert_eq!(signature, Signature::from_bytes(hex(SIGNATURE)));
        assert_eq!(identity.public().verify(&[0x72], &signature), Ok(()));
    }

    #[test]
    fn a_signature_over_another_message_or_by_another_key_is_refused() {
        let (alice, bob) = (Identity::generate(), Identity::generate());
        let signature = alice.sign(b"yes");

        assert_eq!(
            alice.public().verify(b"no", &signature),
            Err(InvalidSignature {
                key: alice.public()
            })
        );
        assert_eq!(
            bob.public().verify(b"yes", &signature),
            Err(InvalidSignature { key: bob.public() })
        );
    }

    #[test]
    fn nothing_is_signed_by_a_key_of_small_order() {
        // Under the neutral element, R = B·s satisfies every message: here s = 0, R neutral.
        let neutral = PublicKey::from_bytes(little_endian_y(1, 0, 0));
        let mut forged = [0; 64];
        forged[0] = 1;

        let raw = UnparsedPublicKey::new(&ED25519, neutral.as_bytes()).verify(b"any", &forged);
        assert!(
            raw.is_ok(),
            "the forgery holds without the check, so the check is needed"
        );

        assert!(
            neutral
                .verify(b"any", &Signature::from_bytes(forged))
                .is_err()
        );
    }

    #[test]
    fn all_weak_spellings_are_known_with_either_sign() {
        let above = (0xed..=0xff).map(|first| little_endian_y(first, 0xff, 0x7f));

        for mut y in SMALL_ORDER_Y.into_iter().chain(above) {
            assert!(PublicKey::from_bytes(y).is_weak());
            y[31] |= 0x80;
            assert!(PublicKey::from_bytes(y).is_weak());
        }
        assert!(!Identity::generate().public().is_weak());
    }

    #[test]
    fn printing_an_identity_shows_its_public_half_only() {
        let identity = Identity::from_seed(&[7; 32]);

        let text = format!("{identity:?} {identity:#?}");

        assert!(text.contains(&identity.public().short()));
        assert!(!text.contains("seed") && !text.contains("07"), "{text}");
    }
}
