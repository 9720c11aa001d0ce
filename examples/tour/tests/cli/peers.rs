//! `peer`, `peers` and `call --peer`: a program that hosts services outside of the cloud.

use serde_json::json;

use crate::{support::eventually, with_node};

#[test]
fn a_peer_is_listed_and_called_by_name_and_key_and_says_goodbye() {
    let (program, _node) = with_node(&[]);
    assert_eq!(program.run(&["peers", "--json"]).json(), json!([]));

    let peer = program.start(&["peer", "--name", "alice"]);
    let key = peer.first.clone();
    let listed = eventually("the peer in the list", || {
        let listed = program.run(&["peers", "--json"]).json();
        (listed != json!([])).then_some(listed)
    });

    assert_eq!(listed[0]["name"], "alice");
    assert_eq!(listed[0]["key"], key.as_str());
    assert_eq!(listed[0]["addresses"][0]["transport"], "tcp");
    let table = program.ok(&["peers"]);
    assert!(table.contains("alice") && table.contains(&key), "{table}");
    for name in ["alice", key.as_str(), &key[..8]] {
        let who = program.run(&["call", "tour", "who", "--peer", name]);
        assert_eq!(who.exit, 0, "{name}: {}", who.stderr);
        assert_eq!(who.json().as_str().unwrap().len(), 52);
    }
    program
        .run(&["call", "tour", "who", "--peer", "bob"])
        .failed(2, "there is no peer `bob`");

    peer.signal("TERM");
    let (exit, log) = peer.wait();
    assert_eq!(exit, 0, "{log}");
    assert!(log.contains("the cloud knows where this peer is"), "{log}");
    assert_eq!(program.run(&["peers", "--json"]).json(), json!([]));
    let away = program.run(&["call", "tour", "who", "--peer", &key]);
    away.failed(3, "peer `alice`");
    assert!(away.stderr.contains("is away"), "{}", away.stderr);
}
