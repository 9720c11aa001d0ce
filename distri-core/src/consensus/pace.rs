//! When a node's part in the cluster has something to do by the clock: a leader sends heartbeats, a
//! follower looks whether its leader has fallen silent.
//!
//! openraft does both by looking at its clock, five times as often as heartbeats are sent, whatever
//! there is to do; that was most of what a node at rest did. Here a leader is woken when a heartbeat
//! is due, and a follower that has just heard of its leader lets openraft's clock stand still until a
//! campaign could be near. Whenever this module is not sure, the clock runs.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::group::Timing;

/// What a node is, as far as the clock matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// It leads others.
    Leads,
    /// It leads, and there is nobody else.
    LeadsNobody,
    /// It follows a leader that a majority has chosen.
    Follows,
    /// None of these, or not for sure.
    Other,
}

/// What is to be done now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Step {
    /// openraft's clock is to run.
    pub(super) runs: bool,
    /// A heartbeat is to be sent.
    pub(super) beat: bool,
    /// When to ask again, if nothing changes before. `None`: not before something does.
    pub(super) again: Option<Instant>,
}

/// When there is something to do.
#[derive(Debug)]
pub(super) struct Pace {
    timing: Timing,
    /// When a leader is to send its next heartbeat; `None` while the node does not lead others.
    next: Option<Instant>,
}

impl Pace {
    pub(super) fn new(timing: Timing) -> Self {
        Self { timing, next: None }
    }

    /// What to do at `now`, when the leader was last heard of at `heard`.
    pub(super) fn step(
        &mut self,
        now: Instant,
        standing: Standing,
        heard: Option<Instant>,
    ) -> Step {
        if standing != Standing::Leads {
            self.next = None;
        }
        match standing {
            Standing::Leads => self.lead(now),
            Standing::LeadsNobody => Step {
                runs: false,
                beat: false,
                again: None,
            },
            Standing::Follows => {
                // No follower campaigns before `end` and `start` have passed. Half of the latter is time
                // enough to set the clock going again.
                let quiet = self.timing.election.end + self.timing.election.start / 2;
                let until = heard.map(|heard| heard + quiet);
                match until.filter(|until| now < *until) {
                    Some(until) => Step {
                        runs: false,
                        beat: false,
                        again: Some(until),
                    },
                    None => self.watch(now),
                }
            }
            Standing::Other => self.watch(now),
        }
    }

    fn lead(&mut self, now: Instant) -> Step {
        // Whoever has just been elected has told all others so.
        let due = *self.next.get_or_insert(now + self.timing.heartbeat);
        let beat = due <= now;
        let next = match beat {
            // From when it was due, so that waking late does not make all that follow late. One that
            // was suspended goes on from now.
            true => (due + self.timing.heartbeat).max(now + self.timing.heartbeat / 2),
            false => due,
        };
        self.next = Some(next);
        Step {
            runs: false,
            beat,
            again: Some(next),
        }
    }

    /// openraft's clock runs, and now and then it is asked whether it need.
    fn watch(&self, now: Instant) -> Step {
        Step {
            runs: true,
            beat: false,
            again: Some(now + self.timing.election.end),
        }
    }
}

/// When the leader was last heard of.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Option<Instant>>);

impl Heard {
    /// Something that the leader sent came at `now`, and was taken as its.
    pub(super) fn note(&self, now: Instant) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (*last).max(Some(now));
    }

    pub(super) fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn pace() -> (Pace, Instant) {
        let timing = Timing {
            heartbeat: 120 * MS,
            election: 150 * MS..300 * MS,
        };
        (Pace::new(timing), crate::world::now())
    }

    #[test]
    fn a_leader_sends_heartbeats_at_equal_intervals_and_wakes_for_nothing_else() {
        let (mut pace, start) = pace();
        let first = pace.step(start, Standing::Leads, None);
        assert_eq!((first.beat, first.runs), (false, false));

        let mut now = start;
        let mut step = first;
        for beat in 1..=5_u32 {
            // Each time woken a little late.
            now = step.again.unwrap() + 7 * MS;
            assert_eq!(now, start + 120 * MS * beat + 7 * MS);
            step = pace.step(now, Standing::Leads, None);
            assert!(step.beat);
        }
        assert!(!pace.step(now, Standing::Leads, None).beat);
    }

    #[test]
    fn a_leader_that_was_suspended_sends_one_heartbeat_and_goes_on() {
        let (mut pace, start) = pace();
        pace.step(start, Standing::Leads, None);
        let now = start + 10_000 * MS;

        assert!(pace.step(now, Standing::Leads, None).beat);
        let next = pace.step(now, Standing::Leads, None);

        assert!(!next.beat);
        assert_eq!(next.again, Some(now + 60 * MS));
    }

    #[test]
    fn one_who_leads_nobody_has_nothing_to_do_until_that_changes() {
        let (mut pace, start) = pace();
        let step = pace.step(start, Standing::LeadsNobody, None);
        assert_eq!((step.runs, step.beat, step.again), (false, false, None));
    }

    #[test]
    fn a_follower_watches_from_before_it_may_campaign() {
        let (mut pace, start) = pace();
        let heard = Some(start);

        let soon = pace.step(start + MS, Standing::Follows, heard);
        let later = pace.step(soon.again.unwrap(), Standing::Follows, heard);

        assert!(!soon.runs);
        assert!(later.runs);
        // The soonest that it campaigns, less openraft's own pause between two looks.
        assert!(soon.again.unwrap() + 50 * MS < start + 450 * MS);
    }

    #[test]
    fn whoever_follows_nobody_for_sure_watches() {
        let (mut pace, start) = pace();
        let heard = Some(start);
        assert!(pace.step(start, Standing::Follows, None).runs);
        assert!(pace.step(start, Standing::Other, heard).runs);
    }

    #[test]
    fn leading_again_begins_with_a_full_interval() {
        let (mut pace, start) = pace();
        pace.step(start, Standing::Leads, None);
        pace.step(start + 50 * MS, Standing::Other, None);

        let again = pace.step(start + 1_000 * MS, Standing::Leads, None);

        assert_eq!((again.beat, again.again), (false, Some(start + 1_120 * MS)));
    }

    #[test]
    fn what_was_heard_later_counts() {
        let heard = Heard::default();
        let now = crate::world::now();
        assert_eq!(heard.last(), None);
        heard.note(now + MS);
        heard.note(now);
        assert_eq!(heard.last(), Some(now + MS));
    }
}
