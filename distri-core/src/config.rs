//! What an operator decides: the configuration of nodes and clients.
//!
//! A [`Config`] is gathered in layers by a [`Loader`]: defaults, then files (`distri.toml`), then
//! `DISTRI_…` environment variables, then flags; what comes later wins. It is checked once, there,
//! and every complaint names the key, where its value came from, and what was expected
//! ([`ConfigError`]). Unknown keys are refused everywhere, also inside `[services.…]`, whose values
//! are read by the services themselves through [`ServiceConfig`].
//!
//! Nothing here opens a key file, a socket or a log. What the values mean is said at each field and
//! done by [`crate::node`] and [`crate::client`].
//!
//! Child modules: `loader` puts the layers together, `read` turns them into types, `error` holds
//! the complaints, `explain` lists every value with its source; [`duration`], [`size`] and
//! [`path`](mod@path) are the text forms that services may use for their own values.

use std::{collections::BTreeMap, fmt, net::Ipv4Addr, path::PathBuf, sync::Arc, time::Duration};

use figment::value::Dict;
use serde::{Deserialize, Serialize};

use crate::{
    id::PublicKey,
    transport::{Address, Endpoint},
};

pub mod duration;
pub mod path;
pub mod size;

mod address;
mod check;
mod directory;
mod error;
mod explain;
mod file;
mod loader;
mod nearest;
mod read;
mod service;
mod source;

pub use directory::{CollectionConfig, DirectoryConfig, Timing};
pub use error::{Complaint, ConfigError, Problem};
pub use explain::Setting;
pub use loader::Loader;
#[doc(hidden)]
pub use nearest::nearest;
pub use service::ServiceConfig;
pub use source::Source;

use source::Sources;

/// The configuration of a node or client. The default works on one machine.
///
/// ```
/// # extern crate distri_core as distri;
/// let config = distri::Config::loader()
///     .optional_file("distri.toml")
///     .env()
///     .flag("--listen", "node.listen", "127.0.0.1:0")
///     .load()?;
///
/// assert_eq!(config.node.listen.as_str(), "127.0.0.1:0");
/// # Ok::<(), distri::config::ConfigError>(())
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Config {
    /// `[node]`: who and where this node is.
    pub node: NodeConfig,
    /// `[peer]`: who and where this peer is, for programs that are one.
    pub peer: PeerConfig,
    /// `[cloud]`: which nodes belong together.
    pub cloud: CloudConfig,
    /// `[access]`: who may call.
    pub access: AccessConfig,
    /// `[limits]`: what a node spends on others at most.
    pub limits: Limits,
    /// `[directory]`: where and how the node keeps the directory.
    pub directory: DirectoryConfig,
    /// `[admin]`: how a node tells monitoring how it is.
    pub admin: AdminConfig,
    /// `[client]`: who calls, for programs that only call.
    pub client: ClientConfig,
    /// `[log]`: what is told on stderr.
    pub log: LogConfig,
    /// `[services.…]`, unread.
    services: Dict,
    sources: Arc<Sources>,
    /// The settings as they were loaded, so that a value changed by the program since is told apart.
    loaded: Arc<[Setting]>,
}

/// `[node]`: who and where this node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NodeConfig {
    /// A label for people, in logs and tables; nothing is decided by it. Default: the first eight
    /// characters of the node's key.
    #[serde(deserialize_with = "check::name")]
    pub name: Option<String>,
    /// Where the node accepts links, `HOST:PORT`. Port 0 picks a free one; `0.0.0.0` or `[::]`
    /// accepts from other machines, and then [`NodeConfig::advertise`] should be set. Default
    /// `127.0.0.1:4600`: this machine only.
    #[serde(deserialize_with = "address::listen")]
    pub listen: Address,
    /// The address under which others reach the node, where that differs from
    /// [`NodeConfig::listen`] (a wildcard, a container, a forwarded port). Default: the address it
    /// listens on.
    #[serde(deserialize_with = "address::advertise")]
    pub advertise: Option<Address>,
    /// Where the node relays between peers that cannot reach each other directly, `IP:PORT` (in programs
    /// built with the feature `relay`). Peers name it as `http://HOST:PORT` in [`PeerConfig::relays`].
    /// Only keys that the node knows and peers of the cloud may use it. Default: nowhere.
    #[serde(deserialize_with = "address::socket")]
    pub relay: Option<Address>,
    /// The file of the node's secret key, made at the first start. Relative to the folder of the
    /// file that says so. Default `node.key` in the current folder.
    #[serde(with = "path")]
    pub identity: PathBuf,
}

