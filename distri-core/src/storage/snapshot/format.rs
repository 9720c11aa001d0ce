//! The bytes around metadata and blocks.

use bytes::{Buf, BufMut};

use super::SnapshotId;
use crate::storage::StorageError;

/// The format written here, and the newest that can be read.
const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"distrsnp";

/// Of the header. The same in all versions, so that any of them can be named.
pub(super) const HEADER: usize = 40;

/// Of what is before the bytes of a block.
pub(super) const BLOCK_HEAD: usize = 8;

pub(super) const FOOTER: usize = 28;

/// What a header says, but for the id.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Header {
    pub(super) metadata_length: u32,
    pub(super) metadata_crc: u32,
}

impl Header {
    pub(super) fn encode(self, id: SnapshotId) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER);
        out.put_slice(MAGIC);
        out.put_u32_le(VERSION);
        out.put_u64_le(id.term);
        out.put_u64_le(id.index);
        out.put_u32_le(self.metadata_length);
        out.put_u32_le(self.metadata_crc);
        let crc = crc32fast::hash(&out);
        out.put_u32_le(crc);
        out
    }

    pub(super) fn decode(
        bytes: &[u8; HEADER],
        id: SnapshotId,
        file: &str,
    ) -> Result<Self, StorageError> {
        let corrupt = |what| Err(StorageError::corrupt(file, 0, what));
        let mut rest = &bytes[MAGIC.len()..];
        let version = rest.get_u32_le();
        let (term, index) = (rest.get_u64_le(), rest.get_u64_le());
        let (metadata_length, metadata_crc) = (rest.get_u32_le(), rest.get_u32_le());
        if !bytes.starts_with(MAGIC) {
            return corrupt("it does not begin as a snapshot");
        }
        if rest.get_u32_le() != crc32fast::hash(&bytes[..HEADER - 4]) {
            return corrupt("the checksum of the header is wrong");
        }
        if version > VERSION {
            return Err(StorageError::Version {
                file: file.into(),
                found: version,
                supported: VERSION,
            });
        }
        if (SnapshotId { term, index }) != id {
            return corrupt("the header is of another snapshot");
        }
        Ok(Self {
            metadata_length,
            metadata_crc,
        })
    }
}

/// What a footer says, but for the length of the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Footer {
    pub(super) blocks: u64,
    /// Of all bytes before the footer.
    pub(super) whole_crc: u32,
}

impl Footer {
    /// For a file of `length` bytes, the footer among them.
    pub(super) fn encode(self, length: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER);
        out.put_u32_le(0);
        out.put_u64_le(self.blocks);
        out.put_u64_le(length);
        out.put_u32_le(self.whole_crc);
        let crc = crc32fast::hash(&out);
        out.put_u32_le(crc);
        out
    }

    pub(super) fn decode(
        bytes: &[u8; FOOTER],
        length: u64,
        file: &str,
    ) -> Result<Self, StorageError> {
        let corrupt = |what| {
            let offset = length - FOOTER as u64;
            Err(StorageError::corrupt(file, offset, what))
        };
        let mut rest = &bytes[..];
        let zero = rest.get_u32_le();
        let (blocks, found, whole_crc) = (rest.get_u64_le(), rest.get_u64_le(), rest.get_u32_le());
        if rest.get_u32_le() != crc32fast::hash(&bytes[..FOOTER - 4]) || zero != 0 {
            return corrupt("it does not end with a whole footer");
        }
        if found != length {
            return corrupt("the footer is of a file of another length");
        }
        Ok(Self { blocks, whole_crc })
    }
}

/// The head of block number `number`.
pub(super) fn block_head(number: u64, block: &[u8]) -> [u8; BLOCK_HEAD] {
    let length = (block.len() as u32).to_le_bytes();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(&length);
    hasher.update(block);
    let mut head = [0; BLOCK_HEAD];
    head[..4].copy_from_slice(&length);
    head[4..].copy_from_slice(&hasher.finalize().to_le_bytes());
    head
}
