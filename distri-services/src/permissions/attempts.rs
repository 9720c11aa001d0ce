//! How often each caller may try: so many a second, and some at once after a pause. A plain machine;
//! the time is handed in.

use std::{collections::BTreeMap, time::Duration};

use distri::id::PublicKey;
use tokio::time::Instant;

/// Callers that are remembered at once. When more come, those whose pause is longest over are
/// forgotten first.
const CALLERS: usize = 4096;

#[derive(Debug)]
pub(crate) struct Attempts {
    /// How long one attempt takes to be earned.
    each: Duration,
    /// How far ahead of that a caller may be.
    ahead: Duration,
    /// When a caller will have earned all it may have at once.
    full_at: BTreeMap<PublicKey, Instant>,
}

impl Attempts {
    /// `rate` a second, `burst` at once; both at least 1.
    pub(crate) fn new(rate: u32, burst: u32) -> Self {
        let each = Duration::from_secs(1) / rate.max(1);
        Self {
            each,
            ahead: each * burst.max(1),
            full_at: BTreeMap::new(),
        }
    }

    /// Takes one of `caller`'s.
    ///
    /// # Errors
    /// How long until there is one.
    pub(crate) fn take(&mut self, now: Instant, caller: PublicKey) -> Result<(), Duration> {
        let before = self.full_at.get(&caller).copied().unwrap_or(now).max(now);
        let full_at = before + self.each;
        let wait = full_at.saturating_duration_since(now + self.ahead);
        if !wait.is_zero() {
            return Err(wait);
        }
        if self.full_at.len() >= CALLERS && !self.full_at.contains_key(&caller) {
            self.make_room(now);
        }
        self.full_at.insert(caller, full_at);
        Ok(())
    }

    fn make_room(&mut self, now: Instant) {
        self.full_at.retain(|_, full_at| *full_at > now);
        while self.full_at.len() >= CALLERS {
            let first = self.full_at.iter().min_by_key(|(_, full_at)| **full_at);
            let Some((caller, _)) = first else { return };
            let caller = *caller;
            self.full_at.remove(&caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(number: u16) -> PublicKey {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        PublicKey::from_bytes(bytes)
    }

    #[test]
    fn a_caller_that_tries_too_often_is_told_how_long_to_wait() {
        let now = Instant::now();
        let mut attempts = Attempts::new(10, 3);

        for _ in 0..3 {
            assert_eq!(attempts.take(now, caller(1)), Ok(()));
        }
        let wait = attempts.take(now, caller(1)).unwrap_err();

        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(
            attempts.take(now, caller(2)),
            Ok(()),
            "others are not held up"
        );
        assert_eq!(attempts.take(now + wait, caller(1)), Ok(()));
    }

    #[test]
    fn only_so_many_callers_are_remembered() {
        let now = Instant::now();
        let mut attempts = Attempts::new(1, 10);

        for number in 0..u16::try_from(CALLERS).unwrap() + 100 {
            assert_eq!(attempts.take(now, caller(number)), Ok(()));
        }

        assert!(attempts.full_at.len() <= CALLERS);
    }
}
