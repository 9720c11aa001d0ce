//! What generated code needs and nobody else: re-exports, so that a service's crate depends on
//! `distri` alone, and a few functions that keep the generated code short.

pub use inventory;
pub use schemars;
pub use serde;

pub use crate::placement::placement_key;
use crate::{
    client::{Call, Client, Gather},
    service::ServiceDescriptor,
};

/// A call of the method at `index`.
pub fn call<A, T>(
    client: &Client,
    service: &'static ServiceDescriptor,
    index: usize,
    arguments: A,
) -> Call<T>
where
    A: serde::Serialize + Send + 'static,
{
    client.call(service, index, arguments)
}

/// A call of the method at `index` on every node.
pub fn gather<A, T>(
    client: &Client,
    service: &'static ServiceDescriptor,
    index: usize,
    arguments: A,
) -> Gather<T>
where
    A: serde::Serialize + Send + 'static,
{
    client.gather(service, index, arguments)
}
