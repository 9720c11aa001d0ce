//! [`NodeHandle`]: what services know of the node that hosts them.

use std::sync::Arc;
#[cfg(feature = "node")]
use std::sync::OnceLock;

#[cfg(feature = "node")]
use super::vitals::Vitals;
use crate::{client::Client, id::PublicKey};
#[cfg(feature = "node")]
use crate::{
    consensus::Group,
    membership::{Member, Membership},
};

/// What services know of the node that hosts them: who it is, and a client for calls to others.
///
/// Cheap to clone. It does not keep the node running.
#[derive(Clone, Debug)]
pub struct NodeHandle {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) key: PublicKey,
    pub(super) name: String,
    pub(super) client: Client,
    /// What it counts of itself.
    #[cfg(feature = "node")]
    pub(super) vitals: Arc<Vitals>,
    /// The node's part in the cluster, once it has one.
    #[cfg(feature = "node")]
    pub(super) group: OnceLock<Group>,
    /// What it knows of the members of its cloud, once it takes part.
    #[cfg(feature = "node")]
    pub(super) membership: OnceLock<Membership>,
}

impl NodeHandle {
    /// The node's key.
    pub fn key(&self) -> PublicKey {
        self.shared.key
    }

    /// The node's name, for people.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// A client for calls to services of the cloud, this node's own among them.
    pub fn client(&self) -> &Client {
        &self.shared.client
    }

    /// The directory of the cloud.
    pub fn directory(&self) -> crate::directory::Directory {
        self.client().directory()
    }
}

#[cfg(feature = "node")]
impl NodeHandle {
    /// The node that leads the cluster, as far as this one knows; `None` while there is none, and
    /// where no directory is kept.
    pub fn leader(&self) -> Option<PublicKey> {
        let group = self.shared.group.get()?;
        Some(group.member(group.leader()?)?.key)
    }

    /// Waits until the node that leads is another than `known`, and tells which.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn leader_changed(&self, known: Option<PublicKey>) -> Option<PublicKey> {
        let Some(group) = self.shared.group.get() else {
            return std::future::pending().await;
        };
        let changed = group.wait_for(|_| {
            let leader = self.leader();
            (leader != known).then_some(leader)
        });
        match changed.await {
            Some(leader) => leader,
            None => std::future::pending().await,
        }
    }
}

#[cfg(feature = "node")]
impl NodeHandle {
    /// The members of the cloud as this node sees them, sorted by key; itself among them.
    pub fn members(&self) -> Vec<Member> {
        let membership = self.shared.membership.get();
        membership.map_or_else(Vec::new, Membership::members)
    }

    /// Waits until `done` gives something of the members, asked at once and then whenever one
    /// comes, goes, or is another than it was.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn wait_for_members<R>(&self, mut done: impl FnMut(&[Member]) -> Option<R>) -> R {
        let Some(membership) = self.shared.membership.get() else {
            return std::future::pending().await;
        };
        let mut states = membership.states();
        loop {
            states.borrow_and_update();
            if let Some(result) = done(&membership.members()) {
                return result;
            }
            if states.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

impl From<&NodeHandle> for Client {
    fn from(node: &NodeHandle) -> Self {
        node.client().clone()
    }
}
