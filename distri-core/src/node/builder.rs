//! [`Node`], and how it is prepared.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{NodeHandle, driver, driver::Running, introspect};
use crate::{
    client::Client,
    cluster::JoinToken,
    config::{Config, ConfigError},
    directory::CollectionSpec,
    error::{Error, Result},
    id::PublicKey,
    identity::{Identity, IdentityError},
    registry::{self, RegistryError},
    service::{Service, ServiceDescriptor},
    storage::{Disk, StorageError},
    transport::{Address, Endpoint, Listener, Transport, TransportError},
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

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The identity file cannot be used.
    #[error("the node's identity cannot be used")]
    Identity(#[from] IdentityError),
    /// The services of the program and the configuration do not fit each other.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The configuration is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be listened on.
    #[error("the node cannot listen")]
    Listen(#[from] TransportError),
    /// A service failed to start.
    #[error("service `{name}` could not start")]
    Service {
        /// Its name.
        name: String,
        /// Why.
        source: Error,
    },
    /// The data folder cannot be used.
    #[error("the node's data cannot be used")]
    Storage(#[from] StorageError),
    /// The data folder is of no cluster. Found one in it, or join one.
    #[error("the folder `{folder}` belongs to no cluster: make one with `init`, or `join` one")]
    NoCluster {
        /// The folder.
        folder: String,
    },
    /// The data folder is of a cluster already, so nothing can be founded or joined in it.
    #[error("the folder `{folder}` belongs to cluster {cluster} already")]
    InCluster {
        /// The folder.
        folder: String,
        /// The cluster's id.
        cluster: String,
    },
    /// The data folder is of another node.
    #[error(
        "the folder `{folder}` is of the node {of}, this is {this}: use that node's key, or another folder"
    )]
    OtherNode {
        /// The folder.
        folder: String,
        /// Whose it is.
        of: PublicKey,
        /// This node's key.
        this: PublicKey,
    },
    /// The cluster does not take this node.
    #[error("the node cannot join the cluster")]
    Join(#[source] Error),
    /// A collection that the configuration or a service declares cannot be made.
    #[error("the collection `{name}` cannot be made as it is declared")]
    Collection {
        /// Its name.
        name: String,
        /// Why.
        source: Error,
    },
    /// A collection is declared, and the node keeps no directory.
    #[error(
        "the collection `{collection}` is declared, and this node keeps no directory: set `directory.path` and make a cluster with `init`"
    )]
    NoDirectory {
        /// Its name.
        collection: String,
    },
    /// A service asks for what this version does not offer.
    #[error("service `{name}` asks for {what}, which this version does not offer")]
    Unsupported {
        /// Its name.
        name: String,
        /// What it asks for.
        what: &'static str,
    },
}

/// Prepares a [`Node`]. [`Node::builder`] makes one.
pub struct NodeBuilder {
    pub(super) config: Config,
    pub(super) identity: Option<Identity>,
    pub(super) transport: Option<Arc<dyn Transport>>,
    pub(super) listener: Option<Box<dyn Listener>>,
    services: Vec<Arc<dyn Service>>,
    registry: bool,
    pub(super) disk: Option<Arc<dyn Disk>>,
    pub(super) entry: Entry,
}

/// How a node without a cluster comes to one.
#[derive(Debug)]
pub(super) enum Entry {
    /// It must have one.
    Resume,
    /// It founds one.
    Found,
    /// It joins one.
    Join(JoinToken),
}

