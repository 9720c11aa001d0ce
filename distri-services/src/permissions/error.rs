//! What can be wrong with what is sealed and signed.

use distri::id::PublicKey;

use super::canonical::Malformed;

/// Why something was not sealed, opened or believed. Nothing was changed, and nothing of what was
/// opened is given away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The bytes are not what they should be.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// Not signed by whom it should be, or changed since.
    #[error("the {what} is not signed by {by}")]
    Signature {
        /// What should be signed.
        what: &'static str,
        /// By whom.
        by: PublicKey,
    },
    /// An Ed25519 key under which anyone could sign, or a second spelling of another.
    #[error("the {whose} key {key} is a weak one, under which anyone could sign")]
    WeakKey {
        /// Whose key.
        whose: &'static str,
        /// The key.
        key: PublicKey,
    },
    /// An X25519 key with which whatever is sealed could be opened by anyone.
    #[error("the {whose} key is of low order: what is sealed to it, anyone could open")]
    LowOrder {
        /// Whose key.
        whose: &'static str,
    },
    /// It does not open: sealed to another key, for another grant or epoch, or changed since.
    #[error("the {what} does not open: it is for another key, grant or epoch, or was changed")]
    DoesNotOpen {
        /// What.
        what: &'static str,
    },
    /// It says something else than it should.
    #[error("the {what} is for another {part}")]
    Mismatch {
        /// What.
        what: &'static str,
        /// What in it differs.
        part: &'static str,
    },
    /// The halves give a key that is not the one the owner committed to: the owner, or whoever sent
    /// the envelope, means to show different people different pictures.
    #[error("the halves of the key give another key than the owner committed to")]
    KeyCommitment,
    /// The file is another one than was granted, or was changed. Fetch it again.
    #[error("the stego image is not the one that was granted: its {part} differs")]
    File {
        /// `length` or `hash`.
        part: &'static str,
    },
    /// The picture is too large to be sealed.
    #[error("the image has {is} bytes, at most {limit} can be sealed")]
    TooLarge {
        /// Its length.
        is: u64,
        /// The bound.
        limit: u64,
    },
}
