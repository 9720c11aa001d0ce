//! The rules of the directory, by example and by property.

mod access;
mod edits;
mod fences;
mod leases;
mod measure;
mod replicas;
mod search;
mod sessions;
mod support;
mod transactions;
mod watching;
