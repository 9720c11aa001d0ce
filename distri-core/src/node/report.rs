//! When a node tells its links how it stands. A machine.
//!
//! What decides whether calls can go there is told at once. The load changes with every call: a thousand
//! links that are told of it ten times a second cost more than all the calls whose way it improves. So it
//! is told less often the more links there are.

use std::time::Duration;

use tokio::time::Instant;

use crate::wire::Status;

/// How often a node looks whether it stands differently than it last told. Shorter makes placement
/// follow load more closely and costs a frame per link each time.
const PAUSE: Duration = Duration::from_millis(100);

/// The same for a node that serves no call and has just stood as it told.
const PAUSE_AT_REST: Duration = Duration::from_millis(500);

/// How much later the load is told again for each link: a thousand frames a second in all.
const PAUSE_EACH: Duration = Duration::from_millis(1);

/// What a node has told.
pub(super) struct Report {
    told: Status,
    load_due: Instant,
}

impl Report {
    /// Nothing yet.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            told: Status::default(),
            load_due: now,
        }
    }

    /// Takes in how the node stands; true if that is to be told now, to so many links.
    pub(super) fn is_due(&mut self, now: Instant, status: &Status, links: usize) -> bool {
        let is_told = status.in_flight == self.told.in_flight;
        let is_same = status.is_same_but_for_load(&self.told);
        if is_same && (is_told || now < self.load_due) {
            return false;
        }
        let links = u32::try_from(links).unwrap_or(u32::MAX);
        self.load_due = now + PAUSE.max(PAUSE_EACH.saturating_mul(links));
        self.told.clone_from(status);
        true
    }

    /// How long until the node looks again.
    pub(super) fn pause(&self, status: &Status) -> Duration {
        if status.in_flight == 0 && self.told.in_flight == 0 {
            PAUSE_AT_REST
        } else {
            PAUSE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(in_flight: u32) -> Status {
        Status {
            in_flight,
            ..Status::default()
        }
    }

    /// How often a load that always changes is told in ten seconds.
    fn told(links: usize) -> usize {
        let start = crate::world::now();
        let mut report = Report::new(start);
        let looks = (0..100).map(|look| (start + PAUSE * look, status(look + 1)));
        looks
            .filter(|(now, status)| report.is_due(*now, status, links))
            .count()
    }

    #[test]
    fn the_load_is_told_at_each_look_to_a_few_and_rarely_to_a_thousand() {
        assert_eq!(told(3), 100);
        assert_eq!(told(100), 100);
        assert_eq!(told(1000), 10);
    }

    #[test]
    fn that_a_node_drains_is_told_at_once() {
        let start = crate::world::now();
        let mut report = Report::new(start);
        assert!(report.is_due(start, &status(1), 1000));
        let draining = Status {
            draining: true,
            ..status(2)
        };

        assert!(!report.is_due(start, &status(2), 1000));
        assert!(report.is_due(start, &draining, 1000));
        assert!(!report.is_due(start, &draining, 1000));
    }

    #[test]
    fn a_load_that_is_over_is_told_in_the_end() {
        let start = crate::world::now();
        let mut report = Report::new(start);
        assert!(report.is_due(start, &status(7), 1000));
        let rest = status(0);

        assert!(!report.is_due(start + PAUSE, &rest, 1000));
        assert_eq!(report.pause(&rest), PAUSE);
        assert!(report.is_due(start + 10 * PAUSE, &rest, 1000));
        assert_eq!(report.pause(&rest), PAUSE_AT_REST);
    }
}
