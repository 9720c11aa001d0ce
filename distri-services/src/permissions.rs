//! Who may look at an image, how often, until when: the ledger of grants, and the cryptography of a
//! grant.
//!
//! The key of an image is split. The viewer has one half from the owner, sealed to it; the cloud has
//! the other, and releases it at most as often as the owner allows, to that viewer, against a signed
//! request each time. The cloud never sees the image nor the whole key. What that is worth, and what
//! it is not, is said in `docs/permissions.md`.
//!
//! From the inside out: `canonical` and `bytes` are how things are written down, `hash` how they are
//! bound together, `sealing` how something is sealed to a key (HPKE); `grant` is what owner and viewer
//! agree on, `content` the image under its key, `split` the key in two halves, `operations` what is
//! signed by whom, `receipt` what a view releases, `look` what the viewer does to look once, in which
//! order. All of these are pure: no clock, no disk, no network, and randomness is handed in.

mod bytes;
mod canonical;
mod content;
mod error;
mod grant;
mod hash;
mod look;
mod operations;
mod randomness;
mod receipt;
mod sealing;
mod split;

pub use self::{
    bytes::{
        FileHash, GrantHash, GrantId, ImageId, KeyCommitment, ManifestHash, RedeemId, RequestId,
        SealingKey, Signature,
    },
    canonical::{Canonical, Malformed},
    content::{ContentKey, Draft, HidingKey, Sealed, open_content},
    error::SealError,
    grant::{GrantCore, Parties, Suite},
    look::{Look, Shown, Step},
    operations::{Ack, Grant, Operation, Redeem, Rekey, Revoke, SetViews, Signed, sign},
    randomness::Randomness,
    receipt::{Receipt, Release, Released},
    sealing::SealingSecret,
    split::{CloudHalf, Envelope, Opened, OwnerHalf, OwnerSecrets, Share, Split},
};
