//! Reads the segments at start, and tells a torn tail from damage.
//!
//! **The rule.** Every record says how much of its segment was durable when it was written
//! (`synced`), and carries a checksum that fits only its place. Replay goes through all segments in
//! order and stops at the first record that is not sound.
//!
//! - In a segment that is not the last this is corruption: the next one was begun only after this
//!   one was sealed and synced. So is a gap in the numbers, and anything wrong with the beginning
//!   of a segment, which was durable before the file got its name.
//! - In the last segment it is corruption if a head behind it, anywhere up to the end of the file,
//!   is sound and names a `synced` beyond it: then the bad record had been durable. Sound records
//!   behind it that do *not* prove this are no evidence: the sectors of a write that was under way
//!   reach the disk in any order.
//! - Otherwise it is a torn tail: writes under way when the power failed, which nobody was told
//!   about. It is overwritten with zeros and synced before anything else is written, so no byte of
//!   it can come back.
//!
//! What was read but is not proven to be durable (the last batch before a crash, perhaps only in
//! the system's cache, perhaps after a failed sync that the system has forgotten) is written again
//! and synced before the log answers.
//!
//! **The limits.** The last batch of all was acknowledged, but nothing after it says so until the
//! next write or [`Log::close`](super::Log::close), which adds a mark. Damage in there (not a crash:
//! bits that change later) is taken for a torn tail. So is a last segment cut short by hand, or taken
//! away whole: nothing in the others says how long it was. A payload made to look like a head for
//! its very place (its segment and offset would have to be foreseen) can turn a torn tail into a
//! refusal to start, never the reverse.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{
    index::{Found, Index},
    record::{self, ALIGNMENT, HEAD, HEADER, Head, HeaderError, Place, Record, View},
    segment::{self, Holdings, Segment},
};
use crate::storage::{Disk, DiskFile, StorageError};

/// How much is read, and zeroed, at a time.
const PIECE: usize = 1 << 20;

/// What the segments amount to.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) view: View,
    pub(super) index: Index,
    pub(super) holdings: Holdings,
    pub(super) files: BTreeMap<u64, Arc<dyn DiskFile>>,
    /// The last segment, which is written on.
    pub(super) current: Segment,
}

/// Replays all segments of the folder, repairs the tail, and makes the first segment if there is
/// none.
pub(super) fn replay(disk: &dyn Disk) -> Result<Replayed, StorageError> {
    let numbers = segments(disk)?;
    let mut replay = Replay::default();
    let mut current = None;
    for (n, &number) in numbers.iter().enumerate() {
        if n > 0 && numbers[n - 1] + 1 != number {
            let file = segment::name(numbers[n - 1] + 1);
            return Err(StorageError::corrupt(&file, 0, "the segment is missing"));
        }
        let is_last = n + 1 == numbers.len();
        current = replay.segment(disk, number, is_last)?;
    }
    replay.check_missing(numbers.first())?;
    let current = match current {
        Some(current) => current,
        // No segment at all, or power was lost after the last was sealed.
        None => replay.next_segment(disk, numbers.last().copied())?,
    };
    Ok(Replayed {
        view: replay.view,
        index: replay.index,
        holdings: replay.holdings,
        files: replay.files,
        current,
    })
}

/// The numbers of all segments, in order. Removes what an interrupted start of one left.
fn segments(disk: &dyn Disk) -> Result<Vec<u64>, StorageError> {
    let names = disk
        .names()
        .map_err(StorageError::io("list", &disk.describe()))?;
    if names.iter().any(|name| name == segment::UNFINISHED) {
        disk.remove(segment::UNFINISHED)
            .map_err(StorageError::io("remove", segment::UNFINISHED))?;
    }
    // A name that is seen may not be durable, after a sync that failed.
    disk.sync()
        .map_err(StorageError::io("sync the folder", &disk.describe()))?;
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| segment::number(name))
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

#[derive(Debug, Default)]
struct Replay {
    view: View,
    index: Index,
    holdings: Holdings,
    files: BTreeMap<u64, Arc<dyn DiskFile>>,
    /// Up to here, entries were in segments that are gone; all of them must turn out purged or
    /// truncated.
    missing: Option<u64>,
}

