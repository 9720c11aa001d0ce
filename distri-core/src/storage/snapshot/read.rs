//! Reads a snapshot, a block at a time, and trusts none of it.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    BLOCK_MAX, METADATA_MAX, SnapshotId,
    format::{BLOCK_HEAD, FOOTER, Footer, HEADER, Header, block_head},
};
use crate::storage::{Disk, DiskFile, StorageError};

/// Reads one snapshot: an iterator over its blocks, which ends after the first error.
#[derive(Debug)]
pub struct SnapshotReader {
    name: String,
    file: Arc<dyn DiskFile>,
    metadata: Bytes,
    footer: Footer,
    /// Where the footer begins.
    end: u64,
    /// Where the next block begins, its number, and the checksum of all before it.
    at: u64,
    number: u64,
    whole: crc32fast::Hasher,
    is_done: bool,
}

impl SnapshotReader {
    /// Opens a snapshot, and checks its header, metadata and footer.
    ///
    /// # Errors
    /// `Corrupt`, `Version`, or `Io`, also if there is no such snapshot.
    pub fn open(disk: &dyn Disk, id: SnapshotId) -> Result<Self, StorageError> {
        let name = id.name();
        let file = disk.open(&name).map_err(StorageError::io("open", &name))?;
        Self::check(file, name, id)
    }

    /// Checks a file that may not have its name yet.
    pub(super) fn check(
        file: Arc<dyn DiskFile>,
        name: String,
        id: SnapshotId,
    ) -> Result<Self, StorageError> {
        let length = file
            .length()
            .map_err(StorageError::io("get the length of", &name))?;
        if length < (HEADER + FOOTER) as u64 {
            return Err(StorageError::corrupt(&name, length, "it is cut short"));
        }
        let end = length - FOOTER as u64;
        let mut head = [0; HEADER];
        read(&*file, &name, 0, &mut head)?;
        let header = Header::decode(&head, id, &name)?;
        let mut foot = [0; FOOTER];
        read(&*file, &name, end, &mut foot)?;
        let footer = Footer::decode(&foot, length, &name)?;

        let corrupt = |what| StorageError::corrupt(&name, HEADER as u64, what);
        let metadata_length = header.metadata_length as usize;
        let at = HEADER as u64 + u64::from(header.metadata_length);
        if metadata_length > METADATA_MAX || at > end {
            return Err(corrupt("the metadata is too long"));
        }
        let mut metadata = vec![0; metadata_length];
        read(&*file, &name, HEADER as u64, &mut metadata)?;
        if crc32fast::hash(&metadata) != header.metadata_crc {
            return Err(corrupt("the checksum of the metadata is wrong"));
        }
        let mut whole = crc32fast::Hasher::new();
        whole.update(&head);
        whole.update(&metadata);
        Ok(Self {
            name,
            file,
            metadata: metadata.into(),
            footer,
            end,
            at,
            number: 0,
            whole,
            is_done: false,
        })
    }

    /// What was given when the snapshot was begun.
    pub fn metadata(&self) -> &Bytes {
        &self.metadata
    }

    /// Reads on to the end, for the checks alone.
    pub(super) fn check_rest(self) -> Result<(), StorageError> {
        for block in self {
            block?;
        }
        Ok(())
    }

    fn block(&mut self) -> Result<Option<Bytes>, StorageError> {
        if self.at == self.end {
            return self.check_end().map(|()| None);
        }
        let corrupt = |what| StorageError::corrupt(&self.name, self.at, what);
        let start = self.at + BLOCK_HEAD as u64;
        if start > self.end {
            return Err(corrupt("a block is cut short"));
        }
        let mut head = [0; BLOCK_HEAD];
        read(&*self.file, &self.name, self.at, &mut head)?;
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let next = start + length as u64;
        if length == 0 || length > BLOCK_MAX || next > self.end {
            return Err(corrupt("a block of an impossible length"));
        }
        let mut block = vec![0; length];
        read(&*self.file, &self.name, start, &mut block)?;
        if block_head(self.number, &block) != head {
            return Err(corrupt("the checksum of a block is wrong"));
        }
        self.whole.update(&head);
        self.whole.update(&block);
        self.at = next;
        self.number += 1;
        Ok(Some(block.into()))
    }

    fn check_end(&self) -> Result<(), StorageError> {
        let whole_crc = self.whole.clone().finalize();
        let found = Footer {
            blocks: self.number,
            whole_crc,
        };
        if found == self.footer {
            Ok(())
        } else {
            let what = "the footer is of other blocks";
            Err(StorageError::corrupt(&self.name, self.end, what))
        }
    }
}

impl Iterator for SnapshotReader {
    type Item = Result<Bytes, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let block = self.block().transpose();
        self.is_done = !matches!(block, Some(Ok(_)));
        block
    }
}

fn read(
    file: &dyn DiskFile,
    name: &str,
    offset: u64,
    buffer: &mut [u8],
) -> Result<(), StorageError> {
    file.read_at(offset, buffer)
        .map_err(StorageError::io("read", name))
}
