//! Who asked for what, what readers see of it, and who is told when it is done.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::{
    Entry, LogOptions, PAYLOAD_MAX, Recovered, SMALL_MAX,
    index::{Index, Source},
    record::{LogId, Record, View},
    writer::{Durability, LogWriter, Report},
};
use crate::storage::{DiskFile, StorageError};

/// Told once, when an operation is durable or has failed.
pub(super) type Done = Box<dyn FnOnce(Result<(), StorageError>) + Send>;

/// Open segments by number.
pub(super) type Files = BTreeMap<u64, Arc<dyn DiskFile>>;

/// What handles, readers and the writer share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// There is work for the writer's thread.
    work: Condvar,
    /// A batch is done.
    room: Notify,
    options: LogOptions,
}

/// What the writer is to do next.
#[derive(Debug)]
pub(super) enum Work {
    Batch(Vec<Item>),
    /// Nothing more will come.
    Finish,
}

impl Shared {
    pub(super) fn new(options: LogOptions, view: &View, index: Index, files: Files) -> Self {
        Self {
            state: Mutex::new(State {
                view: view.clone(),
                index,
                files,
                queue: VecDeque::new(),
                waiting_bytes: 0,
                tickets: 0,
                failure: None,
                is_closing: false,
                is_finished: false,
                is_driven: false,
                closers: Vec::new(),
            }),
            work: Condvar::new(),
            room: Notify::new(),
            options,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn append(&self, entries: Vec<Entry>, done: Done) {
        let mut state = self.lock();
        match state.check_append(&entries, &self.options) {
            Ok(()) => state.append(entries, done),
            Err(error) => {
                drop(state);
                tell(done, Err(error));
            }
        }
        self.work.notify_one();
    }

    pub(super) fn save_vote(&self, vote: Bytes, done: Done) {
        let checked = check_size("vote", &vote, SMALL_MAX);
        self.change(checked.map(|()| Some(Record::Vote(vote))), done);
    }

    pub(super) fn save_committed(&self, committed: Bytes) -> Result<(), StorageError> {
        check_size("committed hint", &committed, SMALL_MAX)?;
        let mut state = self.lock();
        state.check_open()?;
        // Nobody is woken for it: it goes to disk with the next operation.
        state.save_committed(committed);
        Ok(())
    }

    pub(super) fn truncate_after(&self, after: Option<u64>, done: Done) {
        self.change(Ok(Some(Record::Truncate(after))), done);
    }

    pub(super) fn purge(&self, id: LogId, done: Done) {
        self.change(Ok(Some(Record::Purge(id))), done);
    }

    fn change(&self, record: Result<Option<Record>, StorageError>, done: Done) {
        let mut state = self.lock();
        match state.check_open().and(record) {
            Ok(record) => state.change(record, done),
            Err(error) => {
                drop(state);
                tell(done, Err(error));
            }
        }
        self.work.notify_one();
    }

    pub(super) fn close(&self, done: Done) {
        let mut state = self.lock();
        state.is_closing = true;
        if state.is_finished {
            drop(state);
            tell(done, Err(StorageError::Closed));
        } else {
            state.closers.push(done);
            drop(state);
        }
        self.work.notify_one();
        self.room.notify_waiters();
    }

    pub(super) fn sources(
        &self,
        range: Range<u64>,
        bytes_max: usize,
    ) -> Result<(Vec<Source>, Files), StorageError> {
        let state = self.lock();
        state.check_open()?;
        let sources = state.index.sources(range, bytes_max);
        let mut files = Files::new();
        for source in &sources {
            if let Source::Segment(_, found) = source
                && let Some(file) = state.files.get(&found.place.segment)
            {
                files
                    .entry(found.place.segment)
                    .or_insert_with(|| file.clone());
            }
        }
        Ok((sources, files))
    }

    pub(super) fn recovered(&self) -> Recovered {
        let state = self.lock();
        Recovered {
            vote: state.view.vote.clone(),
            committed: state.view.committed.clone(),
            purged: state.view.purged,
            last: state.index.last().or(state.view.purged),
            first_index: state.index.first(),
        }
    }

    #[cfg(test)]
    pub(super) fn cached_bytes(&self) -> usize {
        self.lock().index.cached_bytes()
    }

    pub(super) fn poisoned(&self) -> Option<StorageError> {
        self.lock().failure.clone()
    }

    pub(super) async fn room(&self) {
        loop {
            let mut done = std::pin::pin!(self.room.notified());
            done.as_mut().enable();
            let has_room = {
                let state = self.lock();
                state.check_open().is_err() || state.waiting_bytes < self.options.queue_bytes
            };
            if has_room {
                return;
            }
            done.await;
        }
    }

    /// Waits for work; for the writer's thread.
    pub(super) fn wait_for_work(&self) -> Work {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.next_work(self.options.batch_bytes) {
                return work;
            }
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Work for a caller that writes itself; none if another is at it and will see to this too.
    pub(super) fn begin_work(&self) -> Option<Work> {
        let mut state = self.lock();
        if state.is_driven {
            return None;
        }
        let work = state.next_work(self.options.batch_bytes)?;
        state.is_driven = true;
        Some(work)
    }

    pub(super) fn end_work(&self) {
        self.lock().is_driven = false;
    }

    /// Writes a batch, and tells those who asked for it.
    pub(super) fn carry_out(&self, writer: &mut LogWriter, batch: Vec<Item>) {
        let records = batch.iter().filter_map(|item| item.record.as_ref());
        // Nobody waits for a hint, nor for the first entries of many.
        let durability = if batch.iter().any(|item| item.done.is_some()) {
            Durability::Now
        } else {
            Durability::Later
        };
        let result = match self.poisoned() {
            Some(failure) => Err(failure),
            None => writer.write(records, durability),
        };
        let told = self.lock().end_batch(batch, result, &self.options);
        self.room.notify_waiters();
        for (done, result) in told {
            tell(done, result);
        }
    }

    /// Ends the log, and tells those who wait for that.
    pub(super) fn finish(&self, writer: Option<LogWriter>) {
        let result = match (self.poisoned(), writer) {
            (Some(failure), _) => Err(failure),
            (None, Some(mut writer)) => writer.finish(),
            (None, None) => Ok(()),
        };
        let mut state = self.lock();
        if let (Err(error), None) = (&result, &state.failure) {
            state.failure = Some(poison(error.clone()));
        }
        state.files.clear();
        state.is_finished = true;
        let closers = std::mem::take(&mut state.closers);
        drop(state);
        for done in closers {
            tell(done, result.clone());
        }
    }
}

/// One operation in the queue.
pub(super) struct Item {
    /// None if there is nothing to write, and only the order is kept.
    record: Option<Record>,
    /// Tells this entry from one that replaces it.
    ticket: u64,
    done: Option<Done>,
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.record.fmt(f)
    }
}

impl Item {
    fn bytes(&self) -> usize {
        self.record.as_ref().map_or(0, Record::size)
    }
}

struct State {
    /// With everything accepted, durable or not; so are `index` and the view's parts.
    view: View,
    index: Index,
    /// Every segment that an entry of the index may be in.
    files: Files,
    queue: VecDeque<Item>,
    /// Of the queue and of the batch being written.
    waiting_bytes: usize,
    tickets: u64,
    failure: Option<StorageError>,
    is_closing: bool,
    /// Nobody writes any more, and the folder is released.
    is_finished: bool,
    /// A caller is writing.
    is_driven: bool,
    closers: Vec<Done>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("State");
        out.field("view", &self.view).field("queue", &self.queue);
        out.field("failure", &self.failure).finish_non_exhaustive()
    }
}

impl State {
    fn check_open(&self) -> Result<(), StorageError> {
        match &self.failure {
            Some(failure) => Err(failure.clone()),
            None if self.is_closing => Err(StorageError::Closed),
            None => Ok(()),
        }
    }

