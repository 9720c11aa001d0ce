//! The state as blocks of bytes, and back.
//!
//! The blocks are one stream of records, each with its length before it, cut wherever a block is
//! full. A frozen copy shares everything with the living state and is read little by little.
//!
//! Of a change in the history only the earlier version is written: the later one is the earlier one
//! of the next change, or stands in its collection.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    State,
    collection::Collection,
    history::{Change, Ring},
    leases::Terms,
    record::{Entry, Record},
    sessions::Session,
};
use crate::directory::{CollectionSpec, Who};

/// Rises when older programs could not read what is written.
const VERSION: u32 = 1;

/// Bytes of a block, at most.
const BLOCK: usize = 1 << 20;

/// How many things are looked up at a time.
const STEP: usize = 256;

/// What is not a snapshot, or not a whole one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidSnapshot<E: std::error::Error + 'static> {
    /// The blocks could not be had.
    #[error("could not read block {block} of the snapshot")]
    Unreadable { block: usize, source: E },
    #[error("the snapshot has format {found}; this program reads format {VERSION}")]
    Version { found: u32 },
    #[error("record {record} of the snapshot does not decode")]
    Malformed {
        record: u64,
        source: postcard::Error,
    },
    /// Records that contradict one another.
    #[error("record {record} of the snapshot is not consistent: {problem}")]
    Inconsistent { record: u64, problem: String },
    #[error("the snapshot ends after {records} records, before its end")]
    Truncated { records: u64 },
}

/// What a snapshot is made of, in this order.
#[derive(Serialize, Deserialize)]
enum Part {
    Header {
        version: u32,
        revision: u64,
        time_ms: u64,
        latest_lease: u64,
        oldest: u64,
    },
    Lease(u64, Terms),
    Session(u128, Session),
    Collection(CollectionSpec),
    /// Of the last collection.
    Document(Record),
    Ring {
        collection: String,
        start: u64,
        dropped: Option<Who>,
    },
    /// Of the last ring.
    Change {
        revision: u64,
        id: String,
        before: Option<Record>,
        expired: bool,
    },
    /// How many records there were before.
    End(u64),
}

impl State {
    /// A copy that stays as it is, while the state goes on. Takes no time.
    pub(crate) fn freeze(&self) -> Frozen {
        Frozen {
            state: self.clone(),
            next: Next::Header,
            bytes: Vec::new(),
            records: 0,
        }
    }

    /// Equal on equal states, and as good as never on others. Walks through everything.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        self.freeze().for_each(|block| context.update(&block));
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.finish().as_ref());
        fingerprint
    }

    /// Rebuilds a state from its blocks.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub(crate) fn from_blocks<E: std::error::Error>(
        blocks: impl IntoIterator<Item = Result<Vec<u8>, E>>,
    ) -> Result<Self, InvalidSnapshot<E>> {
        let mut restoring = Restoring::default();
        let mut bytes = Vec::new();
        for (block, more) in blocks.into_iter().enumerate() {
            let more = more.map_err(|source| InvalidSnapshot::Unreadable { block, source })?;
            bytes.extend_from_slice(&more);
            let mut rest = bytes.as_slice();
            while let Some((record, after)) = split(rest) {
                restoring.take(record)?;
                rest = after;
            }
            let used = bytes.len() - rest.len();
            bytes.drain(..used);
        }
        if !restoring.complete || !bytes.is_empty() {
            return Err(InvalidSnapshot::Truncated {
                records: restoring.records,
            });
        }
        Ok(restoring.state)
    }
}

/// The next record and what follows it, if it is there as a whole.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// A state that is being written. Gives its blocks one by one.
#[derive(Debug)]
pub(crate) struct Frozen {
    state: State,
    next: Next,
    /// Written, and not given out yet.
    bytes: Vec<u8>,
    records: u64,
}

/// Where writing goes on.
#[derive(Debug)]
enum Next {
    Header,
    /// After this number.
    Leases(u64),
    Sessions(Option<u128>),
    /// After the collection of this name.
    Collections(Option<Arc<str>>),
    /// In this collection, after this id.
    Documents(Arc<str>, Option<Box<str>>),
    /// After the ring of this collection.
    Rings(Option<Arc<str>>),
    /// In this ring, from this change on.
    Changes(Arc<str>, usize),
    End,
    Nothing,
}

