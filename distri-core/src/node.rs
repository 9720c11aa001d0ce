//! A node: listens, admits or refuses who links to it, hosts services, keeps links to other nodes.
//!
//! [`Node`] is the owner; [`NodeHandle`] is what services get of it. `host` dispatches calls,
//! `driver` owns the tasks, [`introspect`] is the service by which every node describes itself.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::{
    client::Client,
    config::{Config, ConfigError},
    error::{Error, Result},
    id::PublicKey,
    identity::{Identity, IdentityError},
    registry::{self, RegistryError},
    service::{Service, ServiceDescriptor},
    transport::{Address, Endpoint, Listener, Transport, TransportError},
};

mod driver;
pub(crate) mod host;
pub mod introspect;

pub(crate) use host::HostsNothing;

use driver::Running;

/// A running node.
///
/// Cheap to clone. Dropping the last clone stops it abruptly: links close, calls in flight fail.
/// [`Node::shutdown`] lets them finish first.
#[derive(Clone, Debug)]
pub struct Node {
    running: Arc<Running>,
}

/// What services know of the node that hosts them: who it is, and a client for calls to others.
///
/// Cheap to clone. It does not keep the node running.
#[derive(Clone, Debug)]
pub struct NodeHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    key: PublicKey,
    name: String,
    client: Client,
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

impl From<&NodeHandle> for Client {
    fn from(node: &NodeHandle) -> Self {
        node.client().clone()
    }
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
    config: Config,
    identity: Option<Identity>,
    transport: Option<Arc<dyn Transport>>,
    listener: Option<Box<dyn Listener>>,
    services: Vec<Arc<dyn Service>>,
    registry: bool,
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

    /// Makes the services, sorted by name.
    async fn make_services(
        &self,
        node: &NodeHandle,
    ) -> Result<BTreeMap<String, Arc<dyn Service>>, StartError> {
        let registrations = if self.registry {
            registry::linked()?
        } else {
            Vec::new()
        };
        let by_hand = self
            .services
            .iter()
            .map(|service| service.descriptor().name.as_str());
        let mut names: Vec<&str> = registrations
            .iter()
            .map(registry::Registration::name)
            .chain(by_hand)
            .collect();
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
        let mut services = BTreeMap::new();
        for registration in registrations {
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
        for service in services.values() {
            check(service.descriptor())?;
        }
        Ok(services)
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
