//! A folder in memory, with power failures and other faults at will.
//!
//! ```
//! # use std::sync::Arc;
//! # use distri_core::storage::{Disk, DiskFile, MemoryDisk};
//! # fn main() -> std::io::Result<()> {
//! let disk = MemoryDisk::new(7);
//! let file = disk.create("a")?;
//! file.write_at(0, b"kept")?;
//! file.sync()?;
//! disk.sync()?;
//! file.write_at(4, b", perhaps")?;
//!
//! disk.crash(); // the power fails, and is back
//!
//! assert!(file.length().is_err()); // who had a file open before, was in the process that died
//! assert!(disk.open("a")?.length()? >= 4);
//! # Ok(())
//! # }
//! ```
//!
//! Clones are the same disk. Everything random comes from the seed, so a run can be repeated.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use self::{contents::Contents, dice::Dice};
use super::{Disk, DiskFile, DiskLock};

mod contents;
mod dice;

/// A folder in memory that behaves like the worst disk that is still correct.
///
/// What was not synced is, at [`crash`](Self::crash), kept, lost or torn, each write for itself,
/// and so are names. A failed sync loses what it was to make durable, although it can still be
/// read until the crash, as on Linux.
#[derive(Debug, Clone)]
pub struct MemoryDisk {
    inner: Arc<Mutex<Inner>>,
}

impl MemoryDisk {
    /// An empty folder; `seed` decides what is lost at crashes.
    pub fn new(seed: u64) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner::new(Dice::new(seed)))),
        }
    }

    /// Another disk with the same names and contents, all of it synced, and no faults.
    pub fn copy(&self, seed: u64) -> Self {
        let mut copy = Inner::new(Dice::new(seed));
        let inner = self.lock_inner();
        for (name, file) in &inner.names {
            let bytes = lock(file).bytes().to_vec();
            copy.names
                .insert(name.clone(), Arc::new(Mutex::new(Contents::synced(bytes))));
        }
        copy.names_synced = copy.names.clone();
        Self {
            inner: Arc::new(Mutex::new(copy)),
        }
    }

    /// The power fails and comes back: unsynced writes and names are kept, lost or torn, open files
    /// and locks are gone, set faults are forgotten.
    pub fn crash(&self) {
        self.lock_inner().crash();
    }

    /// The process that has it dies, and the kernel lives on: open files and locks are gone, set
    /// faults are forgotten, and what was written is there, synced or not.
    pub fn abandon(&self) {
        let mut inner = self.lock_inner();
        inner.life += 1;
        inner.lock = Weak::new();
        inner.faults = Faults::default();
    }

    /// The `nth` write from now fails, having written a part (1 is the next).
    pub fn fail_write(&self, nth: u64) {
        let mut inner = self.lock_inner();
        inner.faults.write = Some(inner.counts.writes + nth);
    }

    /// The `nth` sync from now, of a file or of the folder, fails (1 is the next).
    pub fn fail_sync(&self, nth: u64) {
        let mut inner = self.lock_inner();
        inner.faults.sync = Some(inner.counts.syncs + nth);
    }

    /// Files can grow by `bytes` more, all together; the write that meets the end is a short one.
    pub fn fill_after(&self, bytes: u64) {
        self.lock_inner().faults.room = Some(bytes);
    }

    /// Every change fails from now on.
    pub fn make_read_only(&self) {
        self.lock_inner().faults.read_only = true;
    }

    /// The next `operations` changes are done; then everything fails, until [`crash`](Self::crash).
    pub fn stop_after(&self, operations: u64) {
        let mut inner = self.lock_inner();
        inner.faults.stop = Some(inner.counts.operations + operations);
    }

    /// True if everything fails because of [`stop_after`](Self::stop_after).
    pub fn is_stopped(&self) -> bool {
        self.lock_inner().check_running().is_err()
    }

    /// From now on, across crashes, the disk says that it has synced and does not, as some do.
    pub fn lie_about_syncs(&self) {
        self.lock_inner().lies = true;
    }

    /// Takes all faults back. What they did stays done.
    pub fn heal(&self) {
        self.lock_inner().faults = Faults::default();
    }

    /// How many changes were asked for so far: writes, lengths, syncs, names.
    pub fn operations(&self) -> u64 {
        self.lock_inner().counts.operations
    }

    /// How many syncs were asked for so far, of files and of the folder.
    pub fn syncs(&self) -> u64 {
        self.lock_inner().counts.syncs
    }

    fn lock_inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    fn file(&self, contents: Arc<Mutex<Contents>>, life: u64) -> Arc<dyn DiskFile> {
        Arc::new(MemoryFile {
            inner: self.inner.clone(),
            contents,
            life,
        })
    }
}

