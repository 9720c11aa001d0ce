//! Searching one collection.

use std::{cmp::Ordering, collections::BinaryHeap, ops::Bound, sync::Arc};

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use super::{
    access::{self, Reach},
    check,
    collection::{Collection, Index, between, write_field},
    plan::{Order, Plan, Source, Span},
    record::Record,
};
use crate::directory::{
    Actor, CollectionSpec, Filter, Page, Query, Refusal, Sort, filter::Matcher, limits, value::key,
};

/// A collection as it stood at one revision.
#[derive(Clone, Debug)]
pub(crate) struct View {
    collection: Arc<Collection>,
    revision: u64,
}

/// Any documents, in some order.
type Walk<'a> = Box<dyn Iterator<Item = &'a Arc<Record>> + 'a>;

impl View {
    pub(super) fn new(collection: Arc<Collection>, revision: u64) -> Self {
        Self {
            collection,
            revision,
        }
    }

    pub(crate) fn spec(&self) -> &CollectionSpec {
        self.collection.spec()
    }

    /// A page of what matches, in the order asked for.
    ///
    /// # Errors
    /// The actor may not read, the query is not sound, or its cursor belongs to another.
    pub(crate) fn find(&self, actor: &Actor, query: &Query) -> Result<Page, Refusal> {
        let reach = access::reading(actor, self.spec())?;
        check_query(query)?;
        let start = query
            .cursor
            .as_ref()
            .map(|text| Cursor::decode(text, query))
            .transpose()?;
        let search = Search {
            collection: &self.collection,
            matcher: Matcher::new(&query.filter),
            reach,
        };
        let plan = Plan::new(self.spec(), &query.filter, &query.sort);
        let wanted = query.limit as usize;
        let mut page = Page {
            documents: Vec::new(),
            cursor: None,
            revision: self.revision,
        };
        let found: Vec<Arc<Record>> = match plan.order {
            Order::None => search.least(&plan, &query.sort, start.as_ref(), wanted + 1),
            Order::Rising | Order::Falling => {
                let walk = search.walk(&plan, &query.sort, start.as_ref());
                within(search.filter(walk), wanted + 1).cloned().collect()
            }
        };
        let mut bytes = 0;
        for (n, record) in found.iter().enumerate() {
            if n == wanted || bytes >= limits::PAGE_BYTES {
                let last = &found[n - 1];
                page.cursor = Some(Cursor::after(last, query).encode());
                break;
            }
            bytes += record.size();
            page.documents.push(record.document());
        }
        Ok(page)
    }

    /// How many match.
    ///
    /// # Errors
    /// The actor may not read, or the filter is not sound.
    pub(crate) fn count(&self, actor: &Actor, filter: &Filter) -> Result<u64, Refusal> {
        let reach = access::reading(actor, self.spec())?;
        check::filter(filter)?;
        let count = match (filter, reach) {
            (Filter::All, Reach::All) => self.collection.documents.len(),
            _ => self.collection.matching(filter, reach).count(),
        };
        Ok(count as u64)
    }
}

impl Collection {
    /// What matches of what is in reach, in no particular order.
    pub(super) fn matching<'a>(
        &'a self,
        filter: &'a Filter,
        reach: Reach,
    ) -> impl Iterator<Item = &'a Arc<Record>> {
        let search = Search {
            collection: self,
            matcher: Matcher::new(filter),
            reach,
        };
        let plan = Plan::new(self.spec(), filter, &[]);
        let walk = search.through(&plan);
        walk.filter(move |record| search.finds(record))
    }
}

fn check_query(query: &Query) -> Result<(), Refusal> {
    check::filter(&query.filter)?;
    check::bounded("an order's keys", query.sort.len(), limits::INDEXES)?;
    for sort in &query.sort {
        check::check_field(&sort.field)?;
    }
    if query.limit == 0 {
        return Err(check::invalid("a page of 0 documents: expected at least 1"));
    }
    check::bounded("a page", query.limit as usize, limits::PAGE)
}

/// As many as are needed for a page: so many, or so many bytes and one more.
fn within<'a>(
    walk: impl Iterator<Item = &'a Arc<Record>>,
    wanted: usize,
) -> impl Iterator<Item = &'a Arc<Record>> {
    let mut bytes = 0;
    walk.take(wanted).take_while(move |record| {
        let more = bytes < limits::PAGE_BYTES + limits::DOCUMENT + limits::ID + 64;
        bytes += record.size();
        more
    })
}

struct Search<'a, 'f> {
    collection: &'a Collection,
    matcher: Matcher<'f>,
    reach: Reach,
}