    fn check_append(&self, entries: &[Entry], options: &LogOptions) -> Result<(), StorageError> {
        self.check_open()?;
        let mut next = self.view.next();
        for entry in entries {
            let expected = next.unwrap_or(entry.index);
            if entry.index != expected || entry.index == u64::MAX {
                let found = entry.index;
                return Err(StorageError::Gap { expected, found });
            }
            check_size("payload", &entry.payload, PAYLOAD_MAX)?;
            next = Some(expected + 1);
        }
        if self.waiting_bytes >= options.queue_bytes && !entries.is_empty() {
            let bytes = self.waiting_bytes;
            return Err(StorageError::Full { bytes });
        }
        Ok(())
    }

    fn append(&mut self, entries: Vec<Entry>, done: Done) {
        let count = entries.len();
        let mut done = Some(done);
        for (n, entry) in entries.into_iter().enumerate() {
            self.index.push_waiting(&entry, self.tickets + 1);
            let is_last = n + 1 == count;
            let done = if is_last { done.take() } else { None };
            self.push(Some(Record::Entry(entry)), done);
        }
        if done.is_some() {
            self.push(None, done);
        }
    }

    fn change(&mut self, record: Option<Record>, done: Done) {
        let before = self.view.clone();
        let record = record.filter(|record| {
            self.view.apply(record);
            match record {
                Record::Truncate(_) => self.index.truncate(self.view.last),
                Record::Purge((_, index)) => self.index.purge(*index),
                _ => return true,
            }
            // What changes nothing is not written.
            self.view != before
        });
        self.push_applied(record, Some(done));
    }

