//! The calls of one method: [`Served`] by a node, [`Made`] by a program.
//!
//! Counters only, all relaxed: each is exact, and a picture taken while calls go on may show one of
//! them a call ahead of another.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures_core::Stream;
use tokio::time::Instant;

use super::{MethodStats, histogram::Histogram};
use crate::{
    error::{Code, Result},
    hash::IdMap,
    id::MethodId,
    message::{Attachment, Message},
};

/// Room for codes: more than there are, so that one that is added later is counted as itself.
const CODES: usize = 32;

/// Methods of which a program counts its calls. More are counted together, so that a program that
/// makes up names does not grow without end.
const METHODS_MAX: usize = 4096;

/// The name under which those are counted.
const OTHERS: &str = "others";

/// Failures by code.
#[derive(Debug, Default)]
struct Codes([AtomicU64; CODES]);

impl Codes {
    fn add(&self, code: Code) {
        let place = usize::from(code.number()).min(CODES - 1);
        self.0[place].fetch_add(1, Ordering::Relaxed);
    }

    fn picture(&self) -> BTreeMap<String, u64> {
        let counts = (0_u8..).zip(&self.0);
        let counts = counts.map(|(number, count)| (number, count.load(Ordering::Relaxed)));
        let named = counts.filter(|(_, count)| *count > 0);
        named
            .map(|(number, count)| (Code::from_number(number).name().to_owned(), count))
            .collect()
    }
}

/// The calls of a method that a node serves.
#[derive(Debug, Default)]
pub(crate) struct Served {
    in_flight: AtomicU32,
    latency: Histogram,
    failed: Codes,
    refused: Codes,
    received: AtomicU64,
    sent: AtomicU64,
}

impl Served {
    /// Counts a call in.
    pub(crate) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a call out that was counted in.
    pub(crate) fn leave(&self, failed: Option<Code>) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some(code) = failed {
            self.failed.add(code);
        }
    }

    /// Counts the time of a call that was counted out: from when it came until its reply went.
    pub(crate) fn took(&self, from: Instant, until: Instant) {
        self.latency.record(until.saturating_duration_since(from));
    }

    /// Counts a call that was not begun.
    pub(crate) fn refuse(&self, code: Code) {
        self.refused.add(code);
    }

    /// Counts what came with a call, and what its blobs and streams will bring.
    pub(crate) fn receives(self: &Arc<Self>, message: &mut Message) {
        self.count(Way::In, message);
    }

    /// Counts what goes back, and what its blobs and streams will carry.
    pub(crate) fn sends(self: &Arc<Self>, message: &mut Message) {
        self.count(Way::Out, message);
    }

    fn count(self: &Arc<Self>, way: Way, message: &mut Message) {
        let counter = match way {
            Way::In => &self.received,
            Way::Out => &self.sent,
        };
        counter.fetch_add(message.body.len() as u64, Ordering::Relaxed);
        for attachment in &mut message.attachments {
            let inner = std::mem::replace(attachment, Attachment::new(Nothing));
            *attachment = Attachment::new(Counted {
                inner,
                served: self.clone(),
                way,
            });
        }
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// A picture of all that was counted.
    pub(crate) fn picture(&self, service: &str, method: &str) -> MethodStats {
        MethodStats {
            service: service.to_owned(),
            method: method.to_owned(),
            in_flight: self.in_flight(),
            latency: self.latency.picture(),
            failed: self.failed.picture(),
            refused: self.refused.picture(),
            retries: 0,
            hedges: 0,
            bytes_in: self.received.load(Ordering::Relaxed),
            bytes_out: self.sent.load(Ordering::Relaxed),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    In,
    Out,
}

/// A blob or stream whose bytes are counted as they pass.
struct Counted {
    inner: Attachment,
    served: Arc<Served>,
    way: Way,
}

impl Stream for Counted {
    type Item = Result<Message>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut next = std::task::ready!(self.inner.poll_next(cx));
        if let Some(Ok(message)) = &mut next {
            self.served.count(self.way, message);
        }
        Poll::Ready(next)
    }
}

/// Stands where an attachment was taken from.
struct Nothing;

impl Stream for Nothing {
    type Item = Result<Message>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(None)
    }
}

