//! Which part of which order to walk for a search: the ids or an index, and from where to where.
//!
//! Only tests that must all hold narrow a search down. What a walk finds is held against the whole
//! filter again, so a plan decides how much is looked at, never what is found.

use crate::directory::{
    CollectionSpec, Field, Filter, Json, Sort,
    value::{self, Kind, Value, key},
};

/// How to walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) source: Source,
    /// What to walk through, in rising order; they do not overlap.
    pub(super) spans: Vec<Span>,
    /// Whether the walk meets documents in the order that was asked for.
    pub(super) order: Order,
    /// The index's fields after those of which the filter asks for one value.
    pub(super) varying: Vec<Field>,
    /// The values of these as keys: with them the keys begin.
    pub(super) prefix: Vec<u8>,
    score: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// By id.
    Documents,
    Index(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// All that is found must be sorted.
    None,
    Rising,
    Falling,
}

/// Keys from one, included, to another, excluded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) from: Vec<u8>,
    pub(super) to: Vec<u8>,
}

/// Spans that a search walks through; more are walked through as one.
const SPANS: usize = 10_000;

impl Plan {
    pub(super) fn new(spec: &CollectionSpec, filter: &Filter, sort: &[Sort]) -> Self {
        let mut tests = Vec::new();
        collect(filter, &mut tests);
        let by_id = Self::by_id(&tests, sort);
        spec.indexes
            .iter()
            .enumerate()
            .map(|(n, index)| Self::by_index(n, &index.fields, &tests, sort))
            .fold(by_id, |best, plan| {
                // The first one of equals, so that replicas and later pages plan alike.
                if plan.rank() > best.rank() {
                    plan
                } else {
                    best
                }
            })
    }

    fn rank(&self) -> (u32, bool) {
        (self.score, self.order != Order::None)
    }

    fn by_id(tests: &[&Filter], sort: &[Sort]) -> Self {
        let id = Field::from("@id");
        let narrowed = Narrowed::of(&id, tests, Form::Id);
        let order = match sort {
            [] => Order::Rising,
            [only, ..] if only.field == id && only.descending => Order::Falling,
            [only, ..] if only.field == id => Order::Rising,
            _ => Order::None,
        };
        let (score, spans) = match narrowed {
            None => (0, vec![Span::all()]),
            Some(Narrowed { exact: true, spans }) => (1000, spans),
            Some(Narrowed { spans, .. }) => (2, spans),
        };
        Self {
            source: Source::Documents,
            order: if spans.len() > 1 { Order::None } else { order },
            spans,
            varying: Vec::new(),
            prefix: Vec::new(),
            score,
        }
    }

    fn by_index(n: usize, fields: &[Field], tests: &[&Filter], sort: &[Sort]) -> Self {
        let mut prefix = Vec::new();
        let mut constant = Vec::new();
        let mut last = None;
        for field in fields {
            match Narrowed::of(field, tests, Form::Key) {
                Some(narrowed) if narrowed.exact && narrowed.spans.len() == 1 => {
                    prefix.extend_from_slice(&narrowed.spans[0].from);
                    constant.push(field.clone());
                }
                other => {
                    last = other;
                    break;
                }
            }
        }
        let last_score = match &last {
            None => 0,
            Some(Narrowed { exact: true, .. }) => 3,
            Some(_) => 2,
        };
        let spans = match last {
            None => vec![Span::all().after(&prefix)],
            Some(Narrowed { spans, .. }) => spans.iter().map(|s| s.after(&prefix)).collect(),
        };
        let order = match spans.len() {
            0 | 1 => order(&fields[constant.len()..], &constant, sort),
            _ => Order::None,
        };
        Self {
            source: Source::Index(n),
            score: u32::try_from(constant.len()).unwrap_or(0) * 4 + last_score,
            spans,
            order,
            varying: fields[constant.len()..].to_vec(),
            prefix,
        }
    }
}

/// Does an index whose `fields` vary give the order that was asked for?
fn order(fields: &[Field], constant: &[Field], sort: &[Sort]) -> Order {
    let mut wanted: Vec<&Sort> = sort
        .iter()
        .filter(|sort| !constant.contains(&sort.field))
        .collect();
    // Ids come last of all, in rising order.
    if let Some(at) = wanted.iter().position(|sort| sort.field.as_str() == "@id")
        && !fields.contains(&wanted[at].field)
    {
        if wanted[at].descending {
            return Order::None;
        }
        wanted.truncate(at);
    }
    let same_fields = wanted.len() == fields.len()
        && wanted
            .iter()
            .zip(fields)
            .all(|(sort, field)| sort.field == *field);
    if !same_fields {
        Order::None
    } else if wanted.iter().all(|sort| !sort.descending) {
        Order::Rising
    } else if wanted.iter().all(|sort| sort.descending) {
        Order::Falling
    } else {
        Order::None
    }
}

/// The tests that must all hold.
fn collect<'f>(filter: &'f Filter, tests: &mut Vec<&'f Filter>) {
    match filter {
        Filter::And(parts) => parts.iter().for_each(|part| collect(part, tests)),
        test => tests.push(test),
    }
}

