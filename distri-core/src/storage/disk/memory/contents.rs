//! The bytes of one file, and how to undo what is not durable yet.

use super::dice::Dice;

/// What a process reads, and the unsynced changes that led there.
#[derive(Debug, Default)]
pub(super) struct Contents {
    bytes: Vec<u8>,
    /// In order. Empty after a sync, unless one failed since the last crash.
    changes: Vec<Change>,
}

#[derive(Debug)]
struct Change {
    what: What,
    fate: Fate,
    /// What undoes it: the length before, and the bytes from `offset` on that were changed or cut.
    length_before: usize,
    offset: usize,
    before: Vec<u8>,
}

#[derive(Debug)]
enum What {
    Write(Vec<u8>),
    Length(usize),
}

/// What a crash does to a change.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Open,
    Kept,
    /// The sync that was to make it durable failed.
    Lost,
}

impl Contents {
    pub(super) fn synced(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            changes: Vec::new(),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = (offset + bytes.len()).min(self.bytes.len());
        self.changes.push(Change {
            what: What::Write(bytes.to_vec()),
            fate: Fate::Open,
            length_before: self.bytes.len(),
            offset,
            before: self.bytes.get(offset..end).unwrap_or_default().to_vec(),
        });
        put(&mut self.bytes, offset, bytes);
    }

    pub(super) fn set_length(&mut self, length: usize) {
        self.changes.push(Change {
            what: What::Length(length),
            fate: Fate::Open,
            length_before: self.bytes.len(),
            offset: length,
            before: self.bytes.get(length..).unwrap_or_default().to_vec(),
        });
        self.bytes.resize(length, 0);
    }

    pub(super) fn sync(&mut self) {
        self.decide(Fate::Kept);
        // What is durable, on top of what is durable, needs no undoing.
        if self.changes.iter().all(|change| change.fate == Fate::Kept) {
            self.changes.clear();
        }
    }

    pub(super) fn fail_sync(&mut self) {
        self.decide(Fate::Lost);
    }

    fn decide(&mut self, fate: Fate) {
        for change in &mut self.changes {
            if change.fate == Fate::Open {
                change.fate = fate;
            }
        }
    }

    pub(super) fn crash(&mut self, dice: &mut Dice) {
        for change in self.changes.iter().rev() {
            self.bytes.resize(change.length_before, 0);
            put(&mut self.bytes, change.offset, &change.before);
        }
        for change in std::mem::take(&mut self.changes) {
            match (change.fate, change.what) {
                (Fate::Lost, _) => {}
                (Fate::Kept, What::Write(new)) => put(&mut self.bytes, change.offset, &new),
                (Fate::Kept, What::Length(length)) => self.bytes.resize(length, 0),
                (Fate::Open, What::Write(new)) => self.tear(change.offset, &new, dice),
                (Fate::Open, What::Length(length)) if dice.below(2) == 0 => {
                    self.bytes.resize(length, 0);
                }
                (Fate::Open, What::Length(_)) => {}
            }
        }
    }

    /// A write that was under way: all, none, its beginning, or some of its sectors in any order.
    fn tear(&mut self, offset: usize, new: &[u8], dice: &mut Dice) {
        match dice.below(4) {
            0 => put(&mut self.bytes, offset, new),
            1 => {}
            2 => put(&mut self.bytes, offset, &new[..dice.below(new.len() + 1)]),
            _ => {
                let sector = 16 + dice.below(497);
                for (n, piece) in new.chunks(sector).enumerate() {
                    if dice.below(2) == 0 {
                        put(&mut self.bytes, offset + n * sector, piece);
                    }
                }
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, new: &[u8]) {
    if new.is_empty() {
        return;
    }
    let end = offset + new.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(new);
}
