use schemars::JsonSchema;
use serde::Serialize;

use super::*;
use crate::directory::{Json, value};

fn compile(text: &str) -> Result<Schema, String> {
    Schema::compile(&text.parse().unwrap())
}

fn check(schema: &str, document: &str) -> Result<(), String> {
    let schema = compile(schema).unwrap_or_else(|problem| panic!("{schema}: {problem}"));
    schema
        .check(&value::parse(document).unwrap())
        .map_err(|mismatch| format!("{}: {}", mismatch.path, mismatch.problem))
}

/// Each schema with documents that meet it and documents that do not.
#[test]
fn keywords_mean_what_the_specification_says() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("true", &["1", "null"], &[]),
        ("false", &[], &["1", "{}"]),
        ("{}", &["1", "null"], &[]),
        (
            r#"{"type":"integer"}"#,
            &["1", "1.0", "-3", "1e2", "18446744073709551615"],
            &["1.5", "\"1\"", "true"],
        ),
        (r#"{"type":"number"}"#, &["1", "1.5"], &["\"1\"", "null"]),
        (
            r#"{"type":["string","null"]}"#,
            &["\"\"", "null"],
            &["0", "false", "[]"],
        ),
        (r#"{"type":"object"}"#, &["{}"], &["[]", "null"]),
        (r#"{"type":"boolean"}"#, &["true", "false"], &["0"]),
        (
            r#"{"enum":[1,"a",[2],{"b":null}]}"#,
            &["1", "1.0", "\"a\"", "[2]", r#"{"b":null}"#],
            &["2", "\"b\"", "[]", "{}"],
        ),
        (
            r#"{"const":{"a":[1,2]}}"#,
            &[r#"{"a":[1.0,2]}"#],
            &[r#"{"a":[2,1]}"#, "1"],
        ),
        (r#"{"const":false}"#, &["false"], &["0", "null"]),
        (
            r#"{"properties":{"a":{"type":"integer"}}}"#,
            &["{}", r#"{"a":1}"#, r#"{"b":"x"}"#, "3"],
            &[r#"{"a":"x"}"#],
        ),
        (
            r#"{"properties":{"a":true},"additionalProperties":false}"#,
            &["{}", r#"{"a":1}"#],
            &[r#"{"b":1}"#],
        ),
        (
            r#"{"additionalProperties":{"type":"null"}}"#,
            &["{}", r#"{"a":null}"#],
            &[r#"{"a":1}"#],
        ),
        (
            r#"{"properties":{"a":true},"additionalProperties":{"type":"null"}}"#,
            &[r#"{"a":1,"b":null}"#],
            &[r#"{"b":1}"#],
        ),
        (
            r#"{"required":["a","b"]}"#,
            &[r#"{"a":null,"b":1}"#, "[]"],
            &["{}", r#"{"a":1}"#],
        ),
        (
            r#"{"propertyNames":{"maxLength":2,"minLength":1}}"#,
            &[r#"{"ab":1}"#, "{}"],
            &[r#"{"abc":1}"#, r#"{"":1}"#],
        ),
        (
            r#"{"minProperties":1,"maxProperties":2}"#,
            &[r#"{"a":1}"#, "1"],
            &["{}", r#"{"a":1,"b":1,"c":1}"#],
        ),
        (
            r#"{"items":{"type":"integer"}}"#,
            &["[]", "[1,2]", "{}"],
            &["[1,\"a\"]"],
        ),
        (
            r#"{"prefixItems":[{"type":"integer"},{"type":"string"}]}"#,
            &["[]", "[1]", "[1,\"a\",null]"],
            &["[\"a\"]", "[1,1]"],
        ),
        (
            r#"{"prefixItems":[true],"items":false}"#,
            &["[]", "[1]"],
            &["[1,2]"],
        ),
        (
            r#"{"contains":{"const":1}}"#,
            &["[0,1]", "{}"],
            &["[]", "[0]"],
        ),
        (
            r#"{"contains":{"const":1},"minContains":2,"maxContains":3}"#,
            &["[1,1]", "[1,1,1,0]"],
            &["[1]", "[1,1,1,1]"],
        ),
        (
            r#"{"contains":{"const":1},"minContains":0}"#,
            &["[]", "[0]"],
            &[],
        ),
        (r#"{"minContains":2}"#, &["[]"], &[]),
        (
            r#"{"minItems":1,"maxItems":2}"#,
            &["[1]", "\"x\""],
            &["[]", "[1,2,3]"],
        ),
        (r#"{"minItems":1.0}"#, &["[1]"], &["[]"]),
        (
            r#"{"uniqueItems":true}"#,
            &["[1,2,[1],\"1\",true]", r#"[{"a":1},{"a":2}]"#],
            &["[1,1.0]", r#"[{"a":1,"b":2},{"b":2,"a":1}]"#],
        ),
        (r#"{"uniqueItems":false}"#, &["[1,1]"], &[]),
        (
            r#"{"minimum":1,"maximum":3}"#,
            &["1", "3", "2.5", "\"a\""],
            &["0.99", "3.01"],
        ),
        (
            r#"{"exclusiveMinimum":1,"exclusiveMaximum":3}"#,
            &["2"],
            &["1", "3"],
        ),
        (
            r#"{"maximum":9007199254740992}"#,
            &["9007199254740992"],
            &["9007199254740993"],
        ),
        (
            r#"{"multipleOf":0.1}"#,
            &["0.3", "1", "4.2e1", "0"],
            &["0.35"],
        ),
        (
            r#"{"multipleOf":3}"#,
            &["9", "-6", "9.0", "0"],
            &["10", "9.5"],
        ),
        (
            r#"{"multipleOf":1e-8}"#,
            &["12391239123", "0.00000001"],
            &["0.000000001"],
        ),
        (
            r#"{"minLength":2,"maxLength":3}"#,
            &["\"äö\"", "\"😀😀😀\"", "7"],
            &["\"a\"", "\"abcd\""],
        ),
        (
            r#"{"allOf":[{"minimum":1},{"maximum":2}]}"#,
            &["1", "2"],
            &["0", "3"],
        ),
        (
            r#"{"anyOf":[{"type":"null"},{"minimum":2}]}"#,
            &["null", "2", "\"x\""],
            &["1"],
        ),
        (
            r#"{"oneOf":[{"multipleOf":2},{"multipleOf":3}]}"#,
            &["2", "3"],
            &["6", "5"],
        ),
        (r#"{"not":{"type":"integer"}}"#, &["1.5", "\"a\""], &["1"]),
        (
            r#"{"if":{"minimum":10},"then":{"multipleOf":10},"else":{"maximum":5}}"#,
            &["20", "5"],
            &["15", "7"],
        ),
        (
            r#"{"if":{"minimum":10},"then":{"multipleOf":10}}"#,
            &["20", "7"],
            &["15"],
        ),
        (r#"{"then":false,"else":false}"#, &["1"], &[]),
        (
            r#"{"dependentRequired":{"a":["b"]}}"#,
            &["{}", r#"{"b":1}"#, r#"{"a":1,"b":1}"#],
            &[r#"{"a":1}"#],
        ),
        (
            r##"{"$ref":"#/$defs/n","$defs":{"n":{"type":"integer"}}}"##,
            &["1"],
            &["\"a\""],
        ),
        (
            r##"{"$ref":"#/definitions/a~1b","definitions":{"a/b":{"type":"integer"}}}"##,
            &["1"],
            &["\"a\""],
        ),
        (
            r##"{"properties":{"next":{"$ref":"#"}},"required":["v"]}"##,
            &[r#"{"v":1,"next":{"v":2}}"#],
            &[r#"{"v":1,"next":{"next":{"v":1}}}"#],
        ),
        (
            r##"{"$ref":"#/$defs/n","maximum":3,"$defs":{"n":{"minimum":1}}}"##,
            &["2"],
            &["0", "4"],
        ),
        (
            r#"{"title":"t","description":"d","default":1,"examples":[1],"format":"email","$comment":"c","deprecated":true,"readOnly":true,"$schema":"https://json-schema.org/draft/2020-12/schema","$id":"https://example.com/x"}"#,
            &["1", "\"no email\""],
            &[],
        ),
    ];
    for (schema, good, bad) in cases {
        for document in *good {
            assert_eq!(check(schema, document), Ok(()), "{schema} of {document}");
        }
        for document in *bad {
            assert!(check(schema, document).is_err(), "{schema} of {document}");
        }
    }
}

#[test]
fn a_mismatch_is_told_with_its_place() {
    let schema = r#"{"properties":{"a/b":{"items":{"type":"integer","minimum":1}}},
        "required":["c"],"additionalProperties":false}"#;
    for (document, problem) in [
        (r#"{"c":1}"#, ": expected no `c`"),
        (r#"{"a/b":[1,"x"]}"#, "/a~1b/1: expected integer"),
        (r#"{"a/b":[0]}"#, "/a~1b/0: expected a number >= 1"),
        (r#"{"a/b":[]}"#, ": expected the property `c`"),
    ] {
        assert_eq!(check(schema, document), Err(problem.into()), "{document}");
    }
}

#[test]
fn schemas_with_other_keywords_or_mistakes_are_refused_and_told_where() {
    for (schema, problem) in [
        (
            r#"{"pattern":"a"}"#,
            "the keyword `pattern` at `#/pattern` is not supported",
        ),
        (
            r#"{"properties":{"a":{"patternProperties":{}}}}"#,
            "the keyword `patternProperties` at `#/properties/a/patternProperties` is not supported",
        ),
        (
            r#"{"$defs":{"x":{"items":{"$dynamicRef":"y"}}}}"#,
            "the keyword `$dynamicRef` at `#/$defs/x/items/$dynamicRef` is not supported",
        ),
        (
            r#"{"type":"text"}"#,
            "expected types of JSON Schema at `#/type` of the schema",
        ),
        (
            r#"{"minLength":-1}"#,
            "expected a count at `#/minLength` of the schema",
        ),
        (
            r#"{"minItems":1.5}"#,
            "expected a count at `#/minItems` of the schema",
        ),
        (
            r#"{"multipleOf":0}"#,
            "expected a number above 0 at `#/multipleOf` of the schema",
        ),
        (
            r#"{"anyOf":[]}"#,
            "expected at least one schema at `#/anyOf` of the schema",
        ),
        (
            r#"{"items":3}"#,
            "expected an object or a boolean at `#/items`",
        ),
        (
            r##"{"$ref":"#/$defs/x"}"##,
            "expected `#`, or `#/$defs/…` with a schema that is there at `#/$ref` of the schema",
        ),
        (
            r##"{"$ref":"#"}"##,
            "the schema refers to itself without end",
        ),
        (
            r##"{"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"}]},"b":{"not":{"$ref":"#/$defs/a"}}}}"##,
            "the schema refers to itself without end",
        ),
    ] {
        assert_eq!(compile(schema).unwrap_err(), problem, "{schema}");
    }
}

#[test]
fn a_schema_that_multiplies_its_own_work_is_stopped() {
    let schema = r##"{"anyOf":[{"items":{"$ref":"#"},"maxItems":0},
        {"items":{"$ref":"#"},"maxItems":0},{"items":{"$ref":"#"},"maxItems":0},
        {"items":{"$ref":"#"},"maxItems":0},{"items":{"$ref":"#"},"maxItems":0}]}"##;
    let document = "[".repeat(90) + &"]".repeat(90);

    let problem = check(schema, &document).unwrap_err();

    assert!(problem.contains("fewer steps"), "{problem}");
}

#[derive(JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
struct Photo {
    /// What it shows.
    title: String,
    size: u32,
    offset: i64,
    ratio: f64,
    letter: char,
    place: Option<Place>,
    tags: Vec<String>,
    set: std::collections::BTreeSet<u8>,
    counts: std::collections::BTreeMap<String, u64>,
    pair: (u8, String),
    state: State,
    shape: Shape,
    inner: Option<Box<Photo>>,
}

#[derive(JsonSchema, Serialize)]
struct Place {
    x: f32,
    y: f32,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Draft,
    #[expect(dead_code, reason = "only its schema matters")]
    Published,
}

#[derive(JsonSchema, Serialize)]
enum Shape {
    #[expect(dead_code, reason = "only its schema matters")]
    Point,
    Circle(f64),
    #[expect(dead_code, reason = "only its schema matters")]
    Rectangle {
        width: f64,
        height: f64,
    },
}

#[test]
fn what_schemars_derives_is_taken_and_means_the_type() {
    let schema = Json::of(&schemars::schema_for!(Photo)).unwrap();
    let schema = Schema::compile(&schema).unwrap();
    let photo = |inner| Photo {
        title: "a".into(),
        size: 3,
        offset: -1,
        ratio: 0.5,
        letter: 'é',
        place: Some(Place { x: 1.0, y: 2.0 }),
        tags: vec!["t".into()],
        set: [1, 2].into(),
        counts: [("a".to_owned(), 1)].into(),
        pair: (1, "b".into()),
        state: State::Draft,
        shape: Shape::Circle(1.0),
        inner,
    };
    let text = serde_json::to_string(&photo(Some(Box::new(photo(None))))).unwrap();

    let checked = |text: &str| schema.check(&value::parse(text).unwrap());

    assert_eq!(checked(&text), Ok(()));
    for (from, to) in [
        ("\"size\":3", "\"size\":-3"),
        ("\"draft\"", "\"lost\""),
        ("\"title\":\"a\"", "\"title\":1"),
        ("\"title\"", "\"name\""),
        ("\"Circle\":1.0", "\"Circle\":\"x\""),
        ("[1,\"b\"]", "[1,\"b\",2]"),
        ("[1,2]", "[1,1]"),
    ] {
        assert!(checked(&text.replace(from, to)).is_err(), "{from} as {to}");
    }
}
