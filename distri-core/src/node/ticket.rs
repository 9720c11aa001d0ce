//! [`Ticket`]: a call being served, from when it is let in until its reply goes, and what is counted
//! of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use tokio::time::Instant;

use super::room::Room;
use crate::{
    error::{Code, Result},
    message::Reply,
    stats::calls::Served,
    world,
};

/// Bounds and counts the calls of a method.
pub(crate) struct Counts {
    /// Calls that the whole node is serving.
    node: Arc<AtomicU32>,
    /// How many of the method are served at once.
    room: Room,
    /// How many of all methods are. None for the cloud's own: what keeps it going is not refused for
    /// the sake of others.
    node_room: Option<Arc<Room>>,
    served: Arc<Served>,
}

/// What has no room for a call.
pub(super) enum Full<'a> {
    Method(&'a Room),
    Node(&'a Room),
}

/// One call being served; counts it out when it ends.
pub(crate) struct Ticket {
    counts: Arc<Counts>,
    began: Instant,
    ended: AtomicBool,
}

impl Counts {
    pub(super) fn new(
        node: Arc<AtomicU32>,
        limit: Option<u32>,
        node_room: Option<Arc<Room>>,
    ) -> Self {
        Self {
            node,
            room: Room::new(limit),
            node_room,
            served: Arc::default(),
        }
    }

    pub(super) fn served(&self) -> &Arc<Served> {
        &self.served
    }

    /// Lets a call in that came at `now`, unless a bound is reached.
    pub(super) fn enter(self: &Arc<Self>, now: Instant) -> Result<Ticket, Full<'_>> {
        if !self.room.enter() {
            self.served.refuse(Code::Busy);
            return Err(Full::Method(&self.room));
        }
        if let Some(node_room) = self.node_room.as_ref().filter(|room| !room.enter()) {
            self.room.leave(None);
            self.served.refuse(Code::Busy);
            return Err(Full::Node(node_room));
        }
        self.served.enter();
        self.node.fetch_add(1, Ordering::Relaxed);
        Ok(Ticket {
            counts: self.clone(),
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
            self.answered(world::now());
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
        let counts = &self.counts;
        let stayed = || world::now() - self.began;
        counts.room.leave(counts.room.is_bounded().then(stayed));
        if let Some(room) = &counts.node_room {
            room.leave(None);
        }
        counts.node.fetch_sub(1, Ordering::Relaxed);
        counts.served.leave(failed);
        true
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.stop();
    }
}