impl Replay {
    /// Replays one segment. Returns it if it is written on, which a sealed one is not.
    fn segment(
        &mut self,
        disk: &dyn Disk,
        number: u64,
        is_last: bool,
    ) -> Result<Option<Segment>, StorageError> {
        let name = segment::name(number);
        let file = disk.open(&name).map_err(StorageError::io("open", &name))?;
        let mut reader = Reader::new(number, name, file)?;
        let is_first = self.files.is_empty();
        self.files.insert(number, reader.file.clone());
        self.holdings.open(number);

        reader.check_header()?;
        let mut at = HEADER as u32;
        let (mut beginning, mut proven) = (at, at);
        let mut sealed = false;
        let bad = loop {
            if sealed && u64::from(at) == reader.length {
                break None;
            }
            let Sound {
                record,
                found,
                synced,
            } = match reader.record(at)? {
                Ok(sound) => sound,
                Err(bad) => break Some(bad),
            };
            if sealed {
                let what = "a record after the seal";
                return Err(StorageError::corrupt(&reader.name, at.into(), what));
            }
            if at == HEADER as u32 {
                self.begin_segment(&reader.name, &record, is_first)?;
                // Durable before the file had its name.
                beginning = at + found.size;
                proven = beginning;
            } else {
                self.apply(&reader.name, record.clone(), found)?;
            }
            sealed = record == Record::Seal;
            proven = proven.max(synced);
            at += found.size;
        };
        match bad {
            Some(bad) if !is_last || at == HEADER as u32 => {
                return Err(StorageError::corrupt(&reader.name, at.into(), bad));
            }
            Some(bad) => reader.check_torn(at, bad)?,
            None => {}
        }
        if !is_last {
            return Ok(None);
        }
        reader.repair(proven, at)?;
        let mut segment = reader.into_segment(beginning, at);
        if sealed {
            segment.finish()?;
            return Ok(None);
        }
        Ok(Some(segment))
    }

    fn begin_segment(
        &mut self,
        name: &str,
        record: &Record,
        is_first: bool,
    ) -> Result<(), StorageError> {
        let corrupt = |what| Err(StorageError::corrupt(name, HEADER as u64, what));
        match record {
            Record::State(view) if is_first => {
                self.view.clone_from(view);
                self.missing = view.last;
                Ok(())
            }
            Record::State(view) if *view == self.view => Ok(()),
            Record::State(_) => corrupt("its beginning does not follow from the segment before"),
            Record::Entry(_)
            | Record::Vote(_)
            | Record::Committed(_)
            | Record::Truncate(_)
            | Record::Purge(_)
            | Record::Seal
            | Record::Mark => corrupt("it does not begin with the state before it"),
        }
    }

    fn apply(&mut self, name: &str, record: Record, found: Found) -> Result<(), StorageError> {
        let offset = found.place.offset.into();
        match &record {
            Record::Entry(entry) => {
                if self.view.next().is_some_and(|next| next != entry.index) {
                    let what = "an entry that does not follow the one before";
                    return Err(StorageError::corrupt(name, offset, what));
                }
                self.index.push_written((entry.term, entry.index), found);
            }
            Record::Truncate(after) => {
                self.index.truncate(*after);
                self.missing = self.missing.min(*after);
            }
            Record::Purge((_, index)) => self.index.purge(*index),
            Record::State(_) => {
                return Err(StorageError::corrupt(name, offset, "a second beginning"));
            }
            Record::Vote(_) | Record::Committed(_) | Record::Seal | Record::Mark => {}
        }
        self.view.apply(&record);
        self.holdings.apply(&record);
        Ok(())
    }

    fn check_missing(&self, first: Option<&u64>) -> Result<(), StorageError> {
        match first {
            Some(&first) if self.missing > self.view.purged_index() => {
                let file = segment::name(first.saturating_sub(1));
                Err(StorageError::corrupt(&file, 0, "the segment is missing"))
            }
            _ => Ok(()),
        }
    }

    fn next_segment(
        &mut self,
        disk: &dyn Disk,
        last: Option<u64>,
    ) -> Result<Segment, StorageError> {
        let segment = Segment::create(disk, last.unwrap_or(0) + 1, &self.view)?;
        self.files.insert(segment.number, segment.file.clone());
        self.holdings.open(segment.number);
        Ok(segment)
    }
}

/// A record whose checksums are right.
#[derive(Debug)]
struct Sound {
    record: Record,
    found: Found,
    /// How much of its segment it says was durable.
    synced: u32,
}

/// One segment, read in pieces.
#[derive(Debug)]
struct Reader {
    number: u64,
    name: String,
    file: Arc<dyn DiskFile>,
    length: u64,
    /// What of it is in memory, and where that begins.
    piece: Bytes,
    start: u64,
}

