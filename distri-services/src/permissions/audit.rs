//! What was done with a grant, in order, each entry bound to all before it: whoever has the owner's and
//! the viewer's keys and the last hash notices an entry that is missing, added or changed.

use distri::id::PublicKey;

use super::{
    bytes::{ChainHash, GrantId},
    canonical::Canonical,
    error::SealError,
    grant::GrantCore,
    hash::{self, hash},
    operations::{Ack, Grant, Redeem, Rekey, Revoke, SetViews, Signed},
};

/// What was done.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Deed {
    /// The owner made the grant.
    Granted(Box<Signed<Grant>>),
    /// The owner changed how often, or until when.
    ViewsSet(Signed<SetViews>),
    /// The owner gave new halves of the key.
    Rekeyed(Signed<Rekey>),
    /// The owner withdrew it.
    Revoked(Signed<Revoke>),
    /// The viewer's request for a view was granted: it is the proof.
    Redeemed {
        /// What the viewer signed.
        redeem: Signed<Redeem>,
        /// Which view, from 1.
        view: u32,
        /// Of so many.
        of: u32,
    },
    /// The viewer has looked.
    Acknowledged(Signed<Ack>),
    /// The cloud's half was deleted, all views having been used.
    Exhausted,
    /// The cloud's half was deleted, the time being over.
    Expired,
}

/// An entry of a grant's audit.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The grant.
    pub grant: GrantId,
    /// Its place, from 1.
    pub index: u64,
    /// The hash of the entry before; zeros before the first.
    pub previous: ChainHash,
    /// When the entry before took effect, by the directory's clock; 0 before the first. So each time
    /// but the last is in the chain.
    pub previous_ms: u64,
    /// What was done.
    pub deed: Deed,
}

/// Where an audit ends.
#[distri::message]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many entries there are.
    pub index: u64,
    /// The hash of the last.
    pub hash: ChainHash,
}

/// An entry, and when it took effect.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated {
    /// The entry.
    pub entry: Entry,
    /// Milliseconds since 1970, by the directory's clock, which never goes back.
    pub at_ms: u64,
    /// Goes on after this entry, and what happened at the same moment.
    pub cursor: u64,
}

/// An audit that cannot be what happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// An entry is missing, was added or changed.
    #[error("entry {index} of the audit does not follow from those before it")]
    Broken {
        /// Which one, from 1.
        index: u64,
    },
    /// An entry says that somebody did what they did not sign.
    #[error("entry {index} of the audit is not by whom it says")]
    NotSigned {
        /// Which one, from 1.
        index: u64,
        /// What of it.
        source: SealError,
    },
    /// Entries at the end are missing, or others are there.
    #[error("the audit ends with entry {found}, not as the grant says with {expected}")]
    End {
        /// How many there are.
        found: u64,
        /// How many there should be.
        expected: u64,
    },
}

impl Head {
    /// Of a grant of which nothing is known yet.
    pub(crate) const NONE: Self = Self {
        index: 0,
        hash: ChainHash::from_array([0; 32]),
    };

    /// The entry that follows, and the head after it. `at_ms` is when the entry before took effect.
    pub(crate) fn then(&self, grant: GrantId, at_ms: u64, deed: Deed) -> (Entry, Self) {
        let entry = Entry {
            grant,
            index: self.index + 1,
            previous: self.hash,
            previous_ms: at_ms,
            deed,
        };
        let head = entry.head();
        (entry, head)
    }
}

impl Entry {
    /// The head of an audit that ends with it.
    #[must_use]
    pub fn head(&self) -> Head {
        let hash = hash(
            hash::LOG,
            &[
                self.previous.as_array(),
                &self.previous_ms.to_be_bytes(),
                self.grant.as_array(),
                &self.index.to_be_bytes(),
                &self.deed.bytes(),
            ],
        );
        Head {
            index: self.index,
            hash: ChainHash::from_array(hash),
        }
    }
}

impl Deed {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut signed = |kind: u8, body: Vec<u8>, signature: &super::Signature| {
            bytes.push(kind);
            bytes.extend_from_slice(&body);
            bytes.extend_from_slice(signature.as_array());
        };
        match self {
            Self::Granted(op) => signed(1, op.body.to_bytes(), &op.signature),
            Self::ViewsSet(op) => signed(2, op.body.to_bytes(), &op.signature),
            Self::Rekeyed(op) => signed(3, op.body.to_bytes(), &op.signature),
            Self::Revoked(op) => signed(4, op.body.to_bytes(), &op.signature),
            Self::Redeemed { redeem, view, of } => {
                signed(5, redeem.body.to_bytes(), &redeem.signature);
                bytes.extend_from_slice(&view.to_be_bytes());
                bytes.extend_from_slice(&of.to_be_bytes());
            }
            Self::Acknowledged(op) => signed(6, op.body.to_bytes(), &op.signature),
            Self::Exhausted => bytes.push(7),
            Self::Expired => bytes.push(8),
        }
        bytes
    }

    /// Refuses a deed that is not signed by whom it should be.
    fn verify(&self, core: &GrantCore) -> Result<(), SealError> {
        let (owner, viewer): (PublicKey, PublicKey) = (core.owner, core.viewer);
        let gh = core.hash();
        let same = |hash| {
            (hash == gh).then_some(()).ok_or(SealError::Mismatch {
                what: "entry",
                part: "grant",
            })
        };
        match self {
            Self::Granted(op) => op.verify(owner).and_then(|op| same(op.core.hash())),
            Self::ViewsSet(op) => op.verify(owner).and_then(|op| same(op.core)),
            Self::Rekeyed(op) => op.verify(owner).and_then(|op| same(op.core)),
            Self::Revoked(op) => op.verify(owner).and_then(|op| same(op.core)),
            Self::Redeemed { redeem, .. } => redeem.verify(viewer).and_then(|op| same(op.core)),
            Self::Acknowledged(op) => op.verify(viewer).and_then(|op| same(op.core)),
            Self::Exhausted | Self::Expired => Ok(()),
        }
    }
}

/// Checks a whole audit, from the first entry to `head`, as the grant of `core` has it.
///
/// # Errors
/// [`AuditError`] names the first entry that is wrong.
pub fn verify_audit(core: &GrantCore, entries: &[Dated], head: &Head) -> Result<(), AuditError> {
    let (mut last, mut at_ms) = (Head::NONE, 0);
    for Dated {
        entry, at_ms: now, ..
    } in entries
    {
        let index = last.index + 1;
        let follows = entry.grant == core.grant
            && entry.index == index
            && entry.previous == last.hash
            && entry.previous_ms == at_ms
            && *now >= at_ms;
        if !follows {
            return Err(AuditError::Broken { index });
        }
        entry
            .deed
            .verify(core)
            .map_err(|source| AuditError::NotSigned { index, source })?;
        last = entry.head();
        at_ms = *now;
    }
    if last != *head {
        if last.index == head.index {
            return Err(AuditError::Broken { index: last.index });
        }
        return Err(AuditError::End {
            found: last.index,
            expected: head.index,
        });
    }
    Ok(())
}
