//! Consensus: one ordered, durable log that all nodes of a cluster apply alike (Raft; Ongaro and
//! Ousterhout 2014). The protocol is `openraft`'s; this module is the only one that knows it.
//!
//! Above it stands a [`Replicated`] state, which is given payloads of bytes in the order of the
//! log and answers each. Below it are the log and the snapshots of [`crate::storage`], and calls
//! of the service `distri-raft` over the links that nodes keep anyway.
//!
//! - `forms`: votes, log ids, memberships and entries as they are stored and sent: ours, so that
//!   neither a data folder nor a link depends on how a version of openraft writes itself.
//! - `store` and `machine`: what openraft asks of the log and of the state.
//! - `messages`, `network` and `service`: what nodes say to each other, sent and received.
//! - `runtime`: tasks, dice and time, as openraft is given them.
//! - `pace`: when a node has something to do by the clock.
//! - `group`: the node's part in the cluster, as the rest of the core uses it.

mod forms;
mod group;
mod machine;
mod messages;
mod network;
mod pace;
mod runtime;
mod service;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use forms::{Member, NodeNumber};
#[cfg(test)]
pub(crate) use group::MemberView;
pub(crate) use group::{Group, GroupOptions, Timing, Unfinished, View};
pub(crate) use service::RaftService;

use std::io;

use bytes::Bytes;

/// What the cluster agrees on.
///
/// Every node applies the same payloads in the same order, so the result may depend on nothing
/// else: no clock, no randomness, no other input.
pub(crate) trait Replicated: Send + Sync + 'static {
    /// Applies one payload and answers each of its parts.
    ///
    /// # Errors
    /// The payload was written by a newer version: the node must stop, since going on would make
    /// it differ from the others.
    fn apply(&self, payload: &[u8]) -> io::Result<Vec<Bytes>>;

    /// Called when a run of payloads has been applied and readers may look.
    fn applied(&self);

    /// A frozen copy, as blocks of at most 1 MiB made while writes go on.
    fn freeze(&self) -> Box<dyn Iterator<Item = Vec<u8>> + Send>;

    /// Replaces everything by what [`Replicated::freeze`] gave.
    ///
    /// # Errors
    /// What is wrong with the blocks. Nothing was replaced.
    fn restore(&self, blocks: &mut dyn Iterator<Item = io::Result<Vec<u8>>>) -> io::Result<()>;
}
