//! The command line, as a shell sees it: real processes, real sockets.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    process::Stdio,
};

use serde_json::json;

#[path = "../../../tests/support/mod.rs"]
mod support;

use support::{Program, Running, eventually};

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

mod nodes {
    use super::*;

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
        assert_eq!(listed[0]["services"], json!(["distri", "tour"]));
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
    fn start_cloud(program: &Program) -> (Vec<Running>, String) {
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
}

mod arguments {
    use super::*;

    #[test]
    fn arguments_come_by_name_as_json_from_a_file_and_from_stdin() {
        let (program, _node) = with_node(&[]);
        program.write("three.json", "3\n");
        program.write("args.json", r#"{"needs": 3, "has": 1}"#);
        let refusal = |arguments: &[&str], input: &[u8]| {
            let all = [&["call", "tour", "refuse"], arguments].concat();
            program.run_with(&all, input).stderr
        };

        for (arguments, input) in [
            (vec!["needs=3", "has=1"], ""),
            (vec![r#"{"needs":3,"has":1}"#], ""),
            (vec!["@args.json"], ""),
            (vec!["needs=@three.json", "has=@-"], "1"),
            (vec!["-"], r#"{"needs":3,"has":1}"#),
            (vec!["@args.json", "has=9", "has=1"], ""),
        ] {
            let told = refusal(&arguments, input.as_bytes());
            assert!(
                told.starts_with("error: 3 needed, only 1 there"),
                "{arguments:?}: {told}"
            );
        }
    }

    #[test]
    fn a_value_for_a_text_stays_text() {
        let (program, _node) = with_node(&[]);
        let name = |value: &str| {
            let argument = format!("name={value}");
            program.run(&["call", "tour", "picture", &argument]).json()["name"].clone()
        };

        assert_eq!(name("7"), "7");
        assert_eq!(name("true"), "true");
        assert_eq!(name("a b"), "a b");
        assert_eq!(name("\"quoted\""), "quoted");
        assert_eq!(name(""), "");
        program.write("name.txt", "@home\n");
        assert_eq!(name("@name.txt"), "@home");
        assert_eq!(name("\"@home\""), "@home");
    }

    #[test]
    fn a_file_is_sent_as_a_blob_from_disk_and_from_stdin() {
        let (program, _node) = with_node(&[]);
        let bytes = vec![7; 3_000_000];
        program.write("big.bin", &bytes);

        let by_name = program
            .run(&["call", "tour", "digest", "file=@big.bin"])
            .json();
        let by_stdin = program
            .run_with(&["call", "tour", "digest", "file=@-"], &bytes)
            .json();
        let by_base64 = program
            .run(&["call", "tour", "digest", "file=aGVsbG8="])
            .json();

        assert_eq!(by_name["bytes"], 3_000_000);
        assert_eq!(by_name, by_stdin);
        assert_eq!(by_base64["bytes"], 5);
    }

    #[test]
    fn a_stream_is_sent_line_by_line() {
        let (program, _node) = with_node(&[]);
        program.write("numbers.jsonl", "1\n2.5\n\n3\n");

        assert_eq!(
            program.ok(&["call", "tour", "sum", "numbers=@numbers.jsonl"]),
            "6.5"
        );
        let wrong = program.run_with(&["call", "tour", "sum", "numbers=@-"], b"1\nx\n");
        assert_eq!(wrong.exit, 2);
        assert!(
            wrong.stderr.contains("line 2 of `numbers` is not JSON"),
            "{}",
            wrong.stderr
        );
    }

    #[test]
    fn mistakes_are_told_without_a_node_and_say_what_to_write() {
        let program = program();
        let cases: [(&[&str], &[&str]); 8] = [
            (
                &["tour", "ramp", "byte=1"],
                &["the method has no argument `byte`", "did you mean `bytes`?"],
            ),
            (
                &["tour", "refuse", "needs=1"],
                &[
                    "the argument `has` is missing",
                    "call tour refuse needs=1 has=1",
                ],
            ),
            (
                &["tour", "refuse"],
                &["the arguments `needs`, `has` are missing"],
            ),
            (
                &["tour", "ramp", "7"],
                &["`7` is no argument", "expected name=value"],
            ),
            (
                &["tour", "ramp", "{bytes:1}"],
                &["the argument is not a JSON object"],
            ),
            (
                &["tour", "digest", "file=@missing"],
                &["could not open missing"],
            ),
            (
                &["tour", "ramp", "@missing.json"],
                &["could not open `missing.json`"],
            ),
            (
                &["tour", "ramp", "bytes=1", "--timeout", "5"],
                &["expected a duration such as 5s"],
            ),
        ];
        for (arguments, expected) in cases {
            let outcome = program.run(&[&["call"], arguments].concat());

            assert_eq!(outcome.exit, 2, "{arguments:?}: {}", outcome.stderr);
            for text in expected {
                assert!(
                    outcome.stderr.contains(text),
                    "{arguments:?}: {}",
                    outcome.stderr
                );
            }
        }
    }

    #[test]
    fn a_misspelt_name_is_told_with_the_one_meant() {
        let (program, _node) = with_node(&[]);
        let cases: [(&[&str], &[&str]); 5] = [
            (
                &["tuor", "who"],
                &["there is no service `tuor`", "did you mean `tour`?"],
            ),
            (
                &["tour", "whom"],
                &["service `tour` has no method `whom`", "did you mean `who`?"],
            ),
            (
                &["tour", "ramp", "byte=1"],
                &["the method has no argument `byte`", "did you mean `bytes`?"],
            ),
            (
                &["tour", "refuse", "needs=1"],
                &[
                    "the argument `has` is missing",
                    "call tour refuse needs=1 has=1",
                ],
            ),
            (
                &["tour", "refuse"],
                &["the arguments `needs`, `has` are missing"],
            ),
        ];
        for (arguments, expected) in cases {
            let outcome = program.run(&[&["call"], arguments].concat());

            assert_eq!(outcome.exit, 2);
            for text in expected {
                assert!(
                    outcome.stderr.contains(text),
                    "{arguments:?}: {}",
                    outcome.stderr
                );
            }
        }
    }
}

mod results {
    use super::*;

    fn ramp(len: usize) -> Vec<u8> {
        (0..len).map(|at| at as u8).collect()
    }

    #[test]
    fn a_blob_goes_raw_to_a_pipe_and_whole_to_a_file() {
        let (program, _node) = with_node(&[]);

        for len in [0, 10, 300_000] {
            let argument = format!("bytes={len}");
            let piped = program.run(&["call", "tour", "ramp", &argument]);
            program.ok(&["call", "tour", "ramp", &argument, "--output", "ramp.bin"]);

            assert_eq!(piped.stdout, ramp(len));
            assert_eq!(fs::read(program.path("ramp.bin")).unwrap(), ramp(len));
        }
        assert!(!program.path("ramp.bin.part").exists());
    }

    #[test]
    fn blobs_inside_a_result_are_saved_where_asked() {
        let (program, _node) = with_node(&[]);

        let saved = program
            .run(&[
                "call",
                "tour",
                "picture",
                "name=dot",
                "--output-dir",
                "pictures",
            ])
            .json();

        assert_eq!(
            saved,
            json!({"name": "dot", "image": {"file": "pictures/image.png", "bytes": 67}})
        );
        let image = fs::read(program.path("pictures/image.png")).unwrap();
        assert!(image.starts_with(b"\x89PNG") && image.len() == 67);
        assert_eq!(fs::read_dir(program.path("pictures")).unwrap().count(), 1);
    }

    #[test]
    fn a_stream_is_printed_item_by_item() {
        let (program, _node) = with_node(&[]);

        let squares = program.ok(&["call", "tour", "squares", "numbers=[1,2,3]"]);
        program.ok(&[
            "call",
            "tour",
            "squares",
            "numbers=[4]",
            "-o",
            "squares.jsonl",
        ]);

        assert_eq!(squares, "1\n4\n9");
        assert_eq!(
            fs::read_to_string(program.path("squares.jsonl")).unwrap(),
            "16\n"
        );
    }

    #[test]
    fn items_come_while_others_are_still_to_be_sent() {
        let (program, _node) = with_node(&[]);
        let mut call = program
            .command(&["call", "tour", "squares", "numbers=@-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut numbers = call.stdin.take().unwrap();
        let mut squares = BufReader::new(call.stdout.take().unwrap()).lines();

        for number in 1..=5_u32 {
            use std::io::Write;
            writeln!(numbers, "{number}").unwrap();
            assert_eq!(
                squares.next().unwrap().unwrap(),
                (number * number).to_string()
            );
        }

        drop(numbers);
        assert!(squares.next().is_none());
        assert!(call.wait().unwrap().success());
    }

    #[test]
    fn a_pipe_that_is_closed_early_is_no_error() {
        let (program, _node) = with_node(&[]);
        let numbers: String = (0..200_000).map(|number| format!("{number}\n")).collect();
        program.write("numbers.jsonl", numbers);
        let mut call = program
            .command(&["call", "tour", "squares", "numbers=@numbers.jsonl"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut squares = BufReader::new(call.stdout.take().unwrap());
        squares.read_line(&mut String::new()).unwrap();

        drop(squares);

        let output = call.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }

    #[test]
    fn an_authors_error_is_told_to_people_and_typed_to_programs() {
        let (program, node) = with_node(&[]);

        let told = program.run(&["call", "tour", "refuse", "needs=3", "has=1"]);
        let typed = program.run(&["call", "tour", "refuse", "needs=3", "has=1", "--json"]);

        let (key, _) = node.first.split_once('@').unwrap();
        assert_eq!((told.exit, typed.exit), (1, 1));
        assert_eq!(
            told.stderr,
            format!("error: 3 needed, only 1 there\n  at node {}\n", &key[..8])
        );
        assert_eq!(told.text(), "");
        let error = typed.error_json();
        assert_eq!(error["code"], "failed-precondition");
        assert_eq!(error["node"], key);
        assert_eq!(
            error["details"]["value"],
            json!({"TooLittle": {"needs": 3, "has": 1}})
        );
    }

    #[test]
    fn a_stream_that_fails_in_the_middle_keeps_what_came_and_fails() {
        let (program, _node) = with_node(&[]);

        let outcome = program.run(&["call", "tour", "squares", "numbers=[2,9999999999,3]"]);

        assert_eq!(outcome.text(), "4");
        assert_eq!(outcome.exit, 1);
        assert!(
            outcome.stderr.contains("the square is too large"),
            "{}",
            outcome.stderr
        );
    }

    #[test]
    fn a_call_that_takes_too_long_says_how_to_wait_longer() {
        let (program, _node) = with_node(&[]);

        let outcome = program.run(&["call", "tour", "wait", "steps=10000", "--timeout", "200ms"]);

        assert_eq!(outcome.exit, 4);
        assert!(
            outcome.stderr.contains("`--timeout 2m` waits longer"),
            "{}",
            outcome.stderr
        );
    }

    #[test]
    fn who_may_not_call_learns_the_key_to_be_listed_and_may_call_once_it_is() {
        let (mut program, node) = with_node(&[]);
        program.set("DISTRI_CLIENT__IDENTITY", "client.key");
        let key = program.ok(&["id", "--client", "--create"]);

        let denied = program.run(&["call", "tour", "backstage"]);
        drop(node);
        let role = format!("access.roles.guide={key}");
        let listed = program.start(&["node", "--listen", "127.0.0.1:0", "--set", &role]);
        let allowed = program.run(&["call", "tour", "backstage", "--node", &listed.first]);

        assert_eq!(denied.exit, 1);
        assert!(
            denied
                .stderr
                .contains(&format!("this client's key is {key}")),
            "{}",
            denied.stderr
        );
        assert_eq!(allowed.json(), "mind the step");
    }

    #[test]
    fn a_node_that_is_not_there_is_told_with_its_address_and_the_remedy() {
        let (program, node) = with_node(&[]);
        let (_, address) = node.first.split_once('@').unwrap();
        let address = address.to_owned();
        drop(node);

        let outcome = program.run(&["call", "tour", "who"]);

        assert_eq!(outcome.exit, 3);
        assert!(outcome.stderr.contains(&address), "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains("is the node running?"),
            "{}",
            outcome.stderr
        );
        assert_eq!(
            outcome.stderr.matches("refused").count(),
            1,
            "{}",
            outcome.stderr
        );
    }

    #[test]
    fn without_any_node_known_the_way_to_one_is_told() {
        let outcome = program().run(&["nodes"]);

        assert_eq!(outcome.exit, 3);
        assert!(
            outcome.stderr.contains("no node is known"),
            "{}",
            outcome.stderr
        );
        assert!(
            outcome.stderr.contains("--node KEY@HOST:PORT"),
            "{}",
            outcome.stderr
        );
    }
}

mod help {
    use super::*;

    const COMMANDS: [&[&str]; 10] = [
        &[],
        &["node"],
        &["call"],
        &["services"],
        &["nodes"],
        &["id"],
        &["config"],
        &["config", "show"],
        &["config", "check"],
        &["new-cloud"],
    ];

    #[test]
    fn help_fits_a_screen_and_each_flag_says_its_default() {
        let program = program();
        for command in COMMANDS {
            let help = program.ok(&[command, &["--help"]].concat());

            assert!(
                help.lines().count() <= 36,
                "{command:?}: {} lines\n{help}",
                help.lines().count()
            );
            assert!(
                help.lines().all(|line| line.chars().count() <= 100),
                "{command:?}:\n{help}"
            );
            let flags = help
                .lines()
                .filter(|line| line.trim_start().starts_with('-'));
            for flag in flags {
                let is_fixed = ["--help", "--version", "--json", "--create", "--new"]
                    .iter()
                    .any(|fixed| flag.contains(fixed));
                assert!(
                    is_fixed || flag.contains("[default: "),
                    "{command:?}: {flag}"
                );
            }
        }
    }

    #[test]
    fn help_says_what_is_returned_to_the_shell() {
        let help = program().ok(&["--help"]);

        assert!(
            help.starts_with("A tour of what methods can take"),
            "{help}"
        );
        assert!(
            help.contains("Exit codes: 0 done, 1 failed, 2 wrong usage"),
            "{help}"
        );
    }

    #[test]
    fn an_unknown_flag_or_command_is_wrong_usage_and_names_the_near_one() {
        let program = program();

        let flag = program.run(&["node", "--lisen", "x"]);
        let command = program.run(&["nod"]);

        assert_eq!((flag.exit, command.exit), (2, 2));
        assert!(flag.stderr.contains("--listen"), "{}", flag.stderr);
        assert!(command.stderr.contains("node"), "{}", command.stderr);
    }

    #[test]
    fn help_into_a_closed_pipe_is_no_error() {
        let program = program();
        let mut child = program
            .command(&["--help"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();

        drop(child.stdout.take());

        assert!(child.wait().unwrap().success());
    }
}

mod services {
    use super::*;

    #[test]
    fn the_services_of_the_program_are_listed_without_a_node() {
        let program = program();

        let table = program.ok(&["services"]);
        let json = program.run(&["services", "--json"]).json();

        assert!(table.starts_with("SERVICE"), "{table}");
        assert!(
            table.contains("What methods can take, give and tell."),
            "{table}"
        );
        assert_eq!(json[0]["name"], "tour");
        let names: Vec<&str> = json[0]["methods"]
            .as_array()
            .unwrap()
            .iter()
            .map(|method| method["name"].as_str().unwrap())
            .collect();
        assert_eq!(names[..3], ["digest", "ramp", "picture"]);
        assert!(json[0]["methods"][0]["arguments"]["properties"]["file"].is_object());
    }

    #[test]
    fn a_service_is_shown_with_methods_types_docs_and_examples() {
        let shown = program().ok(&["services", "tour"]);

        for text in [
            "tour (version 1)",
            "digest(file) → {bytes: integer, checksum: integer}",
            "Size and checksum of a file.",
            "file  bytes",
            "call tour digest file=@FILE",
            "squares(numbers) → stream of integer",
            "refuse(needs, has) → nothing",
            "who() → text",
        ] {
            assert!(shown.contains(text), "no `{text}` in:\n{shown}");
        }
    }

    #[test]
    fn the_cloud_tells_its_services_to_a_program_that_has_none_of_them() {
        let (program, _node) = with_node(&[]);

        let table = program.ok(&["services", "--remote"]);

        assert!(
            table.contains("distri") && table.contains("tour"),
            "{table}"
        );
    }

    #[test]
    fn an_example_can_be_typed_as_it_is() {
        let (program, _node) = with_node(&[]);
        let all = program.run(&["services", "tour", "--json"]).json();
        let example = all["methods"][2]["example"].as_str().unwrap();

        let words: Vec<&str> = example.split(' ').skip(1).collect();

        assert_eq!(program.run(&words).json()["name"], "TEXT");
    }
}

mod config {
    use super::*;

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
        let expected =
            "error: node.lisen (distri.toml:2): no such key; did you mean `node.listen`?\n";

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
}

mod id {
    use super::*;

    #[test]
    fn a_key_is_made_only_when_asked_and_never_overwritten() {
        let program = program();

        let missing = program.run(&["id"]);
        let made = program.ok(&["id", "--create"]);
        let again = program.ok(&["id", "--create"]);
        let new = program.ok(&["id", "--new", "other.key"]);
        let taken = program.run(&["id", "--new", "other.key"]);

        assert_eq!(missing.exit, 2);
        assert!(
            missing.stderr.contains("id --create` makes one"),
            "{}",
            missing.stderr
        );
        assert_eq!(made.len(), 52);
        assert_eq!(made, again);
        assert_ne!(made, new);
        assert_eq!(taken.exit, 2);
        assert!(
            taken.stderr.contains("never overwritten"),
            "{}",
            taken.stderr
        );
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_with_the_remedy() {
        use std::os::unix::fs::PermissionsExt;
        let program = program();
        program.ok(&["id", "--create"]);
        fs::set_permissions(program.path("node.key"), fs::Permissions::from_mode(0o644)).unwrap();

        for arguments in [
            &["id"][..],
            &["config", "check"],
            &["node", "--listen", "127.0.0.1:0"],
        ] {
            let outcome = program.run(arguments);

            assert_eq!(outcome.exit, 2, "{arguments:?}: {}", outcome.stderr);
            assert!(
                outcome.stderr.contains("chmod 600 node.key"),
                "{}",
                outcome.stderr
            );
        }
    }

    #[test]
    fn a_cloud_is_not_written_over_another() {
        let program = program();
        program.ok(&["new-cloud", "cloud", "--nodes", "1"]);
        let before = fs::read(program.path("cloud/node-1/node.key")).unwrap();

        let again = program.run(&["new-cloud", "cloud"]);

        assert_eq!(again.exit, 2);
        assert!(
            again.stderr.contains("nothing is overwritten"),
            "{}",
            again.stderr
        );
        assert_eq!(
            fs::read(program.path("cloud/node-1/node.key")).unwrap(),
            before
        );
        assert!(!program.path("cloud/node-2").exists());
    }
}
