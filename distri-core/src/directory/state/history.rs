//! The latest changes, for those who watch from an earlier revision.
//!
//! Each collection has a ring of its own, so that who watches a quiet one does not walk through the
//! changes of others; the bounds hold for all rings together. A change keeps both versions of its
//! document: who watches with a filter must learn that a document no longer matches it.

use std::{cmp::Ordering, sync::Arc};

use imbl::{OrdMap, OrdSet, Vector};

use super::{access::Reach, record::Record};
use crate::directory::{Event, Events, Refusal, Who, filter::Matcher, limits};

#[derive(Clone, Debug, Default)]
pub(super) struct History {
    rings: OrdMap<Arc<str>, Ring>,
    /// The first revision of each ring.
    firsts: OrdSet<(u64, Arc<str>)>,
    count: usize,
    bytes: usize,
    /// Changes after this revision are kept.
    oldest: u64,
}

/// The changes of one collection.
#[derive(Clone, Debug, Default)]
pub(super) struct Ring {
    /// At this revision the collection was created anew; what an earlier one of its name had is not
    /// told, since others may have been allowed to read it. 0: not so, or so long ago that nothing
    /// of it would be kept anyway.
    pub(super) start: u64,
    /// Who may read what is left of a collection that was dropped.
    pub(super) dropped: Option<Who>,
    pub(super) changes: Vector<Change>,
}

/// What became of a document at one revision. Not both are `None`.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) revision: u64,
    pub(super) before: Option<Arc<Record>>,
    pub(super) after: Option<Arc<Record>>,
    pub(super) expired: bool,
}

/// Changes looked at by one call, so that a filter that nothing matches does not hold up others.
const STEPS: usize = 8192;

impl History {
    pub(super) fn oldest(&self) -> u64 {
        self.oldest
    }

    /// Notes a change. Those of one revision come together; [`Self::trim`] ends a revision.
    pub(super) fn record(&mut self, collection: &Arc<str>, change: Change) {
        self.count += 1;
        self.bytes += change.size();
        if let Some(ring) = self.rings.get_mut(collection) {
            ring.changes.push_back(change);
        } else {
            self.firsts
                .insert((change.revision, Arc::clone(collection)));
            let ring = Ring {
                changes: Vector::unit(change),
                ..Ring::default()
            };
            self.rings.insert(Arc::clone(collection), ring);
        }
    }

    /// A collection was created, where there was none.
    pub(super) fn created(&mut self, collection: &Arc<str>, revision: u64) {
        if self.take(collection).is_some() {
            let ring = Ring {
                start: revision,
                ..Ring::default()
            };
            self.restore(Arc::clone(collection), ring);
        }
    }

    /// A collection was dropped; the ends of its documents are noted already.
    pub(super) fn dropped(&mut self, collection: &Arc<str>, revision: u64, readers: &Who) {
        let mut ring = self.take(collection).unwrap_or_default();
        ring.dropped = Some(readers.clone());
        if ring.changes.is_empty() {
            ring.start = revision;
        }
        self.restore(Arc::clone(collection), ring);
    }

    /// Forgets the oldest revisions until the bounds hold.
    pub(super) fn trim(&mut self) {
        while self.count > limits::HISTORY || self.bytes > limits::HISTORY_BYTES {
            let Some((first, _)) = self.firsts.get_min() else {
                return;
            };
            self.oldest = *first;
            self.forget(*first);
        }
    }

    /// The revision of the last change of a collection that is kept; 0 if there is none.
    pub(super) fn last(&self, collection: &str) -> u64 {
        let ring = self.rings.get(collection);
        ring.map_or(0, |ring| {
            ring.changes
                .last()
                .map_or(ring.start, |change| change.revision)
        })
    }

    /// Who may read what is left of a collection that is no more.
    pub(super) fn readers_of_dropped(&self, collection: &str) -> Option<&Who> {
        self.rings.get(collection)?.dropped.as_ref()
    }

    /// What `reach` and `filter` let one see of the changes of a collection after a revision.
    pub(super) fn after(
        &self,
        collection: &str,
        after: u64,
        now: u64,
        sight: Sight<'_>,
    ) -> Result<Events, Refusal> {
        let ring = self.rings.get(collection);
        let oldest = self.oldest.max(ring.map_or(0, |ring| ring.start));
        if after < oldest {
            return Err(Refusal::Compacted { after, oldest });
        }
        let mut told = Events {
            events: Vec::new(),
            revision: now.max(after),
        };
        let Some(ring) = ring else {
            return Ok(told);
        };
        let (mut bytes, mut last) = (0, after);
        for (n, change) in ring.since(after).enumerate() {
            let full = bytes >= sight.max_bytes || n >= STEPS;
            if full && change.revision > last {
                told.revision = last;
                break;
            }
            last = change.revision;
            if let Some(event) = sight.event(change) {
                bytes += match &event {
                    Event::Put(document) => document.value.as_str().len(),
                    Event::Deleted { .. } => 0,
                } + event.id().len()
                    + 64;
                told.events.push(event);
            }
        }
        Ok(told)
    }

