//! Whole clouds in one thread, with everything that can go wrong, and all of it repeatable.
//!
//! [`simulate`] runs a scenario once for each seed. A scenario starts [`Cluster`]s of whole nodes:
//! consensus, directory, membership and your services are the real ones; only links and disks are
//! in memory ([`transport::memory`](crate::transport::memory), [`MemoryDisk`]), and time is
//! virtual: it jumps over every wait, so that minutes take a moment. The seed decides all that is
//! left to chance, so a run that fails can be run again, as often as it takes to see why.
//!
//! A counter that every node serves, kept in the directory, under half a minute of crashes,
//! partitions, wrong clocks and slow links:
//!
//! ```
//! use std::time::Duration;
//! use distri::testing::{Chaos, simulate};
//! # extern crate distri_core as distri;
//! use distri::{Context, Result, directory::{CollectionSpec, Document, Who}};
//! use serde_json::{Value, json};
//!
//! struct Turnstile;
//!
//! #[distri::service(register = false)]
//! impl Turnstile {
//!     /// Lets somebody in, and says how many have come.
//!     async fn enter(&self, cx: &Context) -> Result<u64> {
//!         let counters = cx.node().directory().collection::<Value>("counters");
//!         let counter: Document<Value> = counters.add("visitors", "n", 1, ..).await?;
//!         Ok(counter.value["n"].as_u64().unwrap_or_default())
//!     }
//! }
//!
//! # // The doctest calls what a reader would have as a `#[test]`.
//! # fn main() { nobody_is_counted_twice() }
//! # /*
//! #[test]
//! # */
//! fn nobody_is_counted_twice() {
//!     simulate(1..=2, async |sim| {
//!         let cluster = sim.cluster(3).service(|| Turnstile).start().await;
//!         let counters = cluster.client().await.directory().collection::<Value>("counters");
//!         cluster.collection(CollectionSpec::new("counters").read(Who::Public)).await;
//!         cluster.node(0).handle().directory().collection::<Value>("counters")
//!             .insert("visitors", &json!({ "n": 0 })).await.unwrap();
//!         let turnstile = TurnstileClient::new(cluster.client().await);
//!
//!         let storm = cluster.chaos(Chaos::default());
//!         let (mut certain, mut last) = (0, 0);
//!         for _ in 0..20 {
//!             sim.sleep(Duration::from_millis(500)).await;
//!             // Some calls fail now. What a client was told is true nevertheless.
//!             if let Ok(visitors) = turnstile.enter().await {
//!                 assert!(visitors > last, "{visitors} after {last}");
//!                 (certain, last) = (certain + 1, visitors);
//!             }
//!         }
//!         storm.calm().await;
//!
//!         let n = counters.get("visitors").await.unwrap().unwrap().value["n"].as_u64();
//!         assert!(n >= Some(certain));
//!     });
//! }
//! ```
//!
//! # When one fails
//!
//! It says with which seed, what was done to the cluster until then, and how to run it again:
//!
//! ```text
//! seed 17 failed at 12.408s; to repeat it exactly:
//! DISTRI_SEED=17 cargo test -p turnstile --test counting -- --exact nobody_is_counted_twice
//! ```
//!
//! `DISTRI_SEED=1..10000` tries as many instead of those of the suite. Both ends belong to the
//! range.
//!
//! # What holds all the time
//!
//! Some things are watched in every cluster, and end the run at once when they do not hold: a term
//! has one leader, an entry of the log that was applied anywhere is the same wherever it is
//! applied, no task of a node panics; and, when a storm is over, all nodes hold the same documents
//! and nothing that was acknowledged is missing.
//!
//! [`Cluster::watch`] switches on what holds of services that elect or divide their work: an
//! election has one holder at a time ([`Invariant::OneHolder`]), a key has one owner at a time
//! ([`Invariant::OneOwner`]). What `placement = …` sees to is watched by itself; code that sees to it
//! by itself says what it does with an [`Acting`]. [`Cluster::always`] adds what must always hold of
//! your own service.
//!
//! # What is simulated
//!
//! | what happens | by |
//! |---|---|
//! | the power fails: unsynced data is lost, kept or torn | [`Cluster::crash`], [`Cluster::crash_while_writing`] |
//! | a process is killed; the disk keeps what was written | [`Cluster::kill`] |
//! | a node stops in order, starts again, joins, is removed | [`Cluster::stop`], [`Cluster::restart`], [`Cluster::join`], [`Cluster::remove`] |
//! | a process hangs, with its links standing | [`Cluster::hang`], [`Cluster::resume`] |
//! | a clock is wrong | [`Cluster::set_clock_ahead`], [`Cluster::set_clock_behind`] |
//! | links stall, both ways or one way, or break, or are slow | [`Cluster::partition`], [`Cluster::network`] |
//! | any of it, as the seed says | [`Cluster::chaos`] |
//!
//! # What makes a run differ from its repetition
//!
//! The core asks only the simulation for time, randomness and threads, and a test holds it to that.
//! Your own code does the same if it takes time from `tokio::time`, ids and choices from
//! [`Sim::dice`] (in a test) or from what is given to it, uses `biased;` in `tokio::select!` and no
//! `tokio::sync::watch` with several waiters (tokio draws lots in both), iterates over no
//! `HashMap`, and starts no threads: [`Context::blocking`](crate::Context::blocking) is fine.
//! Tasks that a service starts with `tokio::spawn` do not die with their node; those of
//! [`NodeHandle::spawn`](crate::NodeHandle::spawn) do. With `DISTRI_TRACE=FILE` every delivery is
//! written to a file: the first line in which two runs differ shows where to look.

mod acting;
mod acts;
mod chaos;
mod cluster;
mod dice;
mod eventually;
mod invariants;
mod seat;
mod seeds;
mod sim;

pub use acting::{Acting, Invariant};
pub use chaos::{Chaos, Storm};
pub use cluster::{Cluster, ClusterBuilder};
pub use dice::Dice;
pub use sim::{Fingerprint, Sim, fingerprint, simulate};

pub use crate::{assert_eventually, storage::MemoryDisk, transport::memory::Network};