impl Frozen {
    pub(crate) fn revision(&self) -> u64 {
        self.state.revision
    }

    fn write(&mut self, part: &Part) {
        // Postcard writes every such value.
        let record = postcard::to_stdvec(part).unwrap_or_default();
        let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(&record);
        self.records += 1;
    }

    /// Writes some more records, and says where to go on.
    fn step(&mut self) -> Next {
        use std::ops::Bound::{Excluded, Unbounded};
        let state = self.state.clone();
        match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Header => {
                self.write(&Part::Header {
                    version: VERSION,
                    revision: state.revision,
                    time_ms: state.time_ms,
                    latest_lease: state.leases.latest(),
                    oldest: state.history.oldest(),
                });
                Next::Leases(0)
            }
            Next::Leases(after) => {
                let mut last = None;
                for (number, lease) in state.leases.after(after).take(STEP) {
                    self.write(&Part::Lease(*number, lease.terms));
                    last = Some(*number);
                }
                last.map_or(Next::Sessions(None), Next::Leases)
            }
            Next::Sessions(after) => {
                let mut last = None;
                for (id, session) in state.sessions.after(after).take(STEP) {
                    self.write(&Part::Session(*id, session.clone()));
                    last = Some(*id);
                }
                last.map_or(Next::Collections(None), |id| Next::Sessions(Some(id)))
            }
            Next::Collections(after) => {
                let from = after.as_deref().map_or(Unbounded, Excluded);
                match state.collections.range::<_, str>((from, Unbounded)).next() {
                    Some((name, collection)) => {
                        self.write(&Part::Collection(collection.spec().clone()));
                        Next::Documents(Arc::clone(name), None)
                    }
                    None => Next::Rings(None),
                }
            }
            Next::Documents(name, after) => {
                let from = after
                    .as_deref()
                    .map_or(Unbounded, |id| Excluded(id.as_bytes()));
                let mut last = None;
                if let Some(collection) = state.collections.get(&name) {
                    let documents = collection.documents.range::<_, [u8]>((from, Unbounded));
                    for Entry(record) in documents.take(STEP) {
                        self.write(&Part::Document(Record::clone(record)));
                        last = Some(record.id.clone());
                    }
                }
                match last {
                    Some(id) => Next::Documents(name, Some(id)),
                    None => Next::Collections(Some(name)),
                }
            }
            Next::Rings(after) => match state.history.ring_after(after.as_deref()) {
                Some((name, ring)) => {
                    self.write(&Part::Ring {
                        collection: name.to_string(),
                        start: ring.start,
                        dropped: ring.dropped.clone(),
                    });
                    Next::Changes(Arc::clone(name), 0)
                }
                None => Next::End,
            },
            Next::Changes(name, from) => {
                let changes = state.history.get(&name).map(|ring| &ring.changes);
                let end = changes.map_or(0, |changes| changes.len().min(from + STEP));
                for n in from..end {
                    let Some(change) = changes.and_then(|changes| changes.get(n)) else {
                        break;
                    };
                    self.write(&Part::Change {
                        revision: change.revision,
                        id: change.id().into(),
                        before: change.before.as_deref().cloned(),
                        expired: change.expired,
                    });
                }
                match end > from {
                    true => Next::Changes(name, end),
                    false => Next::Rings(Some(name)),
                }
            }
            Next::End => {
                self.write(&Part::End(self.records));
                Next::Nothing
            }
            Next::Nothing => Next::Nothing,
        }
    }
}

impl Iterator for Frozen {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        while self.bytes.len() < BLOCK && !matches!(self.next, Next::Nothing) {
            self.next = self.step();
        }
        if self.bytes.is_empty() {
            return None;
        }
        let rest = self.bytes.split_off(self.bytes.len().min(BLOCK));
        Some(std::mem::replace(&mut self.bytes, rest))
    }
}

