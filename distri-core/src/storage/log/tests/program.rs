//! Random programs of operations, and what the log may be after each part of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Numbers that are the same for the same seed (SplitMix64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// All that can be asked of a log.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Model {
    vote: Option<Bytes>,
    committed: Option<Bytes>,
    purged: Option<(u64, u64)>,
    entries: Vec<Entry>,
}

impl Model {
    pub(super) fn of(log: &Log, recovered: &Recovered) -> Self {
        let model = Self {
            vote: recovered.vote.clone(),
            committed: recovered.committed.clone(),
            purged: recovered.purged,
            entries: all(log),
        };
        assert_eq!(recovered.last, model.last());
        let first = model.entries.first().map(|entry| entry.index);
        assert_eq!(recovered.first_index, first);
        assert_eq!(log.last(), model.last());
        assert_eq!(
            (log.vote(), log.purged()),
            (model.vote.clone(), model.purged)
        );
        model
    }

    /// The log as it is, durable or not.
    pub(super) fn now(log: &Log) -> Self {
        Self {
            vote: log.vote(),
            committed: log.committed(),
            purged: log.purged(),
            entries: all(log),
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn last(&self) -> Option<(u64, u64)> {
        let last = self.entries.last().map(|entry| (entry.term, entry.index));
        last.or(self.purged)
    }

    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Append(entries) => self.entries.extend_from_slice(entries),
            Operation::Vote(vote) => self.vote = Some(vote.clone()),
            Operation::Committed(hint) => self.committed = Some(hint.clone()),
            Operation::Truncate(after) => self.entries.retain(|entry| Some(entry.index) <= *after),
            Operation::Purge((term, index)) => {
                if Some(*index) > self.purged.map(|(_, index)| index) {
                    self.purged = Some((*term, *index));
                    self.entries.retain(|entry| entry.index > *index);
                }
            }
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Operation {
    Append(Vec<Entry>),
    Vote(Bytes),
    Committed(Bytes),
    Truncate(Option<u64>),
    Purge((u64, u64)),
}

impl Operation {
    /// One that fits the log as it is; `number` makes its contents unlike all others.
    pub(super) fn random(dice: &mut Dice, model: &Model, number: u64) -> Self {
        let last = model.last().map(|(_, index)| index);
        let first = model.entries.first().map_or(0, |entry| entry.index);
        let text = |what: &str, n| Bytes::from(format!("{what} {number}.{n}"));
        match dice.below(10) {
            0..5 => {
                let next = last.map_or(number % 3, |last| last + 1);
                let entries = (0..dice.below(6)).map(|n| Entry {
                    term: number,
                    index: next + n,
                    payload: text("entry", n).repeat(1 + dice.below(9) as usize).into(),
                });
                Self::Append(entries.collect())
            }
            5 => Self::Vote(text("vote", 0)),
            6 | 7 => Self::Committed(text("committed", 0)),
            8 => Self::Truncate(last.map(|last| first + dice.below(last + 2 - first.min(last)))),
            _ => Self::Purge((number, first + dice.below(9))),
        }
    }
}

/// Stands for a broken promise: a callback cannot fail a test by itself.
const AFTER_A_FAILURE: usize = usize::MAX;

/// A program that runs against a log, and remembers what the log may be if it stops.
pub(super) struct Run {
    /// After each record, from the beginning of the run.
    states: Vec<Model>,
    /// The state that is durable for sure.
    acknowledged: Arc<AtomicUsize>,
    number: u64,
}

impl Run {
    pub(super) fn new(start: Model, number: u64) -> Self {
        Self {
            states: vec![start],
            acknowledged: Arc::default(),
            number,
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// What the log is when everything asked for is done.
    pub(super) fn expected(&self) -> &Model {
        self.states.last().unwrap()
    }

    /// Asks for some operations, one by one.
    pub(super) fn direct(&mut self, log: &Log, dice: &mut Dice) {
        let failed = Arc::default();
        for (operation, state) in self.operations(dice) {
            ask(log, operation, state, &self.acknowledged, &failed);
        }
    }

    /// Asks for some operations that end up in one batch: all are in the queue when the first
    /// callback of an inline log returns. Returns whether all were acknowledged.
    pub(super) fn batch(&mut self, log: &Log, dice: &mut Dice) -> bool {
        let operations = self.operations(dice);
        let failures = Arc::new(AtomicUsize::new(0));
        let (acknowledged, failed) = (self.acknowledged.clone(), failures.clone());
        let handle = log.clone();
        log.append(
            Vec::new(),
            Box::new(move |result| {
                if result.is_err() {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
                for (operation, state) in operations {
                    ask(&handle, operation, state, &acknowledged, &failed);
                }
            }),
        );
        failures.load(Ordering::Relaxed) == 0
    }

    /// The next operations, each with the number of the state to which it leads.
    fn operations(&mut self, dice: &mut Dice) -> Vec<(Operation, usize)> {
        let count = 1 + dice.below(4);
        (0..count)
            .map(|_| {
                self.number += 1;
                let operation = Operation::random(dice, self.expected(), self.number);
                self.expect(&operation);
                (operation, self.states.len() - 1)
            })
            .collect()
    }

    /// Adds the states to which `operation` leads, record by record.
    fn expect(&mut self, operation: &Operation) {
        let parts = match operation {
            Operation::Append(entries) => entries
                .iter()
                .map(|entry| Operation::Append(vec![entry.clone()]))
                .collect(),
            other => vec![other.clone()],
        };
        for part in parts {
            let mut state = self.states.last().unwrap().clone();
            state.apply(&part);
            self.states.push(state);
        }
    }

    /// Checks that `found` holds all that was acknowledged and nothing that was not asked for.
    pub(super) fn check(&self, found: &Model, context: &str) {
        let acknowledged = self.acknowledged.load(Ordering::Relaxed);
        assert_ne!(
            acknowledged, AFTER_A_FAILURE,
            "{context}: acknowledged after a failure"
        );
        assert!(
            self.states[acknowledged..].contains(found),
            "{context}: found {found:#?}\nexpected {:#?}\nor one of the {} states after it",
            self.states[acknowledged],
            self.states.len() - 1 - acknowledged,
        );
    }
}

/// Says in `acknowledged` when the operation that leads to `state` is durable.
fn ask(
    log: &Log,
    operation: Operation,
    state: usize,
    acknowledged: &Arc<AtomicUsize>,
    failed: &Arc<AtomicUsize>,
) {
    let (acknowledged, failed) = (acknowledged.clone(), failed.clone());
    let count = failed.clone();
    let done = move |is_ok: bool| {
        if is_ok && count.load(Ordering::Relaxed) == 0 {
            acknowledged.fetch_max(state, Ordering::Relaxed);
        } else if is_ok {
            acknowledged.store(AFTER_A_FAILURE, Ordering::Relaxed);
        } else {
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    let durable = |log: &Log, record| {
        let tell: crate::storage::log::queue::Done = Box::new(move |result| done(result.is_ok()));
        log.driver.ask(|shared| match record {
            Operation::Vote(vote) => shared.save_vote(vote, tell),
            Operation::Truncate(after) => shared.truncate_after(after, tell),
            Operation::Purge(id) => shared.purge(id, tell),
            Operation::Append(entries) => shared.append(entries, tell),
            Operation::Committed(_) => unreachable!("has no callback"),
        });
    };
    match operation {
        Operation::Committed(hint) => {
            if log.save_committed(hint).is_err() {
                failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        other => durable(log, other),
    }
}
