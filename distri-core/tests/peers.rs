//! Peers: found by their keys, called, moved, gone; and what becomes of lies about them.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests drive peers as a program does, and may panic"
)]

extern crate distri_core as distri;

mod directory_support;
#[path = "peers/support.rs"]
mod support;

#[path = "peers/calls.rs"]
mod calls;
#[path = "peers/moves.rs"]
mod moves;
#[path = "peers/records.rs"]
mod records;
