//! The cluster as operators see it.

use std::{fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::token::JoinToken;
use crate::{
    client::Client,
    error::{Code, Error, Result},
    id::PublicKey,
    transport::Address,
};

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

impl Client {
    /// The nodes of the cluster, as its leader sees them.
    ///
    /// # Errors
    /// [`Code::UnknownService`] if the nodes keep no directory.
    pub async fn cluster(&self) -> Result<ClusterInfo> {
        let call = self.call(super::protocol::descriptor(), super::protocol::NODES, ());
        call.await
    }

    /// A token with which one node may join the cluster, for as long as `valid`.
    ///
    /// # Errors
    /// [`Code::Denied`] to keys without the role `admin`.
    pub async fn join_token(&self, valid: Duration) -> Result<JoinToken> {
        let arguments = super::protocol::TokenArguments {
            valid_ms: u64::try_from(valid.as_millis()).unwrap_or(u64::MAX),
        };
        let text: String = self
            .call(
                super::protocol::descriptor(),
                super::protocol::TOKEN,
                arguments,
            )
            .await?;
        text.parse().map_err(|error| {
            Error::new(Code::Incompatible, "the node's token does not parse").with_source(error)
        })
    }

    /// Takes a node out of the cluster, for good: its key may join again, as a new node. The
    /// node's part ends, whether it runs or not.
    ///
    /// # Errors
    /// [`Code::NotFound`], [`Code::Denied`]; [`Code::FailedPrecondition`] for the last node.
    pub async fn remove_node(&self, number: u64) -> Result<()> {
        let arguments = super::protocol::RemoveArguments { number };
        self.call(
            super::protocol::descriptor(),
            super::protocol::REMOVE,
            arguments,
        )
        .await
    }
}
