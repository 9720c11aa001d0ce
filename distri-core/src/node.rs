//! A node: listens, admits or refuses who links to it, hosts services, keeps links to other nodes.
//!
//! [`Node`] is the owner; [`NodeHandle`] is what services get of it. What its builder gathers is a
//! `preparation`, of which `driver` makes a node. `host` dispatches calls, past the `gate`s of services
//! that not every node may serve (`leading`, `owning`), `driver` owns the tasks, `keeper` those of the
//! directory, `standing` says how the node stands, `room` and `rates` bound what it serves, `repeats`
//! and `replies` let a call whose link broke take effect once, [`introspect`] is the service by which
//! every node describes itself, `admin` the port on which it tells monitoring how it is.

#[cfg(feature = "node")]
mod admin;
#[cfg(feature = "node")]
mod builder;
#[cfg(feature = "node")]
mod driver;
#[cfg(feature = "node")]
mod error;
pub(crate) mod gate;
mod handle;
pub(crate) mod host;
pub mod introspect;
#[cfg(feature = "node")]
mod keeper;
#[cfg(feature = "node")]
mod leading;
#[cfg(feature = "node")]
mod owning;
#[cfg(feature = "node")]
mod preparation;
mod rates;
#[cfg(feature = "relay")]
mod relay;
pub(crate) mod repeats;
mod replies;
#[cfg(feature = "node")]
mod report;
#[cfg(feature = "host")]
mod roll;
mod room;
#[cfg(feature = "node")]
mod secret;
#[cfg(feature = "node")]
mod standing;
pub(crate) mod ticket;
#[cfg(feature = "node")]
mod vitals;

#[cfg(feature = "node")]
pub use builder::{Node, NodeBuilder};
#[cfg(feature = "node")]
pub use error::StartError;
pub use handle::NodeHandle;
pub(crate) use host::HostsNothing;
#[cfg(feature = "node")]
pub use keeper::{found_cluster, join_cluster};
#[cfg(feature = "host")]
pub(crate) use roll::{CannotMake, Roll};
