//! [`Vitals`]: what a node counts of itself besides its calls, and all of it in one picture.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{NodeHandle, host::Host};
use crate::{
    directory::Replica,
    membership::MemberState,
    stats::{DirectoryStats, LinkStats, MemberCounts, NodeStats, ProcessMeter, Traffic},
    world,
};

/// How long the worst lateness of the node's timer is remembered, and then once as long.
const WORST: Duration = Duration::from_secs(10);

/// What a node counts of itself.
#[derive(Debug)]
pub(crate) struct Vitals {
    started: Instant,
    pub(super) traffic: Arc<Traffic>,
    pub(super) process: ProcessMeter,
    /// Links that came in and stand.
    pub(super) came_in: AtomicU32,
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) faulty: AtomicU64,
    lateness: Mutex<Lateness>,
    /// The node's copy of the directory, if it keeps one.
    pub(super) replica: OnceLock<Arc<Replica>>,
}

/// How late a timer was.
#[derive(Debug)]
struct Lateness {
    since: Instant,
    worst: Duration,
    worst_before: Duration,
}

impl Vitals {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            started: now,
            traffic: Arc::default(),
            process: ProcessMeter::default(),
            came_in: AtomicU32::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            faulty: AtomicU64::new(0),
            lateness: Mutex::new(Lateness {
                since: now,
                worst: Duration::ZERO,
                worst_before: Duration::ZERO,
            }),
            replica: OnceLock::new(),
        }
    }

    /// A timer of the node was `late`.
    pub(super) fn note_late(&self, now: Instant, late: Duration) {
        let mut lateness = self.lateness.lock().unwrap_or_else(PoisonError::into_inner);
        lateness.note(now, late);
    }

    fn worst_late(&self, now: Instant) -> Duration {
        let mut lateness = self.lateness.lock().unwrap_or_else(PoisonError::into_inner);
        lateness.note(now, Duration::ZERO);
        lateness.worst.max(lateness.worst_before)
    }

    fn links(&self, node: &NodeHandle) -> LinkStats {
        let dialed = node.client().pool().dialed();
        let dialed = u32::try_from(dialed).unwrap_or(u32::MAX);
        LinkStats {
            open: self.came_in.load(Ordering::Relaxed).saturating_add(dialed),
            accepted: self.accepted.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            faulty: self.faulty.load(Ordering::Relaxed),
            bytes_in: self.traffic.received(),
            bytes_out: self.traffic.sent(),
        }
    }

    fn directory(&self, node: &NodeHandle) -> Option<DirectoryStats> {
        let group = node.shared.group.get()?;
        let view = group.view();
        let size = self.replica.get().map(|replica| replica.size());
        let (documents, bytes) = size.unwrap_or_default();
        Some(DirectoryStats {
            term: view.term,
            leader: node.leader().map(|key| key.to_string()),
            leads: view.leads,
            last_index: view.last_index,
            applied_index: view.applied_index,
            documents,
            bytes,
            stopped: view.stopped,
        })
    }
}

impl Lateness {
    fn note(&mut self, now: Instant, late: Duration) {
        let passed = now.saturating_duration_since(self.since);
        if passed >= WORST {
            self.worst_before = if passed < WORST * 2 {
                self.worst
            } else {
                Duration::ZERO
            };
            self.worst = Duration::ZERO;
            self.since = now;
        }
        self.worst = self.worst.max(late);
    }
}

/// All that is counted of a node.
pub(super) fn stats(node: &NodeHandle, host: &Host) -> NodeStats {
    let vitals = &node.shared.vitals;
    let now = world::now();
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    NodeStats {
        key: node.key().to_string(),
        name: node.name().to_owned(),
        program: crate::client::program(),
        uptime_ms: millis(now.saturating_duration_since(vitals.started)),
        in_flight: host.in_flight(),
        draining: host.is_draining(),
        not_serving: host.not_serving(),
        process: vitals.process.stats(now),
        links: vitals.links(node),
        loop_lag_ms: millis(vitals.worst_late(now)),
        members: members(node),
        directory: vitals.directory(node),
        served: host.stats(),
        made: node.client().stats(),
    }
}

fn members(node: &NodeHandle) -> MemberCounts {
    let mut counts = MemberCounts::default();
    for member in node.members() {
        let count = match member.state {
            MemberState::Alive => &mut counts.alive,
            MemberState::Suspect => &mut counts.suspect,
            MemberState::Down => &mut counts.down,
            MemberState::Left => &mut counts.left,
            MemberState::Unknown => &mut counts.unknown,
        };
        *count += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_lateness_is_forgotten_after_a_while() {
        let start = world::now();
        let vitals = Vitals::new(start);
        let after = |seconds| start + Duration::from_secs(seconds);
        let late = Duration::from_millis(40);

        vitals.note_late(after(5), late);
        vitals.note_late(after(6), Duration::from_millis(1));

        assert_eq!(vitals.worst_late(after(9)), late);
        assert_eq!(vitals.worst_late(after(15)), late);
        assert_eq!(vitals.worst_late(after(30)), Duration::ZERO);
    }
}
