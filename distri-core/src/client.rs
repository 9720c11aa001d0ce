//! Calling services: a [`Client`] keeps links to the nodes of a cloud and gives each call to one.
//!
//! `pool` keeps the links, `call` decides what one call does: which node, which codec; `repeat` says
//! what a failed try means for the next, `budget` how many tries there may be, and `once` numbers calls
//! whose writes are known again. Which of two nodes is better is said by `placement`.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    config::{ClientConfig, Config, Limits},
    directory::CallWrites,
    error::{Code, Error, Result},
    fence::{Fence, Fences},
    id::PublicKey,
    identity::Identity,
    node::{
        HostsNothing,
        introspect::{self, ServiceInfo},
    },
    rpc::Trace,
    service::context::Inherited,
    stats::MethodStats,
    transport::{Endpoint, Transport, TransportChoice},
    wire::{Hello, Status},
    world,
};

mod budget;
mod call;
mod guide;
mod once;
pub(crate) mod pool;
mod repeat;
mod routes;
mod whole;

pub use call::{Call, Gather, JsonCall, JsonReply};
pub use pool::{NodeState, NodeView};
pub use whole::Whole;

use pool::{Pool, PoolOptions};

/// How long [`Client::connect`] waits for a first node.
const CONNECT: Duration = Duration::from_secs(10);

/// Calls the services of a cloud. Cheap to clone; the links close when the last clone is dropped.
///
/// ```no_run
/// # extern crate distri_core as distri;
/// # async fn example() -> distri::Result<()> {
/// let config = distri::Config::loader().file("client.toml").load().expect("a configuration");
/// let client = distri::Client::connect(&config).await?;
/// let reply = client.call_json("word-count", "count", serde_json::json!({"text": "a b"})).await?;
/// assert_eq!(reply.value, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    pool: Arc<Pool>,
    scope: Scope,
}

/// What calls inherit.
#[derive(Clone, Default)]
struct Scope {
    deadline: Option<Instant>,
    trace: Option<Trace>,
    fences: Fences,
    /// Numbers the writes to the directory, where a call makes them that may be served again.
    writes: Option<Arc<CallWrites>>,
}

/// Prepares a [`Client`]. [`Client::builder`] makes one.
#[derive(Debug)]
pub struct ClientBuilder {
    transport: TransportChoice,
    ways: Vec<Arc<dyn Transport>>,
    nodes: Vec<Endpoint>,
    links: usize,
    limits: Limits,
    #[cfg(feature = "lan")]
    lan: Option<Vec<std::net::Ipv4Addr>>,
}

impl Client {
    /// Starts to prepare a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder {
            transport: TransportChoice::default(),
            ways: Vec::new(),
            nodes: Vec::new(),
            links: ClientConfig::default().links,
            limits: Limits::default(),
            #[cfg(feature = "lan")]
            lan: None,
        }
    }

    /// Connects to the cloud that `config` names in `cloud.nodes`, over TCP.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if no node can be reached, with the reason for each;
    /// [`Code::FailedPrecondition`] if the identity file cannot be used.
    pub async fn connect(config: &Config) -> Result<Self> {
        let mut builder = Self::builder()
            .nodes(config.cloud.nodes.iter().cloned())
            .links(config.client.links)
            .limits(config.limits.clone());
        if let Some(path) = &config.client.identity {
            let identity = Identity::load_or_create(path).map_err(|error| {
                Error::new(
                    Code::FailedPrecondition,
                    "the client's identity cannot be used",
                )
                .with_source(error)
            })?;
            builder = builder.identity(identity);
        }
        builder.connect().await
    }

    pub(crate) fn from_pool(pool: Arc<Pool>) -> Self {
        Self {
            pool,
            scope: Scope::default(),
        }
    }

    /// The key that the client proves.
    pub fn key(&self) -> PublicKey {
        self.pool.key()
    }

    /// The nodes that the client knows, sorted by key.
    pub fn nodes(&self) -> Vec<NodeView> {
        self.pool.view()
    }

    /// Waits until at least `count` nodes are linked and take calls. Links to as many are kept from now
    /// on, if that is more than [`ClientBuilder::links`].
    ///
    /// # Errors
    /// [`Code::DeadlineExceeded`] if they do not within `wait`.
    pub async fn wait_for_nodes(&self, count: usize, wait: Duration) -> Result<()> {
        self.pool.keep_at_least(count);
        let ready = |pool: &Pool| {
            pool.view()
                .iter()
                .filter(|node| node.state == NodeState::Ready)
                .count()
        };
        let enough = |pool: &Pool| (ready(pool) >= count).then_some(());
        self.pool
            .wait_for(world::now() + wait, enough)
            .await
            .ok_or_else(|| {
                let message = format!(
                    "{} of {count} nodes take calls after {wait:?}",
                    ready(&self.pool)
                );
                Error::new(Code::DeadlineExceeded, message)
            })
    }

    /// What this program has met with its calls since it started, by service and method: it counts
    /// those of every clone of this client.
    pub fn stats(&self) -> Vec<MethodStats> {
        self.pool.counted().picture()
    }

    /// The services of the cloud with their methods, as one node describes them.
    ///
    /// # Errors
    /// As any call.
    pub async fn describe(&self) -> Result<Vec<ServiceInfo>> {
        introspect::describe(self).await
    }

    /// A client whose calls, and whose writes to the directory, are made under a leadership, besides
    /// what this one's are made under: they are refused once somebody else may hold the election.
    ///
    /// `fence` is a [`Fence`] or a reference to a `Leadership`. At most eight are carried; calls
    /// under more fail with [`Code::FailedPrecondition`].
    #[must_use]
    pub fn under(&self, fence: impl Into<Fence>) -> Self {
        Self {
            pool: self.pool.clone(),
            scope: Scope {
                fences: self.scope.fences.with(fence.into()),
                ..self.scope.clone()
            },
        }
    }

    /// A client whose calls have this from the call that is being served.
    pub(crate) fn within(&self, inherited: Inherited) -> Self {
        let Inherited {
            deadline,
            trace,
            fences,
            writes,
        } = inherited;
        Self {
            pool: self.pool.clone(),
            scope: Scope {
                deadline,
                trace: Some(trace),
                fences,
                writes,
            },
        }
    }

    /// True if it calls for a call that is being served.
    fn is_of_a_call(&self) -> bool {
        self.scope.trace.is_some()
    }

    /// The same scope over another pool.
    pub(crate) fn over(&self, pool: Arc<Pool>) -> Self {
        Self {
            pool,
            scope: self.scope.clone(),
        }
    }

    /// The same client without what its calls inherit.
    pub(crate) fn unscoped(&self) -> Self {
        Self::from_pool(self.pool.clone())
    }

    /// Numbers the writes to the directory, where a call makes them that may be served again.
    pub(crate) fn writes(&self) -> Option<&CallWrites> {
        self.scope.writes.as_deref()
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }
}

