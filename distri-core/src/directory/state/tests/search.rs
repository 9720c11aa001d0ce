//! Searches find what a naive search finds, whatever the indexes and the pages.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::support::*;
use crate::directory::{
    Actor, CollectionSpec, Command, Document, Field, Filter, IndexSpec, Json, Query, Refusal, Sort,
    Who, limits, value,
};

fn ids(documents: &[Document]) -> Vec<&str> {
    documents.iter().map(|document| &*document.id).collect()
}

fn sorted(field: &str, descending: bool) -> Sort {
    Sort {
        field: field.into(),
        descending,
    }
}

/// All pages of a query.
fn all_pages(directory: &Directory, mut query: Query) -> Vec<Document> {
    let mut documents = Vec::new();
    loop {
        let page = directory
            .state
            .view("things")
            .unwrap()
            .find(&Actor::Node, &query)
            .unwrap();
        assert!(page.documents.len() <= query.limit as usize);
        documents.extend(page.documents);
        match page.cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return documents,
        }
    }
}

/// What the query should find, by looking at everything and sorting.
fn naive(documents: &[Document], query: &Query) -> Vec<Document> {
    let mut found: Vec<_> = documents
        .iter()
        .filter(|d| query.filter.matches(d))
        .cloned()
        .collect();
    let key = |document: &Document, field: &Field| {
        let value = match field.as_str() {
            "@id" => Json::from(document.id.as_str()),
            "@revision" => Json::from(document.revision),
            path => match value::at(document.value.as_str(), path) {
                Some(value) => json(&value.to_text()),
                None => return None,
            },
        };
        Some(value)
    };
    found.sort_by(|a, b| {
        for sort in &query.sort {
            let order = match (key(a, &sort.field), key(b, &sort.field)) {
                (Some(a), Some(b)) => {
                    let (a, b) = (value::parse(a.as_str()), value::parse(b.as_str()));
                    a.unwrap().compare(&b.unwrap())
                }
                (a, b) => a.is_some().cmp(&b.is_some()),
            };
            let order = if sort.descending {
                order.reverse()
            } else {
                order
            };
            if order.is_ne() {
                return order;
            }
        }
        a.id.cmp(&b.id)
    });
    found
}

fn any_small_value() -> impl Strategy<Value = Json> {
    prop_oneof![
        (0..4i32).prop_map(Json::from),
        (0..4i32).prop_map(|n| Json::from(f64::from(n) + 0.5)),
        "[ab]{0,2}".prop_map(Json::from),
        Just(Json::null()),
        any::<bool>().prop_map(Json::from),
        prop::collection::vec(0..2i32, 0..2).prop_map(Json::from),
    ]
}

fn any_document() -> impl Strategy<Value = (String, Json)> {
    let fields = prop::collection::btree_map("[xyz]", any_small_value(), 0..3);
    ("[ab]{1,3}", fields).prop_map(|(id, fields)| {
        let members: Vec<_> = fields
            .iter()
            .map(|(name, v)| format!("\"{name}\":{v}"))
            .collect();
        (id, json(&format!("{{{}}}", members.join(","))))
    })
}

fn any_field() -> impl Strategy<Value = Field> {
    prop_oneof![3 => Just("x"), 3 => Just("y"), 2 => Just("z"), 1 => Just("@id"), 1 => Just("@revision")]
        .prop_map(Field::from)
}

fn any_test() -> impl Strategy<Value = Filter> {
    (
        any_field(),
        any_small_value(),
        any_small_value(),
        0..11u8,
        "[ab]{0,2}",
    )
        .prop_map(|(field, value, other, kind, text)| match kind {
            0..=1 => Filter::Eq(field, value),
            2 => Filter::Ne(field, value),
            3 => Filter::Lt(field, value),
            4 => Filter::Le(field, value),
            5 => Filter::Gt(field, value),
            6 => Filter::Ge(field, value),
            7 => Filter::In(field, vec![value, other]),
            8 => Filter::Prefix(field, text),
            9 => Filter::Contains(field, value),
            _ => Filter::Exists(field),
        })
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![5 => any_test(), 1 => Just(Filter::All)];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::And),
            1 => prop::collection::vec(inner.clone(), 1..3).prop_map(Filter::Or),
            1 => inner.prop_map(|filter| !filter),
        ]
    })
}

fn any_query() -> impl Strategy<Value = Query> {
    let sort = prop::collection::vec((any_field(), any::<bool>()), 0..3);
    (any_filter(), sort, 1..8u32).prop_map(|(filter, sort, limit)| {
        let mut query = Query::new("things");
        query.filter = filter;
        query.sort = sort
            .into_iter()
            .map(|(field, descending)| Sort { field, descending })
            .collect();
        query.limit = limit;
        query
    })
}

