//! Snapshots: whole files that stand for a prefix of the log.
//!
//! ```text
//! header    magic 8 | version u32 | term u64 | index u64 | metadata length u32, crc u32 | crc u32
//! metadata  opaque
//! blocks    length u32 | crc u32 | opaque, 1 B to 1 MiB
//! footer    0 u32 | blocks u64 | length of the file u64 | crc of all before u32 | crc u32
//! ```
//!
//! Little endian; a block's checksum is also over its number and length. A file gets its name
//! `snapshot-<term>-<index>.distri` when all of it is durable, so a file that has its name and is
//! not whole is corrupt. Until then it ends in `.part`, and is removed when the writer is dropped or
//! [`Snapshots`] are opened next. What is in the blocks, and when a snapshot is taken or sent, is
//! the business of consensus above. Another node gets a snapshot as the bytes of its file:
//! [`RawReader`], [`RawWriter`].
//!
//! Nothing here locks the folder: the open [`Log`](super::Log) in it does.

use std::sync::Arc;

use super::{Disk, StorageError};

mod format;
mod raw;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use raw::{RawReader, RawWriter};
pub use read::SnapshotReader;
pub use write::SnapshotWriter;

/// No block is longer; readers hold one in memory.
pub const BLOCK_MAX: usize = 1 << 20;

/// No metadata is longer; readers hold it in memory.
pub const METADATA_MAX: usize = 1 << 20;

const PREFIX: &str = "snapshot-";
const SUFFIX: &str = ".distri";
const UNFINISHED: &str = ".part";

/// Which snapshot: it stands for the log up to this entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SnapshotId {
    /// The term of the entry.
    pub term: u64,
    /// Its index.
    pub index: u64,
}

impl SnapshotId {
    fn name(self) -> String {
        format!("{PREFIX}{:016x}-{:016x}{SUFFIX}", self.term, self.index)
    }

    fn of_name(name: &str) -> Option<Self> {
        let (term, index) = name
            .strip_prefix(PREFIX)?
            .strip_suffix(SUFFIX)?
            .split_once('-')?;
        let id = Self {
            term: u64::from_str_radix(term, 16).ok()?,
            index: u64::from_str_radix(index, 16).ok()?,
        };
        (id.name() == name).then_some(id)
    }

    /// Later ones stand for more of the log.
    fn order(self) -> (u64, u64) {
        (self.index, self.term)
    }
}

/// The snapshots in a folder.
#[derive(Debug, Clone)]
pub struct Snapshots {
    disk: Arc<dyn Disk>,
}

impl Snapshots {
    /// Opens the snapshots of a folder, and says which is the newest. Removes unfinished ones: to be
    /// called once, before any is written.
    ///
    /// The header and the footer of the newest are checked here, its blocks when they are read.
    ///
    /// # Errors
    /// `Corrupt` or `Version` of the newest, or `Io`. An older one is no substitute: the log may
    /// have been purged up to the newest.
    pub fn open(disk: Arc<dyn Disk>) -> Result<(Self, Option<SnapshotId>), StorageError> {
        let snapshots = Self { disk };
        for name in snapshots.names()? {
            if name.starts_with(PREFIX) && name.ends_with(UNFINISHED) {
                snapshots.remove(&name)?;
            }
        }
        // A name that is seen may not be durable, after a sync that failed.
        snapshots.sync()?;
        let newest = snapshots.newest()?;
        if let Some(newest) = newest {
            snapshots.read(newest)?;
        }
        Ok((snapshots, newest))
    }

    /// The newest snapshot that is whole.
    ///
    /// # Errors
    /// `Io`.
    pub fn newest(&self) -> Result<Option<SnapshotId>, StorageError> {
        let ids = self.ids()?;
        Ok(ids.into_iter().max_by_key(|id| id.order()))
    }

    /// Begins to write a snapshot.
    ///
    /// # Errors
    /// As [`SnapshotWriter::create`].
    pub fn write(&self, id: SnapshotId, metadata: &[u8]) -> Result<SnapshotWriter, StorageError> {
        SnapshotWriter::create(self.disk.clone(), id, metadata)
    }

    /// Opens a snapshot to read what is in it.
    ///
    /// # Errors
    /// As [`SnapshotReader::open`].
    pub fn read(&self, id: SnapshotId) -> Result<SnapshotReader, StorageError> {
        SnapshotReader::open(&*self.disk, id)
    }

    /// Opens the file of a snapshot to send its bytes.
    ///
    /// # Errors
    /// As [`RawReader::open`].
    pub fn send(&self, id: SnapshotId) -> Result<RawReader, StorageError> {
        RawReader::open(&*self.disk, id)
    }

    /// Begins to receive the file of a snapshot, which has `length` bytes.
    ///
    /// # Errors
    /// As [`RawWriter::create`].
    pub fn receive(&self, id: SnapshotId, length: u64) -> Result<RawWriter, StorageError> {
        RawWriter::create(self.disk.clone(), id, length)
    }

    /// Removes all snapshots older than this one. Who has one open may read on.
    ///
    /// # Errors
    /// `Io`; then some may be left.
    pub fn remove_older(&self, than: SnapshotId) -> Result<(), StorageError> {
        let mut ids = self.ids()?;
        ids.retain(|id| id.order() < than.order());
        for id in &ids {
            self.remove(&id.name())?;
        }
        if ids.is_empty() {
            return Ok(());
        }
        self.sync()
    }

    fn sync(&self) -> Result<(), StorageError> {
        let sync = self.disk.sync();
        sync.map_err(StorageError::io("sync the folder", &self.disk.describe()))
    }

    fn ids(&self) -> Result<Vec<SnapshotId>, StorageError> {
        let names = self.names()?;
        Ok(names
            .iter()
            .filter_map(|name| SnapshotId::of_name(name))
            .collect())
    }

    fn names(&self) -> Result<Vec<String>, StorageError> {
        let names = self.disk.names();
        names.map_err(StorageError::io("list", &self.disk.describe()))
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        let removed = self.disk.remove(name);
        removed.map_err(StorageError::io("remove", name))
    }
}
