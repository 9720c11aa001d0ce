//! `stats`: what nodes have done, for people and for programs.

use serde_json::Value;

use crate::{
    nodes::start_cloud,
    program,
    support::{Program, eventually},
    with_node,
};

fn of<'a>(stats: &'a Value, method: &str) -> &'a Value {
    let methods = stats["methods"].as_array().unwrap();
    let mut found = methods.iter().filter(|one| one["method"] == method);
    found.next().unwrap_or(&Value::Null)
}

fn sum(program: &Program, more: &[&str]) {
    program.ok(&[&["call", "tour", "sum", "numbers=[1,2]"], more].concat());
}

#[test]
fn calls_are_shown_by_method_with_how_long_they_took() {
    let (program, _node) = with_node(&["--name", "first"]);
    for _ in 0..3 {
        sum(&program, &[]);
    }

    let table = program.ok(&["stats"]);
    let stats = program.run(&["stats", "--json"]).json();

    assert!(table.starts_with("node first ("), "{table}");
    let row = table.lines().find(|line| line.starts_with("tour.sum"));
    let cells: Vec<&str> = row.unwrap().split_whitespace().collect();
    assert_eq!(cells[1..4], ["3", "0", "0"], "{table}");
    let prometheus = program.ok(&["stats", "--prometheus"]);
    let count = "distri_calls_served_seconds_count{service=\"tour\",method=\"sum\"} 3";
    assert!(prometheus.lines().any(|line| line == count), "{prometheus}");
    // distri's own services are shown when they are asked for.
    assert!(!table.contains("distri."), "{table}");
    assert!(program.ok(&["stats", "--own"]).contains("distri.stats"));
    let sum = of(&stats, "sum");
    assert_eq!(sum["calls"], 3);
    assert!(sum["seconds"]["max"].as_f64().unwrap() >= sum["seconds"]["p50"].as_f64().unwrap());
    assert!(sum["bytes_in"].as_u64().unwrap() > 0);
    assert!(stats["process"]["resident"].as_u64().unwrap() > 1 << 20);
}

#[test]
fn all_nodes_are_shown_with_what_they_come_to_and_one_that_is_down_is_marked() {
    let program = program();
    let (mut nodes, config) = start_cloud(&program);
    let config = ["--config", &config];
    for node in ["node-1", "node-2", "node-3"] {
        sum(&program, &[&config[..], &["--to", node]].concat());
    }

    let all = [&["stats", "--all", "--json"], &config[..]].concat();
    let stats = eventually("all have answered", || {
        let stats = program.run(&all).json();
        (of(&stats, "sum")["calls"] == 3).then_some(stats)
    });
    nodes.pop().unwrap().kill();
    let table = eventually("one is down", || {
        let table = program.ok(&[&["stats", "--all"], &config[..]].concat());
        table.contains("no answer from node-3").then_some(table)
    });

    assert_eq!(stats["nodes"].as_array().unwrap().len(), 3);
    assert!(
        table.lines().any(|line| line.starts_with("node-1  alive")),
        "{table}"
    );
    let one = program.run(&[&["stats", "node-2", "--json"], &config[..]].concat());
    assert_eq!(of(&one.json(), "sum")["calls"], 1);
    let wrong = program.run(&[&["stats", "node-9"], &config[..]].concat());
    wrong.failed(2, "there is no node `node-9`");
}

#[test]
fn who_is_there_is_told_with_what_they_use() {
    let (program, _node) = with_node(&["--name", "first"]);

    let status = program.ok(&["status"]);
    let top = program.ok(&["top", "--count", "1"]);

    assert!(status.lines().next().unwrap().contains("CPU"), "{status}");
    assert!(top.starts_with("1 node: 1 alive; "), "{top}");
}
