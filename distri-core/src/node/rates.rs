//! How often each caller may call: a bucket of tokens for each, which fills at a steady rate.
//!
//! A bucket is kept as the time at which it will be full (the "theoretical arrival time" of the generic
//! cell rate algorithm), so one that is full need not be kept at all. A plain machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use crate::id::PublicKey;

/// Callers whose buckets are kept at once. When one more comes, the fullest bucket is forgotten, and
/// so counts as full: a caller gains little by having others crowd him out.
const CALLERS: usize = 16 * 1024;

/// The buckets of all callers.
#[derive(Debug)]
pub(super) struct Rates {
    /// How long one token takes.
    token: Duration,
    /// How long an empty bucket takes to fill.
    burst: Duration,
    full_at: BTreeMap<PublicKey, Instant>,
    by_time: BTreeSet<(Instant, PublicKey)>,
}

impl Rates {
    /// `rate` tokens a second, at most `burst` of them at once; both at least 1.
    pub(super) fn new(rate: u32, burst: u32) -> Self {
        let token = Duration::from_secs(1) / rate.max(1);
        Self {
            token,
            burst: token * burst.max(1),
            full_at: BTreeMap::new(),
            by_time: BTreeSet::new(),
        }
    }

    /// Takes a token of `caller`'s.
    ///
    /// # Errors
    /// How long it takes until there is one.
    pub(super) fn take(&mut self, now: Instant, caller: PublicKey) -> Result<(), Duration> {
        let before = self.full_at.get(&caller).copied();
        let full_at = before.unwrap_or(now).max(now) + self.token;
        let wait = full_at.saturating_duration_since(now + self.burst);
        if !wait.is_zero() {
            return Err(wait);
        }
        match before {
            Some(before) => {
                self.by_time.remove(&(before, caller));
            }
            None => self.make_room(now),
        }
        self.full_at.insert(caller, full_at);
        self.by_time.insert((full_at, caller));
        Ok(())
    }

    /// Forgets buckets that are full, and the fullest if there are too many.
    fn make_room(&mut self, now: Instant) {
        while let Some((full_at, caller)) = self.by_time.first().copied() {
            if full_at > now && self.full_at.len() < CALLERS {
                break;
            }
            self.by_time.pop_first();
            self.full_at.remove(&caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where these tests get an instant"
    )]
    fn epoch() -> Instant {
        Instant::now()
    }

    fn caller(seed: u32) -> PublicKey {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&seed.to_le_bytes());
        Identity::from_seed(&bytes).public()
    }

    fn taken(rates: &mut Rates, now: Instant, who: PublicKey) -> usize {
        (0..1000).filter(|_| rates.take(now, who).is_ok()).count()
    }

    #[test]
    fn a_caller_may_call_in_a_burst_and_then_at_the_rate() {
        let start = epoch();
        let mut rates = Rates::new(100, 20);
        let a = caller(1);

        assert_eq!(taken(&mut rates, start, a), 20);
        assert_eq!(rates.take(start, a), Err(Duration::from_millis(10)));
        assert_eq!(taken(&mut rates, start + Duration::from_millis(55), a), 5);
        assert_eq!(taken(&mut rates, start + Duration::from_secs(60), a), 20);
    }

    #[test]
    fn whoever_waits_as_told_is_let_through() {
        let start = epoch();
        let mut rates = Rates::new(3, 1);
        let a = caller(1);
        assert_eq!(rates.take(start, a), Ok(()));

        let wait = rates.take(start, a).unwrap_err();

        assert_eq!(rates.take(start + wait, a), Ok(()));
    }

    #[test]
    fn callers_do_not_take_each_others_tokens() {
        let start = epoch();
        let mut rates = Rates::new(100, 20);

        assert_eq!(taken(&mut rates, start, caller(1)), 20);
        assert_eq!(taken(&mut rates, start, caller(2)), 20);
    }

    #[test]
    fn full_buckets_are_not_kept() {
        let start = epoch();
        let mut rates = Rates::new(100, 20);
        for n in 0..50 {
            assert_eq!(rates.take(start, caller(n)), Ok(()));
        }

        let later = start + Duration::from_secs(1);
        assert_eq!(rates.take(later, caller(99)), Ok(()));

        assert_eq!((rates.full_at.len(), rates.by_time.len()), (1, 1));
    }

    #[test]
    fn callers_without_number_take_a_bounded_room() {
        let start = epoch();
        let mut rates = Rates::new(1, 1);
        let key = |n: u32| {
            let mut bytes = *caller(0).as_bytes();
            bytes[..4].copy_from_slice(&n.to_le_bytes());
            PublicKey::from_bytes(bytes)
        };
        for n in 0..CALLERS as u32 + 500 {
            assert_eq!(rates.take(start, key(n)), Ok(()));
        }

        assert_eq!(rates.full_at.len(), CALLERS);
        assert_eq!(rates.by_time.len(), CALLERS);
    }
}
