//! Writes a snapshot, of which nothing is seen until all of it is durable.

use std::{io, sync::Arc};

use super::{
    BLOCK_MAX, METADATA_MAX, SnapshotId, UNFINISHED,
    format::{FOOTER, Footer, Header, block_head},
};
use crate::storage::{Disk, DiskFile, StorageError};

/// Small blocks are written together up to this many bytes.
const BUFFER: usize = 1 << 20;

/// Writes one snapshot, block after block.
///
/// Dropped unfinished, it leaves nothing behind.
#[derive(Debug)]
pub struct SnapshotWriter {
    file: Unfinished,
    blocks: u64,
    whole: crc32fast::Hasher,
    buffer: Vec<u8>,
}

impl SnapshotWriter {
    /// Begins a snapshot with its metadata, at most [`METADATA_MAX`] bytes.
    ///
    /// # Errors
    /// `TooLarge` or `Io`.
    pub fn create(
        disk: Arc<dyn Disk>,
        id: SnapshotId,
        metadata: &[u8],
    ) -> Result<Self, StorageError> {
        check_size("metadata", metadata, METADATA_MAX)?;
        let header = Header {
            metadata_length: metadata.len() as u32,
            metadata_crc: crc32fast::hash(metadata),
        };
        let mut writer = Self {
            file: Unfinished::create(disk, id)?,
            blocks: 0,
            whole: crc32fast::Hasher::new(),
            buffer: Vec::new(),
        };
        writer.put(&header.encode(id))?;
        writer.put(metadata)?;
        Ok(writer)
    }

    /// Adds a block, at most [`BLOCK_MAX`] bytes. An empty one is left out.
    ///
    /// # Errors
    /// `TooLarge`, and the snapshot goes on without it; or `Io`, after which it is to be dropped.
    pub fn block(&mut self, block: &[u8]) -> Result<(), StorageError> {
        check_size("block", block, BLOCK_MAX)?;
        if block.is_empty() {
            return Ok(());
        }
        self.put(&block_head(self.blocks, block))?;
        self.put(block)?;
        self.blocks += 1;
        Ok(())
    }

    /// Ends the snapshot. It is durable, and there under its name, when this returns.
    ///
    /// # Errors
    /// `Io`; then it is not there, or, if it is, all of it.
    pub fn finish(mut self) -> Result<(), StorageError> {
        self.flush()?;
        let footer = Footer {
            blocks: self.blocks,
            whole_crc: self.whole.finalize(),
        };
        let length = self.file.length + FOOTER as u64;
        self.file.append(&footer.encode(length))?;
        self.file.keep()
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.whole.update(bytes);
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.file.append(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

/// A file without its name yet; removed when dropped.
#[derive(Debug)]
pub(super) struct Unfinished {
    disk: Arc<dyn Disk>,
    id: SnapshotId,
    name: String,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) length: u64,
    is_kept: bool,
}

impl Unfinished {
    pub(super) fn create(disk: Arc<dyn Disk>, id: SnapshotId) -> Result<Self, StorageError> {
        // Two may write the same snapshot at once, one received and one their own.
        let mut number = 0;
        let (name, file) = loop {
            let name = format!("{}.{number}{UNFINISHED}", id.name());
            match disk.create(&name) {
                Ok(file) => break (name, file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(StorageError::io("create", &name)(error)),
            }
        };
        Ok(Self {
            disk,
            id,
            name,
            file,
            length: 0,
            is_kept: false,
        })
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.file
            .write_at(self.length, bytes)
            .map_err(StorageError::io("write", &self.name))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Makes it durable, then gives it its name, then makes that durable.
    pub(super) fn keep(mut self) -> Result<(), StorageError> {
        self.file
            .sync()
            .map_err(StorageError::io("sync", &self.name))?;
        let name = self.id.name();
        self.disk
            .rename(&self.name, &name)
            .map_err(StorageError::io("name", &name))?;
        self.is_kept = true;
        let sync = self.disk.sync();
        sync.map_err(StorageError::io("sync the folder", &self.disk.describe()))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After a simulated crash the name may be that of another file by now.
        let is_ours = self.file.length().is_ok();
        if !self.is_kept && is_ours {
            // If it fails, the next start removes it.
            let _ = self.disk.remove(&self.name);
        }
    }
}

fn check_size(what: &'static str, bytes: &[u8], size_max: usize) -> Result<(), StorageError> {
    let size = bytes.len();
    if size > size_max {
        return Err(StorageError::TooLarge {
            what,
            size,
            size_max,
        });
    }
    Ok(())
}