impl ClientBuilder {
    /// Proves this identity. Without it a new one is made.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.transport.identity = Some(identity);
        self
    }

    /// Links over this transport, whose identity holds. Without it, over TCP.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport.transport = Some(transport);
        self
    }

    /// Dials peers over this transport as well, where they have an address for it. It proves the same
    /// identity as the client.
    #[must_use]
    pub fn peers_over(mut self, transport: Arc<dyn Transport>) -> Self {
        self.ways.push(transport);
        self
    }

    /// Knows these nodes. It learns of others from them.
    #[must_use]
    pub fn nodes(mut self, nodes: impl IntoIterator<Item = Endpoint>) -> Self {
        self.nodes.extend(nodes);
        self
    }

    /// Keeps links to so many nodes, at least one, while no call needs others: `client.links` of a
    /// configuration, 3 without this, and at most 1024 nodes are known.
    #[must_use]
    pub fn links(mut self, links: usize) -> Self {
        self.links = links.max(1);
        self
    }

    /// Keeps these bounds on its links.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Listens for peers on the local network as well: [`Client::peer`] finds them there, and
    /// [`Client::peers_nearby`] lists them. `at`: this machine's addresses on the networks that are meant;
    /// none means all. The client itself says nothing there but that it asks. With this no node is needed.
    #[cfg(feature = "lan")]
    #[must_use]
    pub fn on_lan(mut self, at: impl IntoIterator<Item = std::net::Ipv4Addr>) -> Self {
        self.lan = Some(at.into_iter().collect());
        self
    }

    /// Connects; ready as soon as one node is, or at once if none is named and the local network is
    /// listened to.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if no node can be reached, with the reason for each, or the local network
    /// cannot be listened to.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened.
    pub async fn connect(self) -> Result<Client> {
        let generate = || Ok::<_, Error>(Identity::generate());
        let transport = self.transport.settle(&self.limits, generate)?;
        let limits = self.limits.clone();
        #[cfg(feature = "lan")]
        let lan = self.lan.map(|at| {
            let key = transport.key();
            (crate::peer::Near::new(key, world::now()), key, at)
        });
        #[cfg(feature = "lan")]
        let near = lan.as_ref().map(|(near, ..)| near.clone());
        #[cfg(not(feature = "lan"))]
        let near = None;
        let pool = Pool::new(PoolOptions {
            transport,
            ways: self.ways,
            near,
            limits: self.limits,
            hello: Box::new(move || client_hello(&limits)),
            serve: Box::new(|_| Arc::new(HostsNothing)),
            few: Some(self.links),
            traffic: Arc::default(),
        });
        #[cfg(feature = "lan")]
        if let Some((near, key, at)) = lan {
            // It says nothing, ever.
            let (_, said) = crate::watch::channel(None);
            let task = crate::peer::lan::start(near, key, at, said)
                .map_err(|error| Error::new(Code::Unavailable, crate::error::chain(&error)))?;
            pool.own(task);
            if self.nodes.is_empty() {
                return Ok(Client::from_pool(pool));
            }
        }
        self.nodes.into_iter().for_each(|node| pool.add(node));
        let connected = pool
            .wait_for(world::now() + CONNECT, |pool| {
                let (routes, heard) = pool.routes_so_far();
                let ready = routes.any_ready();
                (ready || heard).then_some(ready)
            })
            .await;
        if connected == Some(true) {
            return Ok(Client::from_pool(pool));
        }
        Err(pool.unreachable())
    }
}

pub(crate) fn client_hello(limits: &Limits) -> Hello {
    Hello {
        is_node: false,
        // It serves no calls, so none is ever repeated to it.
        life: 0,
        link: 0,
        name: String::new(),
        program: program(),
        address: None,
        calls_max: limits.calls,
        message_max: limits.message_max,
        channel_window: limits.channel_window,
        link_window: limits.link_window,
        services: Vec::new(),
        status: Status::default(),
    }
}

/// What programs call themselves to each other.
pub(crate) fn program() -> String {
    format!("distri {}", env!("CARGO_PKG_VERSION"))
}

impl From<&Self> for Client {
    fn from(client: &Self) -> Self {
        client.clone()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("key", &self.key())
            .finish_non_exhaustive()
    }
}
