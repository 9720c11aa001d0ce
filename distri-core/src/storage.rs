//! What a voting node keeps on disk: its log and vote, and snapshots.
//!
//! [`Log`] is one ordered stream of entries, votes and the like in append-only segments, synced in
//! groups; [`Snapshots`] are whole files beside it. Both stand on [`disk`], one folder of files
//! behind a small trait, so that the same code runs on a real disk and on a [`MemoryDisk`] that
//! loses power wherever a test or a simulation says.
//!
//! Entries, votes and snapshot contents are opaque bytes here: what they mean, and when they are
//! written, is the business of consensus above. The promises are only these: what was
//! acknowledged is found again after any crash, in order; what was not is found as a prefix or not
//! at all; damage that no crash explains is refused with file and offset, never skipped.

use std::{io, sync::Arc};

pub mod disk;
mod log;
mod snapshot;

pub use disk::{Disk, DiskFile, FsDisk, MemoryDisk};
pub use log::{Durable, Entry, Log, LogOptions, PAYLOAD_MAX, Recovered, SMALL_MAX};
pub use snapshot::{
    BLOCK_MAX, METADATA_MAX, RawReader, RawWriter, SnapshotId, SnapshotReader, SnapshotWriter,
    Snapshots,
};

/// Why something could not be kept or found.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A file holds something that no crash explains. It is left as it is: restore the folder, or
    /// give the node a new one and a new identity. Cutting the file loses acknowledged writes.
    #[error("`{file}` is corrupt at byte {offset}: {what}")]
    Corrupt {
        /// Which file.
        file: String,
        /// Where the damage begins.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// Another process, or another part of this one, has the folder open. Nothing was touched.
    #[error("the data folder `{folder}` is in use: expected no other node on it")]
    Locked {
        /// Which folder.
        folder: String,
    },
    /// A newer program wrote the file. Nothing was touched; run that program.
    #[error("`{file}` has format version {found}: expected {supported} or older")]
    Version {
        /// Which file.
        file: String,
        /// The version it names.
        found: u32,
        /// The newest version known here.
        supported: u32,
    },
    /// The disk refused. An operation of an open [`Log`] fails with this only when it read; a
    /// failed write ends the log, see [`Poisoned`](Self::Poisoned).
    #[error("could not {what} `{file}`")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// On which file or folder.
        file: String,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// An earlier write or sync failed, after which nothing is known about what the disk holds.
    /// The node steps aside; opening the folder anew finds what is really there.
    #[error("the log stopped after a failed write")]
    Poisoned {
        /// The failure that ended it.
        source: Arc<Self>,
    },
    /// The log was closed. Nothing was written.
    #[error("the log is closed")]
    Closed,
    /// Entries do not follow each other. Nothing was written.
    #[error("could not append the entry with index {found}: expected index {expected}")]
    Gap {
        /// The index that comes next.
        expected: u64,
        /// The index that was given.
        found: u64,
    },
    /// More bytes than a record or block may have. Nothing was written.
    #[error("could not store a {what} of {size} bytes: expected at most {size_max}")]
    TooLarge {
        /// What it was to be.
        what: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        size_max: usize,
    },
    /// More is waiting to be written than the queue holds. Nothing was written; wait with
    /// [`Log::room`].
    #[error("the queue of the log is full: {bytes} bytes are waiting")]
    Full {
        /// How many bytes wait.
        bytes: usize,
    },
    /// Bytes of a snapshot did not arrive in order, or not all of them. The file is not kept.
    #[error("could not receive `{file}`: expected byte {expected} next, got byte {found}")]
    OutOfOrder {
        /// Which snapshot.
        file: String,
        /// How many bytes are there.
        expected: u64,
        /// Which byte was offered.
        found: u64,
    },
}

impl StorageError {
    /// For `map_err`: what was attempted, on which file.
    pub(crate) fn io(what: &'static str, file: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            what,
            file: file.into(),
            source: Arc::new(source),
        }
    }

    pub(crate) fn corrupt(file: &str, offset: u64, what: &'static str) -> Self {
        Self::Corrupt {
            file: file.into(),
            offset,
            what,
        }
    }
}

impl From<StorageError> for io::Error {
    /// Keeps the whole error as the source, and the kind of what the system said.
    fn from(error: StorageError) -> Self {
        let kind = match &error {
            StorageError::Io { source, .. } => source.kind(),
            StorageError::Corrupt { .. } => io::ErrorKind::InvalidData,
            StorageError::Gap { .. }
            | StorageError::TooLarge { .. }
            | StorageError::OutOfOrder { .. } => io::ErrorKind::InvalidInput,
            StorageError::Full { .. } => io::ErrorKind::WouldBlock,
            StorageError::Version { .. } => io::ErrorKind::Unsupported,
            StorageError::Locked { .. } => io::ErrorKind::ResourceBusy,
            StorageError::Poisoned { .. } | StorageError::Closed => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
