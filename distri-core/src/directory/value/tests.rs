use proptest::prelude::*;

use super::*;

fn sign(text: &str, other: &str) -> Ordering {
    parse(text).unwrap().compare(&parse(other).unwrap())
}

#[test]
fn values_order_by_kind_and_then_by_value() {
    // Each is less than the next.
    let rising = [
        "null",
        "false",
        "true",
        "-1e300",
        "-9223372036854775808",
        "-9223372036854775807",
        "-1.5",
        "-1",
        "0",
        "5e-324",
        "0.5",
        "1",
        "9007199254740992",
        "9007199254740993",
        "18446744073709551614",
        "18446744073709551615",
        "18446744073709551616",
        "1e300",
        r#""""#,
        r#""\u0000""#,
        r#""a""#,
        r#""a\u0000""#,
        r#""aa""#,
        r#""b""#,
        r#""é""#,
        r#""😀""#,
        "[]",
        "[null]",
        "[1]",
        "[1,1]",
        "[2]",
        "{}",
        r#"{"":0}"#,
        r#"{"a":1}"#,
        r#"{"a":1,"b":1}"#,
        r#"{"a":2}"#,
        r#"{"ab":1}"#,
        r#"{"b":0}"#,
    ];
    for (n, a) in rising.iter().enumerate() {
        for (m, b) in rising.iter().enumerate() {
            let (x, y) = (parse(a).unwrap(), parse(b).unwrap());

            assert_eq!(x.compare(&y), n.cmp(&m), "{a} and {b}");
            assert_eq!(
                x.to_key().cmp(&y.to_key()),
                n.cmp(&m),
                "keys of {a} and {b}"
            );
            assert!(n == m || !x.to_key().starts_with(&y.to_key()), "{a}, {b}");
        }
    }
}

#[test]
fn equal_values_may_be_written_in_many_ways() {
    for (a, b) in [
        ("1", "1.0"),
        ("1", "10e-1"),
        ("0", "-0"),
        ("0", "-0.0e5"),
        ("100", "1E+2"),
        (r#""a/b""#, r#""\u0061\/b""#),
        (r#""😀""#, r#""\ud83d\ude00""#),
        (r#"{"a":1,"b":2}"#, r#" { "b" : 2 , "a" : 1 } "#),
        (r#"{"a":2}"#, r#"{"a":1,"a":2}"#),
    ] {
        let (x, y) = (parse(a).unwrap(), parse(b).unwrap());

        assert_eq!(sign(a, b), Ordering::Equal, "{a} and {b}");
        assert_eq!(x.to_key(), y.to_key(), "keys of {a} and {b}");
    }
}

#[test]
fn texts_that_are_not_json_are_refused_where_they_go_wrong() {
    for (text, at) in [
        ("", 0),
        ("{", 1),
        (r#"{"a"}"#, 4),
        (r#"{"a":1,}"#, 7),
        ("[1 2]", 3),
        ("01", 1),
        ("-", 1),
        ("1.", 2),
        ("1e", 2),
        ("1e999", 0),
        ("nul", 0),
        ("\"a\nb\"", 2),
        (r#""\x""#, 1),
        (r#""\u12""#, 1),
        (r#""\ud800""#, 7),
        (r#""\ude00""#, 7),
        ("1 1", 2),
    ] {
        assert_eq!(check(text).unwrap_err().at, at, "{text}");
        assert_eq!(parse(text).unwrap_err().at, at, "{text}");
    }
}

#[test]
fn a_hundred_levels_are_taken_and_no_more() {
    let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);

    assert_eq!(parse(&nested(DEPTH)).unwrap().depth(), DEPTH);
    assert!(check(&nested(DEPTH + 1)).is_err());
    assert!(check(&"[".repeat(1_000_000)).is_err());
}

#[test]
fn a_path_leads_through_objects_and_arrays() {
    let text = r#"{"a":{"b":[10,{"c":true}]},"a.b":0,"\u0061b":7,"x":1,"x":2}"#;
    for (path, found) in [
        ("a.b.0", Some("10")),
        ("a.b.1.c", Some("true")),
        ("a.b", Some(r#"[10,{"c":true}]"#)),
        ("ab", Some("7")),
        ("x", Some("2")),
        ("a.b.2", None),
        ("a.b.00", None),
        ("a.b.-1", None),
        ("a.b.0.c", None),
        ("b", None),
    ] {
        assert_eq!(
            at(text, path).map(|v| v.to_text()).as_deref(),
            found,
            "{path}"
        );
    }
}

/// Any JSON value, with few names and numbers that are near one another.
pub(in crate::directory) fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let number = prop_oneof![
        (-3i64..4).prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        ((1u64 << 53) - 4..(1 << 53) + 4).prop_map(serde_json::Value::from),
        (-8i32..8).prop_map(|n| serde_json::Value::from(f64::from(n) / 4.0)),
        // Few digits: serde_json reads others one bit off, as it is set up here.
        (-8i32..8)
            .prop_map(|n| serde_json::Value::from(f64::from(n) * 1_152_921_504_606_846_976.0)),
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        number,
        "[ab\\x00\"\\\\é😀]{0,3}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec(("[ab]{0,2}", inner), 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn keys_order_as_values_do(a in any_json(), b in any_json()) {
        let (a, b) = (a.to_string(), b.to_string());
        let (x, y) = (parse(&a).unwrap(), parse(&b).unwrap());

        prop_assert_eq!(x.compare(&y), x.to_key().cmp(&y.to_key()));
        prop_assert_eq!(x.compare(&y), y.compare(&x).reverse());
    }

    #[test]
    fn what_is_written_reads_as_the_same(json in any_json()) {
        let text = json.to_string();

        let written = parse(&text).unwrap().to_text();

        prop_assert_eq!(written.parse::<serde_json::Value>().unwrap(), json);
        prop_assert!(check(&text).is_ok());
    }

    #[test]
    fn checking_and_parsing_agree_on_any_text(text in "[\\[\\]{}\",:\\\\u0-9a-eE.+ -]{0,12}") {
        prop_assert_eq!(check(&text), parse(&text).map(|_| ()));
    }

    #[test]
    fn numbers_near_each_other_order_exactly(a in any::<i64>(), d in -2i128..3, f in any::<f64>()) {
        let b = i128::from(a) + d;
        if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&b) {
            prop_assert_eq!(sign(&a.to_string(), &b.to_string()), i128::from(a).cmp(&b));
        }
        if f.is_finite() {
            let whole = Number::of_float(f).unwrap();
            let other = Number::of_float(f / 2.0).unwrap();
            prop_assert_eq!(whole.key().cmp(&other.key()), f.partial_cmp(&(f / 2.0)).unwrap());
        }
    }
}
