//! The cluster as operators see it.

use std::time::Duration;

use super::{protocol::ClusterInfo, token::JoinToken};
use crate::{
    client::Client,
    error::{Code, Error, Result},
};

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

    /// Has a new epoch of the cluster's secret made: what services seal to the cloud from then on does
    /// not open with a secret that was known before. It is there when the leader and a majority of the
    /// members have it, mostly within a second.
    ///
    /// # Errors
    /// [`Code::Denied`] to keys without the role `admin`.
    pub async fn renew_secret(&self) -> Result<()> {
        let method = super::protocol::RENEW_SECRET;
        self.call(super::protocol::descriptor(), method, ()).await
    }
}
