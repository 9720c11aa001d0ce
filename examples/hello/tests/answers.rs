//! The smallest program answers what its first lines say.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "../../../tests/support/mod.rs"]
mod support;

use support::Program;

#[test]
fn the_smallest_program_starts_a_node_and_calls_it() {
    let mut program = Program::new(env!("CARGO_BIN_EXE_example-hello"));
    let node = program.start(&["node", "--listen", "127.0.0.1:0"]);
    program.set("DISTRI_CLOUD__NODES", node.first.clone());

    assert_eq!(
        program.ok(&["call", "word-count", "count", "text=to be or not"]),
        "4"
    );
    assert_eq!(
        program.ok(&["call", "word-count", "count", r#"{"text":"to be"}"#]),
        "2"
    );
    assert!(program.ok(&["services"]).contains("Counts words."));
    assert!(program.ok(&["--help"]).starts_with("Counts words"));
}

#[test]
fn the_smallest_program_is_small() {
    let source = include_str!("../src/main.rs");
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");

    let lines: Vec<&str> = source.lines().filter(is_code).collect();
    let service = lines
        .iter()
        .position(|line| line.contains("derive(Default)"))
        .unwrap();
    let end = lines
        .iter()
        .position(|line| line.contains("distri::main!"))
        .unwrap();

    assert!(
        end - service <= 12,
        "the service has {} lines",
        end - service
    );
    assert!(lines.len() <= 20, "the program has {} lines", lines.len());
}
