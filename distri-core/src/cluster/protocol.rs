//! The service `distri-cluster`: what is said about members.

use std::{fmt, sync::OnceLock};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::{
    id::PublicKey,
    service::{Access, MethodDescriptor, ServiceDescriptor},
    transport::{Address, Endpoint},
};

pub(crate) const JOIN: usize = 0;
pub(crate) const TOKEN: usize = 1;
pub(crate) const NODES: usize = 2;
pub(crate) const REMOVE: usize = 3;
pub(crate) const MEMBERS: usize = 4;
pub(crate) const SECRET: usize = 5;
pub(crate) const HOLD: usize = 6;
pub(crate) const RENEW_SECRET: usize = 7;

/// The role of whoever proves a join token.
pub(crate) const GUEST: &str = "distri-guest";

/// The role of operators.
pub(crate) const ADMIN: &str = "admin";

/// Who wants to be a member.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct JoinArguments {
    pub(crate) key: PublicKey,
    pub(crate) name: String,
    #[schemars(with = "String")]
    pub(crate) address: Address,
    /// A key of the new node's operator, which gets the role `admin`.
    pub(crate) admin: Option<PublicKey>,
}

/// What a new member must know.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Ticket {
    pub(crate) cluster: String,
    pub(crate) number: u64,
    #[schemars(with = "Vec<String>")]
    pub(crate) nodes: Vec<Endpoint>,
    /// The cluster's secret, in all its epochs. None from a node of an older version.
    #[serde(default)]
    pub(crate) secrets: Vec<Handed>,
}

/// The secret of one epoch, on its way to another member or to disk. Wiped when dropped, never
/// printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Handed {
    pub(crate) epoch: u32,
    pub(super) secret: [u8; 32],
}

impl Drop for Handed {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handed")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// Which secret another member lacks.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SecretArguments {
    pub(crate) epoch: u32,
    /// The hash by which the directory knows it.
    pub(crate) mark: String,
}

/// A secret that is to be kept.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct HoldArguments {
    pub(crate) handed: Handed,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TokenArguments {
    pub(crate) valid_ms: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RemoveArguments {
    pub(crate) number: u64,
}

/// Whose members are compared with those of the one asked.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MembersArguments {
    /// How far the asking node's directory has come.
    pub(crate) revision: u64,
    /// Of those whom it takes for members.
    pub(crate) digest: u64,
}

/// Who belongs to the cluster as of a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Told {
    pub(crate) revision: u64,
    #[schemars(with = "Vec<String>")]
    pub(crate) nodes: Vec<Endpoint>,
}

/// The nodes of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct ClusterInfo {
    /// The cluster's id.
    pub cluster: String,
    /// The term: how often a leader has been elected.
    pub term: u64,
    /// The nodes, by number.
    pub nodes: Vec<NodeInfo>,
    /// The newest epoch of the cluster's secret. 0 before the first, and from nodes of an older version.
    #[serde(default)]
    pub secret_epoch: u32,
}

/// A node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct NodeInfo {
    /// Its number in the cluster, never given twice.
    pub number: u64,
    /// Its key.
    pub key: PublicKey,
    /// Its name, for people.
    pub name: String,
    /// Where it is.
    #[schemars(with = "String")]
    pub address: Address,
    /// What it does for the directory.
    pub role: NodeRole,
    /// How many entries of the log it has yet to get, as the leader sees it; `None` if the leader
    /// has not heard of it.
    pub lag: Option<u64>,
    /// A link to it stands at the node that answers.
    pub linked: bool,
}

/// What a node does for the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NodeRole {
    /// It orders the writes.
    Leader,
    /// It keeps the log and votes.
    Voter,
    /// It follows the log without voting.
    Learner,
    /// It is a member that does not follow the log yet.
    Joining,
}

impl fmt::Display for NodeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leader => "leader",
            Self::Voter => "voter",
            Self::Learner => "learner",
            Self::Joining => "joining",
        })
    }
}

pub(crate) fn descriptor() -> &'static ServiceDescriptor {
    static DESCRIPTOR: OnceLock<ServiceDescriptor> = OnceLock::new();
    DESCRIPTOR.get_or_init(|| {
        ServiceDescriptor::new("distri-cluster")
            .docs("Which nodes belong to the cluster.")
            .method(
                MethodDescriptor::new::<JoinArguments, Ticket>("join")
                    .docs("Makes the holder of a join token a member.")
                    .access(Access::Role(GUEST.to_owned()))
                    .idempotent(),
            )
            .method(
                MethodDescriptor::new::<TokenArguments, String>("token")
                    .docs("A token with which one node may join.")
                    .access(Access::Role(ADMIN.to_owned()))
                    .idempotent(),
            )
            .method(
                MethodDescriptor::new::<(), ClusterInfo>("nodes")
                    .docs("The nodes, as the leader sees them.")
                    .access(Access::Authenticated)
                    .idempotent(),
            )
            .method(
                MethodDescriptor::new::<RemoveArguments, ()>("remove")
                    .docs("Takes a node out, for good.")
                    .access(Access::Role(ADMIN.to_owned()))
                    .idempotent(),
            )
            .method(
                MethodDescriptor::new::<MembersArguments, Option<Told>>("members")
                    .docs("Who belongs, as this node has it, if it knows more than who asks.")
                    .access(Access::Node)
                    .idempotent(),
            )
            .method(
                MethodDescriptor::new::<SecretArguments, Option<Handed>>("secret")
                    .docs("The cluster's secret of one epoch, for a member that lacks it.")
                    .access(Access::Node)
                    .idempotent(),
            )
            .method(
                MethodDescriptor::new::<HoldArguments, ()>("hold")
                    .docs("Keeps a secret that is about to be the cluster's.")
                    .access(Access::Node)
                    .idempotent(),
            )
            .method(
                MethodDescriptor::new::<(), ()>("renew-secret")
                    .docs("Has a new epoch of the cluster's secret made.")
                    .access(Access::Role(ADMIN.to_owned()))
                    .idempotent(),
            )
    })
}
