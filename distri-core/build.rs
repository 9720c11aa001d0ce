//! Nothing is built here: Cargo asks for a build script where `links` is set.

fn main() {}
