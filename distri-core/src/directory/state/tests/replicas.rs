//! Replicas that apply the same batches are the same, also one that was rebuilt on the way.

use std::{collections::BTreeMap, convert::Infallible};

use proptest::prelude::*;

use super::support::*;
use crate::directory::{
    Actor, Batch, CollectionSpec, Command, Condition, Field, Filter, Operation, Proposal,
    RequestId, Transaction, Who,
    state::{InvalidSnapshot, State},
};

fn any_operation() -> impl Strategy<Value = Operation> {
    let collection = prop_oneof![4 => Just("things"), 1 => Just("more"), 1 => Just("_own")];
    (
        collection,
        "[abc]{1,2}",
        0..8u8,
        -2..3i32,
        prop::option::of(1..6u64),
    )
        .prop_map(|(collection, id, kind, n, lease)| {
            let (collection, value) = (collection.to_owned(), json(&format!("{{\"n\":{n}}}")));
            match kind {
                0 => Operation::Insert {
                    collection,
                    id,
                    value,
                    lease,
                },
                1..=2 => Operation::Put {
                    collection,
                    id,
                    value,
                    lease,
                },
                3 => Operation::Replace {
                    collection,
                    id,
                    revision: 3,
                    value,
                },
                4 => Operation::Merge {
                    collection,
                    id,
                    patch: value,
                },
                5 => Operation::Add {
                    collection,
                    id,
                    field: "n".into(),
                    by: n.into(),
                    min: None,
                    max: Some(4.into()),
                },
                _ => Operation::Delete {
                    collection,
                    id,
                    revision: None,
                },
            }
        })
}

