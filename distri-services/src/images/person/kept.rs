//! What a profile keeps of requests and grants.

use distri::{id::PublicKey, identity::Identity, signed::Signed};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    images::record::{Approval, Entry, Manifest, Request, SealedLetter},
    permissions::{
        self, Envelope, GrantCore, GrantState, GrantStatus, ImageId, RequestId, Share, Tally,
    },
};

/// 32 secret bytes, base64 on disk.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Seed(#[serde(with = "crate::text")] Vec<u8>);

impl Seed {
    pub(super) fn new(bytes: &[u8; 32]) -> Self {
        Self(bytes.to_vec())
    }

    /// `None` if what is on disk is not 32 bytes.
    pub(super) fn identity(&self) -> Option<Identity> {
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(self.0.as_slice().try_into().ok()?);
        Some(Identity::from_seed(&seed))
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(…)")
    }
}

/// An image that the person offers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct OwnImage {
    /// As the person last signed it.
    pub(super) record: Signed<Entry>,
    /// Whether the cloud has it.
    pub(super) sent: bool,
}

/// How a grant stood when the ledger was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) state: GrantState,
    pub(super) views: u32,
    pub(super) used: u32,
    pub(super) expires_ms: u64,
    /// After how many entries of its audit.
    #[serde(default)]
    pub(super) index: u64,
}

impl From<&GrantStatus> for Known {
    fn from(status: &GrantStatus) -> Self {
        Self {
            state: status.state,
            views: status.views,
            used: status.used,
            expires_ms: status.expires_ms,
            index: status.head.index,
        }
    }
}

impl Known {
    /// Takes how it stands after an entry of the audit, unless more is known.
    pub(super) fn hear(known: &mut Option<Self>, heard: &Tally) {
        if known.is_some_and(|known| known.index > heard.head.index) {
            return;
        }
        *known = Some(Self {
            state: heard.state(),
            views: heard.views,
            used: heard.used,
            expires_ms: heard.expires_ms,
            index: heard.head.index,
        });
    }
}

/// A request of the person, and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) request: RequestId,
    pub(super) owner: PublicKey,
    pub(super) image: ImageId,
    pub(super) title: String,
    pub(super) views: u32,
    pub(super) note: String,
    /// The letter is in the outbox, or gone out.
    pub(super) posted: bool,
    pub(super) at_ms: u64,
    /// The key by which views of this grant are redeemed.
    pub(super) viewer: Seed,
    pub(super) outcome: Outcome,
    #[serde(default)]
    pub(super) known: Option<Known>,
    /// What the audit comes to, as far as it was heard and told.
    #[serde(default)]
    pub(super) heard: Option<Tally>,
    /// The stego image is here and whole.
    #[serde(default)]
    pub(super) delivered: bool,
    /// The last attempt whose view is closed: asked for again, it spends no other.
    #[serde(default)]
    pub(super) closed: Option<String>,
}

/// What came of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Outcome {
    Waiting,
    Rejected { why: String },
    Approved(Box<Approval>),
}

/// A request to the person, and what was answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Given {
    pub(super) from: PublicKey,
    pub(super) request: Request,
    pub(super) at_ms: u64,
    pub(super) reply: Option<Reply>,
}

/// What was answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Rejected { why: String, told: bool },
    Approved(Box<Allowed>),
}

/// A grant, as its owner keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Allowed {
    /// The key by which this grant is changed.
    pub(super) owner: Seed,
    /// The content key and the hiding key, in the form of `OwnerSecrets`.
    #[serde(with = "crate::text")]
    pub(super) secrets: Vec<u8>,
    pub(super) manifest: Manifest,
    pub(super) first: permissions::Signed<permissions::Grant>,
    pub(super) share: Share,
    pub(super) envelope: Envelope,
    /// The ledger has it.
    pub(super) registered: bool,
    /// The decision is on its way to the viewer.
    pub(super) told: bool,
    /// Of the owner's last operation.
    pub(super) seq: u64,
    pub(super) epoch: u32,
    pub(super) views: u32,
    pub(super) expires_ms: u64,
    pub(super) revoked: bool,
    /// An operation that the ledger has not confirmed.
    pub(super) pending: Option<Pending>,
    #[serde(default)]
    pub(super) known: Option<Known>,
    /// What the audit comes to, as far as it was heard and told.
    #[serde(default)]
    pub(super) heard: Option<Tally>,
}

impl Allowed {
    pub(super) fn core(&self) -> &GrantCore {
        &self.first.body.core
    }
}

/// An operation of the owner that was signed and perhaps not done yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Pending {
    SetViews(permissions::Signed<permissions::SetViews>),
    Revoke(permissions::Signed<permissions::Revoke>),
    Rekey {
        op: permissions::Signed<permissions::Rekey>,
        share: Share,
        envelope: Envelope,
    },
}

/// What can be fetched from the person's peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeptParcel {
    pub(super) request: RequestId,
    pub(super) viewer: PublicKey,
    pub(super) manifest: Manifest,
}

/// A view that is not over.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KeptLook {
    pub(super) request: RequestId,
    /// What the person called the attempt.
    pub(super) attempt: String,
    /// The picture was on screen: what is left is to say so.
    pub(super) shown: bool,
    /// In the form in which `Look` saves itself. A secret.
    #[serde(with = "crate::text")]
    pub(super) look: Vec<u8>,
}

/// How far the person has heard of what becomes of their grants.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct KeptCursor {
    /// Of every grant that was heard of at all, everything up to here.
    pub(super) cursor: u64,
}

/// A letter on its way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Outgoing {
    pub(super) letter: SealedLetter,
}