/// How values are written where we search.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As keys.
    Key,
    /// Texts as they are: ids.
    Id,
}

/// Where the values of a field can be that pass all tests.
#[derive(Debug)]
struct Narrowed {
    spans: Vec<Span>,
    /// Each span holds one value.
    exact: bool,
}

impl Narrowed {
    /// `None`: anywhere.
    fn of(field: &Field, tests: &[&Filter], form: Form) -> Option<Self> {
        tests
            .iter()
            .filter_map(|test| Self::by(field, test, form))
            .reduce(Self::and)
    }

    fn by(field: &Field, test: &Filter, form: Form) -> Option<Self> {
        let (tested, narrowed) = match test {
            Filter::Eq(f, value) => (f, Self::exactly(std::slice::from_ref(value), form)),
            Filter::In(f, values) => (f, Self::exactly(values, form)),
            Filter::Lt(f, value) => (f, Self::range(value, form, |s, v| Span { to: v.from, ..s })),
            Filter::Le(f, value) => (f, Self::range(value, form, |s, v| Span { to: v.to, ..s })),
            Filter::Gt(f, value) => (f, Self::range(value, form, |s, v| Span { from: v.to, ..s })),
            Filter::Ge(f, value) => (
                f,
                Self::range(value, form, |s, v| Span { from: v.from, ..s }),
            ),
            Filter::Prefix(f, start) => (f, Self::one(form.beginning(start))),
            Filter::Exists(f) if form == Form::Key => {
                let there = Span {
                    from: vec![key::NULL],
                    to: vec![key::AFTER],
                };
                (f, Self::one(there))
            }
            Filter::All
            | Filter::And(_)
            | Filter::Or(_)
            | Filter::Not(_)
            | Filter::Ne(..)
            | Filter::Contains(..)
            | Filter::Exists(_) => return None,
        };
        (tested == field).then_some(narrowed)
    }

    fn one(span: Span) -> Self {
        Self {
            spans: vec![span],
            exact: false,
        }
    }

    fn exactly(values: &[Json], form: Form) -> Self {
        let mut spans: Vec<_> = values
            .iter()
            .filter_map(|json| form.exactly(&value::parse(json.as_str()).ok()?))
            .collect();
        spans.sort_unstable();
        spans.dedup();
        Self { spans, exact: true }
    }

    /// The values of one kind on one side of a value: `cut` takes the span of the kind and that of
    /// the value.
    fn range(json: &Json, form: Form, cut: fn(Span, Span) -> Span) -> Self {
        let span = value::parse(json.as_str()).ok().and_then(|value| {
            let exactly = form.exactly(&value)?;
            Some(cut(form.kind(value.kind()), exactly))
        });
        Self {
            spans: span.into_iter().filter(Span::is_some).collect(),
            exact: false,
        }
    }

    fn and(self, other: Self) -> Self {
        // Between two lists the shorter one will do.
        let (few, many) = match self.spans.len() <= other.spans.len() {
            true => (self, other),
            false => (other, self),
        };
        let [span] = few.spans.as_slice() else {
            return few;
        };
        let spans = many.spans.iter().map(|other| span.and(other));
        Self {
            spans: spans.filter(Span::is_some).take(SPANS).collect(),
            exact: few.exact || many.exact,
        }
    }
}

impl Form {
    /// The span of one value; `None` if there can be no such value.
    fn exactly(self, value: &Value<'_>) -> Option<Span> {
        match (self, value) {
            (Self::Key, value) => {
                let from = value.to_key();
                let to = with(&from, key::AFTER);
                Some(Span { from, to })
            }
            (Self::Id, Value::Text(id)) => {
                let from = id.as_bytes().to_vec();
                let to = with(&from, 0);
                Some(Span { from, to })
            }
            (Self::Id, _) => None,
        }
    }

    fn kind(self, kind: Kind) -> Span {
        match self {
            Self::Key => {
                let (first, last) = key::span(kind);
                Span {
                    from: vec![first],
                    to: vec![last + 1],
                }
            }
            Self::Id => Span::all(),
        }
    }

    fn beginning(self, start: &str) -> Span {
        let mut from = Vec::new();
        match self {
            Self::Key => {
                from.push(key::TEXT);
                key::text(start, &mut from);
            }
            Self::Id => from.extend_from_slice(start.as_bytes()),
        }
        let to = with(&from, key::AFTER);
        Span { from, to }
    }
}

impl Span {
    fn all() -> Self {
        Self {
            from: Vec::new(),
            to: vec![key::AFTER],
        }
    }

    fn and(&self, other: &Self) -> Self {
        Self {
            from: self.from.clone().max(other.from.clone()),
            to: self.to.clone().min(other.to.clone()),
        }
    }

    /// The same span among keys that begin with `prefix`.
    fn after(&self, prefix: &[u8]) -> Self {
        Self {
            from: [prefix, &self.from].concat(),
            to: [prefix, &self.to].concat(),
        }
    }

    /// Is there anything in it?
    fn is_some(&self) -> bool {
        self.from < self.to
    }
}

fn with(key: &[u8], byte: u8) -> Vec<u8> {
    let mut key = key.to_vec();
    key.push(byte);
    key
}
