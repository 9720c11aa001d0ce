//! How a node stops: in an orderly way, or at once.
//!
//! In order: readiness is withdrawn, leadership handed over, the calls end, the links part. Each step
//! needs the ones after it not to have happened: nobody is sent here in vain while others are elected,
//! whoever leads can still finish, and a call that is finished can call others.

use std::time::Duration;

use tokio::{
    task::AbortHandle,
    time::{Instant, timeout, timeout_at},
};

use super::{Admin, Running, standing};
use crate::{rpc::Link, world};

/// How long a node that stops waits until the directory knows what it holds no more.
const GIVE_UP: Duration = Duration::from_secs(2);

/// How long a node that stops waits at least for its links to part: for replies to be read. Longer
/// serves slow readers, shorter stops sooner when somebody is frozen.
const PART: Duration = Duration::from_millis(500);

/// Why links end.
const STOPPED: &str = "the node has stopped";

impl Running {
    /// Stops in an orderly way. Calls have until `limits.drain` from now; leadership is given up by then
    /// or a few seconds later, whoever does not answer.
    pub(in crate::node) async fn shutdown(&self) {
        let until = world::now() + self.limits.drain;
        // First of all, so that those who look know it before any call is refused.
        self.admin.iter().for_each(Admin::withdraw);
        self.host.drain();
        self.gate.status_changed.notify_one();
        self.hand_over().await;
        self.finish(until).await;
        self.part(until).await;
        self.repeats.close();
        self.host.stop().await;
        self.handle.stop_tasks();
        if let Some(keeper) = &self.keeper {
            keeper.close().await;
        }
        self.admin.iter().for_each(Admin::close);
        tracing::info!(name = self.handle.name(), "node stopped");
    }

    /// Lets others lead. What only this node may serve goes on until they do.
    async fn hand_over(&self) {
        if let Some(elections) = self.handle.elections() {
            let wait = self.limits.drain / 2;
            tokio::join!(self.leading.hand_over(wait), self.owning.hand_over(wait));
            elections.close(GIVE_UP).await;
            self.gate.status_changed.notify_one();
        }
        if let Some(keeper) = &self.keeper {
            keeper.hand_over().await;
            if self.pool.routes().any_ready() {
                // What is under way here and needs a leader goes on elsewhere.
                keeper.leave();
            }
        }
    }

    /// Lets the calls that are served here end, with all that they call in turn.
    async fn finish(&self, until: Instant) {
        if timeout_at(until, self.host.idle()).await.is_err() {
            let in_flight = self.host.serving();
            tracing::warn!(in_flight, waited = ?self.limits.drain, "calls did not finish in time");
        }
    }

    /// Takes leave, and parts from all links once what goes over them has ended.
    async fn part(&self, until: Instant) {
        let about = standing::about(&self.host, self.handle.name(), &self.address);
        self.membership.leave(self.handle.client(), about).await;
        // No more links come in.
        self.tasks.first().into_iter().for_each(AbortHandle::abort);
        if let Some(keeper) = &self.keeper {
            keeper.leave();
        }
        let links = self.gate.lock().clone();
        links.iter().for_each(Link::go_away);
        self.pool.go_away();
        let all_ended = async {
            for link in &links {
                link.closed().await;
            }
            self.pool.ended().await;
        };
        let wait = until.saturating_duration_since(world::now()).max(PART);
        if timeout(wait, all_ended).await.is_err() {
            tracing::debug!("links did not part in time");
        }
        links.iter().for_each(|link| link.close(STOPPED));
        self.pool.close(STOPPED);
    }

    /// Ends everything at once. Others learn of it by their links.
    pub(in crate::node) fn halt(&self) {
        self.admin.iter().for_each(Admin::close);
        self.tasks.iter().for_each(AbortHandle::abort);
        self.handle.stop_tasks();
        self.gate
            .lock()
            .drain(..)
            .for_each(|link| link.close(STOPPED));
        self.pool.close(STOPPED);
        self.repeats.close();
        if let Some(elections) = self.handle.elections() {
            elections.abandon();
        }
        // Who holds a clone of a node that was killed finds nobody at home either.
        self.pool.forget_local();
        if let Some(keeper) = &self.keeper {
            keeper.abandon();
        }
    }
}
