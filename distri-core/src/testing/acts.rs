//! Who does what only one may do at a time. A plain machine: it is told what begins and ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{acting::Invariant, invariants::Violation};
use crate::world::process::{Part, Process};

/// How long a process that hung may take to notice that it is what it was no more. Its tasks run
/// within the instant; this is for the looks in between.
const NOTICE: Duration = Duration::from_millis(15);

/// A node of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) cluster: usize,
    pub(super) node: usize,
}

/// What is done now, of what is watched.
#[derive(Default)]
pub(super) struct Acts {
    watched: BTreeSet<(usize, Invariant)>,
    now: BTreeMap<u64, Doing>,
    /// The greatest fence under which work began, and where, by cluster and election.
    fences: BTreeMap<(usize, String), (u64, usize)>,
}

struct Doing {
    part: Part,
    place: Place,
    by: Arc<Process>,
}

impl Acts {
    pub(super) fn watch(&mut self, cluster: usize, invariant: Invariant) {
        self.watched.insert((cluster, invariant));
    }

    /// Something begins.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        act: u64,
        part: &Part,
        place: Place,
        by: &Arc<Process>,
    ) -> Option<Violation> {
        if !self.watched.contains(&(place.cluster, invariant(part))) {
            return None;
        }
        let doing = Doing {
            part: part.clone(),
            place,
            by: by.clone(),
        };
        let outdated = self.outdated(&doing);
        let rival = outdated.or_else(|| {
            let rivals = self.now.values();
            let mut rivals = rivals.filter(|other| other.is_rival_of(&doing));
            let rival = rivals.find(|other| other.has_noticed(now))?;
            Some(doing.beside(rival))
        });
        self.now.insert(act, doing);
        rival
    }

    /// Something ends.
    pub(super) fn end(&mut self, act: u64) {
        self.now.remove(&act);
    }

    /// Whether two do at once what one may do.
    pub(super) fn check(&self, now: Instant) -> Option<Violation> {
        // Few things are done at once, and those in order of what they are.
        let mut running: Vec<&Doing> = self.now.values().collect();
        running.retain(|doing| doing.has_noticed(now));
        running.sort_by(|a, b| (a.place.cluster, &a.part).cmp(&(b.place.cluster, &b.part)));
        let mut pairs = running.iter().zip(running.iter().skip(1));
        let (first, second) = pairs.find(|(first, second)| first.is_rival_of(second))?;
        Some(second.beside(first))
    }

    /// Work that begins under a fence after some began under a greater one.
    fn outdated(&mut self, doing: &Doing) -> Option<Violation> {
        let Part::Holder { election, fence } = &doing.part else {
            return None;
        };
        let at = (doing.place.cluster, election.clone());
        let (greatest, node) = self.fences.entry(at).or_insert((*fence, doing.place.node));
        if *fence >= *greatest {
            (*greatest, *node) = (*fence, doing.place.node);
            return None;
        }
        Some(Violation {
            name: invariant(&doing.part).to_string(),
            what: format!(
                "node {} began work as {}, after node {node} did under fence {greatest}",
                doing.place.node, doing.part
            ),
        })
    }
}

impl Doing {
    /// True if one of the two must not be.
    fn is_rival_of(&self, other: &Self) -> bool {
        if self.place.cluster != other.place.cluster {
            return false;
        }
        match (&self.part, &other.part) {
            (
                Part::Holder { election, fence },
                Part::Holder {
                    election: of_other,
                    fence: others,
                },
            ) => election == of_other && fence != others,
            // Several calls of one key on one node are its own affair.
            (Part::Owner { .. }, Part::Owner { .. }) => {
                self.part == other.part && self.place.node != other.place.node
            }
            (Part::Holder { .. }, Part::Owner { .. })
            | (Part::Owner { .. }, Part::Holder { .. }) => false,
        }
    }

    /// True if its process runs, and has run for long enough to know what happened while it hung.
    fn has_noticed(&self, now: Instant) -> bool {
        let since = self.by.runs_since();
        since.is_some_and(|since| now.saturating_duration_since(since) >= NOTICE)
    }

    fn beside(&self, first: &Self) -> Violation {
        Violation {
            name: invariant(&self.part).to_string(),
            what: format!(
                "node {} works as {}, and node {} still as {}",
                self.place.node, self.part, first.place.node, first.part
            ),
        }
    }
}

fn invariant(part: &Part) -> Invariant {
    match part {
        Part::Holder { .. } => Invariant::OneHolder,
        Part::Owner { .. } => Invariant::OneOwner,
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holder { election, fence } => {
                write!(f, "the holder of `{election}` under fence {fence}")
            }
            Self::Owner { of, key } => write!(f, "the owner of key {key} of `{of}`"),
        }
    }
}
