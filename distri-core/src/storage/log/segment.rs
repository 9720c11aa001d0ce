//! One file of the log: made whole, then appended to.

use std::{collections::VecDeque, sync::Arc};

use super::{
    LogOptions,
    record::{self, HEADER, Place, Record, View},
};
use crate::storage::{Disk, DiskFile, StorageError};

/// A segment has this name until its beginning is durable. Whatever has it at start is left over.
pub(super) const UNFINISHED: &str = "log-unfinished.distri";

const PREFIX: &str = "log-";
const SUFFIX: &str = ".distri";

/// The name of a segment's file; in the order of numbers when sorted.
pub(super) fn name(number: u64) -> String {
    format!("{PREFIX}{number:016x}{SUFFIX}")
}

/// The number of the segment with this name, if it is one's.
pub(super) fn number(file: &str) -> Option<u64> {
    let digits = file.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (name(number) == file).then_some(number)
}

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) file: Arc<dyn DiskFile>,
    /// Where its header and the state before it end.
    pub(super) beginning: u32,
    /// Where the next record goes.
    pub(super) end: u32,
    /// Up to here it is durable.
    pub(super) synced: u32,
    /// Up to here there are blocks, with zeros after `end`.
    pub(super) allocated: u32,
}

impl Segment {
    /// Makes a segment. It gets its name when all of its beginning is durable, so one that has its
    /// name and no sound beginning is corrupt.
    pub(super) fn create(disk: &dyn Disk, number: u64, view: &View) -> Result<Self, StorageError> {
        let name = name(number);
        let file = disk
            .create(UNFINISHED)
            .map_err(StorageError::io("create", UNFINISHED))?;
        let mut beginning = record::header(number).to_vec();
        let place = Place {
            segment: number,
            offset: HEADER as u32,
        };
        Record::State(view.clone()).encode(place, 0, &mut beginning);
        file.write_at(0, &beginning)
            .map_err(StorageError::io("write", UNFINISHED))?;
        let end = beginning.len() as u32;
        let mut segment = Self {
            number,
            name,
            file,
            beginning: end,
            end,
            synced: 0,
            allocated: end,
        };
        segment.sync()?;
        disk.rename(UNFINISHED, &segment.name)
            .map_err(StorageError::io("name", &segment.name))?;
        disk.sync()
            .map_err(StorageError::io("sync the folder", &disk.describe()))?;
        Ok(segment)
    }

    /// Sees to it that `more` bytes can be written, and zeros beyond them, a step at a time.
    pub(super) fn allocate(&mut self, more: u32, options: &LogOptions) -> Result<(), StorageError> {
        let needed = self.end.saturating_add(more);
        let step = options.allocate_bytes;
        if step == 0 || needed <= self.allocated {
            return Ok(());
        }
        // Past the limit only what a record of more than a segment needs.
        let goal = needed
            .next_multiple_of(step)
            .min(options.segment_bytes.max(needed));
        self.file
            .allocate(self.allocated.into(), u64::from(goal - self.allocated))
            .map_err(StorageError::io("allocate", &self.name))?;
        self.allocated = goal;
        Ok(())
    }

    /// Writes at the end, not durable yet.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.file
            .write_at(self.end.into(), bytes)
            .map_err(StorageError::io("write", &self.name))?;
        self.end += bytes.len() as u32;
        self.allocated = self.allocated.max(self.end);
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<(), StorageError> {
        self.file
            .sync()
            .map_err(StorageError::io("sync", &self.name))?;
        self.synced = self.end;
        Ok(())
    }

    /// Ends a sealed segment: nothing after its last record, all of it durable.
    pub(super) fn finish(&mut self) -> Result<(), StorageError> {
        self.file
            .set_length(self.end.into())
            .map_err(StorageError::io("cut", &self.name))?;
        self.sync()
    }
}

/// Which segments there are, and up to which index each holds entries, as far as written.
#[derive(Debug, Default)]
pub(super) struct Holdings(VecDeque<Holding>);

#[derive(Debug)]
struct Holding {
    number: u64,
    last: Option<u64>,
}

impl Holdings {
    pub(super) fn open(&mut self, number: u64) {
        self.0.push_back(Holding { number, last: None });
    }

    /// A record was written to the newest segment.
    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::Entry(entry) => {
                if let Some(newest) = self.0.back_mut() {
                    newest.last = Some(entry.index);
                }
            }
            Record::Truncate(after) => {
                for holding in &mut self.0 {
                    holding.last = holding.last.min(*after);
                }
            }
            Record::State(_)
            | Record::Vote(_)
            | Record::Committed(_)
            | Record::Purge(_)
            | Record::Seal
            | Record::Mark => {}
        }
    }

    /// Takes the oldest segment off the list, if nothing in it is needed once all entries up to
    /// `purged` are not. The newest is always needed.
    pub(super) fn take_obsolete(&mut self, purged: Option<u64>) -> Option<u64> {
        let oldest = self.0.front()?;
        let obsolete = self.0.len() > 1 && oldest.last <= purged;
        obsolete.then_some(oldest.number).inspect(|_| {
            self.0.pop_front();
        })
    }
}
