//! Clouds of several sizes with crowds of several sizes, small enough for a test.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fs;

use serde_json::Value;

mod support;

use support::{finish, program};

/// The cells of the table, in the order in which they were measured.
fn cells(result: &Value) -> Vec<[u64; 6]> {
    let cells = result["cells"].as_array().unwrap().iter();
    let numbers = ["nodes", "clients", "images", "failed", "done", "kept"];
    cells
        .map(|cell| numbers.map(|number| cell[number].as_u64().unwrap()))
        .collect()
}

#[tokio::test]
async fn clouds_of_each_size_lose_nothing_and_are_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = [
        "load",
        "--nodes",
        "1,2,3",
        "--clients",
        "5,20",
        "--images",
        "2",
    ];
    let mut load = program(folder.path(), sizes);
    load.args(["--plot", "load.svg", "--json"]);

    let result = finish(load).await.json();

    let whole = |nodes, clients| [nodes, clients, 2 * clients, 0, 2 * clients, 2 * clients];
    let wanted = [(1, 5), (1, 20), (2, 5), (2, 20), (3, 5), (3, 20)];
    assert_eq!(cells(&result), wanted.map(|(n, c)| whole(n, c)), "{result}");
    for cell in result["cells"].as_array().unwrap() {
        let time = |name: &str| cell[name].as_f64().unwrap();
        assert!(time("hide_p50_ms") > 0.0, "{cell}");
        assert!(time("hide_p50_ms") <= time("hide_p99_ms"), "{cell}");
        assert!(time("images_per_second") > 0.0, "{cell}");
    }
    let picture = fs::read_to_string(folder.path().join("load.svg")).unwrap();
    assert!(
        picture.contains("150 images hidden, none failed, none lost"),
        "{picture}"
    );
    assert!(picture.contains(">20 clients<"), "{picture}");
    assert_eq!(picture.matches("<circle").count(), 2 * wanted.len());
    must_be_well_formed(&picture);
}

/// Every element is closed, by the one that was opened last.
fn must_be_well_formed(picture: &str) {
    let mut open = Vec::new();
    for element in picture.split('<').skip(1) {
        let (element, _) = element.split_once('>').expect("an element has an end");
        let name = element.trim_matches('/').split_whitespace().next().unwrap();
        match (element.starts_with('/'), element.ends_with('/')) {
            (true, _) => assert_eq!(open.pop(), Some(name)),
            (false, true) => {}
            (false, false) => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[tokio::test]
async fn what_cannot_be_measured_is_refused_before_anything_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let node = "a@127.0.0.1:1";
    for (arguments, told) in [
        (["load", "--plot", "load.svg", "--images", "1"], "--nodes"),
        (["load", "--nodes", "0", "--images", "1"], "0 is not in"),
        (
            ["load", "--clients", "5,50", "--images", "1"],
            "one number of clients",
        ),
        (
            ["load", "--nodes", "1", "--plot", "no/such/folder.svg"],
            "no/such/folder.svg",
        ),
        (["load", "--nodes", "1", "--node", node], "KEY@HOST:PORT"),
    ] {
        let refused = finish(program(folder.path(), arguments)).await;

        assert_ne!(refused.code, Some(0), "{arguments:?}: {refused:?}");
        assert!(refused.stderr.contains(told), "{arguments:?}: {refused:?}");
        assert_eq!(refused.stdout, "", "{arguments:?}");
    }
}
