//! A program with the first version of the library.
//!
//! ```text
//! cargo run -p example-upgrade --bin library-1 -- node
//! ```

mod library;

distri::main!();
