//! The rules of the directory, by example and by property.

mod support;
mod transactions;
