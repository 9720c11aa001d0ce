//! What `call` prints and saves: values, blobs, streams, errors.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::json;

use crate::{program, with_node};

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
fn each_turn_has_a_higher_number_than_the_last() {
    let (program, _node) = with_node(&[]);
    let turn = || {
        let number = program.run(&["call", "tour", "alone", "millis=10"]).json();
        number.as_u64().unwrap()
    };

    let (first, second) = (turn(), turn());

    assert!(second > first);
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
