//! What `call` takes: arguments by name, from files, from stdin, and mistakes in them.

use crate::{program, with_node};

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
