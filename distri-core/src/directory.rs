//! The directory: one replicated store of JSON documents on every cloud.
//!
//! Documents live in named *collections* and have an id, a revision, timestamps, an optional owner
//! and an optional lease. Every change is a command that goes through consensus, takes effect
//! at one [revision](Document::revision) on all nodes alike, and is durable before it is
//! acknowledged. Reads are linearizable unless the caller asks for a local one.
//!
//! - `command`, `query`, `filter`, `document` and `collection` are what goes in and comes out, the
//!   same for typed values and for JSON.
//! - `state` is the replicated state: a pure function of the commands applied (feature `node`).

mod client;
mod collection;
mod command;
mod document;
mod filter;
mod json;
pub(crate) mod once;
pub(crate) mod protocol;
mod query;
#[cfg(feature = "node")]
mod reads;
mod refusal;
#[cfg(feature = "node")]
mod replica;
#[cfg(feature = "node")]
mod schema;
#[cfg(feature = "node")]
mod server;
#[cfg(feature = "node")]
#[allow(
    dead_code,
    unused_imports,
    reason = "a machine with its tests; the node's driver uses what it needs"
)]
#[allow(
    clippy::result_large_err,
    reason = "refusals name many things, and are rare and not passed on far"
)]
mod state;
mod value;
#[cfg(feature = "node")]
mod writes;

pub(crate) use client::Session;
pub use client::{Collection, Directory, Find, Lease, Watch, WatchFrom};
pub use collection::{CollectionSpec, IndexSpec, Who};
pub(crate) use command::{Actor, Batch, Command, Outcome, Proposal, RequestId, Verdict};
pub use command::{Committed, Condition, Operation, Transaction};
pub use document::{Document, Event, Events};
pub use filter::{Field, Filter, FilterError};
pub use json::{InvalidJson, Json};
pub(crate) use once::CallWrites;
pub use protocol::CollectionInfo;
pub use query::{Page, Query, Sort};
pub use refusal::Refusal;
#[cfg(feature = "node")]
pub(crate) use replica::Replica;
#[cfg(feature = "node")]
pub(crate) use server::{DirectoryService, Server};
#[cfg(feature = "testing")]
pub(crate) use state::State;
#[cfg(feature = "node")]
pub(crate) use state::{ELECTIONS, HOLDS, RINGS};

/// Bounds on what the directory takes. A command that exceeds one is refused with
/// [`Refusal::TooLarge`], which names it.
pub mod limits {
    use std::time::Duration;

    /// Bytes of one document's JSON text.
    pub const DOCUMENT: usize = 1 << 20;
    /// Bytes of an id.
    pub const ID: usize = 512;
    /// Bytes of a collection's or index's name.
    pub const NAME: usize = 64;
    /// Conditions, and operations, of one transaction.
    pub const TRANSACTION: usize = 128;
    /// Bytes of one command, all its documents together.
    pub const COMMAND: usize = 4 << 20;
    /// Collections of one directory.
    pub const COLLECTIONS: usize = 1024;
    /// Indexes of one collection, and fields of one index.
    pub const INDEXES: usize = 16;
    /// Bytes of a document's values in one index.
    pub const INDEX_KEY: usize = 4096;
    /// Parts of one filter, all levels together.
    pub const FILTER: usize = 256;
    /// Levels of one filter.
    pub const FILTER_DEPTH: usize = 16;
    /// Documents of one page.
    pub const PAGE: usize = 10_000;
    /// Bytes of documents after which a page ends early; it holds at least one document.
    pub const PAGE_BYTES: usize = 4 << 20;
    /// Events kept for those who watch from an earlier revision.
    pub const HISTORY: usize = 65_536;
    /// Bytes of events kept.
    pub const HISTORY_BYTES: usize = 16 << 20;
    /// The shortest and the longest time to live of a lease.
    pub const LEASE: std::ops::RangeInclusive<Duration> =
        Duration::from_millis(500)..=Duration::from_secs(30 * 24 * 3600);
    /// Leases that have not ended.
    pub const LEASES: usize = 65_536;
    /// Sessions whose replies are remembered. The one longest silent is forgotten first.
    pub const SESSIONS: usize = 65_536;
    /// How long the replies of a silent session are remembered.
    pub const SESSION: Duration = Duration::from_secs(600);
    /// Replies remembered for one session; a client has at most so many writes in flight.
    pub const SESSION_REPLIES: usize = 4096;
}
