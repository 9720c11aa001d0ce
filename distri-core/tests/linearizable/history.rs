//! What clients did and what they were told, on one clock.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use distri::{Code, Error, directory::Refusal};

use crate::checker::{self, Action, Operation, Outcome};

/// All operations of a run. Clones are the same history.
#[derive(Clone, Default)]
pub(crate) struct History {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    clock: AtomicU64,
    documents: Mutex<BTreeMap<String, Vec<Operation>>>,
}

/// An operation that has been called.
pub(crate) struct Called {
    client: usize,
    key: String,
    called: u64,
    action: Action,
}

/// How an operation failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Refused(Refusal),
    /// Nothing was done, by the meaning of the error's code.
    Nothing,
    /// It may have been done.
    Unknown,
}

impl Failure {
    pub(crate) fn of(error: &Error) -> Self {
        match error.details() {
            // Its reply was given up before.
            Some(Refusal::Forgotten { .. }) => return Self::Unknown,
            Some(refusal) => return Self::Refused(refusal),
            None => {}
        }
        match error.code() {
            Code::Unavailable | Code::Busy => Self::Nothing,
            Code::DeadlineExceeded | Code::UnknownOutcome | Code::Cancelled => Self::Unknown,
            code => panic!("a client was told {code}: {}", distri::error::chain(error)),
        }
    }
}

impl History {
    fn tick(&self) -> u64 {
        self.inner.clock.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn call(&self, client: usize, key: &str, action: Action) -> Called {
        Called {
            client,
            key: key.to_owned(),
            called: self.tick(),
            action,
        }
    }

    pub(crate) fn end(&self, call: Called, outcome: Outcome) {
        let operation = Operation {
            client: call.client,
            called: call.called,
            returned: self.tick(),
            action: call.action,
            outcome,
        };
        let mut documents = self.inner.documents.lock().unwrap();
        documents.entry(call.key).or_default().push(operation);
    }

    /// Notes a failure. What had no effect is no part of the history: should its value turn up
    /// nevertheless, nothing explains it.
    pub(crate) fn fail(&self, call: Called, failure: Failure) {
        let outcome = match failure {
            Failure::Nothing => return,
            Failure::Unknown => Outcome::Unknown,
            Failure::Refused(Refusal::Exists { revision, .. }) => Outcome::Exists(revision),
            Failure::Refused(Refusal::Revision { actual, .. }) => Outcome::Stale(actual),
            Failure::Refused(Refusal::Missing { .. }) => Outcome::Missing,
            Failure::Refused(other) => panic!("{:?} was refused: {other}", call.action),
        };
        self.end(call, outcome);
    }

    /// How many operations were called, and of how many the outcome is known.
    pub(crate) fn size(&self) -> (usize, usize) {
        let documents = self.inner.documents.lock().unwrap();
        let all = || documents.values().flatten();
        let known = all().filter(|operation| operation.outcome != Outcome::Unknown);
        (all().count(), known.count())
    }

    /// # Panics
    /// If no order of the operations explains what the clients were told.
    pub(crate) fn must_be_linearizable(&self) {
        let documents = self.inner.documents.lock().unwrap();
        for (key, operations) in &*documents {
            if let Err(violation) = checker::check(operations) {
                panic!("document `{key}`: {violation}");
            }
        }
        if let Err(violation) = checker::check_revisions(documents.values().flatten()) {
            panic!("{violation}");
        }
    }
}
