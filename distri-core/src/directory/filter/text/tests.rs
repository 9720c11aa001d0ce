use proptest::prelude::*;

use super::*;
use crate::directory::{Document, value::tests::any_json};

fn parsed(text: &str) -> Filter {
    Filter::parse(text).unwrap()
}

fn document(id: &str, value: &str) -> Document {
    Document::new(id.into(), value.parse().unwrap())
}

#[test]
fn tests_one_after_the_other_must_all_hold() {
    let filter = parsed("owner=alice size>=1000 name^=cat tags~=x @id^=a/ (a=1 or b=2) not c=3");

    let expected = Filter::eq("owner", "alice")
        .and(Filter::ge("size", 1000))
        .and(Filter::prefix("name", "cat"))
        .and(Filter::contains("tags", "x"))
        .and(Filter::prefix("@id", "a/"))
        .and(Filter::eq("a", 1).or(Filter::eq("b", 2)))
        .and(!Filter::eq("c", 3));
    assert_eq!(filter, expected);
}

#[test]
fn every_operator_reads_as_what_it_says() {
    for (text, filter) in [
        ("", Filter::All),
        ("*", Filter::All),
        ("a=1", Filter::eq("a", 1)),
        ("a!=b", Filter::ne("a", "b")),
        ("a<true", Filter::lt("a", true)),
        ("a<=-1.5", Filter::le("a", -1.5)),
        ("a > 2", Filter::gt("a", 2)),
        ("a?", Filter::exists("a")),
        (
            "a=[1,b, \"c d\"]",
            Filter::one_of(
                "a",
                ["1", "\"b\"", "\"c d\""].map(|j| j.parse::<Json>().unwrap()),
            ),
        ),
        ("a=[]", Filter::one_of("a", Vec::<Json>::new())),
        ("a==[1]", Filter::eq("a", vec![1])),
        ("a=\"two words\"", Filter::eq("a", "two words")),
        ("a^=3", Filter::prefix("a", "3")),
        ("\"odd field\".x=1", Filter::eq("odd field", 1)),
        (
            "a=1 or b=2 c=3",
            Filter::eq("a", 1).or(Filter::eq("b", 2).and(Filter::eq("c", 3))),
        ),
        ("a=1 and b=2", Filter::eq("a", 1).and(Filter::eq("b", 2))),
        ("not(a=1)", !Filter::eq("a", 1)),
        ("a=or", Filter::eq("a", "or")),
    ] {
        if text.contains("\".x") {
            assert!(Filter::parse(text).is_err(), "{text}");
        } else {
            assert_eq!(parsed(text), filter, "{text}");
        }
    }
}

#[test]
fn a_mistake_is_told_with_its_place() {
    for (text, problem) in [
        (
            "size",
            "at character 4, expected one of = != < <= > >= ^= ~= ?",
        ),
        ("size=", "at character 5, expected a value"),
        ("(a=1", "at character 4, expected `)`"),
        (
            "a=1)",
            "at character 3, expected a test such as `size>=3`, or the end",
        ),
        (
            "a=1 or",
            "at character 6, expected a test such as `size>=3`",
        ),
        ("()", "at character 1, expected a test such as `size>=3`"),
        ("a=[1", "at character 4, expected `,` or `]`"),
        ("ä=\"x", "at character 4, expected `\"`"),
        ("=3", "at character 0, expected a field"),
    ] {
        let error = Filter::parse(text).unwrap_err().to_string();

        assert_eq!(error, format!("`{text}` is not a filter: {problem}"));
    }
}

#[test]
fn filters_nested_too_deeply_are_refused() {
    let text = "(".repeat(100_000);

    assert!(Filter::parse(&text).is_err());
}

#[test]
fn compact_bytes_nested_too_deeply_are_refused_before_the_stack_ends() {
    // `Not` is the third variant; its content follows it at once.
    let bytes = vec![3; 1_000_000];

    assert!(postcard::from_bytes::<Filter>(&bytes).is_err());
    assert!(postcard::from_bytes::<Filter>(&[3, 3, 0]).is_ok());
}