    /// The ring after this one, by name.
    pub(super) fn ring_after(&self, name: Option<&str>) -> Option<(&Arc<str>, &Ring)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = name.map_or(Unbounded, Excluded);
        let (name, ring) = self.rings.range::<_, str>((from, Unbounded)).next()?;
        Some((name, ring))
    }

    pub(super) fn get(&self, collection: &str) -> Option<&Ring> {
        self.rings.get(collection)
    }

    pub(super) fn set_oldest(&mut self, oldest: u64) {
        self.oldest = oldest;
    }

    /// Takes a ring from a snapshot.
    pub(super) fn restore(&mut self, collection: Arc<str>, ring: Ring) {
        if let Some(first) = ring.first() {
            self.firsts.insert((first, Arc::clone(&collection)));
        }
        for change in &ring.changes {
            self.count += 1;
            self.bytes += change.size();
        }
        self.rings.insert(collection, ring);
    }

    fn take(&mut self, collection: &Arc<str>) -> Option<Ring> {
        let ring = self.rings.remove(collection)?;
        if let Some(first) = ring.first() {
            self.firsts.remove(&(first, Arc::clone(collection)));
        }
        for change in &ring.changes {
            self.count -= 1;
            self.bytes -= change.size();
        }
        Some(ring)
    }

    /// Forgets a revision, the first one of all that are kept.
    fn forget(&mut self, revision: u64) {
        while let Some((first, name)) = self.firsts.get_min().cloned()
            && first == revision
        {
            self.firsts.remove(&(first, Arc::clone(&name)));
            let Some(ring) = self.rings.get_mut(&name) else {
                continue;
            };
            if ring.start <= revision {
                ring.start = 0;
            }
            while let Some(change) = ring.changes.front()
                && change.revision <= revision
            {
                self.count -= 1;
                self.bytes -= change.size();
                ring.changes.pop_front();
            }
            match ring.first() {
                Some(next) => {
                    self.firsts.insert((next, name));
                }
                None => {
                    self.rings.remove(&name);
                }
            }
        }
    }
}

impl Ring {
    /// The first revision of which it knows something.
    fn first(&self) -> Option<u64> {
        match self.start {
            0 => self.changes.front().map(|change| change.revision),
            start => Some(start),
        }
    }

    fn since(&self, after: u64) -> impl Iterator<Item = &Change> {
        let found = self.changes.binary_search_by(|change| {
            if change.revision <= after {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        });
        let from = found.unwrap_or_else(|from| from);
        self.changes.focus().narrow(from..).into_iter()
    }
}

impl Change {
    /// What keeping it costs. The later version is in its collection, or is the earlier one of the
    /// next change; so only the earlier one counts.
    fn size(&self) -> usize {
        let before = self.before.as_ref().map_or(0, |before| before.size());
        64 + self.id().len() + before
    }

    pub(super) fn id(&self) -> &str {
        let version = self.after.as_ref().or(self.before.as_ref());
        version.map_or("", |record| &record.id)
    }
}

/// What somebody who watches may see, and wants to.
#[derive(Debug)]
pub(super) struct Sight<'a> {
    pub(super) reach: Reach,
    pub(super) matcher: Option<Matcher<'a>>,
    pub(super) max_bytes: usize,
}

impl Sight<'_> {
    fn event(&self, change: &Change) -> Option<Event> {
        if let Some(after) = self.visible(change.after.as_ref()) {
            return Some(Event::Put(after.document()));
        }
        self.visible(change.before.as_ref())
            .map(|before| Event::Deleted {
                id: before.id.to_string(),
                revision: change.revision,
                expired: change.expired,
            })
    }

    fn visible<'r>(&self, record: Option<&'r Arc<Record>>) -> Option<&'r Arc<Record>> {
        record.filter(|record| {
            self.reach.covers(record)
                && self
                    .matcher
                    .as_ref()
                    .is_none_or(|matcher| matcher.matches(&record.facts()))
        })
    }
}
