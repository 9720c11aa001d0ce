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
//! order. All of these are pure: no clock, no disk, no network, and randomness is handed in. `ledger`
//! has the rules, `audit` the chain of what was done, `store` keeps both in the directory, `cloud` the
//! cloud's keys; [`Permissions`] is the service, called through [`PermissionsClient`]: `redeeming` is how a
//! view is spent there, `lines` how those wait who want one of the same grant, `releasing` how several are
//! released together, `turns` and `contended` how changes of one grant keep out of each other's way on a node
//! and between nodes, `watching` how the audit is told, `sweeping` how grants end.

mod attempts;
mod audit;
mod bytes;
mod canonical;
mod cloud;
mod contended;
mod content;
mod error;
mod grant;
mod hash;
mod ledger;
mod lines;
mod look;
mod operations;
mod randomness;
mod receipt;
mod redeeming;
mod refusal;
mod releasing;
mod sealing;
mod service;
mod split;
mod store;
mod sweeping;
mod turns;
mod watching;

pub(crate) use self::audit::Tally;
pub use self::{
    audit::{AuditError, Dated, Deed, Entry, Head, verify_audit},
    bytes::{
        ChainHash, FileHash, GrantHash, GrantId, ImageId, InvalidText, KeyCommitment, ManifestHash,
        RedeemId, RequestId, SealingKey, ShareHash, Signature,
    },
    canonical::{Canonical, Malformed, Reader},
    cloud::CloudKeys,
    content::{ContentKey, Draft, HidingKey, Sealed, open_content},
    error::SealError,
    grant::{GrantCore, Parties, Suite},
    ledger::{GrantState, GrantStatus, OPEN_MS, VIEWS_MAX},
    look::{Look, Shown, Step},
    operations::{Ack, Ask, Grant, List, Operation, Redeem, Rekey, Revoke, SetViews, Signed, sign},
    randomness::Randomness,
    receipt::{Receipt, Release, Released},
    refusal::LedgerError,
    sealing::SealingSecret,
    service::{
        AuditPage, GrantPage, Part, Permissions, PermissionsClient, PermissionsConfig, WATCHED_MAX,
    },
    split::{CloudHalf, Envelope, Opened, OwnerHalf, OwnerSecrets, Share, Split},
};
