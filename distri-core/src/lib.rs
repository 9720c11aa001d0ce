//! The core of distri: nodes that link by key, and services that are called over those links.
//!
//! This is the crate behind the facade `distri`, which adds the command line; service crates may
//! depend on either under the name `distri`. Where to read on:
//!
//! - [`macro@service`] makes a service of an ordinary `impl`; [`service`](mod@service) is what it
//!   implements, also by hand.
//! - [`Node`] hosts services, [`Client`] calls them.
//! - [`config`] is what operators decide, [`transport`] how keys are linked.
//!
//! The modules form one direction: `id, error, config → wire, message → transport → rpc →
//! placement → client, election, node`; services use the public parts only.

#![cfg_attr(
    not(feature = "node"),
    allow(
        dead_code,
        unused_imports,
        reason = "what only nodes use of the parts that clients share"
    )
)]

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod client;
pub mod cluster;
pub mod config;
#[cfg(feature = "node")]
mod consensus;
pub mod directory;
pub mod election;
pub mod error;
mod fence;
mod hash;
#[cfg(feature = "http")]
pub mod http;
pub mod id;
pub mod identity;
pub mod membership;
pub mod message;
pub mod node;
pub mod peer;
mod placement;
pub mod registry;
pub mod rpc;
pub mod service;
pub mod signed;
pub mod stats;
#[cfg(feature = "node")]
pub mod storage;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;
#[cfg(feature = "node")]
mod watch;
pub(crate) mod wire;
mod world;

pub use client::{Call, Client, Gather};
pub use config::{Config, ServiceConfig};
pub use error::{Code, Error, Result, ServiceError};
pub use message::{Blob, Stream, StreamSender};
#[cfg(feature = "node")]
pub use node::Node;
pub use node::NodeHandle;
pub use service::Context;

#[doc = include_str!("message/attribute.md")]
pub use distri_macros::message;
#[doc = include_str!("service/attribute.md")]
pub use distri_macros::service;
