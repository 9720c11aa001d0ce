//! The service `distri-peers`: how peers say where they are. And the collections in which it stands.

use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Boot, Presence};
use crate::{
    directory::{CollectionSpec, Who},
    service::{MethodDescriptor, ServiceDescriptor},
    signed::Signed,
};

pub(crate) const ANNOUNCE: usize = 0;
pub(crate) const LEAVE: usize = 1;

/// The peers that are there: their keys, and what they signed. Each record ends with its lease.
pub(crate) const PEERS: &str = "peers";
/// Peers that were there: their keys, and when they were seen last.
pub(crate) const SEEN: &str = "peers-seen";

/// What a peer says. Repeated as it is, it renews the lease.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Announcement {
    pub(crate) record: Signed<Presence>,
    /// How long the peer may be silent before it counts as away.
    pub(crate) lease_ms: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Leave {
    #[schemars(with = "String")]
    pub(crate) boot: Boot,
}

/// What is remembered of a peer when its record has ended. The cloud's word, not the peer's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) name: String,
    /// The number of its latest record: no older one is taken again.
    pub(crate) seq: u64,
    /// When it was seen, in milliseconds since 1970, or a little earlier.
    pub(crate) at_ms: u64,
}

/// Only nodes write these: `distri-peers` does, when a record is good. Everybody may read them.
pub(crate) fn collections() -> [CollectionSpec; 2] {
    let own = |name| CollectionSpec::new(name).read(Who::Public).write(Who::Node);
    [own(PEERS), own(SEEN).index(["at_ms"])]
}

pub(crate) fn descriptor() -> &'static ServiceDescriptor {
    static DESCRIPTOR: OnceLock<ServiceDescriptor> = OnceLock::new();
    DESCRIPTOR.get_or_init(|| {
        ServiceDescriptor::new("distri-peers")
            .docs("Where the peers of the cloud are.")
            .method(
                MethodDescriptor::new::<Announcement, ()>("announce")
                    .docs("Says where the caller is, or that it still is.")
                    .idempotent(),
            )
            .method(
                MethodDescriptor::new::<Leave, ()>("leave")
                    .docs("Says that the caller goes away.")
                    .idempotent(),
            )
    })
}
