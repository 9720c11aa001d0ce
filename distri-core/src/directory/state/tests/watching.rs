//! Events: nothing is missed and nothing told twice.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::support::*;
use crate::directory::{
    Actor, CollectionSpec, Command, Document, Event, Events, Filter, Refusal, Who, limits,
};

fn events(directory: &Directory, after: u64, filter: Option<&Filter>) -> Result<Events, Refusal> {
    directory
        .state
        .events_after(&Actor::Node, "things", after, filter, 1 << 20)
}

#[test]
fn events_tell_what_was_changed_after_a_revision() {
    let mut directory = Directory::of_things();
    directory.run(transact([put("a", "1")])).unwrap();
    directory
        .run(transact([put("b", "1"), put("a", "2")]))
        .unwrap();
    directory.run(transact([delete("b")])).unwrap();

    let told = events(&directory, 2, None).unwrap();

    let a = directory.get("a").unwrap();
    assert_eq!(told.revision, 4);
    assert_eq!(told.events.len(), 3);
    assert!(matches!(&told.events[0], Event::Put(b) if b.id == "b"));
    assert_eq!(told.events[1], Event::Put(a));
    let deleted = Event::Deleted {
        id: "b".into(),
        revision: 4,
        expired: false,
    };
    assert_eq!(told.events[2], deleted);
}

#[test]
fn several_changes_of_a_document_at_one_revision_are_one_event() {
    let mut directory = Directory::of_things();

    directory
        .run(transact([
            put("a", "1"),
            put("a", "2"),
            put("b", "1"),
            delete("b"),
        ]))
        .unwrap();

    let told = events(&directory, 1, None).unwrap();
    assert_eq!(told.events, [Event::Put(directory.get("a").unwrap())]);
}

