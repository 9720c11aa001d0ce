//! The directory from the command line, as one types it, against a node of its own.
#![cfg(all(feature = "cli", feature = "node"))]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fmt::Write;

use serde_json::{Value, json};
use support::{Outcome, cluster::Member};

mod support;

const DISTRI: &str = env!("CARGO_BIN_EXE_distri");

/// A cluster of one, with three images.
fn images() -> Member {
    let member = Member::found(DISTRI, "one");
    ok(
        &member,
        &["collections", "create", "images", "--index", "kind,size"],
    );
    for (id, value) in [
        ("cat", r#"{"title":"A cat","kind":"png","size":1200}"#),
        ("dog", r#"{"title":"A dog","kind":"gif","size":800}"#),
        (
            "emu",
            r#"{"title":"An emu","kind":"png","size":40,"of":{"city":"Perth"}}"#,
        ),
    ] {
        ok(&member, &["put", "images", id, value]);
    }
    member
}

fn run(member: &Member, arguments: &[&str]) -> Outcome {
    member.program.run(&[&["directory"], arguments].concat())
}

#[track_caller]
fn ok(member: &Member, arguments: &[&str]) -> String {
    let outcome = run(member, arguments);
    assert_eq!(outcome.exit, 0, "{arguments:?} failed: {}", outcome.stderr);
    outcome.text()
}

#[track_caller]
fn json_of(member: &Member, arguments: &[&str]) -> Value {
    serde_json::from_str(&ok(member, &[arguments, &["--json"]].concat())).unwrap()
}

#[track_caller]
fn lines_of(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What is refused says why, what to do about it, and the exit code.
#[track_caller]
fn refused(member: &Member, arguments: &[&str], exit: i32, told: &[&str]) {
    let outcome = run(member, arguments);
    assert_eq!(outcome.exit, exit, "{arguments:?}: {}", outcome.stderr);
    assert!(
        outcome.stdout.is_empty(),
        "{arguments:?}: {}",
        outcome.text()
    );
    for told in told {
        assert!(
            outcome.stderr.contains(told),
            "{arguments:?}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn collections_are_made_listed_and_dropped() {
    let member = Member::found(DISTRI, "one");
    let schema = r#"{"type":"object","required":["name"]}"#;
    member.program.write("owner.json", schema);
    let none = run(&member, &["collections"]);
    let create = [
        "collections",
        "create",
        "owners",
        "--index",
        "city,name",
        "--index",
        "born",
        "--unique",
        "name",
        "--schema",
        "owner.json",
        "--read",
        "public",
        "--write",
        "editor",
    ];

    ok(&member, &create);

    assert!(
        none.stderr.contains("collections create NAME"),
        "{}",
        none.stderr
    );
    let table = ok(&member, &["collections"]);
    let row = table.lines().nth(1).unwrap();
    for cell in [
        "owners",
        " 0 ",
        "public",
        "editor",
        "yes",
        "city,name  born  name (unique)",
    ] {
        assert!(row.contains(cell), "no `{cell}` in\n{table}");
    }
    let listed = json_of(&member, &["collections"]);
    assert_eq!(listed[0]["spec"]["write"], json!({ "role": "editor" }));
    assert_eq!(listed[0]["spec"]["schema"]["required"], json!(["name"]));
    ok(&member, &["dir", "collections", "drop", "owners"][1..]);
    assert_eq!(json_of(&member, &["collections"]), json!([]));
    refused(
        &member,
        &["collections", "drop", "owners"],
        1,
        &["no collection `owners`"],
    );
}

#[test]
fn documents_are_put_read_changed_and_deleted() {
    let member = images();
    member
        .program
        .write("fox.json", "{\n  \"title\": \"A fox\"\n}\n");

    ok(&member, &["put", "images", "fox", "@fox.json"]);
    let first = json_of(&member, &["get", "images", "fox"]);
    let put = ["directory", "put", "images", "fox", "-", "--json"];
    let put = member
        .program
        .run_with(&put, br#"{"title":"The fox","size":1}"#);
    let second = put.json()["revision"].as_u64().unwrap();

    assert_eq!(first["value"], json!({ "title": "A fox" }));
    assert_eq!(
        ok(&member, &["get", "images", "fox"]),
        r#"{"title":"The fox","size":1}"#
    );
    let merged = json_of(
        &member,
        &["merge", "images", "fox", r#"{"title":null,"kind":"jpg"}"#],
    );
    assert_eq!(merged["value"], json!({ "size": 1, "kind": "jpg" }));
    assert_eq!(
        ok(&member, &["add", "images", "fox", "size", "-3"]),
        r#"{"size":-2,"kind":"jpg"}"#
    );
    let added = json_of(
        &member,
        &["add", "images", "fox", "seen", "2", "--max", "2"],
    );
    assert_eq!(added["value"]["seen"], 2);
    let old = second.to_string();
    let shows = ["not ", &old, "get --json images fox"];
    refused(
        &member,
        &["put", "images", "fox", "1", "--if-revision", &old],
        1,
        &shows,
    );
    refused(
        &member,
        &["delete", "images", "fox", "--if-revision", &old],
        1,
        &shows,
    );
    let now = added["revision"].to_string();
    ok(
        &member,
        &["put", "images", "fox", "{}", "--if-revision", &now],
    );
    let deleted = ok(&member, &["delete", "images", "fox"]);
    assert!(
        deleted.starts_with("deleted images/fox at revision "),
        "{deleted}"
    );
    refused(
        &member,
        &["get", "images", "fox"],
        1,
        &["there is no `images/fox`"],
    );
}

#[test]
fn wrong_input_is_told_with_what_was_expected() {
    let member = images();

    for (arguments, exit, told) in [
        (
            &["put", "images", "x", "{oops"][..],
            2,
            &["`{oops` is not JSON", "'\"text\"'"][..],
        ),
        (
            &["put", "images", "x", "@none.json"],
            2,
            &["could not read `none.json`"],
        ),
        (
            &["put", "images", "cat", "{}", "--insert"],
            1,
            &["exists already", "without --insert"],
        ),
        (
            &["put", "images", "x", "{}", "--lease", "77"],
            1,
            &["no lease 77", "lease grant"],
        ),
        (
            &["put", "nowhere", "x", "{}"],
            1,
            &["no collection `nowhere`", "collections create nowhere"],
        ),
        (
            &["merge", "images", "x", "{}"],
            1,
            &["there is no `images/x`"],
        ),
        (
            &["add", "images", "cat", "size", "many"],
            2,
            &["expected a number"],
        ),
        (&["add", "images", "cat", "title", "1"], 2, &["title"]),
        (
            &["add", "images", "cat", "size", "1", "--max", "5"],
            1,
            &["is 1200; adding 1"],
        ),
        (
            &["find", "images", "size>="],
            2,
            &["is not a filter", "find --help"],
        ),
        (&["find", "images", "(a=1"], 2, &["is not a filter"]),
        (&["find", "images", "--sort", "-"], 2, &["expected FIELD"]),
        (&["find", "nowhere"], 1, &["no collection `nowhere`"]),
        (&["watch", "nowhere"], 1, &["no collection `nowhere`"]),
        (
            &["transaction", r#"{"operation":[]}"#],
            2,
            &["no transaction", "--help"],
        ),
        (&["lease", "grant", "1h", "2"], 2, &["unexpected argument"]),
        (&["lease", "grant", "1ms"], 2, &["1ms"]),
        (&["lease", "keep", "77"], 1, &["no lease 77"]),
        (&["export", "nowhere"], 1, &["no collection `nowhere`"]),
        (
            &["import", "none.jsonl"],
            2,
            &["could not read `none.jsonl`"],
        ),
    ] {
        refused(&member, arguments, exit, told);
    }
    let wrong = run(&member, &["get", "nowhere", "x", "--json"]);
    let error = wrong.error_json();
    assert_eq!(error["code"], "not-found", "{error}");
    assert_eq!(
        error["details"]["value"],
        json!({ "no_collection": { "name": "nowhere" } })
    );
}

#[test]
fn searches_filter_sort_limit_count_and_choose_columns() {
    let member = images();
    let ids = |arguments: &[&str]| -> Vec<String> {
        let text = ok(
            &member,
            &[&["find", "images", "--json"], arguments].concat(),
        );
        let ids = lines_of(&text).into_iter();
        ids.map(|found| found["id"].as_str().unwrap().to_owned())
            .collect()
    };

    assert_eq!(ids(&[]), ["cat", "dog", "emu"]);
    assert_eq!(ids(&["kind=png", "size>=1000"]), ["cat"]);
    assert_eq!(ids(&["title=\"A dog\""]), ["dog"]);
    assert_eq!(
        ids(&["(kind=gif or of.city=Perth)", "not size>500"]),
        ["emu"]
    );
    assert_eq!(ids(&["@id^=e"]), ["emu"]);
    assert_eq!(
        ids(&["--sort", "-kind,size", "--limit", "2"]),
        ["emu", "cat"]
    );
    assert_eq!(ids(&["--all", "--local"]), ["cat", "dog", "emu"]);
    assert_eq!(ok(&member, &["find", "images", "kind=png", "--count"]), "2");
    let table = ok(&member, &["find", "images", "kind=png"]);
    assert_eq!(
        table,
        "ID   TITLE   KIND  SIZE  OF\n\
         cat  A cat   png   1200  -\n\
         emu  An emu  png   40    {\"city\":\"Perth\"}"
    );
    let chosen = ok(
        &member,
        &["find", "images", "size<100", "--fields", "of.city,@id,none"],
    );
    assert_eq!(chosen, "OF.CITY  ID   NONE\nPerth    emu  -");
    let some = run(&member, &["find", "images", "--limit", "2"]);
    assert!(
        some.stderr.contains("2 shown, more match"),
        "{}",
        some.stderr
    );
    let nothing = run(&member, &["find", "images", "size>5000"]);
    assert_eq!((nothing.exit, nothing.text().as_str()), (0, ""));
    assert!(
        nothing.stderr.contains("no document matches"),
        "{}",
        nothing.stderr
    );
}

#[test]
fn a_search_longer_than_a_page_is_printed_whole() {
    let member = Member::found(DISTRI, "one");
    let mut lines = String::from(r#"{"collection":"many","spec":{"name":"many"}}"#);
    for number in 0..2500 {
        let id = format!("{number:04}");
        write!(
            lines,
            "\n{{\"collection\":\"many\",\"id\":\"{id}\",\"value\":{number}}}"
        )
        .unwrap();
    }
    let import = member
        .program
        .run_with(&["directory", "import"], lines.as_bytes());

    assert_eq!(import.exit, 0, "{}", import.stderr);
    assert!(
        import.stderr.contains("wrote 2500 documents"),
        "{}",
        import.stderr
    );
    let all = ok(&member, &["find", "many", "--all"]);
    let ids: Vec<&str> = all.lines().skip(1).map(|line| &line[..4]).collect();
    let wanted: Vec<String> = (0..2500).map(|number| format!("{number:04}")).collect();
    assert_eq!(ids, wanted);
    assert_eq!(
        ok(&member, &["find", "many", "--limit", "1500"])
            .lines()
            .count(),
        1501
    );
}

#[test]
fn a_watch_tells_what_other_programs_change() {
    let member = images();
    let follow = [
        "directory",
        "find",
        "images",
        "size>=100",
        "--follow",
        "--json",
    ];

    let mut watch = member.program.start(&follow);
    let dog = watch.line();
    ok(&member, &["put", "images", "ant", r#"{"size":500}"#]);
    ok(&member, &["put", "images", "bee", r#"{"size":1}"#]);
    ok(&member, &["merge", "images", "ant", r#"{"size":2}"#]);
    let deleted = json_of(&member, &["delete", "images", "cat"]);

    let events = lines_of(&[watch.line(), watch.line(), watch.line()].join("\n"));
    assert!(
        watch.first.contains("A cat") && dog.contains("A dog"),
        "{} {dog}",
        watch.first
    );
    assert_eq!(events[0]["event"], "put");
    assert_eq!(events[0]["document"]["value"], json!({ "size": 500 }));
    // It matches no longer.
    assert_eq!(
        (&events[1]["event"], &events[1]["id"]),
        (&json!("deleted"), &json!("ant"))
    );
    assert_eq!(events[2]["revision"], deleted["revision"]);
    watch.signal("INT");
    assert_eq!(watch.wait(), (130, String::new()));
}

#[test]
fn a_watch_after_a_revision_tells_what_was_changed_since() {
    let member = images();
    let before = json_of(&member, &["get", "images", "emu"])["revision"].to_string();
    ok(&member, &["put", "images", "ant", r#"{"size":5}"#]);
    ok(&member, &["put", "images", "ant", "{}"]);

    let mut watch = member
        .program
        .start(&["directory", "watch", "images", "--after", &before]);

    let first: Vec<&str> = watch.first.split_whitespace().skip(1).collect();
    assert_eq!(first, ["added", "images/ant", "{\"size\":5}"]);
    let second = watch.line();
    assert!(second.contains("changed  images/ant  {}"), "{second}");
}

#[test]
fn a_transaction_takes_effect_wholly_or_not_at_all() {
    let member = images();
    let transaction = |condition: &str| {
        format!(
            r#"{{"conditions":[{{"{condition}":{{"collection":"images","id":"fox"}}}}],
                "operations":[
                  {{"insert":{{"collection":"images","id":"fox","value":{{"n":1}}}}}},
                  {{"add":{{"collection":"images","id":"fox","field":"n","by":4}}}},
                  {{"delete":{{"collection":"images","id":"cat"}}}}]}}"#
        )
    };

    let done = json_of(&member, &["transaction", &transaction("missing")]);

    assert_eq!(done["documents"][0]["value"], json!({ "n": 5 }));
    let told = ["condition 0 does not hold"];
    refused(&member, &["transaction", &transaction("missing")], 1, &told);
    assert_eq!(ok(&member, &["find", "images", "--count"]), "3");
}

#[test]
fn documents_end_with_their_lease() {
    let member = images();
    let lease = ok(&member, &["lease", "grant", "10m"]);

    ok(&member, &["put", "images", "here", "1", "--lease", &lease]);
    ok(&member, &["lease", "keep", &lease]);

    assert_eq!(
        json_of(&member, &["get", "images", "here"])["lease"].to_string(),
        lease
    );
    let export = run(&member, &["export"]);
    assert!(!export.text().contains("\"here\""), "{}", export.text());
    assert!(
        export.stderr.contains("left out 1 document "),
        "{}",
        export.stderr
    );
    assert!(ok(&member, &["export", "--leased"]).contains("\"here\""));
    ok(&member, &["lease", "end", &lease]);
    refused(&member, &["get", "images", "here"], 1, &["there is no"]);

    let grant = ["directory", "lease", "grant", "1s", "--hold"];
    let holder = member.program.start(&grant);
    ok(
        &member,
        &["put", "images", "held", "1", "--lease", &holder.first],
    );
    holder.signal("INT");
    let held = holder.first.clone();
    assert_eq!(holder.wait().0, 130);
    refused(
        &member,
        &["lease", "keep", &held],
        1,
        &["there is no lease"],
    );
    refused(&member, &["get", "images", "held"], 1, &["there is no"]);
}

#[test]
fn what_is_exported_is_imported_elsewhere_as_it_was() {
    let from = images();
    let unique = [
        "collections",
        "create",
        "odd",
        "--unique",
        "a",
        "--read",
        "public",
    ];
    ok(&from, &unique);
    for (id, value) in [
        ("null", "null"),
        ("π / \"x\"", "\"two\\nlines\""),
        ("big", "{\"a\":18446744073709551615,\"b\":-0.125}"),
    ] {
        ok(&from, &["put", "odd", id, value]);
    }
    let to = Member::found(DISTRI, "other");
    let exported = run(&from, &["export"]);
    assert_eq!(exported.exit, 0, "{}", exported.stderr);
    to.program.write("all.jsonl", &exported.stdout);

    let imported = json_of(&to, &["import", "all.jsonl"]);

    let without_owner = |text: &str| -> Vec<Value> {
        let mut lines = lines_of(text);
        for line in &mut lines {
            line.as_object_mut().unwrap().remove("owner");
        }
        lines
    };
    assert_eq!(imported, json!({ "written": 6, "skipped": 0 }));
    assert_eq!(
        without_owner(&ok(&to, &["export"])),
        without_owner(&exported.text())
    );
    assert_eq!(lines_of(&exported.text()).len(), 8);
    assert_eq!(lines_of(&ok(&from, &["export", "odd"])).len(), 4);
}

#[test]
fn an_import_over_what_is_there_does_as_it_is_told() {
    let member = images();
    let file = "{\"collection\":\"images\",\"id\":\"ant\",\"value\":1}\n\
                {\"collection\":\"images\",\"id\":\"cat\",\"value\":2}\n\
                \n\
                {\"collection\":\"images\",\"id\":\"fly\",\"value\":3}\n";
    member.program.write("some.jsonl", file);

    let told = [
        "line 2: `images/cat` exists",
        "--if-missing",
        "wrote 1 document\n",
    ];
    refused(&member, &["import", "some.jsonl"], 1, &told);
    let missing = json_of(&member, &["import", "some.jsonl", "--if-missing"]);
    let cat = json_of(&member, &["get", "images", "cat"]);
    let over = json_of(&member, &["import", "some.jsonl", "--overwrite"]);

    assert_eq!(missing, json!({ "written": 1, "skipped": 2 }));
    assert_eq!(cat["value"]["title"], "A cat");
    assert_eq!(over, json!({ "written": 3, "skipped": 0 }));
    assert_eq!(ok(&member, &["get", "images", "cat"]), "2");
    for (line, told) in [
        ("{\"collection\":\"images\"}", "line 1 is neither"),
        ("\n\n[]", "line 3 is no line of an export"),
        (
            "{\"collection\":\"none\",\"id\":\"a\",\"value\":1}",
            "line 1: there is no collection",
        ),
        (
            "{\"collection\":\"images\",\"spec\":{\"name\":\"images\"}}",
            "with other indexes",
        ),
    ] {
        let outcome = member
            .program
            .run_with(&["directory", "import", "-"], line.as_bytes());
        assert_ne!(outcome.exit, 0);
        assert!(outcome.stderr.contains(told), "{line}: {}", outcome.stderr);
    }
}

#[test]
fn help_fits_a_screen_and_shows_how_to_filter() {
    let program = support::Program::new(DISTRI);
    for command in [
        &["directory"][..],
        &["directory", "collections", "create"],
        &["directory", "find"],
        &["directory", "watch"],
        &["directory", "put"],
        &["directory", "transaction"],
        &["directory", "lease"],
        &["directory", "export"],
        &["directory", "import"],
        &["init"],
        &["join"],
        &["token"],
        &["remove"],
    ] {
        let help = program.ok(&[command, &["--help"]].concat());

        assert!(
            help.lines().count() <= 40,
            "{command:?}: {} lines\n{help}",
            help.lines().count()
        );
        assert!(
            help.lines().all(|line| line.chars().count() <= 100),
            "{command:?}:\n{help}"
        );
    }
    let help = program.ok(&["dir", "find", "--help"]);
    assert_eq!(help.matches("\n  find images ").count(), 3, "{help}");
}
