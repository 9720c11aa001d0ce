//! How many retries, or hedges, a client may afford: each call earns a tenth of one.
//!
//! When all nodes are busy, every call that is tried again takes the place of one that is new, and a
//! client that tries each three times makes three times the load of what was too much already. So
//! retries are a fixed part of the calls, beyond a small reserve for when nothing was wrong before.

use std::sync::atomic::{AtomicU32, Ordering};

/// What a retry costs, in parts of which a call earns one: at most one retry for so many calls.
/// Fewer calls for each would add more to an overload, more would give up on short ones.
const RETRY: u32 = 10;

/// The most that is saved, in retries. It lets a client ride out a short overload after a quiet time.
const RESERVE: u32 = 100;

/// The same in hedges. It serves the calls that are under way when a node begins to hang; soon after,
/// calls go elsewhere in the first place.
const RESERVE_HEDGES: u32 = 10;

/// What a client has saved.
#[derive(Debug)]
pub(super) struct Budget {
    parts: AtomicU32,
    most: u32,
}

impl Budget {
    /// For tries after `busy`.
    pub(super) fn of_retries() -> Self {
        Self::saving(RESERVE)
    }

    /// For tries beside one that takes long.
    pub(super) fn of_hedges() -> Self {
        Self::saving(RESERVE_HEDGES)
    }

    fn saving(reserve: u32) -> Self {
        let most = reserve * RETRY;
        Self {
            parts: AtomicU32::new(most),
            most,
        }
    }

    /// A call is made.
    pub(super) fn earn(&self) {
        // Mostly nothing has been spent, and calls of many threads do not write.
        if self.parts.load(Ordering::Relaxed) < self.most {
            self.parts.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Pays for a retry; false if there is not enough.
    pub(super) fn spend(&self) -> bool {
        let pay = |parts: u32| parts.checked_sub(RETRY);
        self.parts
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_tenth_of_the_calls_beyond_the_reserve() {
        let budget = Budget::of_retries();

        let retries = (0..10_000)
            .map(|_| {
                budget.earn();
                // Each call would be tried three times more.
                (0..3).filter(|_| budget.spend()).count()
            })
            .sum::<usize>();

        assert!(retries >= 1000, "{retries}");
        assert!(retries <= 1000 + RESERVE as usize, "{retries}");
    }

    #[test]
    fn hedges_are_a_tenth_of_the_calls_beyond_a_small_reserve() {
        let budget = Budget::of_hedges();

        let hedged = (0..1000)
            .filter(|_| {
                budget.earn();
                budget.spend()
            })
            .count();

        assert!(
            (100..=100 + RESERVE_HEDGES as usize).contains(&hedged),
            "{hedged}"
        );
    }

    #[test]
    fn a_quiet_time_does_not_save_up_without_end() {
        let budget = Budget::of_retries();
        (0..100_000).for_each(|_| budget.earn());

        let retries = (0..1000).filter(|_| budget.spend()).count();

        assert_eq!(retries, RESERVE as usize);
    }
}
