//! The log of a node: entries, votes and the like in one ordered, durable stream.
//!
//! What is asked of a [`Log`] takes effect for readers at once and is queued; one writer drains the
//! queue, a batch with one write and one sync, and then tells those who asked, in order. Votes and
//! entries share the stream, since their order matters.
//!
//! The parts: `record` (bytes), `segment` (a file of records), `replay` (start, and what is a torn
//! tail), `index` (where entries are, and the cache), `writer` (batches to disk), `queue` (who asked
//! for what), `driver` (the writer's thread).
//!
//! On disk: `log-<number>.distri`, consecutive, each sealed and synced before the next has its name.
//! Each begins with the state that those before it amount to, so that a purge removes whole files.

use std::{
    fmt,
    future::Future,
    io,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use self::{
    driver::Driver,
    index::Source,
    queue::{Done, Files, Shared},
    record::{HEAD, Head, Record},
    writer::LogWriter,
};
use super::{Disk, StorageError};

mod driver;
mod index;
mod queue;
mod record;
mod replay;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

/// No payload of an entry is longer: it is read into memory whole.
pub const PAYLOAD_MAX: usize = 16 << 20;

/// No vote and no committed hint is longer: every segment repeats them.
pub const SMALL_MAX: usize = 1 << 10;

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The term of the leader that made it.
    pub term: u64,
    /// Its place in the log, one more than that of the entry before.
    pub index: u64,
    /// What it says; at most [`PAYLOAD_MAX`] bytes.
    pub payload: Bytes,
}

/// Sizes, and who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// When a segment is full. Larger means fewer files, and space that is freed later after a
    /// purge. 64 MiB; at most 1 GiB.
    pub segment_bytes: u32,
    /// How far ahead of the end zeros are written, which halves the time of a sync and costs that
    /// much space in an empty log. 0 turns it off, as for a disk in memory. 4 MiB.
    pub allocate_bytes: u32,
    /// How many bytes of the newest payloads stay in memory for readers. More lets a
    /// follower that lags be served without the disk. 4 MiB.
    pub cache_bytes: usize,
    /// From how many waiting bytes on [`Log::append`] refuses. 64 MiB.
    pub queue_bytes: usize,
    /// From how many bytes on a batch is closed. Larger means fewer syncs under load, and a longer
    /// wait for each. 4 MiB.
    pub batch_bytes: usize,
    /// Whether callers write themselves, each operation durable before its call returns, instead
    /// of a thread: for a [`MemoryDisk`](super::MemoryDisk) in a deterministic simulation.
    pub inline: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            allocate_bytes: 4 << 20,
            cache_bytes: 4 << 20,
            queue_bytes: 64 << 20,
            batch_bytes: 4 << 20,
            inline: false,
        }
    }
}

impl LogOptions {
    /// Offsets in a segment are 32 bits, with room for a batch and a record past the limit.
    fn bounded(mut self) -> Self {
        self.segment_bytes = self.segment_bytes.min(1 << 30);
        self.allocate_bytes = self.allocate_bytes.min(1 << 28);
        self.batch_bytes = self.batch_bytes.min(1 << 28);
        self
    }
}

/// What was found on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The last vote.
    pub vote: Option<Bytes>,
    /// The last committed hint that reached the disk; perhaps not the last that was saved.
    pub committed: Option<Bytes>,
    /// Term and index of the last purged entry.
    pub purged: Option<(u64, u64)>,
    /// Term and index of the last entry, be it purged.
    pub last: Option<(u64, u64)>,
    /// The index of the first entry that is there, if there is one.
    pub first_index: Option<u64>,
}

/// A durable log. Clones are handles to the same log.
///
/// Operations keep the order of their calls. Dropping the last handle writes what is queued, blocks
/// until that is done, and releases the folder; [`close`](Self::close) does not block, and tells
/// whether it went well.
#[derive(Debug, Clone)]
pub struct Log {
    driver: Arc<Driver>,
}

