//! What a client does to a few documents, one thing after the other, and how what it is told
//! becomes part of a history. Which cluster, over what, and what goes wrong is said elsewhere.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use distri::{
    Result,
    directory::{Collection, CollectionSpec, Directory, Document, Who},
};

use crate::{
    checker::{Action, Outcome},
    dice::Dice,
    history::{Failure, History},
};

pub(crate) const COLLECTION: &str = "registers";
pub(crate) const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// Whoever writes values for good, after everybody else.
const LAST: usize = usize::MAX;

/// How far values that are written lie apart: farther than all additions to one come to.
const APART: u64 = 1 << 24;

#[distri::message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) value: u64,
}

/// The collection as it must be made.
pub(crate) fn spec() -> CollectionSpec {
    CollectionSpec::new(COLLECTION)
        .read(Who::Public)
        .write(Who::Public)
}

/// All that the clients of one run share. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Registers {
    pub(crate) history: History,
    values: Arc<AtomicU64>,
}

impl Registers {
    /// A client that has not done anything yet.
    pub(crate) fn client(&self, number: usize, dice: Dice) -> Actor {
        Actor {
            number,
            dice,
            registers: self.clone(),
            known: [0; KEYS.len()],
        }
    }

    /// A value that nobody writes but who asked for it.
    fn value(&self) -> u64 {
        (1 + self.values.fetch_add(1, Ordering::Relaxed)) * APART
    }

    /// Writes a document when all is well again; `None` if that fails, so that it is tried again.
    pub(crate) async fn write_last(&self, directory: &Directory) -> Option<()> {
        let value = self.value();
        let call = self.history.call(LAST, KEYS[0], Action::Put(value));
        match entries(directory).put(KEYS[0], &Entry { value }).await {
            Ok(revision) => {
                self.history.end(call, Outcome::Written(revision));
                Some(())
            }
            Err(error) => {
                self.history.fail(call, Failure::of(&error));
                None
            }
        }
    }

    /// Reads each document when all is well again.
    pub(crate) async fn read_last(&self, directory: &Directory) {
        for key in KEYS {
            let call = self.history.call(LAST, key, Action::Get);
            let found = entries(directory).get(key).await.unwrap();
            self.history.end(call, Outcome::Read(found.map(told)));
        }
    }
}

/// A client that does one thing after the other.
pub(crate) struct Actor {
    number: usize,
    dice: Dice,
    registers: Registers,
    /// The last revision heard of each document.
    known: [u64; KEYS.len()],
}

impl Actor {
    /// Does one thing, with `patience`.
    pub(crate) async fn act(&mut self, directory: &Directory, patience: Duration) {
        let place = self.dice.below(KEYS.len());
        let action = self.choose(place);
        let entries = entries(&directory.timeout(patience));
        let history = self.registers.history.clone();
        let call = history.call(self.number, KEYS[place], action);
        // Some lose patience before they are told that it took too long.
        let within = if self.dice.percent(10) {
            patience / 4
        } else {
            Duration::MAX
        };
        match tokio::time::timeout(within, act(&entries, KEYS[place], action)).await {
            Ok(Ok(outcome)) => {
                self.learn(place, outcome);
                history.end(call, outcome);
            }
            Ok(Err(error)) => history.fail(call, Failure::of(&error)),
            Err(_) => history.fail(call, Failure::Unknown),
        }
    }

    fn choose(&mut self, place: usize) -> Action {
        let value = self.registers.value();
        match self.dice.below(100) {
            0..33 => Action::Get,
            33..48 => Action::Put(value),
            48..66 => Action::Replace {
                expected: self.known[place],
                value,
            },
            66..78 => Action::Add(1 + self.dice.next() % 9),
            78..90 => Action::Insert(value),
            _ => Action::Delete,
        }
    }

    fn learn(&mut self, place: usize, outcome: Outcome) {
        if let Outcome::Written(revision)
        | Outcome::Added(_, revision)
        | Outcome::Read(Some((_, revision))) = outcome
        {
            self.known[place] = revision;
        }
    }
}

fn entries(directory: &Directory) -> Collection<Entry> {
    directory.collection(COLLECTION)
}

fn told(document: Document<Entry>) -> (u64, u64) {
    (document.value.value, document.revision)
}

async fn act(entries: &Collection<Entry>, key: &str, action: Action) -> Result<Outcome> {
    match action {
        Action::Insert(value) => entries.insert(key, &Entry { value }).await,
        Action::Put(value) => entries.put(key, &Entry { value }).await,
        Action::Replace { expected, value } => {
            entries.replace_if(key, expected, &Entry { value }).await
        }
        Action::Add(by) => {
            let by = i64::try_from(by).expect("additions are small");
            let (value, revision) = told(entries.add(key, "value", by, ..).await?);
            return Ok(Outcome::Added(value, revision));
        }
        Action::Delete => entries.delete(key).await,
        Action::Get => {
            let found = entries.get(key).await?;
            return Ok(Outcome::Read(found.map(told)));
        }
    }
    .map(Outcome::Written)
}
