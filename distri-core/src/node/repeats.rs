//! Calls that are repeated because their link broke: each takes effect once.
//!
//! Every link to this node has a number, told to the caller in the hello together with the node's
//! *life*. A caller whose link broke names that number with the call's id. Here is known which links
//! stand and what the others have [left](super::replies): a link that still stands is left now, since
//! its caller has linked anew, so that whatever is still on its way over it comes too late.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{sync::oneshot, time::Instant};

use super::replies::{Asked, Bounds, Replies};
use crate::{
    config::Limits,
    error::{Code, Error, Result},
    id::PublicKey,
    message::{BoxFuture, Reply},
    rpc::{CallId, KeptReply, Link, OnEnd, Serving, WeakLink},
    world,
};

/// Estates have so many times the room for replies that a link has.
const ROOM: usize = 64;

/// The links of a node, and what those that ended have left.
pub(crate) struct Repeats {
    life: u64,
    numbers: AtomicU64,
    state: Mutex<State>,
}

struct State {
    live: BTreeMap<u64, WeakLink>,
    replies: Replies<Link, oneshot::Sender<KeptReply>>,
    /// The node has stopped: what is left is stopped as well.
    closed: bool,
}

/// What is to be done about a repeated call.
pub(super) enum Repeat {
    /// It has never come before: it is to be served, and the result told.
    Serve(Begun),
    /// It came before, and this is how it is answered.
    Answered(Serving),
}

/// A repeated call that is served. Dropped without a result, it is one whose outcome is unknown.
pub(super) struct Begun {
    repeats: Arc<Repeats>,
    key: (PublicKey, u64),
    call: CallId,
    done: bool,
}

impl Repeats {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let replies = Replies::new(Bounds {
            kept: limits.replies_kept,
            bytes: limits.replies as usize * ROOM,
            estates: limits.links as usize,
            calls: limits.calls as usize,
        });
        Arc::new(Self {
            life: world::dice(),
            numbers: AtomicU64::new(1),
            state: Mutex::new(State {
                live: BTreeMap::new(),
                replies,
                closed: false,
            }),
        })
    }

    /// What no other life of this or another node has.
    pub(crate) fn life(&self) -> u64 {
        self.life
    }

    /// A number for a link.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn opened(&self, link: &Link) {
        self.lock().live.insert(link.number(), link.downgrade());
    }

    pub(super) fn ended(&self, link: &Link, parted: bool) {
        let ended = self.lock().leave(link, parted);
        ended.iter().for_each(Link::stop_left);
    }

    pub(super) fn finished(&self, key: (PublicKey, u64), call: CallId, reply: Option<&KeptReply>) {
        let waiting = self.lock().replies.finish(key, call, reply);
        if let Some(reply) = reply {
            for waiter in waiting {
                // One who has given up is told nothing.
                let _ = waiter.send(reply.clone());
            }
        }
    }

    /// `caller` repeats a call that was begun on the link `former`.
    pub(super) fn ask(
        self: &Arc<Self>,
        caller: PublicKey,
        former: u64,
        call: CallId,
        deadline: Option<Instant>,
    ) -> Repeat {
        let key = (caller, former);
        let mut joined = None;
        let (asked, superseded, ended) = {
            let mut state = self.lock();
            let live = state.live.get(&former).and_then(WeakLink::upgrade);
            let superseded = live.filter(|link| link.peer() == caller);
            let mut ended = state.replies.expire(world::now());
            if let Some(link) = &superseded {
                ended.extend(state.leave(link, false));
            }
            let asked = state.replies.ask(key, call, || {
                let (sender, receiver) = oneshot::channel();
                joined = Some(receiver);
                sender
            });
            (asked, superseded, ended)
        };
        if let Some(link) = superseded {
            link.close("the caller has linked anew");
        }
        ended.iter().for_each(Link::stop_left);
        let unknown = |why: &str| Repeat::Answered(Serving::Done(Err(unknown(why))));
        match asked {
            Asked::Begin => Repeat::Serve(Begun {
                repeats: self.clone(),
                key,
                call,
                done: false,
            }),
            Asked::Joined => Repeat::Answered(Serving::Running {
                future: wait(joined),
                deadline,
                on_end: Arc::new(Nobody),
            }),
            Asked::Done(reply) => Repeat::Answered(Serving::Done(reply.again())),
            Asked::Gone => unknown("it has ended, and its reply was not kept"),
            Asked::Unknown => unknown("what became of it has been forgotten"),
        }
    }

    /// Forgets what is too old.
    pub(crate) fn expire(&self) {
        let ended = self.lock().replies.expire(world::now());
        ended.iter().for_each(Link::stop_left);
    }

    /// The node stops: nothing is left to be asked for.
    pub(crate) fn close(&self) {
        let ended = {
            let mut state = self.lock();
            state.closed = true;
            state.replies.clear()
        };
        ended.iter().for_each(Link::stop_left);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Leaves a link, once. Gives the links whose calls are to be stopped.
    fn leave(&mut self, link: &Link, parted: bool) -> Vec<Link> {
        if self.live.remove(&link.number()).is_none() {
            return Vec::new();
        }
        let left = link.leave();
        if self.closed {
            return vec![link.clone()];
        }
        if parted && left.is_empty() {
            return Vec::new();
        }
        let key = (link.peer(), link.number());
        self.replies.leave(world::now(), key, link.clone(), left)
    }
}

impl Begun {
    /// The call has ended so.
    pub(super) fn ended(mut self, reply: &Result<Reply>) {
        self.done = true;
        let kept = KeptReply::of(reply);
        self.repeats.finished(self.key, self.call, kept.as_ref());
    }

    /// The call, told of when it ends.
    pub(super) fn follow(
        self,
        call: BoxFuture<'static, Result<Reply>>,
    ) -> BoxFuture<'static, Result<Reply>> {
        Box::pin(async move {
            let reply = call.await;
            self.ended(&reply);
            reply
        })
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if !self.done {
            self.repeats.finished(self.key, self.call, None);
        }
    }
}

fn wait(joined: Option<oneshot::Receiver<KeptReply>>) -> BoxFuture<'static, Result<Reply>> {
    Box::pin(async move {
        let lost = || unknown("it was stopped before it ended");
        let reply = joined.ok_or_else(lost)?.await.map_err(|_| lost())?;
        reply.again()
    })
}

fn unknown(why: &str) -> Error {
    let message = format!("the link broke before the reply of the call arrived, and {why}");
    Error::new(Code::UnknownOutcome, message)
}

/// Counts nothing: a call that is joined is counted where it runs.
struct Nobody;

impl OnEnd for Nobody {
    fn cancelled(&self) {}

    fn ended(&self, _result: &mut Result<Reply>) -> bool {
        false
    }

    fn answered(&self, _now: Instant) {}

    fn stopped(&self) {}
}
