//! Writes records: a batch at a time, with one write and one sync.
//!
//! A plain machine around a [`Disk`]: it decides where records go, when a segment is full and when
//! one is no longer needed. Who calls it, and who is told, is the business of
//! [`super::queue`]. After an error it must not be used again, since nothing is known about what
//! the disk holds.

use std::sync::Arc;

use super::{
    LogOptions,
    index::Found,
    record::{ALIGNMENT, HEAD, Place, Record, View},
    segment::{self, Holdings, Segment},
};
use crate::storage::{Disk, DiskFile, StorageError, disk::DiskLock};

/// Of a record without a body; room for one is kept in every segment, for the seal.
const SEAL: usize = HEAD.next_multiple_of(ALIGNMENT);

/// The one who writes to the folder.
#[derive(Debug)]
pub(super) struct LogWriter {
    disk: Arc<dyn Disk>,
    options: LogOptions,
    /// As of the last record encoded.
    view: View,
    holdings: Holdings,
    current: Segment,
    /// Encoded, and not written to `current` yet.
    buffer: Vec<u8>,
    /// As long as there is a writer, there is no other on the folder.
    _lock: DiskLock,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Where each record is, in order.
    pub(super) found: Vec<Found>,
    pub(super) opened: Vec<(u64, Arc<dyn DiskFile>)>,
    pub(super) removed: Vec<u64>,
}

/// Whether everything so far must be durable when a batch is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Durability {
    Now,
    /// Whenever the next batch is.
    Later,
}

impl LogWriter {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        lock: DiskLock,
        options: LogOptions,
        (view, holdings, current): (View, Holdings, Segment),
    ) -> Self {
        Self {
            disk,
            options,
            view,
            holdings,
            current,
            buffer: Vec::new(),
            _lock: lock,
        }
    }

    /// Writes the records in order.
    pub(super) fn write<'a>(
        &mut self,
        records: impl Iterator<Item = &'a Record>,
        durability: Durability,
    ) -> Result<Report, StorageError> {
        let mut report = Report::default();
        let mut purges = false;
        for record in records {
            if self.is_full(record) {
                self.next_segment(&mut report)?;
            }
            let found = self.encode(record);
            report.found.push(found);
            purges |= matches!(record, Record::Purge(_));
        }
        self.flush()?;
        if durability == Durability::Now {
            self.sync()?;
        }
        if purges {
            self.remove_obsolete(&mut report)?;
        }
        Ok(report)
    }

    /// Says that everything is durable, after making it so.
    pub(super) fn finish(&mut self) -> Result<(), StorageError> {
        self.sync()?;
        self.encode(&Record::Mark);
        self.flush()?;
        self.sync()
    }

    fn is_full(&self, record: &Record) -> bool {
        let used = self.current.end as usize + self.buffer.len();
        let is_begun = used > self.current.beginning as usize;
        is_begun && used + record.size() + SEAL > self.options.segment_bytes as usize
    }

    fn encode(&mut self, record: &Record) -> Found {
        let place = Place {
            segment: self.current.number,
            offset: self.current.end + self.buffer.len() as u32,
        };
        record.encode(place, self.current.synced, &mut self.buffer);
        self.view.apply(record);
        self.holdings.apply(record);
        Found {
            place,
            size: record.size() as u32,
        }
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.current
            .allocate(self.buffer.len() as u32, &self.options)?;
        self.current.append(&self.buffer)?;
        self.buffer.clear();
        self.buffer.shrink_to(self.options.batch_bytes);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        if self.current.synced < self.current.end {
            self.current.sync()?;
        }
        Ok(())
    }

    /// Ends the segment, all of it durable, before there is a next one.
    fn next_segment(&mut self, report: &mut Report) -> Result<(), StorageError> {
        self.encode(&Record::Seal);
        self.flush()?;
        self.current.finish()?;
        self.current = Segment::create(&*self.disk, self.current.number + 1, &self.view)?;
        self.holdings.open(self.current.number);
        report
            .opened
            .push((self.current.number, self.current.file.clone()));
        Ok(())
    }

    /// Removes segments of which nothing is needed, the oldest first and each for good before the
    /// next, so that a crash leaves no gap. The purge that allows it is durable.
    fn remove_obsolete(&mut self, report: &mut Report) -> Result<(), StorageError> {
        while let Some(number) = self.holdings.take_obsolete(self.view.purged_index()) {
            let name = segment::name(number);
            self.disk
                .remove(&name)
                .map_err(StorageError::io("remove", &name))?;
            self.disk
                .sync()
                .map_err(StorageError::io("sync the folder", &self.disk.describe()))?;
            report.removed.push(number);
        }
        Ok(())
    }
}