impl Node {
    /// Starts to prepare a node.
    pub fn builder() -> NodeBuilder {
        NodeBuilder {
            config: Config::default(),
            identity: None,
            transport: None,
            listener: None,
            services: Vec::new(),
            registry: true,
            disk: None,
            entry: Entry::Resume,
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
        self.config = config;
        self
    }

    /// Proves this identity instead of the one in the file that the configuration names.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Links over this transport, whose identity holds, instead of TCP.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Accepts links from `listener`, which belongs to the node's transport, instead of listening
    /// at `node.listen`.
    ///
    /// So nodes that must know each other can be started on ports that the system picks: all
    /// listen first, and their endpoints go into the configuration of each.
    #[must_use]
    pub fn listener(mut self, listener: Box<dyn Listener>) -> Self {
        self.listener = Some(listener);
        self
    }

    /// Hosts `service` besides those that registered themselves.
    #[must_use]
    pub fn service(mut self, service: impl Service) -> Self {
        self.services.push(Arc::new(service));
        self
    }

    /// Hosts only services added by hand.
    #[must_use]
    pub fn without_registry(mut self) -> Self {
        self.registry = false;
        self
    }

    /// Founds a cluster of which this node is the first, unless its data folder is of one already.
    /// Without `directory.path` the directory is kept in memory and ends with the node.
    #[must_use]
    pub fn found(mut self) -> Self {
        self.entry = Entry::Found;
        self
    }

    /// Joins the cluster that `token` is for, unless the node's data folder is of one already.
    #[must_use]
    pub fn join(mut self, token: JoinToken) -> Self {
        self.entry = Entry::Join(token);
        self
    }

    /// Keeps log and snapshots on `disk` instead of the folder `directory.path`.
    #[must_use]
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = Some(disk);
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
        let running = driver::start(self).await?;
        Ok(Node {
            running: Arc::new(running),
        })
    }

    /// All services that the node will offer, `own` ones among them.
    pub(super) fn describe(
        &self,
        own: &[Arc<dyn Service>],
    ) -> Result<Vec<&'static ServiceDescriptor>, StartError> {
        let registrations = self.registrations()?;
        let by_hand = self.services.iter().map(|service| service.descriptor());
        let others: Vec<_> = registrations
            .iter()
            .map(registry::Registration::descriptor)
            .chain(by_hand)
            .collect();
        let mut names: Vec<&str> = others.iter().map(|service| service.name.as_str()).collect();
        names.sort_unstable();
        registry::check_configured(self.config.configured_services(), &names)?;
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(RegistryError::Duplicate {
                name: pair[0].to_owned(),
                first: "the registry or the builder".to_owned(),
                second: "the builder".to_owned(),
            }
            .into());
        }
        for service in &others {
            check(service)?;
        }
        let own = own.iter().map(|service| service.descriptor());
        Ok(own.chain(others).collect())
    }

    fn registrations(&self) -> Result<Vec<registry::Registration>, StartError> {
        Ok(if self.registry {
            registry::linked()?
        } else {
            Vec::new()
        })
    }

    /// Makes the services, sorted by name.
    pub(super) async fn make_services(
        &self,
        node: &NodeHandle,
    ) -> Result<BTreeMap<String, Arc<dyn Service>>, StartError> {
        let mut services = BTreeMap::new();
        for registration in self.registrations()? {
            let name = registration.name();
            let config = self.config.service(name);
            let service =
                registration
                    .make(node, config)
                    .await
                    .map_err(|source| StartError::Service {
                        name: name.to_owned(),
                        source,
                    })?;
            services.insert(name.to_owned(), service);
        }
        for service in &self.services {
            services.insert(service.descriptor().name.clone(), service.clone());
        }
        Ok(services)
    }

    /// The collections that the configuration declares.
    pub(super) fn collections(&self) -> Result<Vec<CollectionSpec>, StartError> {
        let declared = &self.config.directory.collections;
        let spec = |(name, collection): (&String, &crate::config::CollectionConfig)| {
            collection.spec(name).map_err(|why| StartError::Collection {
                name: name.clone(),
                source: Error::invalid_argument(why),
            })
        };
        declared.iter().map(spec).collect()
    }
}

fn check(service: &ServiceDescriptor) -> Result<(), StartError> {
    let needs_election = |method: &crate::service::MethodDescriptor| {
        method.placement == crate::service::Placement::Leader
    };
    if service.methods.iter().any(needs_election) {
        return Err(StartError::Unsupported {
            name: service.name.clone(),
            what: "`placement = leader`",
        });
    }
    Ok(())
}

impl fmt::Debug for NodeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeBuilder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
