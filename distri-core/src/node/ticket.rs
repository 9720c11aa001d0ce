//! [`Ticket`]: a call being served, from when it is let in until its reply goes, and what is counted
//! of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use tokio::time::Instant;

use crate::{
    error::{Code, Result},
    message::Reply,
    stats::calls::Served,
};

/// Bounds and counts the calls of a method.
pub(crate) struct Counts {
    /// Calls that the whole node is serving.
    node: Arc<AtomicU32>,
    limit: u32,
    served: Arc<Served>,
}

/// One call being served; counts it out when it ends.
pub(crate) struct Ticket {
    counts: Arc<Counts>,
    began: Instant,
    ended: AtomicBool,
}

impl Counts {
    pub(super) fn new(node: Arc<AtomicU32>, limit: Option<u32>) -> Self {
        Self {
            node,
            limit: limit.unwrap_or(u32::MAX),
            served: Arc::default(),
        }
    }

    /// Calls that are served at once at most.
    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    pub(super) fn served(&self) -> &Arc<Served> {
        &self.served
    }

    /// Lets a call in that came at `now`, unless the bound is reached.
    pub(super) fn enter(self: Arc<Self>, now: Instant) -> Option<Ticket> {
        if !self.served.enter(self.limit) {
            return None;
        }
        self.node.fetch_add(1, Ordering::Relaxed);
        Some(Ticket {
            counts: self,
            began: now,
            ended: AtomicBool::new(false),
        })
    }
}

impl Ticket {
    /// Counts the call out; true if this was its end. Then [`Ticket::answered`] follows.
    pub(crate) fn end(&self, result: &mut Result<Reply>) -> bool {
        match result {
            Ok(reply) => {
                let is_end = self.leave(None);
                if is_end {
                    self.counts.served.sends(&mut reply.message);
                }
                is_end
            }
            Err(error) => self.leave(Some(error.code())),
        }
    }

    /// Counts out a call whose result nobody wants any more, if it has not ended.
    pub(crate) fn stop(&self) {
        if self.leave(Some(Code::Cancelled)) {
            self.answered(crate::world::now());
        }
    }

    /// Counts out a call that is not begun after all.
    pub(super) fn refuse(&self, code: Code) {
        if self.leave(None) {
            self.counts.served.refuse(code);
        }
    }

    /// Counts the time of the call, whose reply has been queued or is dropped.
    pub(crate) fn answered(&self, now: Instant) {
        self.counts.served.took(self.began, now);
    }

    fn leave(&self, failed: Option<Code>) -> bool {
        if self.ended.swap(true, Ordering::Relaxed) {
            return false;
        }
        self.counts.node.fetch_sub(1, Ordering::Relaxed);
        self.counts.served.leave(failed);
        true
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.stop();
    }
}
