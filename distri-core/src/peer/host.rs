//! [`Peer`], and how it is prepared.

use std::{fmt, sync::Arc};

use super::{
    PeerAddress, Presence,
    driver::{self, Running},
};
use crate::{
    client::Client,
    config::{Config, ConfigError},
    error::Error,
    id::PublicKey,
    identity::{Identity, IdentityError},
    node::{CannotMake, NodeHandle, Roll},
    registry::RegistryError,
    service::{Service, ServiceDescriptor},
    signed::Signed,
    transport::{Address, Transport, TransportError},
};

/// A running peer: it hosts services, is a client of the cloud, and tells the cloud where it is.
///
/// It starts and serves also while no node of the cloud can be reached; it says where it is as soon as
/// one can, and on the local network if asked to ([`PeerBuilder::on_lan`]). Cheap to clone. Dropping the last clone stops it abruptly: links close, calls in flight
/// fail, and others hold it for present until its lease ends. [`Peer::shutdown`] lets calls finish and
/// says goodbye.
///
/// ```no_run
/// # extern crate distri_core as distri;
/// # #[derive(Default)]
/// # pub struct Greeter;
/// # #[distri::service]
/// # impl Greeter {
/// #     async fn greet(&self, name: String) -> distri::Result<String> { Ok(name) }
/// # }
/// # async fn example(config: distri::Config, key_of_bob: distri::id::PublicKey) -> Result<(), Box<dyn std::error::Error>> {
/// // With the services that are linked into the program; `Greeter` is one.
/// let alice = distri::peer::Peer::builder().config(config).start().await?;
/// let bob = alice.client().peer(key_of_bob);
/// println!("{}", GreeterClient::new(&bob).greet("Alice".into()).await?);
/// alice.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Peer {
    running: Arc<Running>,
}

/// Prepares a [`Peer`]. [`Peer::builder`] makes one.
pub struct PeerBuilder {
    pub(super) config: Config,
    pub(super) identity: Option<Identity>,
    pub(super) transport: Option<Arc<dyn Transport>>,
    pub(super) ways: Vec<(Arc<dyn Transport>, Address)>,
    pub(super) lan: bool,
    pub(super) roll: Roll,
}