/// A state that is being read.
#[derive(Default)]
struct Restoring {
    state: State,
    records: u64,
    collection: Option<Collection>,
    ring: Option<(Arc<str>, Ring)>,
    /// The id of each change in the ring.
    changed: Vec<Box<str>>,
    complete: bool,
}

impl Restoring {
    fn take<E: std::error::Error>(&mut self, bytes: &[u8]) -> Result<(), InvalidSnapshot<E>> {
        let record = self.records;
        let inconsistent = |problem: &str| InvalidSnapshot::Inconsistent {
            record,
            problem: problem.into(),
        };
        // The version comes first, since the rest of the header may differ.
        if record == 0
            && let Ok((0u32, rest)) = postcard::take_from_bytes(bytes)
            && let Ok((found, _)) = postcard::take_from_bytes::<u32>(rest)
            && found != VERSION
        {
            return Err(InvalidSnapshot::Version { found });
        }
        let part = match postcard::take_from_bytes(bytes) {
            Ok((part, [])) => part,
            Ok(_) => return Err(inconsistent("it is longer than its content")),
            Err(source) => return Err(InvalidSnapshot::Malformed { record, source }),
        };
        if self.complete || (record == 0) != matches!(part, Part::Header { .. }) {
            return Err(inconsistent(
                "expected the header first and nothing after the end",
            ));
        }
        self.records += 1;
        match part {
            Part::Header {
                revision,
                time_ms,
                latest_lease,
                oldest,
                ..
            } => {
                self.state.revision = revision;
                self.state.time_ms = time_ms;
                self.state.leases.set_latest(latest_lease);
                self.state.history.set_oldest(oldest);
            }
            Part::Lease(number, terms) => self.state.leases.restore(number, terms),
            Part::Session(id, session) => self.state.sessions.restore(id, session),
            Part::Collection(spec) => {
                self.finish_collection();
                let collection = Collection::new(spec);
                self.collection = Some(collection.map_err(|r| inconsistent(&r.to_string()))?);
            }
            Part::Document(document) => {
                let Some(collection) = &mut self.collection else {
                    return Err(inconsistent("a document outside a collection"));
                };
                let name = &collection.definition.name;
                self.state
                    .leases
                    .rehang(name, &document.id, None, document.lease);
                collection.insert(Arc::new(document));
            }
            Part::Ring {
                collection,
                start,
                dropped,
            } => {
                self.finish_collection();
                self.finish_ring();
                let ring = Ring {
                    start,
                    dropped,
                    ..Ring::default()
                };
                self.ring = Some((collection.into(), ring));
            }
            Part::Change {
                revision,
                id,
                before,
                expired,
            } => {
                let Some((_, ring)) = &mut self.ring else {
                    return Err(inconsistent("a change outside a history"));
                };
                ring.changes.push_back(Change {
                    revision,
                    before: before.map(Arc::new),
                    after: None,
                    expired,
                });
                self.changed.push(id.into());
            }
            Part::End(count) => {
                self.finish_collection();
                self.finish_ring();
                if count != record {
                    return Err(inconsistent("records are missing before it"));
                }
                self.complete = true;
            }
        }
        Ok(())
    }

    fn finish_collection(&mut self) {
        if let Some(collection) = self.collection.take() {
            let name = Arc::clone(&collection.definition.name);
            self.state.collections.insert(name, Arc::new(collection));
        }
    }

    /// Gives each change its later version, from the last change to the first.
    fn finish_ring(&mut self) {
        let Some((name, mut ring)) = self.ring.take() else {
            return;
        };
        let ids = std::mem::take(&mut self.changed);
        let live = self.state.collections.get(&name);
        let mut later: BTreeMap<&str, Option<Arc<Record>>> = BTreeMap::new();
        for (n, id) in ids.iter().enumerate().rev() {
            let Some(change) = ring.changes.get_mut(n) else {
                continue;
            };
            let before = change.before.clone();
            change.after = match later.insert(id, before) {
                Some(after) => after,
                None => live.and_then(|live| live.get(id)).cloned(),
            };
        }
        self.state.history.restore(name, ring);
    }
}