impl Disk for MemoryDisk {
    fn describe(&self) -> String {
        "memory".into()
    }

    fn in_memory(&self) -> bool {
        true
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let inner = self.lock_inner();
        inner.check_running()?;
        Ok(inner.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.lock_inner();
        inner.begin_change()?;
        if inner.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let contents = Arc::new(Mutex::new(Contents::default()));
        inner.change_names(NameChange::Create(name.into(), contents.clone()));
        Ok(self.file(contents, inner.life))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.lock_inner();
        inner.check_running()?;
        let contents = inner.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(contents.clone(), inner.life))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.lock_inner();
        inner.begin_change()?;
        let contents = inner
            .names
            .get(from)
            .ok_or(io::ErrorKind::NotFound)?
            .clone();
        inner.change_names(NameChange::Rename(from.into(), to.into(), contents));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.lock_inner();
        inner.begin_change()?;
        let contents = inner
            .names
            .get(name)
            .ok_or(io::ErrorKind::NotFound)?
            .clone();
        inner.change_names(NameChange::Remove(name.into(), contents));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.lock_inner();
        inner.begin_sync()?;
        if inner.lies {
            return Ok(());
        }
        inner.names_synced = inner.names.clone();
        inner.unsynced.clear();
        Ok(())
    }

    fn lock(&self) -> io::Result<DiskLock> {
        let mut inner = self.lock_inner();
        inner.check_running()?;
        if inner.lock.upgrade().is_some() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let held = Arc::new(());
        inner.lock = Arc::downgrade(&held);
        Ok(DiskLock::new(held))
    }
}

#[derive(Debug)]
struct MemoryFile {
    inner: Arc<Mutex<Inner>>,
    contents: Arc<Mutex<Contents>>,
    /// The power was on for this file since this many crashes.
    life: u64,
}

impl MemoryFile {
    fn begin(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let inner = lock(&self.inner);
        if inner.life == self.life {
            Ok(inner)
        } else {
            Err(stopped())
        }
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.begin()?.check_running()?;
        let contents = lock(&self.contents);
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let bytes = start
            .checked_add(buffer.len())
            .and_then(|end| contents.bytes().get(start..end))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.begin()?;
        inner.begin_change()?;
        let mut contents = lock(&self.contents);
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let (count, failure) = inner.begin_write(start, bytes.len(), contents.bytes().len());
        contents.write(start, &bytes[..count]);
        failure.map_or(Ok(()), Err)
    }

