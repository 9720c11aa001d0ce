//! Documents that end with whoever keeps their lease.

use std::time::Duration;

use super::support::*;
use crate::directory::{Actor, Command, Event, Operation, Refusal};

fn grant(directory: &mut Directory, ttl_ms: u64) -> u64 {
    let granted = directory.run(Command::GrantLease { ttl_ms });
    granted.unwrap().lease.unwrap()
}

#[test]
fn a_document_ends_with_its_lease() {
    let mut directory = Directory::of_things();
    let lease = grant(&mut directory, 1000);
    directory
        .run(transact([put_leased("a", lease), put("b", "1")]))
        .unwrap();

    directory.wait(999);
    let before = directory.get("a");
    directory.wait(1);

    assert_eq!(before.unwrap().lease, Some(lease));
    assert_eq!(directory.get("a"), None);
    assert!(directory.get("b").is_some());
    assert_eq!(directory.state.revision(), 3);
    let events = directory
        .state
        .events_after(&Actor::Node, "things", 2, None, 1000)
        .unwrap();
    assert_eq!(
        events.events,
        [Event::Deleted {
            id: "a".into(),
            revision: 3,
            expired: true
        }]
    );
    assert_eq!(
        directory.run(transact([put_leased("a", lease)])),
        Err(Refusal::NoLease { lease })
    );
}

#[test]
fn a_lease_that_is_kept_lives_on_and_tells_how_long() {
    let mut directory = Directory::of_things();
    let lease = grant(&mut directory, 1000);
    directory.wait(600);

    directory.run(Command::KeepLease { lease }).unwrap();

    directory.wait(600);
    let info = directory.state.lease(lease).unwrap();
    assert_eq!(info.remaining, Duration::from_millis(400));
    assert_eq!(info.ttl, Duration::from_millis(1000));
    assert_eq!(directory.state.next_expiry_ms(), Some(1_001_600));
    directory.wait(400);
    assert_eq!(directory.state.lease(lease), None);
    assert_eq!(
        directory.run(Command::KeepLease { lease }),
        Err(Refusal::NoLease { lease })
    );
}

#[test]
fn each_lease_that_ends_is_a_revision_and_the_earlier_one_comes_first() {
    let mut directory = Directory::of_things();
    let late = grant(&mut directory, 2000);
    let early = grant(&mut directory, 1000);
    let empty = grant(&mut directory, 1500);
    directory
        .run(transact([
            put_leased("a", late),
            put_leased("b", early),
            put_leased("c", early),
        ]))
        .unwrap();

    directory.wait(5000);

    let events = directory
        .state
        .events_after(&Actor::Node, "things", 2, None, 1000)
        .unwrap();
    let ends: Vec<_> = events
        .events
        .iter()
        .map(|e| (e.id(), e.revision()))
        .collect();
    assert_eq!(ends, [("b", 3), ("c", 3), ("a", 4)]);
    assert_eq!(directory.state.revision(), 4);
    assert_eq!(directory.state.lease(empty), None);
}

#[test]
fn a_new_leader_gives_every_lease_its_whole_time_again() {
    let mut directory = Directory::of_things();
    let lease = grant(&mut directory, 1000);
    directory.run(transact([put_leased("a", lease)])).unwrap();

    directory.now_ms += 10_000;
    directory.lead();

    assert!(directory.get("a").is_some());
    assert_eq!(
        directory.state.lease(lease).unwrap().remaining,
        Duration::from_millis(1000)
    );
}

#[test]
fn time_never_goes_back() {
    let mut directory = Directory::of_things();
    directory.wait(1000);

    directory.now_ms -= 700;
    directory.wait(0);

    assert_eq!(directory.state.time_ms(), 1_001_000);
}

#[test]
fn a_document_can_change_its_lease_and_lose_it() {
    let mut directory = Directory::of_things();
    let (first, second) = (grant(&mut directory, 1000), grant(&mut directory, 3000));
    directory
        .run(transact([put_leased("a", first), put_leased("b", first)]))
        .unwrap();
    directory
        .run(transact([put_leased("a", second), put("b", "1")]))
        .unwrap();

    directory.wait(1000);

    assert_eq!(directory.get("a").unwrap().lease, Some(second));
    assert_eq!(directory.get("b").unwrap().lease, None);
    assert_eq!(directory.state.lease(second).unwrap().documents, 1);
    directory.run(Command::EndLease { lease: second }).unwrap();
    assert_eq!(directory.get("a"), None);
}

#[test]
fn a_replacement_and_a_merge_keep_the_lease() {
    let mut directory = Directory::of_things();
    let lease = grant(&mut directory, 1000);
    directory.run(transact([put_leased("a", lease)])).unwrap();
    let replace = Operation::Replace {
        collection: "things".into(),
        id: "a".into(),
        revision: 2,
        value: json("{}"),
    };

    directory
        .run(transact([replace, merge("a", r#"{"x":1}"#)]))
        .unwrap();

    assert_eq!(directory.get("a").unwrap().lease, Some(lease));
}

#[test]
fn only_whoever_asked_for_a_lease_may_use_it() {
    let mut directory = Directory::of_things();
    let ask = Command::GrantLease { ttl_ms: 1000 };
    let lease = directory
        .run_as(&client(1), ask.clone())
        .unwrap()
        .lease
        .unwrap();
    let none = Err(Refusal::NoLease { lease });

    assert_eq!(
        directory.run_as(&client(2), Command::KeepLease { lease }),
        none
    );
    assert_eq!(
        directory.run_as(&client(2), Command::EndLease { lease }),
        none
    );
    assert_eq!(
        directory.run_as(&client(2), transact([put_leased("a", lease)])),
        none
    );
    assert!(
        directory
            .run_as(&client(1), transact([put_leased("a", lease)]))
            .is_ok()
    );
    assert!(directory.run(Command::KeepLease { lease }).is_ok());
    assert!(matches!(
        directory.run_as(&stranger(3), ask),
        Err(Refusal::Denied { .. })
    ));
}

#[test]
fn a_time_to_live_out_of_bounds_is_refused() {
    let mut directory = Directory::of_things();

    for ttl_ms in [0, 499, 30 * 24 * 3600 * 1000 + 1, u64::MAX] {
        let verdict = directory.run(Command::GrantLease { ttl_ms });

        assert!(matches!(verdict, Err(Refusal::Invalid { .. })), "{ttl_ms}");
    }
}
