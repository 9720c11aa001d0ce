//! When a node tells its links how it stands. A machine.
//!
//! What decides whether calls can go there is told at once. The load changes with every call, and what is
//! heard of other nodes changes in waves while all are busy: a thousand links that are told of either ten
//! times a second cost more than all the calls whose way it improves. So these are told less often the
//! more links there are.

use std::time::Duration;

use tokio::time::Instant;

use crate::wire::{Status, hello::Differs};

/// How often a node looks whether it stands differently than it last told. Shorter makes placement
/// follow load more closely and costs a frame per link each time.
const PAUSE: Duration = Duration::from_millis(100);

/// The same for a node that serves no call and has just stood as it told.
const PAUSE_AT_REST: Duration = Duration::from_millis(500);

/// How much later something is told for each link since anything was told: the load, at most 250 frames a
/// second in all, and what is known of other nodes, at most a thousand.
const LOAD_EACH: Duration = Duration::from_millis(4);
const NODES_EACH: Duration = Duration::from_millis(1);

/// What a node has told.
pub(super) struct Report {
    told: Status,
    last: Option<Instant>,
}

impl Report {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            told: Status::default(),
            last: None,
        }
    }

    /// Takes in how the node stands; true if that is to be told now, to so many links.
    pub(super) fn is_due(&mut self, now: Instant, status: &Status, links: usize) -> bool {
        let each = match status.differs_from(&self.told) {
            Differs::Not => return false,
            Differs::InLoad => LOAD_EACH,
            Differs::InNodes => NODES_EACH,
            Differs::InService => Duration::ZERO,
        };
        let links = u32::try_from(links).unwrap_or(u32::MAX);
        let is_early = |last: Instant| now < last + each.saturating_mul(links);
        if self.last.is_some_and(is_early) {
            return false;
        }
        self.last = Some(now);
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
    use crate::{id::PublicKey, transport::Address, wire::hello::KnownNode};

    fn status(in_flight: u32) -> Status {
        Status {
            in_flight,
            ..Status::default()
        }
    }

    /// How often a load that always changes is told in ten seconds.
    fn told(links: usize) -> usize {
        let start = crate::world::now();
        let mut report = Report::new();
        let looks = (0..100).map(|look| (start + PAUSE * look, status(look + 1)));
        looks
            .filter(|(now, status)| report.is_due(*now, status, links))
            .count()
    }

    #[test]
    fn the_load_is_told_at_each_look_to_a_few_and_rarely_to_a_thousand() {
        assert_eq!(told(3), 100);
        assert_eq!(told(25), 100);
        assert_eq!(told(100), 25);
        assert_eq!(told(1000), 3);
    }

    #[test]
    fn what_decides_where_calls_go_is_told_at_once_and_what_is_heard_soon() {
        let start = crate::world::now();
        let mut report = Report::new();
        assert!(report.is_due(start, &status(1), 1000));
        let heard = Status {
            nodes: vec![KnownNode {
                key: PublicKey::from_bytes([1; 32]),
                address: Address::new("memory:1"),
                linked: true,
                there: false,
            }],
            ..status(2)
        };
        let draining = Status {
            draining: true,
            ..heard.clone()
        };

        assert!(!report.is_due(start, &status(2), 1000));
        assert!(!report.is_due(start, &heard, 1000));
        assert!(report.is_due(start + NODES_EACH * 1000, &heard, 1000));
        assert!(report.is_due(start + NODES_EACH * 1000, &draining, 1000));
        assert!(!report.is_due(start + NODES_EACH * 9000, &draining, 1000));
    }

    #[test]
    fn a_load_that_is_over_is_told_in_the_end() {
        let start = crate::world::now();
        let mut report = Report::new();
        assert!(report.is_due(start, &status(7), 1000));
        let rest = status(0);

        assert!(!report.is_due(start + PAUSE, &rest, 1000));
        assert_eq!(report.pause(&rest), PAUSE);
        assert!(report.is_due(start + LOAD_EACH * 1000, &rest, 1000));
        assert_eq!(report.pause(&rest), PAUSE_AT_REST);
    }
}
