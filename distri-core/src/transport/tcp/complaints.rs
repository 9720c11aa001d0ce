//! How often strangers may fill the log.
//!
//! Whoever reaches a port can make its node complain, as often as they like. The first complaint is
//! logged at once; those that follow within [`QUIET`] are counted, and the count goes with the next
//! one. A machine: the time comes from the caller.

#![warn(
    clippy::disallowed_methods,
    reason = "a machine, though inside a driver"
)]

use std::time::Duration;

use tokio::time::Instant;

/// How long the log keeps quiet after a complaint. Shorter lets a flood of bad callers fill disks;
/// longer hides what happens now.
pub(super) const QUIET: Duration = Duration::from_secs(10);

/// Decides which complaints of one kind are logged.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    last: Option<Instant>,
    unsaid: u64,
}

impl Complaints {
    /// Says whether to log one now and, if so, how many were left out since the last.
    pub(super) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < QUIET)
        {
            self.unsaid += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where this test gets an instant"
)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_logged_at_once_and_then_counted() {
        let start = Instant::now();
        let mut complaints = Complaints::default();

        assert_eq!(complaints.admit(start), Some(0));
        for _ in 0..10_000 {
            assert_eq!(complaints.admit(start + QUIET / 2), None);
        }
        assert_eq!(complaints.admit(start + QUIET), Some(10_000));
        assert_eq!(complaints.admit(start + QUIET * 3), Some(0));
    }
}
