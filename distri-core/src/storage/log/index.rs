//! Where each entry is, and the newest of them themselves.

use std::{collections::VecDeque, ops::Range};

use bytes::Bytes;

use super::{
    Entry,
    record::{LogId, Place},
};

/// The entries of the log that are not purged, without gaps.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The index of the first slot; meaningless without slots.
    first: u64,
    slots: VecDeque<Slot>,
    /// The payloads of the last slots: a cache, in which what is not written yet is always.
    recent: VecDeque<Bytes>,
    recent_bytes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    term: u64,
    state: Written,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Written {
    /// By which ticket the writer will say where.
    NotYet(u64),
    At(Found),
}

/// Where a record is and how many bytes it takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) size: u32,
}

/// How a reader gets an entry.
#[derive(Debug)]
pub(super) enum Source {
    Memory(Entry),
    Segment(u64, Found),
}

impl Index {
    /// The log id of the last entry, if there are entries.
    pub(super) fn last(&self) -> Option<LogId> {
        let slot = self.slots.back()?;
        Some((slot.term, self.first + self.slots.len() as u64 - 1))
    }

    pub(super) fn first(&self) -> Option<u64> {
        (!self.slots.is_empty()).then_some(self.first)
    }

    /// Adds an entry that is in a segment. Its index follows the last.
    pub(super) fn push_written(&mut self, (term, index): LogId, found: Found) {
        self.push(term, index, Written::At(found));
    }

    /// Adds an entry that is about to be written. Its index follows the last.
    pub(super) fn push_waiting(&mut self, entry: &Entry, ticket: u64) {
        self.push(entry.term, entry.index, Written::NotYet(ticket));
        self.recent_bytes += entry.payload.len();
        self.recent.push_back(entry.payload.clone());
    }

    fn push(&mut self, term: u64, index: u64, state: Written) {
        if self.slots.is_empty() {
            self.first = index;
        }
        self.slots.push_back(Slot { term, state });
    }

    /// The entry with this index is in a segment now, unless it was replaced since `ticket`.
    pub(super) fn written(&mut self, index: u64, ticket: u64, found: Found) {
        if let Some(slot) = self.position(index).and_then(|at| self.slots.get_mut(at))
            && slot.state == Written::NotYet(ticket)
        {
            slot.state = Written::At(found);
        }
    }

    /// Keeps only entries up to `after`.
    pub(super) fn truncate(&mut self, after: Option<u64>) {
        let kept = after.map_or(0, |after| {
            after.saturating_add(1).saturating_sub(self.first)
        });
        let kept = usize::try_from(kept).unwrap_or(usize::MAX);
        while self.slots.len() > kept {
            self.slots.pop_back();
            let cut = self.recent.pop_back();
            self.recent_bytes -= cut.map_or(0, |cut| cut.len());
        }
    }

    /// Keeps only entries after `index`.
    pub(super) fn purge(&mut self, index: u64) {
        while !self.slots.is_empty() && self.first <= index {
            if self.recent.len() == self.slots.len() {
                self.forget_oldest();
            }
            self.slots.pop_front();
            self.first = self.first.saturating_add(1);
        }
    }

    /// Forgets the oldest cached payloads beyond `bytes_max`, as far as they are written.
    pub(super) fn shrink_cache(&mut self, bytes_max: usize) {
        while self.recent_bytes > bytes_max {
            let oldest = self.slots.len() - self.recent.len();
            if let Written::NotYet(_) = self.slots[oldest].state {
                break;
            }
            self.forget_oldest();
        }
    }

    #[cfg(test)]
    pub(super) fn cached_bytes(&self) -> usize {
        self.recent_bytes
    }

    fn forget_oldest(&mut self) {
        let oldest = self.recent.pop_front();
        self.recent_bytes -= oldest.map_or(0, |oldest| oldest.len());
    }

    /// How to get the entries with indices in `range`, as many as there are and fit `bytes_max`,
    /// but at least one.
    pub(super) fn sources(&self, range: Range<u64>, bytes_max: usize) -> Vec<Source> {
        let end = self.first.saturating_add(self.slots.len() as u64);
        let mut bytes = 0_usize;
        (range.start.max(self.first)..range.end.min(end))
            .map_while(|index| {
                let (source, size) = self.source(index)?;
                let is_first = bytes == 0;
                bytes = bytes.saturating_add(size.max(1));
                (is_first || bytes <= bytes_max).then_some(source)
            })
            .collect()
    }

    fn source(&self, index: u64) -> Option<(Source, usize)> {
        let at = self.position(index)?;
        let slot = self.slots.get(at)?;
        let uncached = self.slots.len() - self.recent.len();
        if let Some(payload) = at.checked_sub(uncached).and_then(|at| self.recent.get(at)) {
            let entry = Entry {
                term: slot.term,
                index,
                payload: payload.clone(),
            };
            let size = entry.payload.len();
            return Some((Source::Memory(entry), size));
        }
        match slot.state {
            Written::At(found) => Some((Source::Segment(index, found), found.size as usize)),
            Written::NotYet(_) => None,
        }
    }

    fn position(&self, index: u64) -> Option<usize> {
        usize::try_from(index.checked_sub(self.first)?).ok()
    }
}
