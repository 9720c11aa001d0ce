//! A node's part in the cluster, by the clock: what [`Pace`] wants done is done here.

use openraft::{Raft, ServerState, metrics::RaftServerMetrics};

use super::Group;
use crate::{
    consensus::{
        forms::Types,
        machine::Machine,
        pace::{Pace, Standing},
    },
    world,
};

impl Group {
    /// Sends heartbeats and lets openraft's clock run when there is need; without this it always runs,
    /// and sends them. Runs until dropped.
    pub(crate) async fn keep_time(&self) {
        let clock = Clock::of(self.raft());
        let mut pace = Pace::new(self.inner.timing.clone());
        let mut changes = self.raft().server_metrics();
        loop {
            let standing = self.standing(&changes.borrow_and_update());
            let step = pace.step(world::now(), standing, self.heard().last());
            clock.run(step.runs);
            if step.beat && self.raft().trigger().heartbeat().await.is_err() {
                return;
            }
            let changed = changes.changed();
            let ended = match step.again {
                None => changed.await.is_err(),
                Some(again) => match tokio::time::timeout_at(again, changed).await {
                    Ok(changed) => changed.is_err(),
                    Err(_) => false,
                },
            };
            if ended {
                return;
            }
        }
    }

    fn standing(&self, metrics: &RaftServerMetrics<Types>) -> Standing {
        let leader = metrics.current_leader;
        let members = metrics.membership_config.membership();
        match metrics.state {
            ServerState::Leader if leader != Some(self.number()) => Standing::Other,
            ServerState::Leader if members.nodes().count() == 1 => Standing::LeadsNobody,
            ServerState::Leader => Standing::Leads,
            ServerState::Follower | ServerState::Learner if leader.is_some() => Standing::Follows,
            ServerState::Follower
            | ServerState::Learner
            | ServerState::Candidate
            | ServerState::Shutdown => Standing::Other,
        }
    }
}

/// openraft's clock, by which it sends heartbeats and begins campaigns. It runs again when dropped.
struct Clock<'a>(&'a Raft<Types, Machine>);

impl<'a> Clock<'a> {
    fn of(raft: &'a Raft<Types, Machine>) -> Self {
        Self(raft)
    }

    fn run(&self, runs: bool) {
        self.0.runtime_config().tick(runs);
    }
}

impl Drop for Clock<'_> {
    fn drop(&mut self) {
        self.run(true);
    }
}