    fn length(&self) -> io::Result<u64> {
        self.begin()?.check_running()?;
        Ok(lock(&self.contents).bytes().len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.begin()?.begin_change()?;
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
        lock(&self.contents).set_length(length);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.begin()?;
        let result = inner.begin_sync();
        match &result {
            Ok(()) if inner.lies => {}
            Ok(()) => lock(&self.contents).sync(),
            // A process that died has no say in what becomes of its writes.
            Err(_) if inner.check_running().is_err() => {}
            Err(_) => lock(&self.contents).fail_sync(),
        }
        result
    }
}

#[derive(Debug)]
struct Inner {
    dice: Dice,
    names: BTreeMap<String, Arc<Mutex<Contents>>>,
    names_synced: BTreeMap<String, Arc<Mutex<Contents>>>,
    /// What leads from `names_synced` to `names`.
    unsynced: Vec<NameChange>,
    faults: Faults,
    /// Syncs are promised and not made.
    lies: bool,
    counts: Counts,
    /// How many crashes there were; files opened before the last one are dead.
    life: u64,
    lock: Weak<()>,
}

/// Numbers are those of [`Counts`] at which something goes wrong.
#[derive(Debug, Default)]
struct Faults {
    write: Option<u64>,
    sync: Option<u64>,
    stop: Option<u64>,
    room: Option<u64>,
    read_only: bool,
}

#[derive(Debug, Default)]
struct Counts {
    operations: u64,
    writes: u64,
    syncs: u64,
}

#[derive(Debug)]
enum NameChange {
    Create(String, Arc<Mutex<Contents>>),
    Rename(String, String, Arc<Mutex<Contents>>),
    Remove(String, Arc<Mutex<Contents>>),
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, Arc<Mutex<Contents>>>) {
        let forget = |names: &mut BTreeMap<_, _>, name: &String, contents| {
            if names
                .get(name)
                .is_some_and(|held| Arc::ptr_eq(held, contents))
            {
                names.remove(name);
            }
        };
        match self {
            Self::Create(name, contents) => {
                names.insert(name.clone(), contents.clone());
            }
            Self::Rename(from, to, contents) => {
                forget(names, from, contents);
                names.insert(to.clone(), contents.clone());
            }
            Self::Remove(name, contents) => forget(names, name, contents),
        }
    }
}

impl Inner {
    fn new(dice: Dice) -> Self {
        Self {
            dice,
            names: BTreeMap::new(),
            names_synced: BTreeMap::new(),
            unsynced: Vec::new(),
            faults: Faults::default(),
            lies: false,
            counts: Counts::default(),
            life: 0,
            lock: Weak::new(),
        }
    }

    fn check_running(&self) -> io::Result<()> {
        match self.faults.stop {
            Some(stop) if self.counts.operations >= stop => Err(stopped()),
            _ => Ok(()),
        }
    }

    fn begin_change(&mut self) -> io::Result<()> {
        self.check_running()?;
        self.counts.operations += 1;
        if self.faults.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(())
    }

    fn begin_sync(&mut self) -> io::Result<()> {
        self.begin_change()?;
        self.counts.syncs += 1;
        if self.faults.sync == Some(self.counts.syncs) {
            return Err(broken());
        }
        Ok(())
    }

    /// How much of a write is done, and why not all of it.
    fn begin_write(
        &mut self,
        start: usize,
        count: usize,
        length: usize,
    ) -> (usize, Option<io::Error>) {
        self.counts.writes += 1;
        if self.faults.write == Some(self.counts.writes) {
            return (self.dice.below(count + 1), Some(broken()));
        }
        let growth = (start + count).saturating_sub(length) as u64;
        match &mut self.faults.room {
            Some(room) if growth > *room => {
                let lacking = (growth - *room) as usize;
                *room = 0;
                let full = io::ErrorKind::StorageFull.into();
                (count.saturating_sub(lacking), Some(full))
            }
            Some(room) => {
                *room -= growth;
                (count, None)
            }
            None => (count, None),
        }
    }

    fn change_names(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced.push(change);
    }

    fn crash(&mut self) {
        self.life += 1;
        self.lock = Weak::new();
        self.faults = Faults::default();
        for change in std::mem::take(&mut self.unsynced) {
            if self.dice.below(2) == 0 {
                change.apply(&mut self.names_synced);
            }
        }
        self.names = self.names_synced.clone();
        for file in self.names.values() {
            lock(file).crash(&mut self.dice);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stopped() -> io::Error {
    io::Error::other("the power is off")
}

/// As a disk that reports an I/O error (EIO).
fn broken() -> io::Error {
    io::Error::other("the disk failed")
}