/// `[peer]`: who and where this peer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PeerConfig {
    /// A label for people; nothing is decided by it. Default: the first eight characters of the
    /// peer's key.
    #[serde(deserialize_with = "check::name")]
    pub name: Option<String>,
    /// Where the peer accepts links over TCP, `HOST:PORT`. Port 0 picks a free one; `0.0.0.0` or
    /// `[::]` accepts from other machines, and then [`PeerConfig::advertise`] must be set for others
    /// to find it. Default `127.0.0.1:0`: this machine only.
    #[serde(deserialize_with = "address::listen")]
    pub listen: Address,
    /// The address under which others reach the peer over TCP, where that differs from
    /// [`PeerConfig::listen`]. Default: the address it listens on.
    #[serde(deserialize_with = "address::advertise")]
    pub advertise: Option<Address>,
    /// Where the peer accepts links over QUIC (the transport `iroh`, in programs built with that
    /// feature), `IP:PORT`; `0.0.0.0:0` is a free port on all interfaces. Such links go through NATs
    /// where TCP does not. Default: nowhere.
    #[serde(deserialize_with = "address::socket")]
    pub iroh: Option<Address>,
    /// The relays of the cloud, as `http://HOST:PORT`, for links over QUIC that come about no other way.
    /// Default: none.
    pub relays: Vec<String>,
    /// Whether the peer is announced on the local network by multicast DNS, and listens there for others
    /// (in programs built with the feature `lan`), so that peers find each other without a cloud.
    /// Everybody on that network learns the peer's key, name and addresses. With it the default of
    /// [`PeerConfig::listen`] is `0.0.0.0:0`, and for a wildcard the addresses of this machine on its
    /// networks are told, in the directory too. Default: false.
    pub lan: bool,
    /// On which networks: this machine's IPv4 addresses there. Default: on all.
    pub lan_at: Vec<Ipv4Addr>,
    /// The file of the peer's secret key, made at the first start. Relative to the folder of the
    /// file that says so. Default `peer.key` in the current folder.
    #[serde(with = "path")]
    pub identity: PathBuf,
    /// How long the cloud holds the peer for present when it is silent, 1 s to 2 min. Longer rides out
    /// longer interruptions, shorter tells sooner that it is away; a third of it passes between two
    /// signs of life, each a write to the directory. Default 60 s.
    #[serde(with = "duration")]
    pub lease: Duration,
}

/// `[cloud]`: which nodes belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CloudConfig {
    /// The nodes of the cloud, each as `KEY@HOST:PORT`. A node admits the keys listed here as nodes
    /// and keeps a link to each; a client picks among them. A node may list itself, so that all
    /// nodes can share one list. Default: none, a cloud of one.
    pub nodes: Vec<Endpoint>,
}

/// `[access]`: who may call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct AccessConfig {
    /// Whether keys that are listed nowhere may link to this node at all. Methods may ask for more
    /// than that. Default `open`.
    pub clients: ClientAccess,
    /// Keys of known clients: they are admitted when [`AccessConfig::clients`] is `listed`, and
    /// may call methods with `access = authenticated`. Default: none.
    pub keys: Vec<PublicKey>,
    /// Who may be a peer of the cloud, on nodes that keep its directory. Default `open`.
    pub peers: PeerAccess,
    /// Keys by role; `[access.roles]` with `admin = ["KEY"]` lets that key call methods with
    /// `access = role("admin")`. A key with a role is a known client. Default: none.
    pub roles: BTreeMap<String, Vec<PublicKey>>,
}

/// Which clients a node admits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAccess {
    /// Any key.
    #[default]
    Open,
    /// Keys listed in `access.keys` or under a role.
    Listed,
}

/// Who may be a peer of a cloud.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerAccess {
    /// Any key that the nodes admit, up to [`Limits::peers`].
    #[default]
    Open,
    /// Keys listed in `access.keys` or with a role.
    Listed,
}

impl AccessConfig {
    /// The roles under which `key` is listed.
    pub(crate) fn roles_of(&self, key: PublicKey) -> Vec<String> {
        let listed = self.roles.iter().filter(|(_, keys)| keys.contains(&key));
        listed.map(|(role, _)| role.clone()).collect()
    }
}

