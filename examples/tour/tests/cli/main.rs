//! The command line, as a shell sees it: real processes, real sockets.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "../../../../tests/support/mod.rs"]
mod support;

mod arguments;
mod config;
mod help;
mod id;
mod nodes;
mod peers;
mod results;
mod services;
mod stats;

use support::{Program, Running};

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_example-tour"))
}

/// A program whose calls go to a node of its own.
fn with_node(arguments: &[&str]) -> (Program, Running) {
    let mut program = program();
    let all = [&["node", "--listen", "127.0.0.1:0"], arguments].concat();
    let node = program.start(&all);
    program.set("DISTRI_CLOUD__NODES", node.first.clone());
    (program, node)
}