impl Log {
    /// Opens the log in a folder, or makes one, and holds the folder until it is closed.
    ///
    /// Everything that it reports is durable. Reads all segments once, and blocks meanwhile.
    ///
    /// # Errors
    /// `Locked`, `Version`, `Corrupt`, or `Io`. Nothing was lost; only a torn tail was repaired.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: LogOptions,
    ) -> Result<(Self, Recovered), StorageError> {
        let options = options.bounded();
        let lock = disk.lock().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => StorageError::Locked {
                folder: disk.describe(),
            },
            _ => StorageError::io("lock", &disk.describe())(error),
        })?;
        let found = replay::replay(&*disk)?;
        let shared = Shared::new(options, &found.view, found.index, found.files);
        let recovered = shared.recovered();
        let state = (found.view, found.holdings, found.current);
        let writer = LogWriter::new(disk, lock, options, state);
        let driver = Driver::start(Arc::new(shared), writer, options.inline)?;
        Ok((
            Self {
                driver: Arc::new(driver),
            },
            recovered,
        ))
    }

    /// Appends entries, all or none. Readers see them at once; `done` is told when they are
    /// durable, or why they never will be.
    ///
    /// Returns at once. `done` runs on the writer's thread (with [`LogOptions::inline`], on the
    /// caller's) after those of all operations before; it must not block.
    ///
    /// Fails with `Gap` unless the entries follow the last one (any index may be the first of all),
    /// `TooLarge`, `Full`, `Poisoned`, `Closed`; then readers see none of them.
    pub fn append(&self, entries: Vec<Entry>, done: Box<dyn FnOnce(io::Result<()>) + Send>) {
        let done: Done = Box::new(move |result| done(result.map_err(Into::into)));
        self.driver.ask(|shared| shared.append(entries, done));
    }

    /// Waits until [`append`](Self::append) does not refuse for lack of room. It may again if others
    /// append at the same time.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn room(&self) {
        self.driver.shared().room().await;
    }

    /// Saves the vote, at most [`SMALL_MAX`] bytes.
    ///
    /// Like all but [`append`](Self::append), it is never refused for lack of room: who waits for
    /// one before asking for the next bounds their number.
    pub fn save_vote(&self, vote: Bytes) -> Durable {
        self.durably(|shared, done| shared.save_vote(vote, done))
    }

    /// Saves the committed hint, at most [`SMALL_MAX`] bytes. It is written, and durable, with the
    /// next operation, or when the log is closed.
    ///
    /// # Errors
    /// `TooLarge`, `Poisoned`, `Closed`.
    pub fn save_committed(&self, committed: Bytes) -> Result<(), StorageError> {
        self.driver.ask(|shared| shared.save_committed(committed))
    }

    /// Removes all entries after the one with index `after`, or all. Purged ones stay purged, and
    /// an `after` beyond the end changes nothing.
    pub fn truncate_after(&self, after: Option<u64>) -> Durable {
        self.durably(|shared, done| shared.truncate_after(after, done))
    }

    /// Removes all entries up to `index`; the entry there was, or would be, of `term`. The log goes
    /// on after it, also if it was shorter. Whole segments that are not needed any more are removed.
    pub fn purge(&self, term: u64, index: u64) -> Durable {
        self.durably(|shared, done| shared.purge((term, index), done))
    }

    /// The entries with indices in `range` that are there, in order: as many as fit `bytes_max`,
    /// but at least one. Entries that are not durable yet are among them.
    ///
    /// Blocks for reading from disk if they are not cached, never for a write.
    ///
    /// # Errors
    /// `Io` and `Corrupt` if an entry cannot be read back, `Poisoned`, `Closed`.
    pub fn read(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<Entry>, StorageError> {
        let (sources, files) = self.driver.shared().sources(range, bytes_max)?;
        let entries = sources.into_iter().map(|source| match source {
            Source::Memory(entry) => Ok(entry),
            Source::Segment(index, found) => read_entry(index, found, &files),
        });
        entries.collect()
    }

    /// Term and index of the last entry, durable or not, be it purged.
    pub fn last(&self) -> Option<(u64, u64)> {
        self.driver.shared().recovered().last
    }

    /// The index of the first entry that is there.
    pub fn first_index(&self) -> Option<u64> {
        self.driver.shared().recovered().first_index
    }

    /// Term and index of the last purged entry.
    pub fn purged(&self) -> Option<(u64, u64)> {
        self.driver.shared().recovered().purged
    }

    /// The last vote, durable or not.
    pub fn vote(&self) -> Option<Bytes> {
        self.driver.shared().recovered().vote
    }

    /// The last committed hint.
    pub fn committed(&self) -> Option<Bytes> {
        self.driver.shared().recovered().committed
    }

    /// Why the log has stopped, if it has: a write or sync failed, and every operation fails with
    /// this from then on.
    pub fn poisoned(&self) -> Option<StorageError> {
        self.driver.shared().poisoned()
    }

    /// Ends when all before it is durable and the folder is released; operations after it fail with
    /// `Closed`.
    pub fn close(&self) -> Durable {
        self.durably(|shared, done| shared.close(done))
    }

    fn durably(&self, ask: impl FnOnce(&Shared, Done)) -> Durable {
        let (tx, rx) = oneshot::channel();
        let done: Done = Box::new(move |result| {
            // Whoever asked may have stopped listening; the operation is done all the same.
            let _ = tx.send(result);
        });
        self.driver.ask(|shared| ask(shared, done));
        Durable(rx)
    }
}

/// Ends when an operation is durable.
///
/// The operation has its place in the order from the call that made this; dropping this only stops
/// listening.
///
/// # Errors
/// `TooLarge`, `Poisoned`, `Closed`.
#[must_use = "until this has ended, the operation may be lost"]
pub struct Durable(oneshot::Receiver<Result<(), StorageError>>);

impl Future for Durable {
    type Output = Result<(), StorageError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.0).poll(cx);
        answer.map(|answer| answer.unwrap_or(Err(StorageError::Closed)))
    }
}

impl fmt::Debug for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Durable")
    }
}

fn read_entry(index: u64, found: index::Found, files: &Files) -> Result<Entry, StorageError> {
    let name = segment::name(found.place.segment);
    let offset = found.place.offset.into();
    let corrupt = |what| StorageError::corrupt(&name, offset, what);
    let file = files.get(&found.place.segment);
    let file = file.ok_or_else(|| corrupt("the segment is missing"))?;
    let mut bytes = vec![0; found.size as usize];
    file.read_at(offset, &mut bytes)
        .map_err(StorageError::io("read", &name))?;
    let record = bytes
        .first_chunk::<HEAD>()
        .and_then(|head| Head::decode(found.place, head))
        .filter(|head| head.size() == bytes.len())
        .ok_or_else(|| corrupt("expected a record"))?
        .decode_record(bytes.into())
        .map_err(corrupt)?;
    match record {
        Record::Entry(entry) if entry.index == index => Ok(entry),
        _ => Err(corrupt("expected another entry")),
    }
}
