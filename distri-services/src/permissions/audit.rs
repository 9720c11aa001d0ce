//! What was done with a grant, in order, each entry bound to all before it: whoever has the owner's and
//! the viewer's keys and the last hash notices an entry that is missing, added or changed.

use std::collections::BTreeSet;

use distri::id::PublicKey;

use super::{
    bytes::{ChainHash, GrantId},
    canonical::Canonical,
    error::SealError,
    grant::GrantCore,
    hash::{self, hash},
    ledger::GrantState,
    operations::{Ack, Grant, Redeem, Rekey, Revoke, SetViews, Signed},
};

/// Instead of a time: that of an entry which took effect together with the one before.
pub(crate) const TOGETHER: u64 = 0;

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
    /// When the entry before took effect, by the directory's clock; 0 before the first, and where this
    /// one took effect together with the one before. So each time but the last is in the chain.
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
    /// Goes on after this entry. Views can be released several at once: after one of them that is not the
    /// last, all of these are told again.
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
    /// An entry says that something was done which the ledger's rules did not allow then: a view too
    /// many, one view counted twice, an older operation after a newer one.
    #[error("what entry {index} of the audit says cannot have been done then")]
    Impossible {
        /// Which one, from 1.
        index: u64,
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

    /// The entry that follows, and the head after it. `at_ms` is when the entry before took effect, or
    /// [`TOGETHER`].
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

/// What the entries of an audit come to, from the first on. Each is taken only if it follows from those
/// before, is by whom it says, and was allowed then.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) head: Head,
    /// When the last entry took effect.
    pub(crate) at_ms: u64,
    /// Of the owner's last operation.
    pub(crate) seq: u64,
    pub(crate) epoch: u32,
    pub(crate) views: u32,
    pub(crate) used: u32,
    pub(crate) expires_ms: u64,
    pub(crate) revoked: bool,
    /// The cloud has said that it deleted its half.
    pub(crate) ended: bool,
}

impl Tally {
    /// Of a grant of which nothing is known yet.
    pub(crate) const NONE: Self = Self {
        head: Head::NONE,
        at_ms: 0,
        seq: 0,
        epoch: 0,
        views: 0,
        used: 0,
        expires_ms: 0,
        revoked: false,
        ended: false,
    };

    /// How the grant stands after the last entry.
    pub(crate) fn state(&self) -> GrantState {
        if self.revoked {
            GrantState::Revoked
        } else if self.used >= self.views {
            GrantState::Exhausted
        } else if self.ended {
            GrantState::Expired
        } else {
            GrantState::Active
        }
    }

    /// Takes the next entry of the audit of the grant of `core`. What is refused changes nothing.
    pub(crate) fn take(&mut self, core: &GrantCore, dated: &Dated) -> Result<(), AuditError> {
        let Dated { entry, at_ms, .. } = dated;
        let index = self.head.index + 1;
        let is_together = index > 1 && entry.previous_ms == TOGETHER;
        let is_in_time = if is_together {
            *at_ms == self.at_ms
        } else {
            entry.previous_ms == self.at_ms && *at_ms >= self.at_ms
        };
        let follows = entry.grant == core.grant
            && entry.index == index
            && entry.previous == self.head.hash
            && is_in_time;
        if !follows {
            return Err(AuditError::Broken { index });
        }
        entry
            .deed
            .verify(core)
            .map_err(|source| AuditError::NotSigned { index, source })?;
        let next = self
            .after(&entry.deed)
            .ok_or(AuditError::Impossible { index })?;
        *self = Self {
            head: entry.head(),
            at_ms: *at_ms,
            ..next
        };
        Ok(())
    }

    /// What `deed` makes of it; `None` if the ledger's rules do not allow it.
    fn after(&self, deed: &Deed) -> Option<Self> {
        let is_first = self.head.index == 0;
        let by_owner = |seq| !is_first && !self.revoked && seq > self.seq;
        let is_alive = !is_first && !self.revoked && !self.ended;
        let (is_allowed, next) = match deed {
            Deed::Granted(op) => {
                let next = Self {
                    seq: op.body.seq,
                    epoch: op.body.epoch,
                    views: op.body.views,
                    expires_ms: op.body.expires_ms,
                    ..self.clone()
                };
                (is_first, next)
            }
            Deed::ViewsSet(op) => {
                let next = Self {
                    seq: op.body.seq,
                    views: op.body.views,
                    expires_ms: op.body.expires_ms,
                    ..self.clone()
                };
                (by_owner(op.body.seq) && !self.ended, next)
            }
            Deed::Rekeyed(op) => {
                let next = Self {
                    seq: op.body.seq,
                    epoch: op.body.epoch,
                    views: op.body.views,
                    expires_ms: op.body.expires_ms,
                    ended: false,
                    ..self.clone()
                };
                let is_next = self.epoch.checked_add(1) == Some(op.body.epoch);
                (by_owner(op.body.seq) && is_next, next)
            }
            Deed::Revoked(op) => {
                let next = Self {
                    seq: op.body.seq,
                    revoked: true,
                    ..self.clone()
                };
                (by_owner(op.body.seq), next)
            }
            Deed::Redeemed { redeem, view, of } => {
                let next = Self {
                    used: *view,
                    ..self.clone()
                };
                let is_next = self.used < self.views
                    && self.used.checked_add(1) == Some(*view)
                    && *of == self.views
                    && redeem.body.epoch == self.epoch;
                (is_alive && is_next, next)
            }
            Deed::Acknowledged(_) => (self.used > 0, self.clone()),
            Deed::Exhausted => {
                let next = Self {
                    ended: true,
                    ..self.clone()
                };
                (is_alive && self.used >= self.views, next)
            }
            Deed::Expired => {
                let next = Self {
                    ended: true,
                    ..self.clone()
                };
                (is_alive, next)
            }
        };
        is_allowed.then_some(next)
    }
}

/// Checks a whole audit, from the first entry to `head`, as the grant of `core` has it: that nothing is
/// missing or changed, who signed it, and that it is what the ledger's rules allow.
///
/// # Errors
/// [`AuditError`] names the first entry that is wrong.
pub fn verify_audit(core: &GrantCore, entries: &[Dated], head: &Head) -> Result<(), AuditError> {
    let mut tally = Tally::NONE;
    let mut views = BTreeSet::new();
    for dated in entries {
        tally.take(core, dated)?;
        if let Deed::Redeemed { redeem, .. } = &dated.entry.deed
            && !views.insert(redeem.body.redeem)
        {
            let index = dated.entry.index;
            return Err(AuditError::Impossible { index });
        }
    }
    let last = tally.head;
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
