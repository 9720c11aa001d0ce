//! The callers whose handshake is not done: a bounded number, and who makes room for the next.
//!
//! A machine. When all places are taken, the caller that has said nothing for longest leaves, so
//! connections that send nothing keep out nobody who speaks; only when all are speaking does the
//! oldest leave. What a place holds (the handle that ends its task) is the driver's.

#![warn(
    clippy::disallowed_methods,
    reason = "a machine, though inside a driver"
)]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Callers by the order in which they came.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    places: usize,
    next: u64,
    callers: BTreeMap<u64, (Spoke, T)>,
}

/// Whether a caller has sent anything yet; its task sets it.
#[derive(Debug, Clone, Default)]
pub(super) struct Spoke(Arc<AtomicBool>);

impl Spoke {
    pub(super) fn set(&self) {
        // Nothing else is published by it, and a late view only evicts a caller a moment too early.
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<T> Waiting<T> {
    pub(super) fn new(places: usize) -> Self {
        Self {
            places: places.max(1),
            next: 0,
            callers: BTreeMap::new(),
        }
    }

    /// Takes out whoever has to leave before one more may come, if all places are taken.
    pub(super) fn make_room(&mut self) -> Option<T> {
        if self.callers.len() < self.places {
            None
        } else {
            self.evict()
        }
    }

    /// Takes out the caller that has been silent longest, or else the oldest.
    pub(super) fn evict(&mut self) -> Option<T> {
        let silent = self.callers.iter().find(|(_, (spoke, _))| !spoke.is_set());
        let (&nr, _) = silent.or_else(|| self.callers.first_key_value())?;
        self.callers.remove(&nr).map(|(_, held)| held)
    }

    /// Adds a caller; `hold` makes what its place holds. Call [`make_room`](Self::make_room) first.
    pub(super) fn add(&mut self, hold: impl FnOnce(u64, Spoke) -> T) {
        let nr = self.next;
        self.next += 1;
        let spoke = Spoke::default();
        let held = hold(nr, spoke.clone());
        self.callers.insert(nr, (spoke, held));
    }

    /// Frees the place of a caller that is done. One that was evicted has none.
    pub(super) fn remove(&mut self, nr: u64) {
        self.callers.remove(&nr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds callers that hold their own number; those in `speaking` have sent something.
    fn waiting(places: usize, count: u64, speaking: &[u64]) -> Waiting<u64> {
        let mut waiting = Waiting::new(places);
        for _ in 0..count {
            waiting.add(|nr, spoke| {
                if speaking.contains(&nr) {
                    spoke.set();
                }
                nr
            });
        }
        waiting
    }

    #[test]
    fn nobody_leaves_while_there_is_room() {
        assert_eq!(waiting(4, 3, &[]).make_room(), None);
    }

    #[test]
    fn the_longest_silent_leaves_first() {
        let mut waiting = waiting(4, 4, &[0, 2]);

        assert_eq!(waiting.evict(), Some(1));
        assert_eq!(waiting.evict(), Some(3));
    }

    #[test]
    fn the_oldest_leaves_when_all_speak() {
        assert_eq!(waiting(3, 3, &[0, 1, 2]).make_room(), Some(0));
    }

    #[test]
    fn one_who_speaks_outlasts_any_number_who_do_not() {
        let mut waiting = waiting(3, 1, &[0]);

        for _ in 0..10_000 {
            assert_ne!(waiting.make_room(), Some(0));
            waiting.add(|nr, _| nr);
            assert!(waiting.callers.len() <= 3);
        }
    }

    #[test]
    fn a_place_is_free_again_when_its_caller_is_done() {
        let mut waiting = waiting(2, 2, &[]);

        waiting.remove(0);

        assert_eq!(waiting.make_room(), None);
        waiting.remove(0);
    }
}
