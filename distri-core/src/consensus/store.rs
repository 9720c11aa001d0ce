//! What openraft asks of the log, from [`crate::storage::Log`].

use std::{
    fmt::Debug,
    io,
    ops::{Bound, RangeBounds},
};

use openraft::{
    OptionalSend, RaftLogReader,
    alias::{EntryOf, LogIdOf, VoteOf},
    storage::{IOFlushed, LogState, RaftLogStorage},
};

use super::forms::{EntryForm, LogIdForm, PayloadForm, Types, VoteForm, decode, encode};
use crate::storage::{Entry, Log};

/// Bytes of entries that are read from the log at once, to be sent or applied. More makes a
/// follower that lags catch up in fewer messages, and holds more memory for each of them.
const READ_BYTES: usize = 2 << 20;

/// The log as openraft uses it.
#[derive(Clone)]
pub(crate) struct Store {
    log: Log,
}

impl Store {
    pub(crate) fn new(log: Log) -> Self {
        Self { log }
    }

    fn read(&self, start: u64, end: u64, bytes: usize) -> io::Result<Vec<EntryOf<Types>>> {
        self.log
            .read(start..end, bytes)?
            .into_iter()
            .map(entry_of)
            .collect()
    }
}

fn entry_of(entry: Entry) -> io::Result<EntryOf<Types>> {
    let payload: PayloadForm = decode(&entry.payload, "an entry of the log")?;
    let at = LogIdForm {
        term: entry.term,
        index: entry.index,
    };
    EntryForm { at, payload }.entry()
}

impl RaftLogReader<Types> for Store {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<EntryOf<Types>>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let mut start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end + 1,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        let mut entries = Vec::new();
        while start < end {
            let more = self.read(start, end, READ_BYTES)?;
            let Some(last) = more.last() else { break };
            start = last.log_id.index + 1;
            entries.extend(more);
        }
        Ok(entries)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> io::Result<Vec<EntryOf<Types>>> {
        self.read(start, end, READ_BYTES)
    }

    async fn read_vote(&mut self) -> io::Result<Option<VoteOf<Types>>> {
        let vote = self.log.vote();
        vote.map(|bytes| decode::<VoteForm>(&bytes, "the vote").map(Into::into))
            .transpose()
    }
}

impl RaftLogStorage<Types> for Store {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let purged = self.log.purged().map(place);
        let last = self.log.last().map(place).or(purged);
        Ok(LogState {
            last_purged_log_id: purged,
            last_log_id: last,
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> io::Result<()> {
        let vote = encode(&VoteForm::from(vote))?;
        self.log.save_vote(vote).await.map_err(Into::into)
    }

    async fn save_committed(&mut self, committed: Option<LogIdOf<Types>>) -> io::Result<()> {
        let committed = encode(&committed.as_ref().map(LogIdForm::from))?;
        self.log.save_committed(committed).map_err(Into::into)
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogIdOf<Types>>> {
        let Some(bytes) = self.log.committed() else {
            return Ok(None);
        };
        let committed: Option<LogIdForm> = decode(&bytes, "the committed place")?;
        // The hint may be newer than what survived of the log.
        let last = self.log.last().map_or(0, |(_, index)| index);
        Ok(committed.filter(|at| at.index <= last).map(Into::into))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = EntryOf<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: io::Result<Vec<Entry>> = entries
            .into_iter()
            .map(|entry| {
                let EntryForm { at, payload } = entry.into();
                Ok(Entry {
                    term: at.term,
                    index: at.index,
                    payload: encode(&payload)?,
                })
            })
            .collect();
        // A log that is behind makes its writers wait; one that refused would be taken for broken.
        self.log.room().await;
        let done = Box::new(move |result| callback.io_completed(result));
        self.log.append(entries?, done);
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<Types>>) -> io::Result<()> {
        let last = last.map(|id| id.index);
        self.log.truncate_after(last).await.map_err(Into::into)
    }

    async fn purge(&mut self, upto: LogIdOf<Types>) -> io::Result<()> {
        let LogIdForm { term, index } = (&upto).into();
        self.log.purge(term, index).await.map_err(Into::into)
    }
}

fn place((term, index): (u64, u64)) -> LogIdOf<Types> {
    super::forms::log_id(term, index)
}