/// Why a peer cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The identity file cannot be used.
    #[error("the peer's identity cannot be used")]
    Identity(#[from] IdentityError),
    /// A transport that was given proves another key than the peer's.
    #[error("the transport `{transport}` proves the key {found}, the peer's is {expected}")]
    OtherKey {
        /// Which transport.
        transport: &'static str,
        /// The peer's key.
        expected: PublicKey,
        /// The key that the transport proves.
        found: PublicKey,
    },
    /// The configuration asks for the transport `iroh`, and this program was built without it.
    #[error("`peer.iroh` is set, and this program was built without the feature `iroh`")]
    NoIroh,
    /// The peer is to be on the local network, and this program was built without the feature `lan`.
    #[error("`peer.lan` is set, and this program was built without the feature `lan`")]
    NoLan,
    /// The local network cannot be listened to.
    #[cfg(feature = "lan")]
    #[error("the peer cannot go on the local network")]
    Lan(#[from] super::LanError),
    /// The services of the program and the configuration do not fit each other.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The configuration is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be listened on.
    #[error("the peer cannot listen")]
    Listen(#[from] TransportError),
    /// A service failed to start.
    #[error("service `{name}` could not start")]
    Service {
        /// Its name.
        name: String,
        /// Why.
        source: Error,
    },
    /// What the peer would say of itself exceeds a bound of [`super::limits`].
    #[error("the peer cannot say where it is")]
    Presence(#[source] Error),
}

impl From<CannotMake> for StartError {
    fn from(cannot: CannotMake) -> Self {
        match cannot {
            CannotMake::Registry(error) => error.into(),
            CannotMake::Service { name, source } => Self::Service { name, source },
        }
    }
}

impl Peer {
    /// Starts to prepare a peer.
    pub fn builder() -> PeerBuilder {
        PeerBuilder {
            config: Config::default(),
            identity: None,
            transport: None,
            ways: Vec::new(),
            lan: false,
            roll: Roll::default(),
        }
    }

    /// Starts a peer with the services that are linked into the program.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::builder().config(config).start().await
    }

    /// The peer's key.
    pub fn key(&self) -> PublicKey {
        self.handle().key()
    }

    /// The peer's name, for people.
    pub fn name(&self) -> &str {
        self.handle().name()
    }

    /// Where the peer can be dialled, as it tells others.
    pub fn addresses(&self) -> Vec<PeerAddress> {
        self.running.addresses()
    }

    /// What services know of the peer that hosts them.
    pub fn handle(&self) -> &NodeHandle {
        self.running.handle()
    }

    /// A client of the cloud, which also finds other peers. Services that the peer itself hosts are not
    /// among those that it calls.
    pub fn client(&self) -> &Client {
        self.handle().client()
    }

    /// The services that the peer hosts, sorted by name.
    pub fn services(&self) -> Vec<&'static ServiceDescriptor> {
        self.running.services()
    }

    /// The record that the cloud has taken, if it has taken one.
    pub fn announced(&self) -> Option<Signed<Presence>> {
        self.running.announced()
    }

    /// Waits until the cloud has taken a record with the addresses as they are now.
    ///
    /// # Errors
    /// [`crate::Code::Denied`] if the cloud does not take this peer. Trouble that may pass is waited
    /// for: set a limit with `tokio::time::timeout`.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn wait_announced(&self) -> crate::Result<Signed<Presence>> {
        self.running.wait_announced().await
    }

    /// Listens at `at` from now on instead of where it did, over its main transport; links that stand
    /// stay. Others learn of it at once. Returns where, with the port that was picked.
    ///
    /// # Errors
    /// [`TransportError::Bind`] if it cannot: it listens where it did.
    pub async fn relocate(&self, at: &Address) -> Result<Address, TransportError> {
        self.running.relocate(at).await
    }

    /// How many links have come in and stand.
    pub fn links(&self) -> usize {
        self.running.links()
    }

    /// Stops in an orderly way: says goodbye to the cloud, takes no new calls, finishes those begun, at
    /// most for `limits.drain`, then closes links and stops services.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the peer draining.
    pub async fn shutdown(&self) {
        self.running.shutdown().await;
    }
}

impl From<&Peer> for Client {
    fn from(peer: &Peer) -> Self {
        peer.client().clone()
    }
}

impl PeerBuilder {
    /// Sets the configuration: `[peer]` for itself, `[cloud]` for the nodes of its cloud, `[access]` for
    /// who may call it.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Is this identity instead of the one in the file that the configuration names.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Links over this transport instead of TCP. It must prove the peer's identity.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Listens over this transport at `at` as well, and dials other peers over it. It must prove the
    /// peer's identity.
    #[must_use]
    pub fn also_over(mut self, transport: Arc<dyn Transport>, at: Address) -> Self {
        self.ways.push((transport, at));
        self
    }

    /// Goes on the local network, whatever the configuration says in `peer.lan`: the peer announces its
    /// record there by multicast DNS, to everybody on that network, and finds other peers that do. Needs
    /// the feature `lan`.
    #[must_use]
    pub fn on_lan(mut self) -> Self {
        self.lan = true;
        self
    }

    /// Hosts `service` besides those that registered themselves.
    #[must_use]
    pub fn service(mut self, service: impl Service) -> Self {
        self.roll.add(Arc::new(service));
        self
    }

    /// Hosts only services added by hand.
    #[must_use]
    pub fn without_registry(mut self) -> Self {
        self.roll.leave_out_registered();
        self
    }

    /// Starts the peer.
    ///
    /// # Errors
    /// [`StartError`]. That no node can be reached is none: the peer goes on trying.
    ///
    /// # Cancel safety
    /// Dropping the future stops what was started.
    pub async fn start(self) -> Result<Peer, StartError> {
        let running = driver::start(self).await?;
        Ok(Peer {
            running: Arc::new(running),
        })
    }
}

impl fmt::Debug for PeerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerBuilder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
