//! [`Node`], and how it is prepared.

use std::{fmt, net::SocketAddr, sync::Arc};

use super::{
    NodeHandle, StartError,
    driver::{self, Running},
    introspect,
    preparation::{Entry, Preparation},
};
use crate::{
    client::Client,
    cluster::{JoinToken, Vault},
    config::Config,
    error::Result,
    id::PublicKey,
    identity::Identity,
    service::{Service, ServiceDescriptor},
    storage::Disk,
    transport::{Address, Endpoint, Listener, Transport},
};

/// A running node.
///
/// Cheap to clone. Dropping the last clone stops it abruptly: links close, calls in flight fail.
/// [`Node::shutdown`] lets them finish first.
#[derive(Clone, Debug)]
pub struct Node {
    running: Arc<Running>,
}

impl From<&Node> for Client {
    fn from(node: &Node) -> Self {
        node.client()
    }
}

/// Prepares a [`Node`]. [`Node::builder`] makes one.
pub struct NodeBuilder {
    prepared: Preparation,
}

impl Node {
    /// Starts to prepare a node.
    pub fn builder() -> NodeBuilder {
        NodeBuilder {
            prepared: Preparation::default(),
        }
    }

    /// Starts a node with the services that are linked into the program.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::builder().config(config).start().await
    }

    /// The node's key.
    pub fn key(&self) -> PublicKey {
        self.handle().key()
    }

    /// The node's name, for people.
    pub fn name(&self) -> &str {
        self.running.handle.name()
    }

    /// Where the node accepts links.
    pub fn address(&self) -> &Address {
        &self.running.address
    }

    /// Where the node tells monitoring how it is, with the port that was picked; `None` without
    /// `admin.listen`.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        Some(self.running.admin.as_ref()?.address())
    }

    /// How others reach the node: its key at its address.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            key: self.key(),
            address: self.running.address.clone(),
        }
    }

    /// What services know of the node.
    pub fn handle(&self) -> &NodeHandle {
        &self.running.handle
    }

    /// A client for calls to services of the cloud, this node's own among them.
    pub fn client(&self) -> Client {
        self.handle().client().clone()
    }

    /// The services that the node hosts, sorted by name.
    pub fn services(&self) -> Vec<&'static ServiceDescriptor> {
        self.running.host.descriptors().collect()
    }

    /// How many links stand, to other nodes and from clients.
    pub fn links(&self) -> usize {
        self.running.links()
    }

    /// Waits until the node has been removed from its cluster, after which it serves no purpose
    /// there: shut it down.
    pub async fn removed(&self) {
        match &self.running.keeper {
            Some(keeper) => keeper.removed().await,
            None => std::future::pending().await,
        }
    }

    /// True if both are the same running node.
    #[cfg(feature = "testing")]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.running, &other.running)
    }

    /// Ends everything of the node that still goes on, without a word to others.
    #[cfg(feature = "testing")]
    pub(crate) fn halt(&self) {
        self.running.halt();
    }

    /// The node's part in the cluster.
    #[cfg(feature = "testing")]
    pub(crate) fn group(&self) -> Option<crate::consensus::Group> {
        self.running
            .keeper
            .as_ref()
            .map(|keeper| keeper.group().clone())
    }

    /// The node's copy of the directory.
    #[cfg(feature = "testing")]
    pub(crate) fn replica(&self) -> Option<Arc<crate::directory::Replica>> {
        self.running
            .keeper
            .as_ref()
            .map(|keeper| keeper.replica().clone())
    }

    /// How the node stands.
    pub fn status(&self) -> introspect::NodeStatus {
        introspect::status_of(&self.running.handle, &self.running.host)
    }

    /// Stops in an orderly way: takes no new calls, finishes those begun, at most for
    /// `limits.drain`, then closes links and stops services.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the node draining.
    pub async fn shutdown(&self) {
        self.running.shutdown().await;
    }
}

impl NodeBuilder {
    /// Sets the configuration.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.prepared.config = config;
        self
    }

    /// Proves this identity instead of the one in the file that the configuration names.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.prepared.transport.identity = Some(identity);
        self
    }

    /// Links over this transport, whose identity holds, instead of TCP.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.prepared.transport.transport = Some(transport);
        self
    }

    /// Accepts links from `listener`, which belongs to the node's transport, instead of listening
    /// at `node.listen`.
    ///
    /// So nodes that must know each other can be started on ports that the system picks: all
    /// listen first, and their endpoints go into the configuration of each.
    #[must_use]
    pub fn listener(mut self, listener: Box<dyn Listener>) -> Self {
        self.prepared.listener = Some(listener);
        self
    }

    /// Hosts `service` besides those that registered themselves.
    #[must_use]
    pub fn service(mut self, service: impl Service) -> Self {
        self.prepared.roll.add(Arc::new(service));
        self
    }

    /// Hosts only services added by hand.
    #[must_use]
    pub fn without_registry(mut self) -> Self {
        self.prepared.roll.leave_out_registered();
        self
    }

    /// Founds a cluster of which this node is the first, unless its data folder is of one already.
    /// Without `directory.path` the directory is kept in memory and ends with the node.
    #[must_use]
    pub fn found(mut self) -> Self {
        self.prepared.entry = Entry::Found;
        self
    }

    /// Joins the cluster that `token` is for, unless the node's data folder is of one already.
    #[must_use]
    pub fn join(mut self, token: JoinToken) -> Self {
        self.prepared.entry = Entry::Join(token);
        self
    }

    /// Keeps log and snapshots on `disk` instead of the folder `directory.path`.
    #[must_use]
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.prepared.disk = Some(disk);
        self
    }

    /// Keeps the cluster's secret in this file, instead of beside the identity's. A node whose
    /// identity or transport is given otherwise keeps it in memory, and asks the others for it when it
    /// starts again.
    #[must_use]
    pub fn secret_file(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.prepared.vault = Some(Vault::File(path.into()));
        self
    }

    /// Keeps the cluster's secret in `vault`.
    #[cfg(feature = "testing")]
    pub(crate) fn vault(mut self, vault: Vault) -> Self {
        self.prepared.vault = Some(vault);
        self
    }

    /// Starts the node.
    ///
    /// # Errors
    /// [`StartError`].
    ///
    /// # Cancel safety
    /// Dropping the future stops what was started.
    pub async fn start(self) -> Result<Node, StartError> {
        let running = driver::start(self.prepared).await?;
        Ok(Node {
            running: Arc::new(running),
        })
    }
}

impl fmt::Debug for NodeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeBuilder")
            .field("config", &self.prepared.config)
            .finish_non_exhaustive()
    }
}
