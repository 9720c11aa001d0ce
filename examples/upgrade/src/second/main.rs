//! A program with the second version of the library.
//!
//! ```text
//! cargo run -p example-upgrade --bin library-2 -- node
//! ```

mod library;

distri::main!();
