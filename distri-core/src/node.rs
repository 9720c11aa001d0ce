//! A node: listens, admits or refuses who links to it, hosts services, keeps links to other nodes.
//!
//! [`Node`] is the owner; [`NodeHandle`] is what services get of it. `host` dispatches calls,
//! `driver` owns the tasks, `keeper` those of the directory, `standing`
//! says how the node stands, [`introspect`] is the service by which
//! every node describes itself.

#[cfg(feature = "node")]
mod builder;
#[cfg(feature = "node")]
mod driver;
mod handle;
pub(crate) mod host;
pub mod introspect;
#[cfg(feature = "node")]
mod keeper;
#[cfg(feature = "node")]
mod standing;

#[cfg(feature = "node")]
pub use builder::{Node, NodeBuilder, StartError};
pub use handle::NodeHandle;
pub(crate) use host::HostsNothing;
#[cfg(feature = "node")]
pub use keeper::{found_cluster, join_cluster};