fn any_indexes() -> impl Strategy<Value = Vec<IndexSpec>> {
    let fields = prop::collection::vec(any_field(), 1..4).prop_map(|mut fields| {
        let mut seen = BTreeSet::new();
        fields.retain(|field| seen.insert(field.clone()));
        fields
    });
    prop::collection::vec(fields, 0..4).prop_map(|all| {
        let all: BTreeSet<_> = all.into_iter().collect();
        all.into_iter()
            .map(|fields| IndexSpec {
                fields,
                unique: false,
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_search_finds_what_a_naive_one_finds(
        documents in prop::collection::vec(any_document(), 0..30),
        gone in prop::collection::vec("[ab]{1,3}", 0..4),
        indexes in any_indexes(),
        queries in prop::collection::vec(any_query(), 1..6),
    ) {
        let mut spec = CollectionSpec::new("things");
        let later = indexes.len() / 2;
        spec.indexes = indexes[later..].to_vec();
        let mut directory = Directory::with(spec.clone());
        for (id, value) in &documents {
            directory.run(transact([put(id, value.as_str())])).unwrap();
        }
        // The rest of the indexes is made when documents are there already.
        spec.indexes = indexes;
        directory.run(Command::CreateCollection(spec)).unwrap();
        for id in &gone {
            let _ = directory.run(transact([delete(id)]));
        }
        let everything = all_pages(&directory, Query::new("things"));

        for directory in [&directory, &directory.restored()] {
            for query in &queries {
                let expected = naive(&everything, query);
                let found = all_pages(directory, query.clone());
                let view = directory.state.view("things").unwrap();

                prop_assert_eq!(ids(&found), ids(&expected), "{}", &query.filter);
                prop_assert_eq!(view.count(&Actor::Node, &query.filter), Ok(expected.len() as u64));
            }
        }
    }

    #[test]
    fn pages_neither_repeat_nor_skip_what_stays(
        documents in prop::collection::vec(any_document(), 5..20),
        changes in prop::collection::vec(any_document(), 0..20),
        indexes in any_indexes(),
        query in any_query(),
    ) {
        let mut spec = CollectionSpec::new("things");
        spec.indexes = indexes;
        let mut directory = Directory::with(spec);
        for (id, value) in &documents {
            directory.run(transact([put(&format!("stay-{id}"), value.as_str())])).unwrap();
        }
        let before = all_pages(&directory, Query { limit: 1000, ..query.clone() });
        let mut found = Vec::new();
        let mut asked = query;
        let mut changes = changes.into_iter();
        loop {
            let page = directory.state.view("things").unwrap().find(&Actor::Node, &asked).unwrap();
            found.extend(page.documents);
            if let Some((id, value)) = changes.next() {
                directory.run(transact([put(&id, value.as_str())])).unwrap();
            }
            match page.cursor {
                Some(cursor) => asked.cursor = Some(cursor),
                None => break,
            }
        }

        found.retain(|document| document.id.starts_with("stay-"));
        prop_assert_eq!(ids(&found), ids(&before));
    }

    #[test]
    fn any_cursor_is_refused_or_gives_a_page(
        documents in prop::collection::vec(any_document(), 5..20),
        indexes in any_indexes(),
        query in any_query(),
        bytes in prop::collection::vec(any::<u8>(), 0..24),
    ) {
        let mut spec = CollectionSpec::new("things");
        spec.indexes = indexes;
        let mut directory = Directory::with(spec);
        for (id, value) in &documents {
            directory.run(transact([put(id, value.as_str())])).unwrap();
        }
        let view = directory.state.view("things").unwrap();
        let Some(cursor) = view.find(&Actor::Node, &query).unwrap().cursor else {
            return Ok(());
        };

        // What says which query it is stays; the place where it goes on is anything.
        let mut forged = data_encoding::BASE64URL_NOPAD.decode(cursor.as_bytes()).unwrap();
        forged.truncate(8);
        forged.extend_from_slice(&bytes);
        for bytes in [forged, bytes] {
            let cursor = data_encoding::BASE64URL_NOPAD.encode(&bytes);
            let page = view.find(&Actor::Node, &Query { cursor: Some(cursor), ..query.clone() });
            prop_assert!(matches!(page, Ok(_) | Err(Refusal::Cursor)));
        }
    }
}

#[test]
fn a_cursor_belongs_to_its_query() {
    let mut directory = Directory::of_things();
    directory
        .run(transact([put("a", "1"), put("b", "2")]))
        .unwrap();
    let view = directory.state.view("things").unwrap();
    let query = Query {
        limit: 1,
        ..Query::new("things")
    };
    let cursor = view.find(&Actor::Node, &query).unwrap().cursor;
    let find = |query: Query| view.find(&Actor::Node, &query);

    let mut other = Query {
        cursor: cursor.clone(),
        ..query.clone()
    };
    other.sort.push(sorted("x", false));
    assert_eq!(find(other), Err(Refusal::Cursor));
    let nonsense = Query {
        cursor: Some("nonsense".into()),
        ..query.clone()
    };
    assert_eq!(find(nonsense), Err(Refusal::Cursor));
    let more = find(Query {
        cursor,
        limit: 5,
        ..query
    })
    .unwrap();
    assert_eq!(ids(&more.documents), ["b"]);
    assert_eq!(more.cursor, None);
}

#[test]
fn a_page_ends_early_when_it_grows_large_and_goes_on() {
    let mut directory = Directory::of_things();
    let large = format!("\"{}\"", "x".repeat(limits::DOCUMENT - 2));
    for n in 0..6 {
        directory
            .run(transact([put(&format!("{n}"), &large)]))
            .unwrap();
    }
    let mut query = Query::new("things");
    for sort in [vec![], vec![sorted("@revision", true)]] {
        query.sort = sort;

        let page = directory
            .state
            .view("things")
            .unwrap()
            .find(&Actor::Node, &query)
            .unwrap();

        assert_eq!(page.documents.len(), 4);
        assert!(page.cursor.is_some());
        assert_eq!(all_pages(&directory, query.clone()).len(), 6);
    }
}

#[test]
fn a_view_stays_as_it_is_while_the_state_goes_on() {
    let mut directory = Directory::of_things();
    directory.run(transact([put("a", "1")])).unwrap();
    let view = directory.state.view("things").unwrap();

    directory
        .run(transact([put("a", "2"), put("b", "2")]))
        .unwrap();

    let page = view.find(&Actor::Node, &Query::new("things")).unwrap();
    assert_eq!(page.documents.len(), 1);
    assert_eq!(page.documents[0].value, json("1"));
    assert_eq!(page.revision, 2);
}

#[test]
fn a_query_out_of_bounds_is_refused() {
    let directory = Directory::of_things();
    let view = directory.state.view("things").unwrap();
    let mut deep = Filter::All;
    for _ in 0..limits::FILTER_DEPTH {
        deep = !deep;
    }
    let with = |filter| Query {
        filter,
        ..Query::new("things")
    };
    for query in [
        Query {
            limit: 0,
            ..Query::new("things")
        },
        Query {
            limit: 10_001,
            ..Query::new("things")
        },
        with(deep),
        with(Filter::And(vec![Filter::All; limits::FILTER])),
        with(Filter::exists("@nonsense")),
        with(Filter::exists("a..b")),
        Query {
            sort: vec![sorted("x", true); 17],
            ..Query::new("things")
        },
    ] {
        let refused = view.find(&Actor::Node, &query);

        assert!(matches!(
            refused,
            Err(Refusal::TooLarge { .. } | Refusal::Invalid { .. })
        ));
    }
    assert!(directory.state.view("nothing").is_err());
}

#[test]
fn no_two_documents_have_the_same_in_a_unique_index() {
    let spec = CollectionSpec::new("things")
        .unique(["mail", "kind"])
        .read(Who::Public);
    let mut directory = Directory::with(spec.clone());
    directory
        .run(transact([put("a", r#"{"mail":"m","kind":1}"#)]))
        .unwrap();

    let refused = directory.run(transact([put("b", r#"{"kind":1.0,"mail":"m"}"#)]));
    let other_kind = directory.run(transact([put("b", r#"{"mail":"m","kind":2}"#)]));
    let incomplete = directory.run(transact([
        put("c", r#"{"mail":"m"}"#),
        put("d", r#"{"mail":"m"}"#),
    ]));
    let itself = directory.run(transact([put("a", r#"{"mail":"m","kind":1,"x":1}"#)]));
    let swapped = directory.run(transact([
        delete("a"),
        put("e", r#"{"mail":"m","kind":1}"#),
    ]));

    let taken = Refusal::NotUnique {
        collection: "things".into(),
        id: "b".into(),
        fields: "`mail` and `kind`".into(),
        other: "a".into(),
    };
    assert_eq!(refused, Err(taken));
    assert!(other_kind.and(incomplete).and(itself).and(swapped).is_ok());

    let before = directory.state.fingerprint();
    let stricter = directory.run(Command::CreateCollection(spec.clone().unique(["mail"])));
    assert!(matches!(stricter, Err(Refusal::NotUnique { .. })));
    let schema = spec.schema(json(r#"{"required":["kind"]}"#));
    let stricter = directory.run(Command::CreateCollection(schema));
    assert!(matches!(stricter, Err(Refusal::Schema { .. })));
    assert_eq!(directory.state.fingerprint(), before);
}

#[test]
fn a_document_that_does_not_meet_its_schema_is_refused_with_the_place() {
    let schema = json(r#"{"properties":{"size":{"type":"integer","maximum":5}}}"#);
    let mut directory = Directory::with(CollectionSpec::new("things").schema(schema));
    directory
        .run(transact([put("a", r#"{"size":5}"#)]))
        .unwrap();

    let by_sum = directory
        .run(transact([add("a", "size", "1")]))
        .unwrap_err();
    let by_merge = directory
        .run(transact([merge("a", r#"{"size":"x"}"#)]))
        .unwrap_err();

    assert_eq!(
        by_sum.to_string(),
        "`things/a` does not meet the schema at `/size`: expected a number <= 5"
    );
    assert!(matches!(by_merge, Refusal::Schema { .. }));
}

#[test]
fn values_too_long_for_an_index_are_refused() {
    let mut directory = Directory::with(CollectionSpec::new("things").index(["x"]));
    let long = format!("{{\"x\":\"{}\"}}", "x".repeat(limits::INDEX_KEY));

    let refused = directory.run(transact([put("a", &long)]));

    assert!(matches!(refused, Err(Refusal::TooLarge { .. })));
}
