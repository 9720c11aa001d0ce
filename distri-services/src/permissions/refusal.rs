//! Why the ledger refuses.

use distri::{Code, ServiceError, id::PublicKey};
use serde::{Deserialize, Serialize};

use super::{
    bytes::{GrantId, RedeemId},
    error::SealError,
};

/// Why the ledger did not do what it was asked. Nothing was changed, and no view was spent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LedgerError {
    /// There is no such grant.
    #[error("there is no grant {grant}")]
    Unknown {
        /// Its id.
        grant: GrantId,
    },
    /// Another grant has this id. Draw another.
    #[error("another grant has the id {grant}")]
    Taken {
        /// The id.
        grant: GrantId,
    },
    /// Not signed by whom it should be, or changed since.
    #[error("the {what} is not signed by {by}")]
    NotSigned {
        /// What.
        what: String,
        /// By whom.
        by: PublicKey,
    },
    /// A signing key under which anyone could sign.
    #[error("the {whose} key {key} is a weak one, under which anyone could sign")]
    WeakKey {
        /// Whose.
        whose: String,
        /// The key.
        key: PublicKey,
    },
    /// A sealing key with which anyone could open what is sealed to it.
    #[error("the {whose} key is of low order: what is sealed to it, anyone could open")]
    LowOrder {
        /// Whose.
        whose: String,
    },
    /// What was signed is about another grant with the same id.
    #[error("the grant {grant} has another core than what was signed")]
    OtherCore {
        /// The id.
        grant: GrantId,
    },
    /// The halves of the key are of another epoch. A viewer fetches the newest envelope.
    #[error("the grant is at epoch {is}, not {asked}")]
    Epoch {
        /// Where it stands.
        is: u32,
        /// What was asked for.
        asked: u32,
    },
    /// An operation of the owner that is older than the last one.
    #[error("the owner's last operation is number {is}; {asked} does not come after it")]
    Seq {
        /// Where it stands.
        is: u64,
        /// What was asked for.
        asked: u64,
    },
    /// The owner has withdrawn the grant.
    #[error("the owner has withdrawn the grant {grant}")]
    Revoked {
        /// Its id.
        grant: GrantId,
    },
    /// It is too early.
    #[error("the grant is not valid before {from_ms} ms after 1970")]
    NotYet {
        /// From when on.
        from_ms: u64,
    },
    /// Its time is over.
    #[error("the grant has expired, at {at_ms} ms after 1970")]
    Expired {
        /// When.
        at_ms: u64,
    },
    /// All views are used.
    #[error("all {views} views are used")]
    Exhausted {
        /// How many there were.
        views: u32,
    },
    /// The view was asked for before with another key: somebody uses one id twice.
    #[error("the view {redeem} was asked for with another key before")]
    Conflict {
        /// The view.
        redeem: RedeemId,
    },
    /// The view was acknowledged, or was asked for too long ago.
    #[error("the view {redeem} is closed")]
    Closed {
        /// The view.
        redeem: RedeemId,
    },
    /// No such view was released.
    #[error("there is no view {redeem}")]
    UnknownView {
        /// The view.
        redeem: RedeemId,
    },
    /// A grant is for at least one view and at most so many.
    #[error("{asked} views: expected {least} to {most}")]
    Views {
        /// What was asked for.
        asked: u32,
        /// The least.
        least: u32,
        /// The most.
        most: u32,
    },
    /// The cloud's half was deleted when the grant ended: it goes on with new halves only.
    #[error("the cloud's half of the key is deleted: re-key the grant")]
    ShareGone {
        /// The epoch whose half it was.
        epoch: u32,
    },
    /// The cloud's half is another one than was signed, or is sealed to a key that the cloud does not
    /// have, or for another grant.
    #[error(
        "the cloud's half of the key does not open with the cloud's key of epoch {cloud_epoch}"
    )]
    ShareUnusable {
        /// Which key it claims to be for.
        cloud_epoch: u32,
    },
    /// A caller keeps no more grants than this at a time.
    #[error("the caller has {limit} grants that have not ended, the bound")]
    TooMany {
        /// The bound.
        limit: u64,
    },
    /// The question was signed for another link, or by neither owner nor viewer.
    #[error("only the owner and the viewer of a grant may ask this, each over its own link")]
    NotYours,
}

impl LedgerError {
    /// True if asking the same again can never be answered otherwise, unless the owner changes the
    /// grant: a viewer's program gives up the look.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::NotYet { .. } | Self::TooMany { .. } => false,
            Self::Unknown { .. }
            | Self::Taken { .. }
            | Self::NotSigned { .. }
            | Self::WeakKey { .. }
            | Self::LowOrder { .. }
            | Self::OtherCore { .. }
            | Self::Epoch { .. }
            | Self::Seq { .. }
            | Self::Revoked { .. }
            | Self::Expired { .. }
            | Self::Exhausted { .. }
            | Self::Conflict { .. }
            | Self::Closed { .. }
            | Self::UnknownView { .. }
            | Self::Views { .. }
            | Self::ShareGone { .. }
            | Self::ShareUnusable { .. }
            | Self::NotYours => true,
        }
    }

    /// What the ledger says of something that is not signed or sealed as it should be.
    pub(crate) fn of_seal(error: SealError, cloud_epoch: u32) -> Self {
        match error {
            SealError::Signature { what, by } => Self::NotSigned {
                what: what.to_owned(),
                by,
            },
            SealError::WeakKey { whose, key } => Self::WeakKey {
                whose: whose.to_owned(),
                key,
            },
            SealError::LowOrder { whose } => Self::LowOrder {
                whose: whose.to_owned(),
            },
            SealError::Malformed(_)
            | SealError::DoesNotOpen { .. }
            | SealError::Mismatch { .. }
            | SealError::KeyCommitment
            | SealError::File { .. }
            | SealError::TooLarge { .. } => Self::ShareUnusable { cloud_epoch },
        }
    }
}

impl ServiceError for LedgerError {
    fn code(&self) -> Code {
        match self {
            Self::Unknown { .. } | Self::UnknownView { .. } => Code::NotFound,
            Self::Taken { .. } => Code::AlreadyExists,
            Self::NotSigned { .. } | Self::NotYours => Code::Denied,
            Self::WeakKey { .. }
            | Self::LowOrder { .. }
            | Self::Views { .. }
            | Self::Conflict { .. }
            | Self::ShareUnusable { .. } => Code::InvalidArgument,
            Self::OtherCore { .. }
            | Self::Epoch { .. }
            | Self::Seq { .. }
            | Self::Revoked { .. }
            | Self::NotYet { .. }
            | Self::Expired { .. }
            | Self::Exhausted { .. }
            | Self::Closed { .. }
            | Self::ShareGone { .. } => Code::FailedPrecondition,
            Self::TooMany { .. } => Code::Busy,
        }
    }

    fn kind() -> &'static str {
        "LedgerError"
    }
}