/// The calls that a program makes, by method.
#[derive(Debug, Default)]
pub(crate) struct CallTable {
    methods: RwLock<IdMap<MethodId, Arc<Made>>>,
    others: Arc<Made>,
}

/// The calls of a method that a program makes.
#[derive(Debug, Default)]
pub(crate) struct Made {
    service: String,
    method: String,
    in_flight: AtomicU32,
    latency: Histogram,
    failed: Codes,
    retries: AtomicU64,
    hedges: AtomicU64,
}

/// A call that is being made. One that is dropped was given up.
#[derive(Debug)]
pub(crate) struct Making {
    made: Arc<Made>,
    began: Instant,
    ended: bool,
}

impl CallTable {
    /// The counters of a method.
    pub(crate) fn of(&self, id: MethodId, service: &str, method: &str) -> Arc<Made> {
        {
            let methods = self.methods.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(made) = methods.get(&id) {
                return made.clone();
            }
            if methods.len() >= METHODS_MAX {
                return self.others.clone();
            }
        }
        let mut methods = self.methods.write().unwrap_or_else(PoisonError::into_inner);
        let made = methods.entry(id).or_insert_with(|| {
            Arc::new(Made {
                service: service.to_owned(),
                method: method.to_owned(),
                ..Made::default()
            })
        });
        made.clone()
    }

    /// A picture of all that was counted, by service and method.
    pub(crate) fn picture(&self) -> Vec<MethodStats> {
        let mut all: Vec<MethodStats> = {
            let methods = self.methods.read().unwrap_or_else(PoisonError::into_inner);
            methods.values().map(|made| made.picture()).collect()
        };
        let others = self.others.picture();
        if others.calls() > 0 || others.in_flight > 0 {
            all.push(MethodStats {
                service: OTHERS.to_owned(),
                method: OTHERS.to_owned(),
                ..others
            });
        }
        all.sort_by(|a, b| (&a.service, &a.method).cmp(&(&b.service, &b.method)));
        all
    }
}

impl Made {
    /// Counts a call in.
    pub(crate) fn begin(self: Arc<Self>, now: Instant) -> Making {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Making {
            made: self,
            began: now,
            ended: false,
        }
    }

    fn picture(&self) -> MethodStats {
        MethodStats {
            service: self.service.clone(),
            method: self.method.clone(),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            latency: self.latency.picture(),
            failed: self.failed.picture(),
            refused: BTreeMap::new(),
            retries: self.retries.load(Ordering::Relaxed),
            hedges: self.hedges.load(Ordering::Relaxed),
            bytes_in: 0,
            bytes_out: 0,
        }
    }
}

impl Making {
    /// Counts a try that failed and is followed by another.
    pub(crate) fn retried(&self) {
        self.made.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts that a second node is asked as well.
    pub(crate) fn hedged(&self) {
        self.made.hedges.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the call out.
    pub(crate) fn end(mut self, now: Instant, failed: Option<Code>) {
        self.ended = true;
        self.made.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some(code) = failed {
            self.made.failed.add(code);
        }
        let took = now.saturating_duration_since(self.began);
        self.made.latency.record(took);
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if !self.ended {
            let made = &self.made;
            made.in_flight.fetch_sub(1, Ordering::Relaxed);
            made.failed.add(Code::Cancelled);
            let took = crate::world::now().saturating_duration_since(self.began);
            made.latency.record(took);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_makes_up_names_is_counted_under_others() {
        let table = CallTable::default();
        let now = crate::world::now();

        for number in 0..METHODS_MAX as u64 + 10 {
            let made = table.of(MethodId(number), "made-up", &number.to_string());
            made.begin(now).end(now, Some(Code::UnknownService));
        }

        let all = table.picture();
        assert_eq!(all.len(), METHODS_MAX + 1);
        let others = all.iter().find(|one| one.service == OTHERS).unwrap();
        assert_eq!(others.calls(), 10);
        assert_eq!(others.failed["unknown-service"], 10);
    }

    #[test]
    fn a_call_that_is_dropped_was_given_up() {
        let table = CallTable::default();

        drop(table.of(MethodId(1), "a", "b").begin(crate::world::now()));

        let all = table.picture();
        assert_eq!((all[0].calls(), all[0].in_flight), (1, 0));
        assert_eq!(all[0].failed["cancelled"], 1);
    }
}
