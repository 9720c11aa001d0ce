//! Which nodes belong to the cluster: founding one, joining it with a token, leaving it.
//!
//! The list of members is a collection of the directory, `_members`, so all nodes agree on it and
//! watch it. From it every node knows whom it admits as a node (`roster`); the node that leads
//! also sees to it that the members follow the log and that an odd number of them votes
//! (`steward`). A join token ([`JoinToken`]) is a key that may be used once: whoever proves it may
//! ask to be made a member.
//!
//! Members share a secret that is in no directory (`secret`), which services use by
//! [`NodeHandle::secret`](crate::NodeHandle::secret).
//!
//! - `folder`: what a data folder says about the cluster that it belongs to.
//! - `records`: members, tokens and granted roles as they stand in the directory.
//! - `service`: `distri-cluster`, by which nodes join, are listed and removed.
//! - `touch`: what a node does that was away while the members changed.

mod client;
#[cfg(feature = "node")]
mod custodian;
#[cfg(feature = "node")]
mod folder;
mod protocol;
#[cfg(feature = "node")]
mod records;
#[cfg(feature = "node")]
mod roster;
#[cfg(feature = "node")]
mod secret;
#[cfg(feature = "node")]
mod service;
#[cfg(feature = "node")]
mod steward;
mod token;
#[cfg(feature = "node")]
mod touch;

#[cfg(feature = "node")]
pub(crate) use custodian::Custodian;
#[cfg(feature = "node")]
pub(crate) use folder::Folder;
pub use protocol::{ClusterInfo, NodeInfo, NodeRole};
#[cfg(feature = "node")]
pub(crate) use protocol::{GUEST, JoinArguments};
#[cfg(feature = "node")]
pub(crate) use records::MemberRecord;
#[cfg(feature = "node")]
pub(crate) use roster::{NO_MEMBER, Roster, follow};
#[cfg(feature = "node")]
pub use secret::NodeSecret;
#[cfg(feature = "node")]
pub(crate) use secret::{Secrets, Vault};
#[cfg(feature = "node")]
pub(crate) use service::{ClusterService, redeem};
#[cfg(feature = "node")]
pub(crate) use steward::{FIRST_SECRET, Steward};
pub use token::{InvalidToken, JoinToken};
#[cfg(feature = "node")]
pub(crate) use touch::{Touch, Trouble};