/// `[limits]`: what a node spends on others at most. The defaults suit a node with thousands of
/// links; a client keeps the same bounds on its own links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Limits {
    /// Links that a node keeps at once; more are turned away. Each idle one costs a few KiB.
    /// Default 16384.
    pub links: u32,
    /// Calls that the other end of a link may have in flight; more are refused with `busy`.
    /// Default 8192.
    pub calls: u32,
    /// Calls that a node serves at once in all, those of the cloud's own nodes about the cloud itself
    /// not counted; more are refused with `busy`. Raising it lets calls take more memory and each wait
    /// longer, lowering it refuses what could have been served. Default 16384.
    pub serving: u32,
    /// Calls a second that one key may make, the cloud's own nodes aside; more are refused with
    /// `busy` and how long to wait. 0 is without bound. Default 0.
    pub rate: u32,
    /// Calls that a key may make at once after having made none, where [`Limits::rate`] is set.
    /// Default 100.
    pub burst: u32,
    /// Bytes of a message outside of blobs and streams. Raising it lets one call hold more memory;
    /// large values belong in a `Blob`. Default 16 MiB.
    #[serde(with = "size::u32")]
    pub message_max: u32,
    /// Streams and blobs that the other end of a link may have open. Default 1024.
    pub channels: u32,
    /// Bytes under way on one stream or blob before the receiver must have read some. Raising it
    /// helps fast links with long round trips, and costs as much memory per unread stream.
    /// Default 1 MiB.
    #[serde(with = "size::u32")]
    pub channel_window: u32,
    /// Bytes under way on all streams and blobs of a link together; at least
    /// [`Limits::channel_window`]. Default 16 MiB.
    #[serde(with = "size::u32")]
    pub link_window: u32,
    /// Bytes that wait to be written on a link before its new calls are refused with `busy`. It
    /// bounds what an end that does not read can make the other hold. Default 8 MiB.
    #[serde(with = "size::u32")]
    pub unwritten: u32,
    /// Bytes of replies that are kept for the other end of a link until they have certainly arrived,
    /// so that a call whose link broke gets the reply of the one time that it took effect; a single
    /// reply may have a quarter of it. For all links that broke together, 64 times as much. Raising
    /// it costs memory; where it does not suffice, such a call ends with `unknown-outcome`.
    /// Default 256 KiB.
    #[serde(with = "size::u32")]
    pub replies: u32,
    /// How long a call whose link broke is finished for a caller who may link again, and its reply
    /// kept. Longer than callers wait brings nothing. Default 60 s.
    #[serde(with = "duration")]
    pub replies_kept: Duration,
    /// How long a link may be silent before it is probed; after three times as long without any
    /// sign of life it is closed. Shorter notices dead nodes sooner, longer rides out pauses.
    /// Default 5 s.
    #[serde(with = "duration")]
    pub keep_alive: Duration,
    /// How long the other end of a new link may take to say hello. Default 5 s.
    #[serde(with = "duration")]
    pub hello: Duration,
    /// How long a dial may take in all: name lookup, TCP, TLS. Longer serves slow networks, shorter
    /// fails over sooner. Default 5 s.
    #[serde(with = "duration")]
    pub dial: Duration,
    /// Callers whose handshake is not done, at once; when one more comes, the one silent longest
    /// makes room. Each costs a file descriptor and up to 40 KB. Default 512.
    pub handshakes: u32,
    /// Peers that may be there at once, each with a record in the directory and a lease. Default
    /// 10000.
    pub peers: u32,
    /// How long a node that stops waits for its calls in flight. Default 10 s.
    #[serde(with = "duration")]
    pub drain: Duration,
}

/// `[admin]`: how a node tells monitoring how it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct AdminConfig {
    /// Where the node serves `/metrics`, `/healthz` and `/readyz` over HTTP, `HOST:PORT`; port 0
    /// picks a free one. It is neither encrypted nor asks who calls: an address that other machines
    /// reach shows them what the node does, so the node warns of it. Default: none, no such port.
    #[serde(deserialize_with = "address::optional_listen")]
    pub listen: Option<Address>,
}

/// `[client]`: who calls, for programs that only call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ClientConfig {
    /// The file of the client's secret key, made at the first use. Needed where nodes admit only
    /// listed clients or a method asks for a role. Relative to the folder of the file that says so.
    /// Default: none, a new key for each run.
    #[serde(with = "path::option")]
    pub identity: Option<PathBuf>,
    /// To how many nodes a client, or peer, keeps links while no call needs others, 1 to 1024. Which
    /// ones differs from client to client. More spreads the calls of one client over more nodes, fewer
    /// spares nodes with very many clients memory and signs of life. Default 3.
    #[serde(deserialize_with = "check::links")]
    pub links: usize,
}