#[test]
fn filters_hold_as_documented() {
    let cat = r#"{"name":"cat","size":3,"tags":["a","b"],"none":null,"at":{"x":[1.0]}}"#;
    for (text, holds) in [
        ("name=cat", true),
        ("size=3.0", true),
        ("size<4", true),
        ("size<z", false),
        ("size>null", false),
        ("missing=null", false),
        ("missing!=1", false),
        ("not missing=1", true),
        ("none?", true),
        ("none=null", true),
        ("missing?", false),
        ("tags~=a", true),
        ("tags~=c", false),
        ("name~=at", true),
        ("name^=ca", true),
        ("size^=3", false),
        ("at.x.0=1", true),
        ("at.x==[1]", true),
        ("at=={\"x\":[1]}", true),
        ("size=[1,2,3]", true),
        ("@id=cats/1", true),
        ("@id^=cats/", true),
        ("@id>cats/0 @id<cats/2", true),
        ("@owner?", false),
        ("@lease?", false),
        ("@revision=0", true),
        ("@unknown?", false),
    ] {
        assert_eq!(
            parsed(text).matches(&document("cats/1", cat)),
            holds,
            "{text}"
        );
    }
}

fn any_value() -> impl Strategy<Value = Json> {
    any_json().prop_map(Json::from)
}

pub(in crate::directory) fn any_field() -> impl Strategy<Value = Field> {
    prop_oneof![
        Just("a"),
        Just("b"),
        Just("a.b"),
        Just("@id"),
        Just("odd field"),
        Just("or"),
        Just("é"),
    ]
    .prop_map(Field::from)
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let test = (any_field(), any_value(), 0..9u8, "[a\"( ]{0,2}").prop_map(
        |(field, value, kind, start)| match kind {
            0 => Filter::Eq(field, value),
            1 => Filter::Ne(field, value),
            2 => Filter::Lt(field, value),
            3 => Filter::Le(field, value),
            4 => Filter::Gt(field, value),
            5 => Filter::Ge(field, value),
            6 => Filter::In(field, vec![value, Json::from(start)]),
            7 => Filter::Prefix(field, start),
            _ => Filter::Contains(field, value),
        },
    );
    let leaf = prop_oneof![
        8 => test,
        1 => any_field().prop_map(Filter::Exists),
        1 => Just(Filter::All),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::Or),
            inner.prop_map(|filter| !filter),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_means_the_same_when_read(
        filter in any_filter(),
        values in prop::collection::vec((any_value(), "[ab/]{1,3}"), 4),
    ) {
        let text = filter.to_string();
        let read = Filter::parse(&text).unwrap();

        for (value, id) in values {
            let value = Json::from(serde_json::json!({ "a": value.value(), "b": 1 }));
            let document = Document::new(id, value);
            prop_assert_eq!(read.matches(&document), filter.matches(&document), "{}", text);
        }
        prop_assert_eq!(read.to_string().parse::<Filter>().unwrap(), read);
    }

    #[test]
    fn any_text_is_a_filter_or_a_mistake(text in "\\PC{0,20}", more in "[a=<>!^~?\\[\\]()\" ,notr1]{0,20}") {
        for text in [text, more] {
            if let Ok(filter) = Filter::parse(&text) {
                prop_assert_eq!(filter.to_string().parse::<Filter>().unwrap(), filter);
            }
        }
    }

    #[test]
    fn a_filter_survives_both_codecs(filter in any_filter()) {
        let compact = postcard::to_stdvec(&filter).unwrap();
        let json = serde_json::to_string(&filter).unwrap();

        prop_assert_eq!(postcard::from_bytes::<Filter>(&compact).unwrap(), filter.clone());
        let again: Filter = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(serde_json::to_string(&again).unwrap(), json);
    }
}
