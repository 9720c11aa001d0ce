//! What `config` shows, and mistakes in a configuration.

use serde_json::json;

use crate::program;

#[test]
fn every_setting_is_shown_with_where_it_came_from() {
    let mut program = program();
    program.write(
        "distri.toml",
        "[node]\nname = 'a'\n[services.tour]\napi_token = 'hush'\n",
    );
    program.set("DISTRI_LIMITS__CALLS", "7");

    let shown = program.ok(&["config", "show", "--log", "debug"]);
    let json = program.run(&["config", "show", "--json"]).json();

    let line = |key: &str| {
        let found = shown.lines().find(|line| line.starts_with(key)).unwrap();
        found.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("node.name"), "node.name = \"a\" # distri.toml:2");
    assert_eq!(
        line("limits.calls"),
        "limits.calls = 7 # environment variable DISTRI_LIMITS__CALLS"
    );
    assert_eq!(line("log.level"), "log.level = \"debug\" # flag --log");
    assert_eq!(line("limits.drain"), "limits.drain = \"10s\" # default");
    assert!(
        !shown.contains("hush") && !json.to_string().contains("hush"),
        "{shown}"
    );
    let name = json
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["key"] == "node.name")
        .unwrap();
    assert_eq!(
        *name,
        json!({"key": "node.name", "value": "a", "source": "distri.toml:2"})
    );
}

#[test]
fn what_config_show_prints_is_a_configuration() {
    let program = program();
    let shown = program.ok(&["config", "show"]);
    program.write("again.toml", shown);

    let again = program.ok(&["config", "show", "--config", "again.toml"]);

    assert!(again.contains("limits.calls = 8192"), "{again}");
}

#[test]
fn a_mistake_in_a_file_is_told_with_its_line_by_every_command() {
    let program = program();
    program.write("distri.toml", "[node]\nlisen = 'x'\n");
    let expected = "error: node.lisen (distri.toml:2): no such key; did you mean `node.listen`?\n";

    for arguments in [&["node"][..], &["config", "check"], &["id"], &["nodes"]] {
        let outcome = program.run(arguments);

        assert_eq!(outcome.exit, 2, "{arguments:?}");
        assert_eq!(outcome.stderr, expected, "{arguments:?}");
    }
}

#[test]
fn a_mistake_in_a_flag_names_the_flag() {
    let outcome = program().run(&["node", "--listen", "nowhere"]);

    assert_eq!(outcome.exit, 2);
    assert!(
        outcome.stderr.starts_with(
            "error: node.listen (flag --listen): found \"nowhere\", expected HOST:PORT"
        ),
        "{}",
        outcome.stderr
    );
}

#[test]
fn configuration_for_a_service_that_is_not_linked_keeps_a_node_from_starting() {
    let program = program();
    program.write("distri.toml", "[services.tuor]\nx = 1\n");

    for arguments in [&["node"][..], &["config", "check"]] {
        let outcome = program.run(arguments);

        assert_eq!(outcome.exit, 2);
        assert!(
            outcome.stderr.contains("services.tuor (distri.toml:1)"),
            "{}",
            outcome.stderr
        );
        assert!(
            outcome.stderr.contains("did you mean `tour`?"),
            "{}",
            outcome.stderr
        );
        assert!(
            outcome.stderr.contains("distri::main!"),
            "{}",
            outcome.stderr
        );
    }
}

#[test]
fn a_key_that_a_service_does_not_read_keeps_a_node_from_starting() {
    let program = program();
    program.write(
        "distri.toml",
        "[node]\nlisten = '127.0.0.1:0'\n[services.tour]\nspeed = 1\n",
    );

    let outcome = program.run(&["node"]);

    assert_ne!(outcome.exit, 0);
    assert!(
        outcome
            .stderr
            .contains("services.tour.speed (distri.toml:4)"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_configuration_in_order_is_said_to_be() {
    let program = program();
    program.write(
        "distri.toml",
        "[node]\nname = 'a'\nlisten = '0.0.0.0:4600'\n",
    );

    let outcome = program.run(&["config", "check"]);

    assert_eq!(outcome.text(), "ok: 2 settings besides the defaults");
    assert!(
        outcome.stderr.contains("set node.advertise"),
        "{}",
        outcome.stderr
    );
}
