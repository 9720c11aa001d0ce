//! What is wrong with the network at the moment: who does not reach whom, how long bytes take, who
//! reads slowly. A machine; the network asks it and tells its links.

#![warn(
    clippy::disallowed_methods,
    reason = "a machine, though inside a driver"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    time::Duration,
};

use crate::id::PublicKey;

/// From whom, to whom.
pub(super) type Path = (PublicKey, PublicKey);

/// The present faults. Ordered maps, so that a walk over them is the same in each run.
#[derive(Debug)]
pub(super) struct Faults {
    blocked: BTreeSet<Path>,
    delay: RangeInclusive<Duration>,
    delays: BTreeMap<Path, RangeInclusive<Duration>>,
    rates: BTreeMap<PublicKey, u64>,
}

impl Faults {
    pub(super) fn none() -> Self {
        Self {
            blocked: BTreeSet::new(),
            delay: Duration::ZERO..=Duration::ZERO,
            delays: BTreeMap::new(),
            rates: BTreeMap::new(),
        }
    }

    pub(super) fn block(&mut self, path: Path) {
        self.blocked.insert(path);
    }

    pub(super) fn unblock_all(&mut self) {
        self.blocked.clear();
    }

    pub(super) fn is_blocked(&self, path: Path) -> bool {
        self.blocked.contains(&path)
    }

    /// Sets the delay of every path, those with one of their own included.
    pub(super) fn set_delay(&mut self, delay: RangeInclusive<Duration>) {
        self.delays.clear();
        self.delay = delay;
    }

    pub(super) fn set_delay_of(&mut self, path: Path, delay: RangeInclusive<Duration>) {
        self.delays.insert(path, delay);
    }

    pub(super) fn delay_of(&self, path: Path) -> &RangeInclusive<Duration> {
        self.delays.get(&path).unwrap_or(&self.delay)
    }

    pub(super) fn set_rate(&mut self, reader: PublicKey, rate: Option<u64>) {
        match rate {
            Some(rate) => self.rates.insert(reader, rate),
            None => self.rates.remove(&reader),
        };
    }

    pub(super) fn rate_of(&self, reader: PublicKey) -> Option<u64> {
        self.rates.get(&reader).copied()
    }
}