    fn save_committed(&mut self, committed: Bytes) {
        let record = Record::Committed(committed);
        self.view.apply(&record);
        // Hints that no operation separates are one.
        match self.queue.back_mut() {
            Some(last) if matches!(last.record, Some(Record::Committed(_))) => {
                self.waiting_bytes -= last.bytes();
                self.waiting_bytes += record.size();
                last.record = Some(record);
            }
            _ => self.push_applied(Some(record), None),
        }
    }

    fn push(&mut self, record: Option<Record>, done: Option<Done>) {
        if let Some(record) = &record {
            self.view.apply(record);
        }
        self.push_applied(record, done);
    }

    fn push_applied(&mut self, record: Option<Record>, done: Option<Done>) {
        self.tickets += 1;
        let item = Item {
            record,
            ticket: self.tickets,
            done,
        };
        self.waiting_bytes += item.bytes();
        self.queue.push_back(item);
    }

    fn next_work(&mut self, bytes_max: usize) -> Option<Work> {
        if self.queue.is_empty() {
            return self.is_closing.then_some(Work::Finish);
        }
        // Hints that no operation separates are one.
        let only_a_hint =
            self.queue.len() == 1 && matches!(self.queue[0].record, Some(Record::Committed(_)));
        if only_a_hint && !self.is_closing {
            return None;
        }
        let mut bytes = 0;
        let mut batch = Vec::new();
        while let Some(item) = self.queue.front()
            && (batch.is_empty() || bytes + item.bytes() <= bytes_max)
        {
            bytes += item.bytes();
            batch.extend(self.queue.pop_front());
        }
        Some(Work::Batch(batch))
    }

    /// Who is to be told what. After a failure that is everyone in the queue.
    fn end_batch(
        &mut self,
        batch: Vec<Item>,
        result: Result<Report, StorageError>,
        options: &LogOptions,
    ) -> Vec<(Done, Result<(), StorageError>)> {
        self.waiting_bytes -= batch.iter().map(Item::bytes).sum::<usize>();
        match result {
            Ok(report) => {
                self.written(&batch, report);
                self.index.shrink_cache(options.cache_bytes);
                let told = batch.into_iter().filter_map(|item| item.done);
                told.map(|done| (done, Ok(()))).collect()
            }
            Err(error) => {
                let failure = self.failure.get_or_insert_with(|| poison(error));
                self.waiting_bytes = 0;
                let failed = batch.into_iter().chain(self.queue.drain(..));
                let told = failed.filter_map(|item| item.done);
                told.map(|done| (done, Err(failure.clone()))).collect()
            }
        }
    }

    fn written(&mut self, batch: &[Item], report: Report) {
        self.files.extend(report.opened);
        for number in report.removed {
            self.files.remove(&number);
        }
        let items = batch.iter().filter(|item| item.record.is_some());
        for (item, found) in items.zip(report.found) {
            if let Some(Record::Entry(entry)) = &item.record {
                self.index.written(entry.index, item.ticket, found);
            }
        }
    }
}

fn check_size(what: &'static str, bytes: &Bytes, size_max: usize) -> Result<(), StorageError> {
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

fn poison(error: StorageError) -> StorageError {
    match error {
        StorageError::Poisoned { .. } => error,
        error => StorageError::Poisoned {
            source: Arc::new(error),
        },
    }
}

/// A callback that panics is its owner's mistake, and must not end the writer.
fn tell(done: Done, result: Result<(), StorageError>) {
    if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
        tracing::error!("a callback of the log panicked");
    }
}
