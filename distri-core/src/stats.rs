//! Statistics: what calls cost, as the node that serves them and the program that makes them see
//! it, and what a node costs as a whole.
//!
//! [`Client::node_stats`](crate::Client::node_stats) asks a node, [`Client::stats`](crate::Client::stats)
//! tells what this program has met. `histogram` keeps durations in a fixed room, `calls` counts the
//! calls of one method while they are made and served, `traffic` the bytes on links, `process` asks
//! the system; `view` and `node` are what is told of it all, `prometheus` tells it to a monitoring server. Only `process` touches the world.

pub(crate) mod calls;
mod histogram;
mod node;
#[cfg(feature = "node")]
mod process;
mod prometheus;
mod traffic;
mod view;

pub use node::{DirectoryStats, LinkStats, MemberCounts, NodeStats, ProcessStats};
#[cfg(feature = "node")]
pub(crate) use process::ProcessMeter;
pub(crate) use traffic::Traffic;
pub use view::{Latency, MethodStats};
