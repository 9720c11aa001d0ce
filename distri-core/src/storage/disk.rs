//! One folder of files: all that storage asks of the world.
//!
//! [`FsDisk`] is a real folder, [`MemoryDisk`] one in memory that can lose power and fail on
//! demand. The rules are those of POSIX, at their most pessimistic: a write is durable after
//! [`DiskFile::sync`], a name after [`Disk::sync`], and until then each may be lost, kept or torn
//! independently of the others. After a failed sync nothing is known about the file, and a second
//! sync proves nothing.

use std::{any::Any, fmt, io, sync::Arc};

mod fs;
mod memory;
#[cfg(test)]
mod tests;

pub use fs::FsDisk;
pub use memory::MemoryDisk;

/// Zeros are written in pieces of this size: large enough that the disk, not the calls, decides
/// the time; small enough to be nothing in memory.
const ALLOCATE_PIECE: usize = 1 << 20;

/// One folder of files. Names are plain file names.
pub trait Disk: Send + Sync + fmt::Debug {
    /// How errors name the folder.
    fn describe(&self) -> String;

    /// True if nothing on it outlives the process, so that nobody need wait for it elsewhere.
    fn in_memory(&self) -> bool {
        false
    }

    /// The names of all files, in no particular order.
    ///
    /// # Errors
    /// What the system says.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Makes a new, empty file. Its name lasts once [`sync`](Self::sync) has returned.
    ///
    /// # Errors
    /// `AlreadyExists` if there is one, or what the system says.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// `NotFound` if there is none, or what the system says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name, in one step, replacing a file that had it.
    ///
    /// # Errors
    /// What the system says; then the names are as before.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Those who have it open may read on.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Ends when creations, renames and removals so far are durable.
    ///
    /// # Errors
    /// What the system says; then each of them may be lost.
    fn sync(&self) -> io::Result<()>;

    /// Takes the folder for its caller alone, until the lock is dropped.
    ///
    /// # Errors
    /// `WouldBlock` if another has it, in this process or elsewhere; or what the system says.
    fn lock(&self) -> io::Result<DiskLock>;
}

/// Holds a folder for one owner; released when dropped.
pub struct DiskLock {
    _held: Box<dyn Any + Send + Sync>,
}

impl DiskLock {
    /// A lock that is released by dropping `held`.
    pub fn new(held: impl Any + Send + Sync) -> Self {
        Self {
            _held: Box::new(held),
        }
    }
}

impl fmt::Debug for DiskLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiskLock")
    }
}

/// An open file. One may write while others read elsewhere in it.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Fills `buffer` with the bytes at `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before, or what the system says.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`; a gap before it reads as zeros.
    ///
    /// # Errors
    /// What the system says; any part may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// How many bytes the file has.
    ///
    /// # Errors
    /// What the system says.
    fn length(&self) -> io::Result<u64>;

    /// Cuts the file, or lengthens it with zeros.
    ///
    /// # Errors
    /// What the system says.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Ends when the contents and length are durable.
    ///
    /// # Errors
    /// What the system says. Then nothing is known about anything written since the last success,
    /// and a later success does not change that (Linux forgets the pages it could not write).
    fn sync(&self) -> io::Result<()>;

    /// Writes zeros over `length` bytes at `offset` and syncs, so that a later sync of writes in
    /// there has no block or length to record and takes half as long.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at) and [`sync`](Self::sync).
    fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        let zeros = vec![0; ALLOCATE_PIECE.min(usize::try_from(length).unwrap_or(ALLOCATE_PIECE))];
        let end = offset + length;
        let mut at = offset;
        while at < end {
            let piece = (end - at).min(zeros.len() as u64);
            self.write_at(at, &zeros[..piece as usize])?;
            at += piece;
        }
        self.sync()
    }
}
