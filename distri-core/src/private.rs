//! What generated code needs and nobody else: re-exports, so that a service's crate depends on
//! `distri` alone, and the traits and functions that keep generated code short.
//!
//! - `method`: arguments and results, and calls of a method by its type.
//! - `host`: how a node comes by an instance, and reaches the implementation of an interface.
//!
//! Much here exists for the sake of what the compiler says. Each bound on a type that a user writes
//! is a trait of ours with a message of ours, checked in one place.

pub use inventory;
pub use schemars;
pub use serde;

#[path = "private/host.rs"]
mod host;
#[path = "private/method.rs"]
mod method;
#[cfg(feature = "testing")]
#[path = "private/wait.rs"]
mod wait;

pub use host::{
    DefaultStart, Interface, Serves, Settings, Starts, Stops, by_default, started, stopped,
};
pub use method::{
    Argument, ArgumentList, Carried, Failure, Method, Takes, Travels, arguments, call, describe,
    gather, own, placement_key, reply, travels,
};
#[cfg(feature = "testing")]
pub use wait::Wait;