impl<'a> Search<'a, '_> {
    fn finds(&self, record: &Record) -> bool {
        self.reach.covers(record) && self.matcher.matches(&record.facts())
    }

    fn filter(&self, walk: Walk<'a>) -> impl Iterator<Item = &'a Arc<Record>> {
        walk.filter(|record| self.finds(record))
    }

    /// The first ones in order of those that match, after `start`, by looking at all of them.
    fn least(
        &self,
        plan: &Plan,
        sort: &[Sort],
        start: Option<&Cursor>,
        wanted: usize,
    ) -> Vec<Arc<Record>> {
        let start = start.map(|cursor| (cursor.rank(sort), cursor.id.as_str()));
        let mut least = BinaryHeap::new();
        for record in self.filter(self.through(plan)) {
            let rank = rank(record, sort);
            let is_before = start.as_ref().is_some_and(|(start, id)| {
                (rank.as_slice(), &*record.id) <= (start.as_slice(), *id)
            });
            if is_before {
                continue;
            }
            let ranked = Ranked { rank, record };
            if least.len() < wanted {
                least.push(ranked);
            } else if let Some(mut greatest) = least.peek_mut()
                && ranked < *greatest
            {
                *greatest = ranked;
            }
        }
        least
            .into_sorted_vec()
            .into_iter()
            .map(|ranked| Arc::clone(ranked.record))
            .collect()
    }

    /// Everything that the plan looks at.
    fn through(&self, plan: &Plan) -> Walk<'a> {
        let collection = self.collection;
        let source = plan.source;
        let spans = plan.spans.clone();
        Box::new(
            spans.into_iter().flat_map(move |span| {
                rising(collection, source, Bound::Included(span.from), span.to)
            }),
        )
    }

    /// What an ordered plan looks at, in its order, after `start`.
    fn walk(&self, plan: &Plan, sort: &[Sort], start: Option<&Cursor>) -> Walk<'a> {
        let Some(Span { from, to }) = plan.spans.first().cloned() else {
            return Box::new(std::iter::empty());
        };
        // The values in the index up to the id, if the cursor says where.
        let group = start.map(|cursor| {
            let mut group = plan.prefix.clone();
            let varying = sort.iter().zip(&cursor.keys);
            varying
                .filter(|(sort, _)| plan.varying.contains(&sort.field))
                .for_each(|(_, key)| group.extend_from_slice(key));
            group
        });
        let position = start.zip(group.as_ref()).map(|(cursor, group)| {
            let group = match plan.source {
                Source::Documents => &[],
                Source::Index(_) => group.as_slice(),
            };
            [group, cursor.id.as_bytes()].concat()
        });
        match (plan.order, plan.source, position) {
            (Order::Falling, Source::Documents, position) => {
                let to = position.map_or(to.clone(), |position| position.min(to));
                falling_ids(self.collection, &from, &to)
            }
            (Order::Falling, Source::Index(n), position) => {
                let index = &self.collection.indexes[n];
                Box::new(Falling::new(index, from, to, group.zip(position)))
            }
            (Order::Rising | Order::None, source, Some(position)) if position >= from => {
                rising(self.collection, source, Bound::Excluded(position), to)
            }
            (Order::Rising | Order::None, source, _) => {
                rising(self.collection, source, Bound::Included(from), to)
            }
        }
    }
}

/// Documents from one key to another, excluded, in rising order.
fn rising<'a>(
    collection: &'a Collection,
    source: Source,
    from: Bound<Vec<u8>>,
    to: Vec<u8>,
) -> Walk<'a> {
    let (Bound::Included(start) | Bound::Excluded(start)) = &from else {
        return Box::new(std::iter::empty());
    };
    if *start >= to {
        return Box::new(std::iter::empty());
    }
    let range = (from.as_ref().map(Vec::as_slice), Bound::Excluded(&*to));
    match source {
        Source::Documents => Box::new(
            collection
                .documents
                .range::<_, [u8]>(range)
                .map(|entry| &entry.0),
        ),
        Source::Index(n) => collection.indexes[n].walk(range),
    }
}

fn falling_ids<'a>(collection: &'a Collection, from: &[u8], to: &[u8]) -> Walk<'a> {
    if from >= to {
        return Box::new(std::iter::empty());
    }
    let ids = collection.documents.range::<_, [u8]>(between(from, to));
    Box::new(ids.rev().map(|entry| &entry.0))
}

