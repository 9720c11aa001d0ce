//! The service `distri-membership`: gossip between nodes, and the members for whoever asks.

use std::sync::OnceLock;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Member;
use crate::{
    client::{Call, Client},
    id::PublicKey,
    service::{Access, MethodDescriptor, ServiceDescriptor},
};

pub(super) const GOSSIP: usize = 0;
pub(super) const COMPARE: usize = 1;
pub(super) const MEMBERS: usize = 2;

/// A packet of gossip.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Packet {
    #[schemars(with = "Vec<u8>")]
    pub(super) packet: Bytes,
}

/// What the asking node knows, in one number.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Compare {
    pub(super) digest: u64,
}

/// All entries, if the digests differ.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Compared {
    #[schemars(with = "Vec<u8>")]
    pub(super) entries: Bytes,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Nothing {}

pub(super) fn descriptor() -> &'static ServiceDescriptor {
    static DESCRIPTOR: OnceLock<ServiceDescriptor> = OnceLock::new();
    DESCRIPTOR.get_or_init(|| {
        ServiceDescriptor::new("distri-membership")
            .docs("Who is there.")
            .method(
                MethodDescriptor::new::<Packet, Nothing>("gossip")
                    .docs("A packet of gossip.")
                    .access(Access::Node),
            )
            .method(
                MethodDescriptor::new::<Compare, Compared>("compare")
                    .docs("What the asking node has not heard.")
                    .access(Access::Node)
                    .idempotent(),
            )
            .method(
                MethodDescriptor::new::<Nothing, Vec<Member>>("members")
                    .docs("The members of the cloud, as the node sees them.")
                    .idempotent(),
            )
    })
}

impl Client {
    /// The members of the cloud, as the node `node` sees them; without `node`, one of those that
    /// take calls. Sorted by key.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::Code::Unavailable) if no node can be reached.
    pub fn members(&self, node: Option<PublicKey>) -> Call<Vec<Member>> {
        let call = self.call(descriptor(), MEMBERS, Nothing {});
        match node {
            Some(node) => call.to(node),
            None => call,
        }
    }
}
