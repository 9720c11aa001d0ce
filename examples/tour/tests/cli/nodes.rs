//! What a node prints, how it stops, and a cloud of several.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Stdio,
};

use serde_json::json;

use crate::{
    program,
    support::{Program, Running, eventually},
    with_node,
};

#[test]
fn a_node_prints_its_endpoint_first_and_answers_calls() {
    let (program, node) = with_node(&["--name", "first"]);

    let who = program.run(&["call", "tour", "who"]);

    assert_eq!(who.exit, 0, "{}", who.stderr);
    assert_eq!(who.json().as_str().unwrap().len(), 52);
    let (key, address) = node.first.split_once('@').unwrap();
    assert_eq!(program.ok(&["id"]), key);
    assert!(
        address.starts_with("127.0.0.1:") && address != "127.0.0.1:0",
        "{address}"
    );
}

#[test]
fn a_node_tells_programs_all_about_itself_in_one_line_of_json() {
    let program = program();

    let node = program.start(&["node", "--listen", "127.0.0.1:0", "--name", "a", "--json"]);

    let told: serde_json::Value = serde_json::from_str(&node.first).unwrap();
    assert_eq!(told["name"], "a");
    // A node that is alone keeps a directory of its own.
    let services = json!([
        "distri",
        "distri-cluster",
        "distri-directory",
        "distri-membership",
        "distri-raft",
        "tour"
    ]);
    assert_eq!(told["services"], services);
    assert_eq!(
        told["endpoint"],
        format!(
            "{}@{}",
            told["key"].as_str().unwrap(),
            told["address"].as_str().unwrap()
        )
    );
}

