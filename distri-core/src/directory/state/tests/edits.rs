//! Merge patches and sums.

use super::support::*;
use crate::directory::{Operation, Refusal};

/// The table of RFC 7396, appendix A.
#[test]
fn patches_merge_as_rfc_7396_says() {
    for (original, patch, result) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (
            r#"{"a":{"b":"c"}}"#,
            r#"{"a":{"b":"d","c":null}}"#,
            r#"{"a":{"b":"d"}}"#,
        ),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ] {
        let mut directory = Directory::of_things();
        directory.run(transact([put("a", original)])).unwrap();

        let outcome = directory.run(transact([merge("a", patch)])).unwrap();

        assert_eq!(
            directory.value("a").as_deref(),
            Some(result),
            "{original} with {patch}"
        );
        assert_eq!(outcome.documents, [directory.get("a").unwrap()]);
    }
}

#[test]
fn a_merge_keeps_the_numbers_that_it_does_not_touch_as_they_were_written() {
    let mut directory = Directory::of_things();
    directory
        .run(transact([put(
            "a",
            r#"{"x":1.10,"y":123456789012345678901234567890}"#,
        )]))
        .unwrap();

    directory.run(transact([merge("a", r#"{"z":1}"#)])).unwrap();

    let value = directory.value("a").unwrap();
    assert_eq!(
        value,
        r#"{"x":1.10,"y":123456789012345678901234567890,"z":1}"#
    );
}

#[test]
fn sums_are_exact_for_integers_and_fractions_stay_fractions() {
    let add = |field: &str, by: &str| Operation::Add {
        collection: "things".into(),
        id: "a".into(),
        field: field.into(),
        by: json(by),
        min: None,
        max: None,
    };
    for (document, field, by, result) in [
        (r#"{"n":1}"#, "n", "2", r#"{"n":3}"#),
        ("{}", "n", "-2", r#"{"n":-2}"#),
        ("{}", "a.b.c", "1", r#"{"a":{"b":{"c":1}}}"#),
        (r#"{"a":{"x":1}}"#, "a.b", "1", r#"{"a":{"x":1,"b":1}}"#),
        (
            r#"{"n":9007199254740993}"#,
            "n",
            "2",
            r#"{"n":9007199254740995}"#,
        ),
        (
            r#"{"n":-1}"#,
            "n",
            "18446744073709551615",
            r#"{"n":18446744073709551614}"#,
        ),
        (r#"{"n":1.5}"#, "n", "1", r#"{"n":2.5}"#),
        (r#"{"n":1}"#, "n", "1.0", r#"{"n":2.0}"#),
        (r#"{"n":0.1}"#, "n", "0.2", r#"{"n":0.30000000000000004}"#),
    ] {
        let mut directory = Directory::of_things();
        directory.run(transact([put("a", document)])).unwrap();

        directory.run(transact([add(field, by)])).unwrap();

        assert_eq!(directory.value("a").unwrap(), result);
    }
}

#[test]
fn a_sum_out_of_bounds_is_refused_with_what_is_there() {
    let mut directory = Directory::of_things();
    directory
        .run(transact([put(
            "a",
            r#"{"n":9,"max":18446744073709551615,"f":1e308,"t":"x","l":[1]}"#,
        )]))
        .unwrap();
    let unbounded = |field: &str, by: &str| Operation::Add {
        collection: "things".into(),
        id: "a".into(),
        field: field.into(),
        by: json(by),
        min: None,
        max: None,
    };
    let bounds = |field: &str, value: &str, by: &str, bounds: &str| Refusal::Bounds {
        collection: "things".into(),
        id: "a".into(),
        field: field.into(),
        value: value.into(),
        by: by.into(),
        bounds: bounds.into(),
    };
    for (operation, refusal) in [
        (add("a", "n", "2"), bounds("n", "9", "2", "0..=10")),
        (add("a", "n", "1.5"), bounds("n", "9", "1.5", "0..=10")),
        (add("a", "new", "-1"), bounds("new", "0", "-1", "0..=10")),
        (
            unbounded("max", "1"),
            bounds("max", "18446744073709551615", "1", "what 64 bits hold"),
        ),
        (
            unbounded("f", "1e308"),
            bounds("f", "1e308", "1e308", "what 64 bits hold"),
        ),
    ] {
        assert_eq!(directory.run(transact([operation])), Err(refusal));
    }
    for field in ["t", "l.0", "t.x", "@revision", "", "n..m"] {
        let verdict = directory.run(transact([unbounded(field, "1")]));

        assert!(
            matches!(verdict, Err(Refusal::Invalid { .. })),
            "{field}: {verdict:?}"
        );
    }
    assert_eq!(
        directory
            .run(transact([add("a", "n", "1")]))
            .unwrap()
            .revision,
        3
    );
}