fn any_command() -> impl Strategy<Value = Command> {
    let transaction = (
        prop::collection::vec(any_operation(), 0..4),
        "[ab]",
        any::<bool>(),
    )
        .prop_map(|(operations, id, conditional)| {
            let condition = Condition::Missing {
                collection: "things".into(),
                id,
            };
            Command::Transact(Transaction {
                conditions: conditional.then_some(condition).into_iter().collect(),
                operations,
            })
        });
    let create = ("things|more|_own|Bad", 0..4u8).prop_map(|(name, kind)| {
        let spec = CollectionSpec::new(name);
        Command::CreateCollection(match kind {
            0 => spec,
            1 => spec.index(["n"]).write(Who::Owner),
            2 => spec.unique(["n", "@id"]).read(Who::Public),
            _ => spec.schema(json(r#"{"properties":{"n":{"minimum":-1}}}"#)),
        })
    });
    prop_oneof![
        12 => transaction,
        2 => create,
        1 => Just(Command::DropCollection { name: "more".into() }),
        2 => (400..5000u64).prop_map(|ttl_ms| Command::GrantLease { ttl_ms }),
        1 => (1..6u64).prop_map(|lease| Command::KeepLease { lease }),
        1 => (1..6u64).prop_map(|lease| Command::EndLease { lease }),
    ]
}

fn any_proposal() -> impl Strategy<Value = Proposal> {
    let request =
        (1..4u128, 1..12u64, 0..4u64).prop_map(|(session, serial, acknowledged)| RequestId {
            session,
            serial,
            acknowledged,
        });
    let actor = prop_oneof![
        3 => Just(Actor::Node),
        1 => (1..3u8).prop_map(client),
        1 => Just(with_roles(3, &["admin"])),
        1 => Just(stranger(4)),
    ];
    (prop::option::of(request), actor, any_command()).prop_map(|(request, actor, command)| {
        Proposal {
            request,
            actor,
            command,
        }
    })
}

fn any_batches() -> impl Strategy<Value = Vec<Batch>> {
    let proposals = prop::collection::vec(any_proposal(), 0..4);
    let step = (0..700_000u64, proposals, prop::bool::weighted(0.05));
    prop::collection::vec(step, 1..40).prop_map(|batches| {
        let first = Proposal {
            request: None,
            actor: Actor::Node,
            command: Command::CreateCollection(CollectionSpec::new("things")),
        };
        let mut all = vec![batch(1, &[first])];
        let mut time_ms = 1;
        for (step, proposals, new_leader) in batches {
            // Mostly steps within a lease, sometimes beyond what sessions live.
            time_ms += if step > 690_000 { step } else { step % 1500 };
            all.push(Batch {
                new_leader,
                ..batch(time_ms, &proposals)
            });
        }
        all
    })
}

fn rebuilt(state: &State) -> State {
    State::from_blocks(state.freeze().map(Ok::<_, Infallible>)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn three_replicas_stay_the_same(batches in any_batches(), at in any::<prop::sample::Index>()) {
        let at = at.index(batches.len());
        let (mut first, mut second, mut third) = (State::new(), State::new(), State::new());
        for (n, batch) in batches.iter().enumerate() {
            let verdicts = first.apply(batch).unwrap();
            if n == at {
                second = rebuilt(&second);
            }
            // Somebody holds copies of the third, so that it must share and may not change them.
            let (view, frozen) = (third.view("things"), third.freeze());
            let before = third.fingerprint();
            let copy = third.clone();

            prop_assert_eq!(&second.apply(batch).unwrap(), &verdicts);
            prop_assert_eq!(&third.apply(batch).unwrap(), &verdicts);
            prop_assert_eq!(copy.fingerprint(), before);
            drop((view, frozen));
            prop_assert_eq!(first.next_expiry_ms(), second.next_expiry_ms());
            for collection in ["things", "more"] {
                let told = |state: &State| state.events_after(&Actor::Node, collection, 2, None, 10_000);
                prop_assert_eq!(told(&first), told(&second));
            }
        }
        prop_assert_eq!(first.fingerprint(), second.fingerprint());
        prop_assert_eq!(first.fingerprint(), third.fingerprint());
        prop_assert_eq!(rebuilt(&first).fingerprint(), first.fingerprint());
    }

    #[test]
    fn commands_survive_their_codec(proposal in any_proposal(), cut in any::<prop::sample::Index>()) {
        let bytes = postcard::to_stdvec(&proposal).unwrap();

        prop_assert_eq!(postcard::from_bytes::<Proposal>(&bytes).unwrap(), proposal);
        prop_assert!(postcard::from_bytes::<Proposal>(&bytes[..cut.index(bytes.len())]).is_err());
        let batch = Batch { time_ms: 7, new_leader: true, proposals: vec![bytes.into()] };
        let encoded = postcard::to_stdvec(&batch).unwrap();
        prop_assert_eq!(postcard::from_bytes::<Batch>(&encoded).unwrap(), batch);
    }

    #[test]
    fn no_bytes_make_a_replica_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        proposal in any_proposal(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut directory = Directory::of_things();
        let before = directory.state.fingerprint();
        let mut changed = postcard::to_stdvec(&proposal).unwrap();
        for (at, byte) in flips {
            let at = at.index(changed.len());
            changed[at] = byte;
        }
        for bytes in [bytes, changed] {
            let batch = Batch { proposals: vec![bytes.into()], ..batch(directory.now_ms, &[]) };
            if directory.state.apply(&batch).is_err() {
                prop_assert_eq!(directory.state.fingerprint(), before);
                return Ok(());
            }
        }
    }

    #[test]
    fn no_blocks_make_a_replica_panic(
        batches in any_batches(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut state = State::new();
        for batch in &batches {
            state.apply(batch).unwrap();
        }
        let blocks: Vec<_> = state.freeze().collect();
        let mut bytes = blocks.concat();
        let cut = bytes[..cut.index(bytes.len())].to_vec();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let read = |bytes| State::from_blocks([Ok::<_, Infallible>(bytes)]);

        let is_truncated = matches!(read(cut), Err(InvalidSnapshot::Truncated { .. }));
        prop_assert!(is_truncated);
        if let Ok(mut state) = read(bytes) {
            for batch in &batches {
                let _ = state.apply(batch);
            }
        }
    }

    /// The state against a map, for plain transactions of nodes.
    #[test]
    fn transactions_do_what_a_map_does(
        commands in prop::collection::vec(prop::collection::vec(("[ab]{1,2}", 0..4u8, 0..9i64), 0..5), 1..30),
    ) {
        let mut directory = Directory::of_things();
        let mut model: BTreeMap<String, (i64, u64)> = BTreeMap::new();
        let mut revision = directory.state.revision();
        for operations in commands {
            let mut next = model.clone();
            let mut is_done = true;
            for (id, kind, n) in &operations {
                let (id, at) = (id.clone(), revision + 1);
                let before = next.get(&id).map(|(n, _)| *n);
                is_done &= match (kind, before) {
                    (0, Some(_)) | (2 | 3, None) => false,
                    (2, Some(before)) if before + n > 10 => false,
                    (0 | 1, _) => { next.insert(id, (*n, at)); true }
                    (2, Some(before)) => { next.insert(id, (before + n, at)); true }
                    _ => { next.remove(&id); true }
                };
                if !is_done {
                    break;
                }
            }
            if is_done {
                model = next;
                revision += u64::from(!operations.is_empty());
            }
            let verdict = directory.run(transact(operations.iter().map(|(id, kind, n)| {
                let value = format!("{{\"n\":{n}}}");
                match kind {
                    0 => insert(id, &value),
                    1 => put(id, &value),
                    2 => add(id, "n", &n.to_string()),
                    _ => delete(id),
                }
            })));

            prop_assert_eq!(verdict.is_ok(), is_done);
            prop_assert_eq!(directory.state.revision(), revision);
            for id in ["a", "b", "aa", "ab", "ba", "bb"] {
                let found = directory.get(id).map(|d| (d.value.to_string(), d.revision));
                let expected = model.get(id).map(|(n, at)| (format!("{{\"n\":{n}}}"), *at));
                prop_assert_eq!(found, expected);
            }
        }
    }
}

#[test]
fn an_entry_of_a_newer_version_is_applied_not_at_all() {
    let mut directory = Directory::of_things();
    let known = Proposal {
        request: None,
        actor: Actor::Node,
        command: transact([put("a", "1")]),
    };
    let mut batch = batch(directory.now_ms + 5, &[known.clone(), known]);
    let mut longer = batch.proposals[1].to_vec();
    longer.push(0);
    let before = directory.state.fingerprint();

    for unknown in [vec![0, 0, 99], longer, Vec::new()] {
        batch.proposals[1] = unknown.into();
        let error = directory.state.apply(&batch).unwrap_err();

        assert_eq!(error.index, 1);
        assert_eq!(directory.state.fingerprint(), before);
    }
}

#[test]
fn a_snapshot_comes_in_blocks_of_a_mebibyte_while_writes_go_on() {
    let mut directory = Directory::of_things();
    let large = format!("\"{}\"", "x".repeat(700_000));
    for n in 0..5 {
        directory
            .run(transact([put(&format!("{n}"), &large)]))
            .unwrap();
    }
    let expected = directory.state.fingerprint();

    let mut frozen = directory.state.freeze();
    let mut blocks = vec![frozen.next().unwrap()];
    directory
        .run(transact([put("0", "1"), delete("4"), put("9", &large)]))
        .unwrap();
    blocks.extend(frozen);

    assert!(blocks.len() >= 4);
    assert!(blocks.iter().all(|block| block.len() <= 1 << 20));
    let state = State::from_blocks(blocks.into_iter().map(Ok::<_, Infallible>)).unwrap();
    assert_eq!(state.fingerprint(), expected);
    assert_ne!(directory.state.fingerprint(), expected);
}

#[test]
fn blocks_that_are_not_a_snapshot_are_refused_with_what_is_wrong() {
    let directory = Directory::of_things();
    let block = directory.state.freeze().next().unwrap();
    let read = |bytes: &[u8]| {
        let read = State::from_blocks([Ok::<_, Infallible>(bytes.to_vec())]);
        read.unwrap_err().to_string()
    };
    let mut newer = block.clone();
    newer[5] = 9;
    let headless = &block[4 + usize::from(block[0])..];
    let twice = [block.as_slice(), &block].concat();

    assert_eq!(
        read(&[]),
        "the snapshot ends after 0 records, before its end"
    );
    assert_eq!(
        read(&newer),
        "the snapshot has format 9; this program reads format 1"
    );
    assert!(read(&[1, 0, 0, 0, 99]).contains("record 0 of the snapshot does not decode"));
    assert!(read(headless).contains("expected the header first"));
    assert!(read(&twice).contains("nothing after the end"));
    let unreadable = State::from_blocks([Err::<Vec<u8>, _>(std::io::Error::other("gone"))]);
    assert!(matches!(
        unreadable,
        Err(InvalidSnapshot::Unreadable { block: 0, .. })
    ));
}

#[test]
fn a_filter_in_a_command_is_bounded() {
    let mut directory = Directory::of_things();
    let field = Field::from("x");
    let none = |filter| {
        Command::Transact(Transaction {
            conditions: vec![Condition::None {
                collection: "things".into(),
                filter,
            }],
            operations: Vec::new(),
        })
    };

    let many = none(Filter::Or(vec![Filter::Exists(field); 256]));

    assert!(many.check().is_err());
    assert_eq!(directory.run(many.clone()), Err(many.check().unwrap_err()));
}
