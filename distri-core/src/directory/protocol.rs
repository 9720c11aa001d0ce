//! The service `distri-directory`: what clients and nodes say to each other about the directory.

use std::sync::OnceLock;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    CollectionSpec, Document, Events, Filter, Page, Query,
    command::{Command, Outcome, RequestId},
};
use crate::{
    id::PublicKey,
    message::Stream,
    service::{Access, MethodDescriptor, ServiceDescriptor},
};

pub(crate) const WRITE: usize = 0;
pub(crate) const GET: usize = 1;
pub(crate) const FIND: usize = 2;
pub(crate) const COUNT: usize = 3;
pub(crate) const COLLECTIONS: usize = 4;
pub(crate) const WATCH: usize = 5;
pub(crate) const PROPOSE: usize = 6;
pub(crate) const READ_INDEX: usize = 7;

/// A command that may be repeated: it takes effect once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Write {
    pub(crate) request: Option<RequestId>,
    pub(crate) command: Command,
}

/// What came of it, and who leads, so that the next write can go there.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Written {
    pub(crate) outcome: Outcome,
    pub(crate) leader: Option<PublicKey>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Get {
    pub(crate) collection: String,
    pub(crate) id: String,
    /// As this node has it, which may be a little old, instead of as it is.
    #[serde(default)]
    pub(crate) local: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Find {
    pub(crate) query: Query,
    #[serde(default)]
    pub(crate) local: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Count {
    pub(crate) collection: String,
    pub(crate) filter: Filter,
    #[serde(default)]
    pub(crate) local: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Collections {
    #[serde(default)]
    pub(crate) local: bool,
}

/// A collection, and how much is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct CollectionInfo {
    /// As it was declared.
    pub spec: CollectionSpec,
    /// How many documents it has.
    pub documents: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Watch {
    pub(crate) collection: String,
    #[serde(default)]
    pub(crate) filter: Option<Filter>,
    /// Tells what was changed after this revision; without it, from now on.
    #[serde(default)]
    pub(crate) after: Option<u64>,
}

/// Proposals that came to a node that does not lead, each encoded.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Proposals {
    #[schemars(with = "Vec<Vec<u8>>")]
    pub(crate) proposals: Vec<Bytes>,
}

/// What came of each of them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Answers {
    #[schemars(with = "Vec<Vec<u8>>")]
    pub(crate) answers: Vec<Bytes>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Nothing {}

pub(crate) fn descriptor() -> &'static ServiceDescriptor {
    static DESCRIPTOR: OnceLock<ServiceDescriptor> = OnceLock::new();
    DESCRIPTOR.get_or_init(|| {
        ServiceDescriptor::new("distri-directory")
            .docs("The directory: documents that all nodes keep alike.")
            .method(
                MethodDescriptor::new::<Write, Written>("write")
                    .docs("Changes documents, collections or leases.")
                    // Requests are numbered: a repeated one has the effect once.
                    .idempotent(),
            )
            .method(
                MethodDescriptor::new::<Get, Option<Document>>("get")
                    .docs("One document.")
                    .idempotent(),
            )
            .method(
                MethodDescriptor::new::<Find, Page>("find")
                    .docs("Documents that match, in order, a page at a time.")
                    .idempotent(),
            )
            .method(
                MethodDescriptor::new::<Count, u64>("count")
                    .docs("How many documents match.")
                    .idempotent(),
            )
            .method(
                MethodDescriptor::new::<Collections, Vec<CollectionInfo>>("collections")
                    .docs("The collections.")
                    .idempotent(),
            )
            .method(
                MethodDescriptor::new::<Watch, Stream<Events>>("watch")
                    .docs("Changes of documents that match, as they are made.")
                    .server_streams()
                    .idempotent(),
            )
            .method(
                MethodDescriptor::new::<Proposals, Answers>("propose")
                    .docs("Commands that another node took, for the leader.")
                    .access(Access::Node)
                    .idempotent(),
            )
            .method(
                MethodDescriptor::new::<Nothing, u64>("read_index")
                    .docs("How far a node must be to read what is true now.")
                    .access(Access::Node)
                    .idempotent(),
            )
    })
}