/// `[log]`: what is told on stderr.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace` or `off`, also for parts of the program:
    /// `info,distri_core::rpc=debug`. Default `info`.
    #[serde(deserialize_with = "check::level")]
    pub level: String,
    /// Lines for people or for machines. Default `human`.
    pub format: LogFormat,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LogFormat {
    /// One line of text each.
    #[default]
    Human,
    /// One JSON object each.
    Json,
}

impl Config {
    /// Gathers a configuration in layers.
    pub fn loader() -> Loader {
        Loader::default()
    }

    /// What `[services.NAME]` says; empty if there is no such table.
    pub fn service(&self, name: &str) -> ServiceConfig {
        ServiceConfig::new(name, self.services.get(name).cloned(), self.sources.clone())
    }

    /// The names under `[services]`, sorted. A node refuses to start if one is not linked.
    pub fn configured_services(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(String::as_str)
    }

    /// Where the table of the service `name` was written, for messages about it.
    pub fn service_source(&self, name: &str) -> Option<Source> {
        let key = format!("services.{name}");
        self.services
            .get(name)
            .map(|table| self.sources.of(table, &key))
    }

    /// Sets `[services.NAME]` from the program, replacing what was there.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if `table` does not serialize as a table.
    pub fn set_service(&mut self, name: &str, table: &impl Serialize) -> Result<(), ConfigError> {
        let table = service::to_table(name, table)?;
        self.services.insert(name.to_owned(), table);
        Ok(())
    }

    /// Every setting with its value and where it came from, sorted by key. Values of services whose
    /// key names a secret are not shown.
    pub fn explain(&self) -> Vec<Setting> {
        let loaded = if self.loaded.is_empty() {
            explain::defaults()
        } else {
            self.loaded.clone()
        };
        explain::with_sources(self, &loaded)
    }

    fn sections(&self) -> Sections {
        Sections {
            node: self.node.clone(),
            peer: self.peer.clone(),
            cloud: self.cloud.clone(),
            access: self.access.clone(),
            limits: self.limits.clone(),
            directory: self.directory.clone(),
            admin: self.admin.clone(),
            client: self.client.clone(),
            log: self.log.clone(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("node", &self.node)
            .field("peer", &self.peer)
            .field("cloud", &self.cloud)
            .field("access", &self.access)
            .field("limits", &self.limits)
            .field("directory", &self.directory)
            .field("admin", &self.admin)
            .field("client", &self.client)
            .field("log", &self.log)
            // Names only: a service may keep a secret there.
            .field("services", &self.services.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// The part of a configuration that distri itself reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sections {
    node: NodeConfig,
    peer: PeerConfig,
    cloud: CloudConfig,
    access: AccessConfig,
    limits: Limits,
    directory: DirectoryConfig,
    admin: AdminConfig,
    client: ClientConfig,
    log: LogConfig,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            name: None,
            listen: Address::new("127.0.0.1:4600"),
            advertise: None,
            relay: None,
            identity: PathBuf::from("node.key"),
        }
    }
}

impl Default for PeerConfig {
    fn default() -> Self {
        Self {
            name: None,
            listen: Address::new("127.0.0.1:0"),
            advertise: None,
            iroh: None,
            relays: Vec::new(),
            lan: false,
            lan_at: Vec::new(),
            identity: PathBuf::from("peer.key"),
            lease: Duration::from_secs(60),
        }
    }
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            identity: None,
            links: 3,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            links: 16_384,
            calls: 8192,
            serving: 16_384,
            rate: 0,
            burst: 100,
            message_max: 16 * 1024 * 1024,
            channels: 1024,
            channel_window: 1024 * 1024,
            link_window: 16 * 1024 * 1024,
            unwritten: 8 * 1024 * 1024,
            replies: 256 * 1024,
            replies_kept: Duration::from_secs(60),
            keep_alive: Duration::from_secs(5),
            hello: Duration::from_secs(5),
            dial: Duration::from_secs(5),
            handshakes: 512,
            peers: 10_000,
            drain: Duration::from_secs(10),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Human,
        }
    }
}

#[cfg(test)]
mod tests;
