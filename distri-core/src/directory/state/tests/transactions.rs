//! What operations do, and that they do it together or not at all.

use super::support::*;
use crate::directory::{Command, Condition, Filter, Operation, Refusal, Transaction, Verdict};

#[test]
fn a_document_that_was_put_stands_as_it_was_put() {
    let mut directory = Directory::of_things();

    let verdict = directory.run(transact([put("a", r#"{"size":3}"#)]));

    let document = directory.get("a").unwrap();
    assert_eq!(verdict, Ok(at(2)));
    assert_eq!(document.value.as_str(), r#"{"size":3}"#);
    assert_eq!((document.revision, document.created_revision), (2, 2));
    assert_eq!(
        (document.created_ms, document.updated_ms),
        (1_000_000, 1_000_000)
    );
    assert_eq!(document.owner, None);
}

#[test]
fn putting_again_keeps_when_a_document_was_inserted() {
    let mut directory = Directory::of_things();
    directory.run(transact([put("a", "1")])).unwrap();
    directory.now_ms += 5;

    directory.run(transact([put("a", "2")])).unwrap();

    let document = directory.get("a").unwrap();
    assert_eq!((document.revision, document.created_revision), (3, 2));
    assert_eq!(
        (document.created_ms, document.updated_ms),
        (1_000_000, 1_000_005)
    );
}

#[test]
fn an_insert_meets_what_is_there() {
    let mut directory = Directory::of_things();
    directory.run(transact([insert("a", "1")])).unwrap();

    let refused = directory.run(transact([insert("a", "2")]));

    let exists = Refusal::Exists {
        collection: "things".into(),
        id: "a".into(),
        revision: 2,
    };
    assert_eq!(refused, Err(exists));
    assert_eq!(directory.value("a").unwrap(), "1");
    assert_eq!(directory.state.revision(), 2);
}

#[test]
fn a_replacement_asks_for_a_revision() {
    let mut directory = Directory::of_things();
    let replace = |revision| {
        transact([Operation::Replace {
            collection: "things".into(),
            id: "a".into(),
            revision,
            value: json("2"),
        }])
    };

    let missing = directory.run(replace(2));
    directory.run(transact([put("a", "1")])).unwrap();
    let outdated = directory.run(replace(1));
    let replaced = directory.run(replace(2));

    assert!(matches!(missing, Err(Refusal::Missing { .. })));
    assert!(matches!(
        outdated,
        Err(Refusal::Revision {
            expected: 1,
            actual: 2,
            ..
        })
    ));
    assert_eq!(replaced, Ok(at(3)));
}

#[test]
fn later_operations_see_what_earlier_ones_did() {
    let mut directory = Directory::of_things();

    let outcome = directory.run(transact([
        insert("a", r#"{"n":1}"#),
        add("a", "n", "2"),
        merge("a", r#"{"m":true}"#),
        insert("b", "1"),
        delete("b"),
    ]));

    let documents = outcome.unwrap().documents;
    let values: Vec<_> = documents.iter().map(|d| d.value.as_str()).collect();
    assert_eq!(values, [r#"{"n":3}"#, r#"{"n":3,"m":true}"#]);
    assert_eq!(directory.value("a").unwrap(), r#"{"n":3,"m":true}"#);
    assert_eq!(directory.get("b"), None);
}

#[test]
fn a_transaction_that_is_refused_in_the_end_leaves_nothing_behind() {
    let mut directory = Directory::of_things();
    directory
        .run(transact([put("a", "1"), put("b", "2")]))
        .unwrap();
    let before = directory.state.fingerprint();

    let refused = directory.run(transact([
        put("a", "3"),
        delete("b"),
        insert("c", "4"),
        put("a", "5"),
        delete("missing"),
    ]));

    assert!(matches!(refused, Err(Refusal::Missing { id, .. }) if id == "missing"));
    assert_eq!(directory.state.fingerprint(), before);
}

#[test]
fn conditions_must_hold_beforehand() {
    let mut directory = Directory::of_things();
    directory.run(transact([put("a", r#"{"n":1}"#)])).unwrap();
    let things = || String::from("things");
    let filter = |text| Filter::parse(text).unwrap();
    let matches = |text| Condition::Matches {
        collection: things(),
        id: "a".into(),
        filter: filter(text),
    };
    let none = |text| Condition::None {
        collection: things(),
        filter: filter(text),
    };
    let missing = |id: &str| Condition::Missing {
        collection: things(),
        id: id.into(),
    };
    let revision = |revision| Condition::Revision {
        collection: things(),
        id: "a".into(),
        revision,
    };
    let cases = [
        (matches("n=1"), None),
        (matches("n>1"), Some("`things/a` matches n>1")),
        (none("n>1"), None),
        (none("n=1"), Some("nothing in `things` matches n=1")),
        (missing("b"), None),
        (missing("a"), Some("there is no `things/a`")),
        (revision(2), None),
        (revision(1), Some("`things/a` is at revision 1")),
    ];
    for (condition, problem) in cases {
        let command = Command::Transact(Transaction {
            conditions: vec![condition.clone()],
            operations: Vec::new(),
        });

        let verdict = directory.run(command);

        let expected = problem.map_or(Ok(at(2)), |what| {
            Err(Refusal::Condition {
                index: 0,
                what: what.into(),
            })
        });
        assert_eq!(verdict, expected, "{condition:?}");
    }
}

#[test]
fn a_transaction_takes_effect_within_the_bounds_of_the_clock_which_never_goes_back() {
    let mut directory = Directory::of_things();
    let within = |from_ms, until_ms| {
        let clock = Condition::Clock { from_ms, until_ms };
        Command::Transact(Transaction::new().require(clock).then(put("a", "1")))
    };

    let early = directory.run(within(Some(1_000_001), None));
    let in_time = directory.run(within(Some(1_000_000), Some(1_000_001)));
    directory.now_ms += 1;
    let late = directory.run(within(None, Some(1_000_001)));
    // The next leader's clock is behind.
    directory.now_ms -= 500;
    directory.lead();
    let still_late = directory.run(within(None, Some(1_000_001)));
    let any = directory.run(within(None, None));

    let refused = |verdict: &Verdict, what: &str| {
        let Err(Refusal::Condition { index: 0, what: is }) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(is, what);
    };
    refused(&early, "the clock has reached 1000001");
    assert_eq!(in_time, Ok(at(2)));
    refused(&late, "the clock has not reached 1000001");
    refused(&still_late, "the clock has not reached 1000001");
    assert_eq!(any, Ok(at(3)));
}