impl Reader {
    fn new(number: u64, name: String, file: Arc<dyn DiskFile>) -> Result<Self, StorageError> {
        let length = file
            .length()
            .map_err(StorageError::io("get the length of", &name))?;
        if length > u64::from(u32::MAX) {
            return Err(StorageError::corrupt(
                &name,
                u32::MAX.into(),
                "it is too long",
            ));
        }
        Ok(Self {
            number,
            name,
            file,
            length,
            piece: Bytes::new(),
            start: 0,
        })
    }

    /// The bytes at `offset`; `None` if the file ends before.
    fn bytes(&mut self, offset: u64, count: usize) -> Result<Option<Bytes>, StorageError> {
        let end = offset + count as u64;
        if end > self.length {
            return Ok(None);
        }
        if offset < self.start || end > self.start + self.piece.len() as u64 {
            let rest = usize::try_from(self.length - offset).unwrap_or(usize::MAX);
            let mut piece = vec![0; count.max(PIECE).min(rest)];
            self.file
                .read_at(offset, &mut piece)
                .map_err(StorageError::io("read", &self.name))?;
            self.piece = piece.into();
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        Ok(Some(self.piece.slice(from..from + count)))
    }

    fn check_header(&mut self) -> Result<(), StorageError> {
        let bytes = self.bytes(0, HEADER)?;
        let Some(bytes) = bytes.as_deref().and_then(|bytes| bytes.try_into().ok()) else {
            return Err(StorageError::corrupt(
                &self.name,
                0,
                "the header is cut short",
            ));
        };
        record::check_header(bytes, self.number).map_err(|error| match error {
            HeaderError::Damaged(what) => StorageError::corrupt(&self.name, 0, what),
            HeaderError::Version(found) => StorageError::Version {
                file: self.name.clone(),
                found,
                supported: record::VERSION,
            },
        })
    }

    fn head(&mut self, place: Place) -> Result<Option<Head>, StorageError> {
        let bytes = self.bytes(place.offset.into(), HEAD)?;
        let bytes = bytes.as_deref().and_then(|bytes| bytes.try_into().ok());
        Ok(bytes.and_then(|bytes| Head::decode(place, bytes)))
    }

    /// The record at `offset`, where it is, and what it says was durable; or what is wrong with it.
    fn record(&mut self, offset: u32) -> Result<Result<Sound, &'static str>, StorageError> {
        let place = Place {
            segment: self.number,
            offset,
        };
        let Some(head) = self.head(place)? else {
            return Ok(Err("expected a record"));
        };
        let Some(bytes) = self.bytes(offset.into(), head.size())? else {
            return Ok(Err("a record is cut short"));
        };
        let found = Found {
            place,
            size: head.size() as u32,
        };
        Ok(head.decode_record(bytes).map(|record| Sound {
            record,
            found,
            synced: head.synced,
        }))
    }

    /// Fails if anything behind the bad record at `at` proves that it was durable once.
    fn check_torn(&mut self, at: u32, bad: &'static str) -> Result<(), StorageError> {
        let mut offset = at + ALIGNMENT as u32;
        while u64::from(offset) + HEAD as u64 <= self.length {
            let place = Place {
                segment: self.number,
                offset,
            };
            if self.head(place)?.is_some_and(|head| head.synced > at) {
                return Err(StorageError::corrupt(&self.name, at.into(), bad));
            }
            offset += ALIGNMENT as u32;
        }
        Ok(())
    }

    /// Makes durable what was read but is not proven to be, and zero what follows it.
    fn repair(&mut self, proven: u32, end: u32) -> Result<(), StorageError> {
        let mut at = u64::from(proven);
        while at < self.length {
            let is_tail = at >= end.into();
            let stop = if is_tail { self.length } else { end.into() };
            let count = PIECE.min((stop - at) as usize);
            let Some(piece) = self.bytes(at, count)? else {
                break;
            };
            if !is_tail {
                self.write(at, &piece)?;
            } else if piece.iter().any(|&byte| byte != 0) {
                self.write(at, &vec![0; count])?;
            }
            at += count as u64;
        }
        self.file
            .sync()
            .map_err(StorageError::io("sync", &self.name))
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.file
            .write_at(at, bytes)
            .map_err(StorageError::io("repair", &self.name))
    }

    fn into_segment(self, beginning: u32, end: u32) -> Segment {
        Segment {
            beginning,
            number: self.number,
            name: self.name,
            file: self.file,
            end,
            synced: end,
            allocated: self.length as u32,
        }
    }
}
