//! Commands that take effect only while a leadership stands.

use super::support::*;
use crate::{
    directory::{
        Actor, CallWrites, CollectionSpec, Command, HOLDS, Json, Operation, Proposal, Refusal,
        RequestId, state::ELECTIONS,
    },
    fence::Fence,
    placement::ring::{self, HoldRecord},
    wire::frame::OnceHead,
};

/// A directory with `things`, and with elections.
fn with_elections() -> Directory {
    let mut directory = Directory::of_things();
    let elections = CollectionSpec::new(ELECTIONS);
    directory.run(Command::CreateCollection(elections)).unwrap();
    directory
}

fn win(directory: &mut Directory, election: &str, lease: Option<u64>) -> Fence {
    let inserted = directory.run(transact([Operation::Insert {
        collection: ELECTIONS.into(),
        id: election.into(),
        value: json("{}"),
        lease,
    }]));
    Fence::new(election, inserted.unwrap().revision)
}

fn fenced(election: &str, held: Option<u64>, asked: u64) -> Refusal {
    Refusal::Fenced {
        election: election.into(),
        held,
        asked,
    }
}

#[test]
fn a_write_under_a_leadership_that_is_over_is_refused_whoever_holds_it_now() {
    let mut directory = with_elections();
    let lease = directory.run(Command::GrantLease { ttl_ms: 1000 });
    let lease = lease.unwrap().lease;
    let first = win(&mut directory, "job", lease);
    let while_held = directory.run_under([&first], transact([put("a", "1")]));

    directory.wait(1000);
    let while_nobody = directory.run_under([&first], transact([put("a", "2")]));
    let second = win(&mut directory, "job", None);
    let while_another = directory.run_under([&first], transact([put("a", "3")]));
    let by_the_other = directory.run_under([&second], transact([put("a", "4")]));

    assert!(while_held.is_ok());
    assert_eq!(while_nobody, Err(fenced("job", None, first.number)));
    let held = Some(second.number);
    assert_eq!(while_another, Err(fenced("job", held, first.number)));
    assert!(by_the_other.is_ok());
    assert_eq!(directory.value("a"), Some("4".into()));
}

#[test]
fn a_run_of_a_call_that_comes_too_late_does_not_speak_for_the_run_under_the_next_leader() {
    let mut directory = with_elections();
    let late = Fence::new("job", 1);
    let leads = win(&mut directory, "job", None);
    let once = OnceHead {
        session: 5,
        number: 3,
        acknowledged: 3,
    };
    let write = || Proposal {
        request: Some(CallWrites::of(key(1), &once).next().unwrap()),
        actor: Actor::Node,
        command: transact([put("a", "1")]),
    };

    let refused = directory.propose_under([&late], write());
    let done = directory.propose_under([&leads], write());
    let known = directory.propose_under([&late], write());

    assert_eq!(refused, Err(fenced("job", Some(leads.number), 1)));
    assert!(done.is_ok());
    assert_eq!(known, done);
}

#[test]
fn every_kind_of_command_is_fenced() {
    let mut directory = with_elections();
    let outdated = [Fence::new("job", 1)];

    for command in [
        Command::CreateCollection(CollectionSpec::new("more")),
        Command::DropCollection {
            name: "things".into(),
        },
        Command::GrantLease { ttl_ms: 1000 },
    ] {
        let refused = directory.run_under(&outdated, command);
        assert_eq!(refused, Err(fenced("job", None, 1)));
    }
}

#[test]
fn all_fences_of_a_command_must_stand() {
    let mut directory = with_elections();
    let stands = win(&mut directory, "a", None);
    let outdated = Fence::new("b", 1);

    let refused = directory.run_under([&stands, &outdated], transact([put("a", "1")]));

    assert_eq!(refused, Err(fenced("b", None, 1)));
}

#[test]
fn a_leadership_stands_however_its_document_is_changed() {
    let mut directory = with_elections();
    let fence = win(&mut directory, "job", None);
    directory
        .run(transact([Operation::Put {
            collection: ELECTIONS.into(),
            id: "job".into(),
            value: json(r#"{"more":1}"#),
            lease: None,
        }]))
        .unwrap();

    let done = directory.run_under([&fence], transact([put("a", "1")]));

    assert!(done.is_ok());
}

#[test]
fn a_repeated_command_is_answered_as_it_was_though_its_fence_is_out_of_date() {
    let mut directory = with_elections();
    let fence = win(&mut directory, "job", None);
    let proposal = Proposal {
        request: Some(RequestId {
            session: 7,
            serial: 1,
            acknowledged: 1,
        }),
        actor: Actor::Node,
        command: transact([put("a", "1")]),
    };
    let first = directory.propose_under([&fence], proposal.clone());
    directory
        .run(transact([Operation::Delete {
            collection: ELECTIONS.into(),
            id: "job".into(),
            revision: None,
        }]))
        .unwrap();

    let again = directory.propose_under([&fence], proposal);

    assert!(first.is_ok());
    assert_eq!(again, first);
}

#[test]
fn a_fence_that_is_newer_than_the_state_is_not_known_to_be_outdated() {
    let mut directory = with_elections();
    let fence = win(&mut directory, "job", None);
    let later = Fence::new("job", fence.number + 1);
    let earlier = Fence::new("job", fence.number - 1);

    assert_eq!(
        directory
            .state
            .check_known_fences(std::slice::from_ref(&fence)),
        Ok(())
    );
    assert_eq!(directory.state.check_known_fences(&[later]), Ok(()));
    assert_eq!(
        directory
            .state
            .check_known_fences(std::slice::from_ref(&earlier)),
        Err(fenced("job", Some(fence.number), earlier.number))
    );
}

#[test]
fn a_write_for_a_key_that_the_nodes_hold_no_longer_gives_it_is_refused() {
    let node = |n: u8| crate::id::PublicKey::from_bytes([n; 32]);
    let (me, other) = (node(7), node(9));
    let hold = |members: &[crate::id::PublicKey]| {
        let record = HoldRecord {
            service: "shelf".into(),
            key: me,
            ticket: 1,
            ring: 1,
            members: members.to_vec(),
            leaving: false,
        };
        Json::of(&record).unwrap()
    };
    let mut directory = with_elections();
    let holds = CollectionSpec::new(HOLDS);
    directory.run(Command::CreateCollection(holds)).unwrap();
    let taken = directory.run(transact([Operation::Insert {
        collection: HOLDS.into(),
        id: "shelf/me".into(),
        value: hold(&[me]),
        lease: None,
    }]));
    let number = taken.unwrap().revision;
    let both = [me, other];
    let moves = (0..)
        .find(|key| ring::owner(&both, *key) == Some(other))
        .unwrap();
    let stays = (0..)
        .find(|key| ring::owner(&both, *key) == Some(me))
        .unwrap();
    let fence = |key| Fence {
        key: Some(key),
        ..Fence::new("shelf/me", number)
    };
    let before = directory.run_under([&fence(moves)], transact([put("a", "1")]));

    directory
        .run(transact([Operation::Replace {
            collection: HOLDS.into(),
            id: "shelf/me".into(),
            revision: number,
            value: hold(&both),
        }]))
        .unwrap();
    let moved = directory.run_under([&fence(moves)], transact([put("a", "2")]));
    let stayed = directory.run_under([&fence(stays)], transact([put("b", "2")]));

    assert!(before.is_ok() && stayed.is_ok());
    assert_eq!(moved, Err(fenced("shelf/me", Some(number), number)));
    assert_eq!(directory.value("a"), Some("1".into()));
}