/// Asks an admin port, and gives all that it says.
fn ask(admin: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(admin).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nhost: {admin}\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_node_tells_where_its_admin_port_is() {
    let program = program();

    let arguments = ["node", "--listen", "127.0.0.1:0", "--json"];
    let without = program.start(&arguments);
    let with = [&arguments[..], &["--set", "admin.listen=127.0.0.1:0"]].concat();
    let node = program.start(&with);

    let told = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    assert_eq!(told(&without.first)["admin"], serde_json::Value::Null);
    let told = told(&node.first);
    let admin = told["admin"].as_str().unwrap();
    eventually("a node that is ready", || {
        ask(admin, "/readyz")
            .ends_with("\r\n\r\nready\n")
            .then_some(())
    });
    assert!(ask(admin, "/metrics").contains("\ndistri_node_info{"));
    node.signal("TERM");
    let (exit, log) = node.wait();
    assert_eq!(exit, 0, "{log}");
    assert!(log.contains("the admin port is open"), "{log}");
    assert!(!log.contains("neither encrypted"), "{log}");
}

#[test]
fn an_admin_port_for_other_machines_is_warned_of() {
    let program = program();
    let node = program.start(&[
        "node",
        "--listen",
        "127.0.0.1:0",
        "--set",
        "admin.listen=0.0.0.0:0",
    ]);

    node.signal("TERM");

    let (exit, log) = node.wait();
    assert_eq!(exit, 0, "{log}");
    assert!(log.contains("neither encrypted nor authenticated"), "{log}");
}

#[test]
fn a_taken_admin_port_is_told_with_its_setting() {
    let program = program();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let node = program.run(&[
        "node",
        "--listen",
        "127.0.0.1:0",
        "--set",
        &format!("admin.listen={address}"),
    ]);

    assert_eq!(node.exit, 1);
    assert!(node.stderr.contains("admin port"), "{}", node.stderr);
    assert!(node.stderr.contains("admin.listen"), "{}", node.stderr);
    assert!(node.stderr.contains(&address), "{}", node.stderr);
}

#[test]
fn without_configuration_a_client_calls_the_node_of_its_folder() {
    let program = program();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    program.write(
        "distri.toml",
        format!("[node]\nlisten = '127.0.0.1:{port}'\n"),
    );
    let _node = program.start(&["node"]);

    assert_eq!(program.ok(&["call", "tour", "sum", "numbers=[1,2]"]), "3.0");
}

#[test]
fn a_node_that_is_told_to_stop_finishes_its_calls_first() {
    let (program, node) = with_node(&[]);
    let call = program
        .command(&["call", "tour", "wait", "steps=50"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until_in_flight(&program, "tour.wait");

    node.signal("TERM");

    let output = call.wait_with_output().unwrap();
    let (exit, log) = node.wait();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "50");
    assert_eq!(exit, 0, "{log}");
    assert!(log.contains("stopping") && log.contains("stopped"), "{log}");
}

#[test]
fn a_node_that_is_told_twice_stops_at_once() {
    let (program, node) = with_node(&["--set", "limits.drain=10m"]);
    let mut call = program
        .command(&["call", "tour", "wait", "steps=100000", "--timeout", "10m"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until_in_flight(&program, "tour.wait");

    node.signal("INT");
    // It counts as twice only once the first was seen, which nobody but the node can tell: so
    // ask until it ends, which ends the call.
    eventually("the end of the call", || {
        node.signal("INT");
        call.try_wait().unwrap()
    });

    let (exit, log) = node.wait();
    assert_eq!(exit, 130, "{log}");
}

#[test]
fn a_taken_port_is_told_with_the_remedy() {
    let (program, node) = with_node(&[]);
    let (_, address) = node.first.split_once('@').unwrap();

    let second = program.run(&["node", "--listen", address, "--identity", "other.key"]);

    assert_eq!(second.exit, 1);
    assert!(
        second
            .stderr
            .contains(&format!("could not listen on {address}")),
        "{}",
        second.stderr
    );
    assert!(
        second
            .stderr
            .contains("`--listen HOST:PORT` takes another address"),
        "{}",
        second.stderr
    );
}

#[test]
fn the_nodes_of_a_cloud_are_listed_and_called_by_name() {
    let program = program();
    let (_nodes, config) = start_cloud(&program);

    let table = program.ok(&["nodes", "--config", &config]);
    let listed = program
        .run(&["nodes", "--json", "--config", &config])
        .json();
    let status = program.run(&[
        "call", "distri", "status", "--to", "node-2", "--config", &config,
    ]);

    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.starts_with("KEY"), "{table}");
    let names: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["node-1", "node-2", "node-3"]);
    assert_eq!(listed[0]["state"], "ready");
    assert_eq!(
        listed[0]["services"],
        json!(["distri", "distri-membership", "tour"])
    );
    assert_eq!(status.json()["name"], "node-2");
    let wrong = program.run(&["call", "tour", "who", "--to", "node-4", "--config", &config]);
    assert_eq!(wrong.exit, 2);
    assert!(
        wrong.stderr.contains("there is no node `node-4`"),
        "{}",
        wrong.stderr
    );
}

fn wait_until_in_flight(program: &Program, method: &str) {
    eventually("the call", || {
        let status = program.run(&["call", "distri", "status"]).json();
        let methods = status["methods"].as_array().unwrap().clone();
        methods
            .iter()
            .any(|counts| counts["name"] == method && counts["in_flight"] == 1)
            .then_some(())
    });
}

/// A cloud made by `new-cloud` and started by the commands that it prints.
pub(crate) fn start_cloud(program: &Program) -> (Vec<Running>, String) {
    for attempt in 0..20 {
        let folder = format!("cloud-{attempt}");
        let port = free_ports(3);
        let told = program.ok(&["new-cloud", &folder, "--port", &port.to_string()]);
        let commands: Vec<Vec<&str>> = told
            .lines()
            .map(|line| line.split(' ').skip(1).collect())
            .collect();
        let started: Result<Vec<Running>, String> = commands[..3]
            .iter()
            .map(|command| program.try_start(command))
            .collect();
        match started {
            Ok(nodes) => return (nodes, format!("{folder}/client.toml")),
            // Somebody else took a port in between.
            Err(told) => assert!(told.contains("could not listen"), "{told}"),
        }
    }
    panic!("no free ports");
}

/// The first of `count` ports in a row that nobody listens on.
fn free_ports(count: u16) -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if first.checked_add(count).is_some() && (first..first + count).all(is_free) {
            return first;
        }
    }
}
