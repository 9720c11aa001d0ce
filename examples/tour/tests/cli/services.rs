//! What `services` tells of a program and of a cloud.

use crate::{program, with_node};

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
