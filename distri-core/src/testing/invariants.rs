//! What must hold at every moment of a simulation.

use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;

use super::{
    acting::Invariant,
    acts::{Acts, Place},
    sim::lock,
};
use crate::world::{
    self,
    process::{Observation, said},
};

/// Panics when it does not hold.
pub(super) type Check = Box<dyn FnMut() + Send>;

/// All invariants of a run, and what they know.
pub(super) struct Invariants {
    checks: Mutex<Vec<(String, Check)>>,
    known: Mutex<Known>,
    /// What of which there must be one at a time.
    acts: Mutex<Acts>,
    violated: Arc<Notify>,
}

#[derive(Default)]
struct Known {
    /// Who leads which term of which cluster.
    leaders: BTreeMap<(usize, u64), usize>,
    /// The term and the hash of each entry of each cluster's log that was applied somewhere.
    applied: BTreeMap<(usize, u64), (u64, u64, usize)>,
    /// The greatest revision of each cluster that was acknowledged.
    acknowledged: BTreeMap<usize, u64>,
    /// The first that did not hold.
    violation: Option<Violation>,
}

/// An invariant that does not hold.
#[derive(Clone, Debug)]
pub(super) struct Violation {
    pub(super) name: String,
    pub(super) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` does not hold: {}", self.name, self.what)
    }
}

/// Nodes are numbered throughout a run: so many places has each cluster.
pub(super) const PLACES: usize = 1 << 16;

impl Invariants {
    pub(super) fn new(violated: Arc<Notify>) -> Self {
        Self {
            checks: Mutex::default(),
            known: Mutex::default(),
            acts: Mutex::default(),
            violated,
        }
    }

    pub(super) fn add(&self, name: String, check: Check) {
        lock(&self.checks).push((name, check));
    }

    /// From now on this one must hold in a cluster.
    pub(super) fn watch(&self, cluster: usize, invariant: Invariant) {
        lock(&self.acts).watch(cluster, invariant);
    }

    /// Asks all of them.
    pub(super) fn check(&self) -> Result<(), Violation> {
        if let Some(violation) = &lock(&self.known).violation {
            return Err(violation.clone());
        }
        if let Some(violation) = lock(&self.acts).check(world::now()) {
            self.violate(violation.clone());
            return Err(violation);
        }
        // Taken out, so that one may use the simulation, which may add another.
        let mut checks = std::mem::take(&mut *lock(&self.checks));
        let mut found = None;
        for (name, check) in &mut checks {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(check)) {
                found = Some(Violation {
                    name: name.clone(),
                    what: said(&*panic),
                });
                break;
            }
        }
        let mut added = lock(&self.checks);
        checks.append(&mut added);
        *added = checks;
        drop(added);
        match found {
            Some(violation) => {
                self.violate(violation.clone());
                Err(violation)
            }
            None => Ok(()),
        }
    }

    /// Notes that something does not hold; the run ends with the first.
    pub(super) fn violate(&self, violation: Violation) {
        lock(&self.known).violation.get_or_insert(violation);
        self.violated.notify_one();
    }

    /// Notes who leads a term.
    pub(super) fn leads(&self, node: usize, term: u64) {
        let cluster = node / PLACES;
        let mut known = lock(&self.known);
        let leader = *known.leaders.entry((cluster, term)).or_insert(node);
        drop(known);
        if leader != node {
            let (leader, node) = (leader % PLACES, node % PLACES);
            self.violate(Violation {
                name: "a term has one leader".to_owned(),
                what: format!("nodes {leader} and {node} both led term {term}"),
            });
        }
    }

    /// Takes in what the nodes tell of.
    pub(super) fn observe(&self, node: Option<usize>, observation: &Observation) {
        match (node, observation) {
            (Some(node), Observation::Applied { index, term, hash }) => {
                self.applied(node, *index, (*term, *hash));
            }
            (node, Observation::Acknowledged(revision)) => {
                // What is no node belongs to the first cluster, or it says so itself.
                let cluster = node.map_or(0, |node| node / PLACES);
                let mut known = lock(&self.known);
                let greatest = known.acknowledged.entry(cluster).or_default();
                *greatest = (*greatest).max(*revision);
            }
            (Some(node), Observation::Begins(act, part, by)) => {
                let place = Place {
                    cluster: node / PLACES,
                    node: node % PLACES,
                };
                let begins = lock(&self.acts).begin(world::now(), *act, part, place, by);
                if let Some(violation) = begins {
                    self.violate(violation);
                }
            }
            (_, Observation::Ends(act)) => lock(&self.acts).end(*act),
            (None, Observation::Applied { .. } | Observation::Begins(..)) => {}
        }
    }

    fn applied(&self, node: usize, index: u64, entry: (u64, u64)) {
        let cluster = node / PLACES;
        let mut known = lock(&self.known);
        let first = known.applied.entry((cluster, index));
        let (term, hash, by) = *first.or_insert((entry.0, entry.1, node));
        drop(known);
        if (term, hash) != entry {
            let (by, node) = (by % PLACES, node % PLACES);
            self.violate(Violation {
                name: "what was applied once stays".to_owned(),
                what: format!(
                    "entry {index} was applied by node {by} as one of term {term}, and by node \
                     {node} as another of term {}",
                    entry.0
                ),
            });
        }
    }

    /// The greatest revision that was acknowledged to somebody in this cluster.
    pub(super) fn acknowledged(&self, cluster: usize) -> u64 {
        let known = lock(&self.known);
        known.acknowledged.get(&cluster).copied().unwrap_or(0)
    }
}
