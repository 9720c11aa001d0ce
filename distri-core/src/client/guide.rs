//! Where a call goes that not every node may serve, as it learns by being refused.
//!
//! Ordinarily a client knows who leads a service, since nodes say so in their status, and this has
//! nothing to do. A machine.

use std::time::Duration;

use tokio::time::Instant;

use super::routes::Route;
use crate::{error::Error, id::PublicKey, service::Elsewhere};

/// How long a call is sent about before its refusal is told: while a leader is elected, or a key moves.
/// Several times as long as either takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The pauses before nodes are asked again that know of nobody: from the first, doubled each time, to
/// the last.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// What a call has learnt.
#[derive(Debug, Default)]
pub(super) struct Guide {
    /// Only a node that leads the service may serve.
    pub(super) led: bool,
    /// Who may, as the node said that was asked last.
    pub(super) hint: Option<PublicKey>,
    since: Option<Instant>,
    pause: Duration,
}

impl Guide {
    pub(super) fn new(led: bool) -> Self {
        Self {
            led,
            ..Self::default()
        }
    }

    /// The node that may serve, as far as is known, if it is one of those that are `fresh`.
    pub(super) fn pick<'a>(
        &self,
        candidates: &'a [Route],
        fresh: impl Fn(&Route) -> bool,
    ) -> Option<&'a Route> {
        let hinted = |route: &&Route| Some(route.target.key()) == self.hint && fresh(route);
        if let Some(route) = candidates.iter().find(hinted) {
            return Some(route);
        }
        if !self.led {
            return None;
        }
        // Of two that say so, one has not heard of its loss: the one that won earlier.
        let leading = candidates
            .iter()
            .filter(|route| route.leads.is_some() && fresh(route));
        leading.max_by_key(|route| (!route.doubtful, route.leads))
    }

    /// Takes in that `node` refused with `error`. If that was because the call belongs elsewhere, tells
    /// how long to wait before the next try.
    pub(super) fn refused(
        &mut self,
        now: Instant,
        node: PublicKey,
        error: &Error,
    ) -> Option<Duration> {
        let hint = std::mem::take(&mut self.hint);
        let elsewhere: Elsewhere = error.details()?;
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= PATIENCE {
            return None;
        }
        self.led |= matches!(elsewhere, Elsewhere::Led { .. });
        self.hint = elsewhere.to().filter(|to| *to != node);
        // Two nodes that point to each other, or to one that refuses, are asked at leisure.
        if self.hint.is_some() && hint.is_none() {
            return Some(Duration::ZERO);
        }
        self.pause = (self.pause * 2).clamp(PAUSE, PAUSE_MAX);
        Some(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> PublicKey {
        PublicKey::from_bytes([n; 32])
    }

    fn led_by(by: Option<PublicKey>) -> Error {
        let service = "desk".to_owned();
        Error::from(Elsewhere::Led { service, by })
    }

    #[test]
    fn a_call_goes_at_once_where_it_was_told_to_go() {
        let mut guide = Guide::new(false);

        let wait = guide.refused(crate::world::now(), key(1), &led_by(Some(key(2))));

        assert_eq!(wait, Some(Duration::ZERO));
        assert_eq!((guide.hint, guide.led), (Some(key(2)), true));
    }

    #[test]
    fn nodes_that_point_to_each_other_are_asked_ever_more_slowly_and_not_for_ever() {
        let mut guide = Guide::new(true);
        let start = crate::world::now();
        let mut now = start;
        let mut tries = 0;
        loop {
            let (one, other) = (key(1 + tries % 2), key(2 - tries % 2));
            let Some(wait) = guide.refused(now, one, &led_by(Some(other))) else {
                break;
            };
            tries += 1;
            now += wait;
            assert!(tries < 200, "it goes on for ever");
        }
        assert!(now - start >= PATIENCE);
    }

    #[test]
    fn another_refusal_is_none_of_its_business() {
        let mut guide = Guide::new(true);
        let error = Error::new(crate::error::Code::Busy, "busy");

        assert_eq!(guide.refused(crate::world::now(), key(1), &error), None);
    }
}