#[test]
fn a_document_that_no_longer_matches_is_told_as_deleted() {
    let mut directory = Directory::of_things();
    let filter = Filter::eq("open", true);
    directory
        .run(transact([put("a", r#"{"open":true}"#)]))
        .unwrap();
    directory
        .run(transact([put("a", r#"{"open":false}"#)]))
        .unwrap();
    directory
        .run(transact([put("a", r#"{"open":false,"x":1}"#)]))
        .unwrap();
    directory.run(transact([delete("a")])).unwrap();

    let told = events(&directory, 2, Some(&filter)).unwrap();

    let deleted = Event::Deleted {
        id: "a".into(),
        revision: 3,
        expired: false,
    };
    assert_eq!(told.events, [deleted]);
    assert_eq!(told.revision, 5);
}

#[test]
fn whoever_asks_from_the_future_hears_nothing_until_there() {
    let directory = Directory::of_things();

    let told = events(&directory, 9, None).unwrap();

    assert_eq!((told.events.len(), told.revision), (0, 9));
}

#[test]
fn events_end_with_a_whole_revision_when_they_grow_large() {
    let mut directory = Directory::of_things();
    for n in 0..4 {
        let puts = [0, 1].map(|m| put(&format!("{n}{m}"), &format!("\"{}\"", "x".repeat(500))));
        directory.run(transact(puts)).unwrap();
    }
    let told = |after, max| {
        let told = directory
            .state
            .events_after(&Actor::Node, "things", after, None, max)
            .unwrap();
        (told.events.len(), told.revision)
    };

    assert_eq!(told(1, 1), (2, 2));
    assert_eq!(told(1, 600), (2, 2));
    assert_eq!(told(1, 1300), (4, 3));
    assert_eq!(told(3, 1300), (4, 5));
    assert_eq!(told(5, 1), (0, 5));
}

#[test]
fn events_that_are_no_longer_kept_are_not_passed_over() {
    let mut directory = Directory::with(CollectionSpec::new("quiet"));
    directory
        .run(Command::CreateCollection(CollectionSpec::new("things")))
        .unwrap();
    let commands = limits::HISTORY as u64 + 10;
    for n in 0..commands {
        directory
            .run(transact([put(&format!("{}", n % 10), "1")]))
            .unwrap();
    }

    let compacted = events(&directory, 11, None).unwrap_err();
    let kept = events(&directory, 12, None).unwrap();
    let quiet = directory
        .state
        .events_after(&Actor::Node, "quiet", 12, None, 1000)
        .unwrap();

    assert_eq!(
        compacted,
        Refusal::Compacted {
            after: 11,
            oldest: 12
        }
    );
    assert_eq!(kept.events[0].revision(), 13);
    assert_eq!(
        (quiet.events.len(), quiet.revision),
        (0, directory.state.revision())
    );
    let restored = directory.restored();
    assert_eq!(events(&restored, 12, None).unwrap(), kept);
    assert_eq!(restored.state.fingerprint(), directory.state.fingerprint());
}

#[test]
fn earlier_versions_are_bounded_in_bytes() {
    let mut directory = Directory::of_things();
    let large = format!("\"{}\"", "x".repeat(1_000_000));
    for _ in 0..20 {
        directory.run(transact([put("a", &large)])).unwrap();
    }

    let oldest = match events(&directory, 1, None) {
        Err(Refusal::Compacted { oldest, .. }) => oldest,
        other => panic!("{other:?}"),
    };

    // Sixteen earlier versions fit into 16 MiB.
    assert_eq!(oldest, 5);
}

#[test]
fn the_end_of_a_collection_is_told_and_what_it_had_is_no_ones_later() {
    let secret = CollectionSpec::new("things").read(Who::Role("boss".into()));
    let mut directory = Directory::with(secret);
    directory.run(transact([put("a", "1")])).unwrap();
    directory
        .run(Command::DropCollection {
            name: "things".into(),
        })
        .unwrap();

    let told = events(&directory, 2, None).unwrap();
    let expired = Event::Deleted {
        id: "a".into(),
        revision: 3,
        expired: true,
    };
    assert_eq!(told.events, [expired]);
    let gone = Refusal::NoCollection {
        name: "things".into(),
    };
    assert_eq!(events(&directory, told.revision, None), Err(gone));
    let asked = directory
        .state
        .events_after(&client(1), "things", 2, None, 1000);
    assert!(matches!(asked, Err(Refusal::Denied { .. })));

    let open = CollectionSpec::new("things").read(Who::Public);
    directory.run(Command::CreateCollection(open)).unwrap();
    directory.run(transact([put("b", "1")])).unwrap();
    for directory in [&directory, &directory.restored()] {
        let asked = |after| {
            directory
                .state
                .events_after(&stranger(1), "things", after, None, 1000)
        };
        assert_eq!(
            asked(2),
            Err(Refusal::Compacted {
                after: 2,
                oldest: 4
            })
        );
        assert_eq!(asked(4).unwrap().events.len(), 1);
    }
}

/// What somebody knows who saw some documents and heard these events.
fn follow(known: &mut BTreeMap<String, Document>, told: Events) {
    for event in told.events {
        match event {
            Event::Put(document) => known.insert(document.id.clone(), document),
            Event::Deleted { id, .. } => known.remove(&id),
        };
    }
}

proptest! {
    #[test]
    fn whoever_follows_the_events_knows_what_is_there(
        commands in prop::collection::vec(
            prop::collection::vec(("[ab]{1,2}", 0..3u8, any::<bool>()), 1..4), 1..30),
        rhythm in prop::collection::vec(1..5usize, 1..10),
        max_bytes in 1..400usize,
    ) {
        let mut directory = Directory::of_things();
        let filter = Filter::ge("n", 1);
        let mut known = BTreeMap::new();
        let mut revision = directory.state.revision();
        let mut rhythm = rhythm.iter().cycle();
        let mut wait = 0;
        for operations in commands {
            let operations = operations.into_iter().map(|(id, n, is_put)| {
                if is_put { put(&id, &format!("{{\"n\":{n}}}")) } else { delete(&id) }
            });
            let _ = directory.run(transact(operations));
            if wait > 0 {
                wait -= 1;
                continue;
            }
            wait = *rhythm.next().unwrap();
            directory = directory.restored();
            while revision < directory.state.revision() {
                let told = directory.state
                    .events_after(&Actor::Node, "things", revision, Some(&filter), max_bytes)
                    .unwrap();
                prop_assert!(told.revision > revision);
                revision = told.revision;
                follow(&mut known, told);
            }
            let there: BTreeMap<_, _> = ["a", "b", "aa", "ab", "ba", "bb"]
                .into_iter()
                .filter_map(|id| directory.get(id))
                .filter(|document| filter.matches(document))
                .map(|document| (document.id.clone(), document))
                .collect();
            prop_assert_eq!(&known, &there);
        }
    }
}
