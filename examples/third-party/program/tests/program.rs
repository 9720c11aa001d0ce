//! Services of several crates in one program: linked, configured, called.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use serde_json::json;

#[path = "../../../../tests/support/mod.rs"]
mod support;

use support::Program;

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_example-third-party"))
}

#[test]
fn the_services_of_each_named_crate_are_linked() {
    let services = program().run(&["services", "--json"]).json();

    let names: Vec<&str> = services
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"roman-numerals"), "{names:?}");
    assert!(names.contains(&"stego"), "{names:?}");
    assert!(names.is_sorted(), "{names:?}");
}

#[test]
fn a_strangers_service_answers_streams_and_refuses_with_its_own_error() {
    let mut program = program();
    let node = program.start(&["node", "--listen", "127.0.0.1:0"]);
    program.set("DISTRI_CLOUD__NODES", node.first.clone());

    let written = program.run(&["call", "roman-numerals", "write", "number=2026"]);
    let read = program.run(&["call", "roman-numerals", "read", "numeral=MMXXVI"]);
    let counted = program.ok(&["call", "roman-numerals", "count", "first=3", "how_many=2"]);
    let refused = program.run(&["call", "roman-numerals", "read", "numeral=IC", "--json"]);

    assert_eq!(written.json(), "MMXXVI");
    assert_eq!(read.json(), 2026);
    assert_eq!(
        counted,
        "{\"number\":3,\"numeral\":\"III\"}\n{\"number\":4,\"numeral\":\"IV\"}"
    );
    assert_eq!(refused.exit, 2);
    let error = refused.error_json();
    assert_eq!(error["message"], "`IC` is no numeral");
    assert_eq!(
        error["details"]["value"],
        json!({"NotANumeral": {"text": "IC"}})
    );
}

#[test]
fn an_operator_configures_a_service_in_file_and_environment() {
    let mut program = program();
    program.write(
        "distri.toml",
        "[services.roman-numerals]\nadditive = true\n",
    );
    program.set("DISTRI_SERVICES__ROMAN_NUMERALS__LARGEST", "100");
    let node = program.start(&["node", "--listen", "127.0.0.1:0"]);
    program.set("DISTRI_CLOUD__NODES", node.first.clone());

    let four = program.run(&["call", "roman-numerals", "write", "number=4"]);
    let large = program.run(&["call", "roman-numerals", "write", "number=101"]);

    assert_eq!(four.json(), "IIII");
    assert!(
        large.stderr.contains("expected a number from 1 to 100"),
        "{}",
        large.stderr
    );
}

#[test]
fn a_service_that_cannot_use_its_configuration_keeps_the_node_from_starting() {
    let cases = [
        (
            "additve = true",
            "services.roman-numerals.additve (distri.toml:2): no such key; did you mean `services.roman-numerals.additive`?",
        ),
        (
            "largest = 'many'",
            "services.roman-numerals.largest (distri.toml:2): found \"many\", expected u32",
        ),
        (
            "largest = 4000",
            "services.roman-numerals.largest is 4000, expected 1 to 3999",
        ),
    ];
    for (line, expected) in cases {
        let program = program();
        program.write(
            "distri.toml",
            format!("[services.roman-numerals]\n{line}\n"),
        );

        let outcome = program.run(&["node", "--listen", "127.0.0.1:0"]);

        assert_ne!(outcome.exit, 0);
        assert!(
            outcome
                .stderr
                .contains("service `roman-numerals` could not start"),
            "{}",
            outcome.stderr
        );
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
}

#[test]
fn a_file_is_hidden_in_a_picture_and_revealed_from_the_shell() {
    let mut program = program();
    let node = program.start(&["node", "--listen", "127.0.0.1:0"]);
    program.set("DISTRI_CLOUD__NODES", node.first.clone());
    program.write("cover.bmp", bitmap(64));
    program.write("secret.txt", "meet me at noon");
    program.write("key.json", r#"{"passphrase": "correct horse"}"#);

    let hidden = program.run(&[
        "call",
        "stego",
        "hide",
        "cover=@cover.bmp",
        "payload=@secret.txt",
        "key=@key.json",
        "options={}",
        "--output-dir",
        "out",
    ]);
    assert_eq!(hidden.exit, 0, "{}", hidden.stderr);
    assert_eq!(hidden.json()["image"]["file"], "out/image.png");

    let revealed = program.run(&[
        "call",
        "stego",
        "reveal",
        "image=@out/image.png",
        "key=@key.json",
        "--output-dir",
        "out",
    ]);
    let wrong = program.run(&[
        "call",
        "stego",
        "reveal",
        "image=@out/image.png",
        r#"key={"passphrase":"wrong horse"}"#,
    ]);

    assert_eq!(revealed.exit, 0, "{}", revealed.stderr);
    let payload = std::fs::read(program.path("out/payload.bin")).unwrap();
    assert_eq!(payload, b"meet me at noon");
    assert_eq!(wrong.exit, 1, "{}", wrong.stderr);
}

/// A colourful square as an uncompressed bitmap.
fn bitmap(side: u32) -> Vec<u8> {
    let pixels: Vec<u8> = (0..side * side * 3)
        .map(|at| (at * at / 7 + at) as u8)
        .collect();
    let mut file = b"BM".to_vec();
    for word in [
        54 + pixels.len() as u32,
        0,
        54,
        40,
        side,
        side,
        1 | 24 << 16,
        0,
        0,
        0,
        0,
        0,
        0,
    ] {
        file.extend(word.to_le_bytes());
    }
    file.extend(pixels);
    file
}
