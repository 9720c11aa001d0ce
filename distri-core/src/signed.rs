//! Records that carry their author's signature, so that whoever keeps them cannot change them.
//!
//! A [`Signed`] is a key, a number that rises with each record of that key, a body, and an Ed25519
//! signature over all of it. Nodes store and pass on such records; readers check them again, since a
//! node may lie. What kind of record it is, is part of what is signed ([`Signable::TAG`]), so none
//! passes for one of another kind.
//!
//! What is signed is not what travels: a record stands in JSON as a structure, which the directory can
//! search and people can read, and in compact form as bytes; the signature is over the one postcard
//! encoding of it, which each end makes by itself. [`Latest`] keeps the newest good record of one key.
//! Who may sign what, and where records live, is for their users to say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    error::{Code, Error, Result, ServiceError},
    id::PublicKey,
    identity::{Identity, Signature},
};

mod latest;

pub use latest::{Latest, Taken};

/// What can be the body of a [`Signed`] record.
///
/// Its postcard encoding must be a function of its value and decode to the same value again:
/// `BTreeMap` rather than `HashMap`, no floats that may be NaN, none of serde's options that need
/// names (`#[distri::message]` refuses those). A record of an older program must encode as it did
/// there, so a type never gains or loses a field: a new form gets a new type and a new tag.
pub trait Signable: Serialize + DeserializeOwned {
    /// The kind of record, such as `distri/peers/presence/v1`. No zero byte.
    const TAG: &'static str;
}

/// A record with its author's signature.
///
/// One that arrived from elsewhere may be anybody's invention until [`check`](Self::check) or
/// [`check_by`](Self::check_by) says otherwise; only they give its body.
///
/// ```
/// # extern crate distri_core as distri;
/// use distri::{identity::Identity, signed::{Signable, Signed}};
///
/// #[distri::message]
/// #[derive(Debug, Clone, PartialEq)]
/// struct Title(String);
///
/// impl Signable for Title {
///     const TAG: &'static str = "example/title/v1";
/// }
///
/// let author = Identity::generate();
/// let record = Signed::sign(&author, 1, Title("A cat".into()))?;
/// let json = serde_json::to_string(&record).unwrap();
///
/// let arrived: Signed<Title> = serde_json::from_str(&json).unwrap();
/// assert_eq!(arrived.check_by(author.public())?.0, "A cat");
///
/// let forged = json.replace("cat", "dog");
/// let forged: Signed<Title> = serde_json::from_str(&forged).unwrap();
/// assert!(forged.check().is_err());
/// # Ok::<(), distri::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signed<T> {
    key: PublicKey,
    seq: u64,
    body: T,
    signature: Signature,
}

/// Why a record is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The signature is not by the key over this record: somebody changed or made it up.
    #[error("record {seq} is not signed by {key}, whose it claims to be")]
    Forged {
        /// Whose it claims to be.
        key: PublicKey,
        /// Its number.
        seq: u64,
    },
    /// Anybody can sign under this key: no honest program has it.
    #[error("{key} is a weak key, under which anybody can sign")]
    WeakKey {
        /// The key.
        key: PublicKey,
    },
    /// The record is another key's.
    #[error("a record of {expected} was expected, this is one of {found}")]
    WrongKey {
        /// Whose was expected.
        expected: PublicKey,
        /// Whose it is.
        found: PublicKey,
    },
    /// A later record of the key is known: somebody tells an old state for the present one.
    #[error("record {found} of {key} is older than {held}, which is known already")]
    Older {
        /// Whose records.
        key: PublicKey,
        /// The number of the one known.
        held: u64,
        /// The number of this one.
        found: u64,
    },
    /// The author signed two records with one number; the first is kept.
    #[error("{key} has signed another record {seq} before")]
    Differs {
        /// Whose records.
        key: PublicKey,
        /// Their number.
        seq: u64,
    },
}

impl ServiceError for RecordError {
    fn code(&self) -> Code {
        match self {
            Self::Forged { .. } | Self::WeakKey { .. } | Self::WrongKey { .. } => Code::Denied,
            Self::Older { .. } | Self::Differs { .. } => Code::FailedPrecondition,
        }
    }
}

impl<T: Signable> Signed<T> {
    /// Signs `body` as record `seq` of `author`.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] if `T` does not meet what [`Signable`] asks of it.
    pub fn sign(author: &Identity, seq: u64, body: T) -> Result<Self> {
        let unfit = |why: &str| {
            let name = std::any::type_name::<T>();
            Error::invalid_argument(format!("a `{name}` cannot be signed: {why}"))
        };
        let encoded = postcard::to_stdvec(&body)
            .map_err(|error| unfit("it has no compact form").with_source(error))?;
        // What does not come back alike would be refused by those who read it.
        let again = postcard::from_bytes::<T>(&encoded).and_then(|body| postcard::to_stdvec(&body));
        if again.as_ref() != Ok(&encoded) {
            return Err(unfit("its compact form does not decode to the same value"));
        }
        let key = author.public();
        let signature = author.sign(&statement::<T>(key, seq, &encoded));
        Ok(Self {
            key,
            seq,
            body,
            signature,
        })
    }

    /// The body, if the record is signed by the key that it names.
    ///
    /// # Errors
    /// [`RecordError::Forged`], [`RecordError::WeakKey`].
    pub fn check(&self) -> Result<&T, RecordError> {
        let (key, seq) = (self.key, self.seq);
        if key.is_weak() {
            return Err(RecordError::WeakKey { key });
        }
        let forged = RecordError::Forged { key, seq };
        // What cannot be encoded nobody has signed.
        let encoded = postcard::to_stdvec(&self.body).map_err(|_| forged.clone())?;
        let statement = statement::<T>(key, seq, &encoded);
        key.verify(&statement, &self.signature)
            .map_err(|_| forged)?;
        Ok(&self.body)
    }

    /// The body, if the record is signed by `author`.
    ///
    /// # Errors
    /// [`RecordError::WrongKey`], and as [`Signed::check`].
    pub fn check_by(&self, author: PublicKey) -> Result<&T, RecordError> {
        if self.key != author {
            return Err(RecordError::WrongKey {
                expected: author,
                found: self.key,
            });
        }
        self.check()
    }
}

impl<T> Signed<T> {
    /// Whose record it claims to be.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// Its number among the records of its key, as it claims.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The signature.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The body, whoever may have written it: for logs, and for those who check by other means.
    pub fn unchecked(&self) -> &T {
        &self.body
    }
}

/// The bytes that are signed: no two different records have the same.
fn statement<T: Signable>(key: PublicKey, seq: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(T::TAG.len() + 1 + 32 + 8 + body.len());
    bytes.extend_from_slice(T::TAG.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend_from_slice(&seq.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests;
