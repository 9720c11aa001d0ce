//! Trials of whole clouds: real processes on real sockets and disks, under work, while they are
//! killed, hung, restarted, cut off, and their disks fill up.
//!
//! - `faults`: what clients are told is what one copy of the directory would tell them, and every
//!   acknowledged write is there at the end exactly once, while nodes die, hang and come back.
//! - `hosts`: the same on hosts of their own, in network namespaces, with delay and loss between
//!   them, while the leader is cut off.
//! - `presence`: what operators see of nodes that hang, die, leave and come back.
//! - `disks`: a node whose disk is full or cannot be written steps aside.
//!
//! The suite has short runs of a fixed seed each. The faults and what the clients do follow from
//! the seed; when exactly what meets what does not, so a run that fails may have to be repeated.
//! Longer ones, seeds from the first to the last and so many faults each:
//!
//! ```text
//! DISTRI_SEEDS=1..20 DISTRI_DEEDS=100 cargo test --test trials -- --nocapture
//! ```
#![cfg(all(unix, feature = "cli", feature = "node"))]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

#[path = "../distri-core/tests/linearizable/acts.rs"]
mod acts;
#[path = "../distri-core/tests/linearizable/checker.rs"]
mod checker;
#[path = "../distri-core/tests/linearizable/clerk.rs"]
mod clerk;
#[path = "../distri-core/tests/linearizable/dice.rs"]
#[allow(dead_code, reason = "the simulation rolls them in more ways")]
mod dice;
#[path = "../distri-core/tests/linearizable/held.rs"]
mod held;
#[path = "../distri-core/tests/linearizable/history.rs"]
mod history;

#[path = "trials/cloud.rs"]
mod cloud;
#[cfg(target_os = "linux")]
#[path = "trials/disks.rs"]
mod disks;
#[path = "trials/faults.rs"]
mod faults;
#[cfg(target_os = "linux")]
#[path = "trials/hosts.rs"]
mod hosts;
#[path = "trials/presence.rs"]
mod presence;
#[path = "trials/seeds.rs"]
mod seeds;
#[path = "trials/siege.rs"]
mod siege;
#[cfg(target_os = "linux")]
#[path = "trials/wire.rs"]
mod wire;
