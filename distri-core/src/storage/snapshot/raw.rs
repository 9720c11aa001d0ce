//! A snapshot as the bytes of its file, from one node to another.

use std::sync::Arc;

use bytes::Bytes;

use super::{SnapshotId, read::SnapshotReader, write::Unfinished};
use crate::storage::{Disk, DiskFile, StorageError};

/// Reads the bytes of a snapshot's file. They stay readable when the snapshot is removed.
#[derive(Debug)]
pub struct RawReader {
    name: String,
    file: Arc<dyn DiskFile>,
    length: u64,
}

impl RawReader {
    /// Opens the file of a snapshot. Its contents are checked by who receives them.
    ///
    /// # Errors
    /// `Io`, also if there is no such snapshot.
    pub fn open(disk: &dyn Disk, id: SnapshotId) -> Result<Self, StorageError> {
        let name = id.name();
        let file = disk.open(&name).map_err(StorageError::io("open", &name))?;
        let length = file
            .length()
            .map_err(StorageError::io("get the length of", &name))?;
        Ok(Self { name, file, length })
    }

    /// How many bytes there are.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The bytes at `offset`, at most `count`, fewer at the end and none after it.
    ///
    /// # Errors
    /// `Io`.
    pub fn read(&self, offset: u64, count: usize) -> Result<Bytes, StorageError> {
        let rest = self.length.saturating_sub(offset);
        let count = count.min(usize::try_from(rest).unwrap_or(usize::MAX));
        let mut bytes = vec![0; count];
        self.file
            .read_at(offset.min(self.length), &mut bytes)
            .map_err(StorageError::io("read", &self.name))?;
        Ok(bytes.into())
    }
}

/// Receives the bytes of a snapshot's file, in order.
///
/// Dropped unfinished, it leaves nothing behind.
#[derive(Debug)]
pub struct RawWriter {
    id: SnapshotId,
    file: Unfinished,
    length: u64,
}

impl RawWriter {
    /// Begins to receive a file of `length` bytes. The caller decides whether that is too long.
    ///
    /// # Errors
    /// `Io`.
    pub fn create(disk: Arc<dyn Disk>, id: SnapshotId, length: u64) -> Result<Self, StorageError> {
        Ok(Self {
            id,
            file: Unfinished::create(disk, id)?,
            length,
        })
    }

    /// How many bytes are there: the offset of the next.
    pub fn received(&self) -> u64 {
        self.file.length
    }

    /// Adds the bytes at `offset`, which come next.
    ///
    /// # Errors
    /// `OutOfOrder` if others come next, or `TooLarge` if there are more than were announced; then
    /// nothing was added and the right ones may follow. `Io`, after which this is to be dropped.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let expected = self.file.length;
        if offset != expected {
            return Err(StorageError::OutOfOrder {
                file: self.id.name(),
                expected,
                found: offset,
            });
        }
        let room = usize::try_from(self.length - expected).unwrap_or(usize::MAX);
        if bytes.len() > room {
            return Err(StorageError::TooLarge {
                what: "rest of a snapshot",
                size: bytes.len(),
                size_max: room,
            });
        }
        self.file.append(bytes)
    }

    /// Checks everything, every block too; then the snapshot is durable and has its name.
    ///
    /// # Errors
    /// `OutOfOrder` if bytes are lacking, `Corrupt`, `Version`, `Io`; then it is not there.
    pub fn finish(self) -> Result<(), StorageError> {
        if self.file.length != self.length {
            return Err(StorageError::OutOfOrder {
                file: self.id.name(),
                expected: self.file.length,
                found: self.length,
            });
        }
        let file = self.file.file.clone();
        SnapshotReader::check(file, self.id.name(), self.id)?.check_rest()?;
        self.file.keep()
    }
}
