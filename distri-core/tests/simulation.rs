//! The simulation, and whole clusters in it.
//!
//! - `repeats`: the same seed gives the same run, byte for byte.
//! - `watched`: what is promised to be watched is watched, and a run that fails says why.
//! - `faults`: each fault does what it says.
//! - `members`: who was away while others came and went.
//! - `one_at_a_time`: what only one may do is done by one, and a service that breaks this is found.
//! - `secrets`: the secret that members share, and that who is removed does not know.
//! - `storms`: small clusters under a few hundred seeds of everything at once. Many more:
//!
//! ```text
//! DISTRI_SEED=1..10000 cargo test -p distri-core --test simulation storms
//! cargo test -p distri-core --test simulation -- --ignored
//! ```
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test drives the world, and a panic is the report"
)]

extern crate distri_core as distri;

#[path = "simulation/faults.rs"]
mod faults;
#[path = "simulation/ledger.rs"]
mod ledger;
#[path = "simulation/members.rs"]
mod members;
#[path = "simulation/one_at_a_time.rs"]
mod one_at_a_time;
#[path = "simulation/repeats.rs"]
mod repeats;
#[path = "simulation/secrets.rs"]
mod secrets;
#[path = "simulation/storms.rs"]
mod storms;
#[path = "simulation/watched.rs"]
mod watched;