/// An index by falling values, and by rising ids where these are equal.
struct Falling<'a> {
    index: &'a Index,
    /// The documents with the values that are walked through now.
    group: Option<Walk<'a>>,
    /// What is left beside them.
    from: Vec<u8>,
    to: Vec<u8>,
}

impl<'a> Falling<'a> {
    /// `start`: the values where the last page ended, and these with the id.
    fn new(
        index: &'a Index,
        from: Vec<u8>,
        to: Vec<u8>,
        start: Option<(Vec<u8>, Vec<u8>)>,
    ) -> Self {
        let mut falling = Self {
            index,
            group: None,
            from,
            to,
        };
        if let Some((values, position)) = start {
            let end = after(&values).min(falling.to.clone());
            if position >= falling.from && position < end {
                let range = (Bound::Excluded(&*position), Bound::Excluded(&*end));
                falling.group = Some(index.walk(range));
            }
            falling.to = values.min(falling.to);
        }
        falling
    }
}

impl<'a> Iterator for Falling<'a> {
    type Item = &'a Arc<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.group.as_mut().and_then(Iterator::next) {
                return Some(record);
            }
            if self.from >= self.to {
                return None;
            }
            let rest = self.index.0.range::<_, [u8]>(between(&self.from, &self.to));
            let (last, record) = rest.rev().next()?;
            let values = last[..last.len() - record.id.len()].to_vec();
            let end = after(&values);
            self.group = Some(self.index.walk(between(&values, &end)));
            self.to = values;
        }
    }
}

impl Index {
    fn walk(&self, range: (Bound<&[u8]>, Bound<&[u8]>)) -> Walk<'_> {
        Box::new(self.0.range::<_, [u8]>(range).map(|(_, record)| record))
    }
}

/// After all keys that begin so.
fn after(values: &[u8]) -> Vec<u8> {
    [values, &[key::AFTER]].concat()
}

/// A document with its place in an order.
struct Ranked<'a> {
    rank: Vec<u8>,
    record: &'a Arc<Record>,
}

impl Ord for Ranked<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let ranks = self.rank.cmp(&other.rank);
        ranks.then_with(|| self.record.id.as_bytes().cmp(other.record.id.as_bytes()))
    }
}

impl PartialOrd for Ranked<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked<'_> {}

/// Bytes that order as the documents shall.
fn rank(record: &Record, sort: &[Sort]) -> Vec<u8> {
    let mut rank = Vec::new();
    for sort in sort {
        let start = rank.len();
        write_field(record, &sort.field, &mut rank);
        if sort.descending {
            invert(&mut rank[start..]);
        }
    }
    rank
}

/// Turns the order of keys around: none begins another's, so each pair differs at some byte.
fn invert(key: &mut [u8]) {
    key.iter_mut().for_each(|byte| *byte = !*byte);
}

/// Where a page ended: at this document, wherever it is now.
#[derive(Serialize, Deserialize)]
struct Cursor {
    /// Of which query.
    query: [u8; 8],
    /// The document's keys of the order.
    keys: Vec<Vec<u8>>,
    id: String,
}

impl Cursor {
    fn after(record: &Record, query: &Query) -> Self {
        let keys = query.sort.iter().map(|sort| {
            let mut key = Vec::new();
            write_field(record, &sort.field, &mut key);
            key
        });
        Self {
            query: hash(query),
            keys: keys.collect(),
            id: record.id.to_string(),
        }
    }

    fn encode(&self) -> String {
        // Postcard writes every such value.
        BASE64URL_NOPAD.encode(&postcard::to_stdvec(self).unwrap_or_default())
    }

    fn decode(text: &str, query: &Query) -> Result<Self, Refusal> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes());
        bytes
            .ok()
            .and_then(|bytes| postcard::from_bytes::<Self>(&bytes).ok())
            .filter(|cursor| cursor.query == hash(query) && cursor.keys.len() == query.sort.len())
            .ok_or(Refusal::Cursor)
    }

    fn rank(&self, sort: &[Sort]) -> Vec<u8> {
        let mut rank = Vec::new();
        for (sort, key) in sort.iter().zip(&self.keys) {
            let start = rank.len();
            rank.extend_from_slice(key);
            if sort.descending {
                invert(&mut rank[start..]);
            }
        }
        rank
    }
}

/// Tells queries apart: what they find and in which order, not how much of it at a time.
fn hash(query: &Query) -> [u8; 8] {
    let what = (&query.collection, &query.filter, &query.sort);
    let bytes = postcard::to_stdvec(&what).unwrap_or_default();
    let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
    let mut hash = [0; 8];
    hash.copy_from_slice(&digest.as_ref()[..8]);
    hash
}
