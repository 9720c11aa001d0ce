//! Peers: programs that host services without being part of the cloud, and how they are found.
//!
//! A peer is a key like any other. It does not vote, takes no cloud work and is in no placement; it
//! listens, hosts services, is a client of the cloud, and says in the cloud's directory where it is:
//! a signed [`Presence`] under a lease, so that it ends by itself when the peer falls silent. Whoever
//! wants to call one asks its own [`Client`](crate::Client) for it ([`crate::Client::peer`]) and gets a
//! [`RemotePeer`], on which the generated clients work as on a client of the cloud.
//!
//! - `presence` is what a peer says of itself, `protocol` how it says it to the cloud,
//!   `register` (feature `node`) how the cloud takes it.
//! - `list` tells which peers there are. `remote` is a peer as others hold it: `course`, a machine, decides where it is and whether a link
//!   to it still goes to the right place; `follow` and `reach` watch its record and dial.
//! - `near` keeps what is heard of peers on the local network; `lan` (feature `lan`) listens there, and
//!   says where this peer is, so that peers find each other without a cloud.
//! - `host` and `driver` (feature `peer`) are the peer itself, [`Peer`]; `gate` says who may link to it,
//!   `places` which addresses others are told, and `announce`, a machine, numbers its records.
//!
//! Links to peers are links like all others: both keys are proven, whatever the record says.

#[cfg(feature = "peer")]
mod announce;
mod course;
#[cfg(feature = "peer")]
mod driver;
mod error;
mod follow;
#[cfg(feature = "peer")]
mod gate;
#[cfg(feature = "peer")]
mod host;
#[cfg(feature = "lan")]
pub(crate) mod lan;
mod list;
#[cfg_attr(
    not(feature = "lan"),
    allow(dead_code, reason = "nothing is heard without the feature `lan`")
)]
mod near;
#[cfg(feature = "peer")]
mod places;
mod presence;
mod protocol;
mod reach;
#[cfg(feature = "node")]
mod register;
mod remote;

pub use error::{PeerError, Tried};
#[cfg(feature = "peer")]
pub use host::{Peer, PeerBuilder, StartError};
#[cfg(feature = "lan")]
pub use lan::LanError;
pub(crate) use near::Near;
pub use presence::{Boot, PeerAddress, Presence};
#[cfg(feature = "relay")]
pub(crate) use protocol::PEERS;
#[cfg(feature = "node")]
pub(crate) use register::PeersService;
pub(crate) use remote::Whereabouts;
pub use remote::{PeerEvent, PeerEvents, PeerState, RemotePeer};

/// Bounds on what a peer may say of itself. A record that exceeds one is refused, naming it.
pub mod limits {
    use std::{ops::RangeInclusive, time::Duration};

    /// Bytes of a peer's name.
    pub const NAME: usize = 64;
    /// Addresses of a peer.
    pub const ADDRESSES: usize = 16;
    /// Bytes of one address.
    pub const ADDRESS: usize = 512;
    /// How long a silent peer may ask to be taken for present.
    pub const LEASE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(120);
}
