//! [`Context`]: what a method knows of the call that it serves.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    client::Client,
    directory::CallWrites,
    error::{Code, Error, Result},
    fence::{Fence, Fences},
    id::PublicKey,
    message::Reply,
    node::{NodeHandle, gate::OwnsKeys, ticket::Ticket},
    rpc::{OnEnd, Reporter, Trace},
    service::Owned,
};

/// What a method knows of the call that it serves: who calls, until when, and on which node.
///
/// Cheap to clone. Calls made through [`Context::client`] inherit the deadline and the trace, and
/// end when this call ends.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

struct Inner {
    caller: Arc<Caller>,
    deadline: Option<Instant>,
    trace: Trace,
    fences: Fences,
    /// These, and the one by which the key is owned.
    with_own: OnceLock<Fences>,
    /// Says who owns the key, where the method is placed by one.
    keys: Option<Arc<dyn OwnsKeys>>,
    writes: Option<Arc<CallWrites>>,
    node: NodeHandle,
    reporter: Reporter,
    ticket: Ticket,
    cancelled: AtomicBool,
    on_cancel: Notify,
}

/// Who calls: a proven key, and what this node knows of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The proven key.
    pub key: PublicKey,
    /// What the key is to this node.
    pub role: Role,
    /// The roles under which the configuration lists the key.
    pub roles: Vec<String>,
}

/// What a key is to a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// A node of this cloud.
    Node,
    /// A key that the configuration lists.
    Known,
    /// Any other key.
    Stranger,
}

/// What a call has from the one that made it, and hands on to those that it makes.
#[derive(Clone)]
pub(crate) struct Inherited {
    pub(crate) deadline: Option<Instant>,
    pub(crate) trace: Trace,
    pub(crate) fences: Fences,
    /// Not handed on: a call numbers only its own writes.
    pub(crate) writes: Option<Arc<CallWrites>>,
}

impl Context {
    pub(crate) fn new(
        caller: Arc<Caller>,
        inherited: Inherited,
        keys: Option<Arc<dyn OwnsKeys>>,
        node: NodeHandle,
        reporter: Reporter,
        ticket: Ticket,
    ) -> Self {
        let Inherited {
            deadline,
            trace,
            fences,
            writes,
        } = inherited;
        let inner = Inner {
            caller,
            deadline,
            trace,
            fences,
            with_own: OnceLock::new(),
            keys,
            writes,
            node,
            reporter,
            ticket,
            cancelled: AtomicBool::new(false),
            on_cancel: Notify::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.inner.caller
    }

    /// Until when the caller waits; `None` is without end.
    pub fn deadline(&self) -> Option<Instant> {
        self.inner.deadline
    }

    /// How long the caller still waits; zero when the deadline has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.inner
            .deadline
            .map(|deadline| deadline.saturating_duration_since(crate::world::now()))
    }

    /// True once the caller has given up or the deadline has passed. Code under
    /// [`Context::blocking`] asks this between steps; async code is simply dropped.
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.load(Ordering::Acquire)
            || self.remaining().is_some_and(|left| left.is_zero())
    }

    /// Waits until the caller gives up.
    pub async fn cancelled(&self) {
        let mut notified = std::pin::pin!(self.inner.on_cancel.notified());
        notified.as_mut().enable();
        if !self.inner.cancelled.load(Ordering::Acquire) {
            notified.await;
        }
    }

    /// Tells the caller how far the work is: a fraction from 0 to 1, and a word about it. Cheap;
    /// a caller that does not ask for progress costs nothing more.
    pub fn progress(&self, fraction: f32, note: &str) {
        self.inner.reporter.progress(fraction.clamp(0.0, 1.0), note);
    }

    /// Runs CPU work off the async threads, on Linux at a lower priority than theirs, so that a node with
    /// too much to do still answers.
    ///
    /// # Errors
    /// [`Code::Internal`] if `work` panics.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop `work`; let it ask [`Context::is_cancelled`] in between.
    pub async fn blocking<R, F>(&self, work: F) -> Result<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let guard = CancelOnDrop(self);
        let result = crate::world::blocking(work).await;
        std::mem::forget(guard);
        result.map_err(|error| Error::internal("the work panicked", error))
    }

    /// The trace that this call belongs to.
    pub fn trace(&self) -> Trace {
        self.inner.trace
    }

    /// The node that serves the call.
    pub fn node(&self) -> &NodeHandle {
        &self.inner.node
    }

    /// The fence under which the call is served: this service's own, if it is placed by an election
    /// or by a key, else the one that the caller made the call under. Directory writes made through
    /// the context, and further calls, are refused once it is out of date.
    pub fn fence(&self) -> Option<&Fence> {
        self.fences().last()
    }

    /// All fences under which the call is served: the caller's, then this service's own.
    pub fn fences(&self) -> &[Fence] {
        self.inherited_fences().as_slice()
    }

    /// Makes sure that this node owns `key`, the hash of the argument by which the method is placed:
    /// until what is returned has [run](Owned::run), no other node serves a call of this key, and the
    /// call has a [fence](Context::fence). Generated code does this; a service written by hand does it
    /// once, before it does anything else.
    ///
    /// Where the node keeps no directory, every key is its own.
    ///
    /// # Errors
    /// [`super::Elsewhere`], which clients follow by themselves; nothing must have been done.
    pub fn own(&self, key: u64) -> Result<Owned> {
        let Some(keys) = &self.inner.keys else {
            return Ok(Owned::new(None));
        };
        let pass = keys.clone().admit(key)?;
        // The first holds; there is one key to a call.
        let _ = self
            .inner
            .with_own
            .set(self.inner.fences.with(pass.fence.clone()));
        Ok(Owned::new(Some(pass)))
    }

    pub(crate) fn inherited_fences(&self) -> &Fences {
        self.inner.with_own.get().unwrap_or(&self.inner.fences)
    }

    /// A client for calls to other services: they inherit deadline, trace and fences.
    pub fn client(&self) -> Client {
        let Inner {
            deadline,
            trace,
            writes,
            node,
            ..
        } = &*self.inner;
        node.client().within(Inherited {
            deadline: *deadline,
            trace: *trace,
            fences: self.inherited_fences().clone(),
            writes: writes.clone(),
        })
    }

    /// The directory of the cloud, as the node that serves the call may use it: what the caller
    /// may do there is for the service to decide.
    ///
    /// What a method with `once` writes through it takes effect once, however often the call is
    /// served.
    pub fn directory(&self) -> crate::directory::Directory {
        self.client().directory()
    }

    /// Ends the call early with [`Code::Cancelled`] if the caller has given up.
    ///
    /// # Errors
    /// [`Code::Cancelled`], for `?`.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::new(Code::Cancelled, "the caller has given up"));
        }
        Ok(())
    }

    /// The call has ended: it is counted out. True if this was its end, and not told before.
    pub(crate) fn ended(&self, result: &mut Result<Reply>) -> bool {
        self.inner.ticket.end(result)
    }

    /// The reply of a call that has ended is on its way.
    pub(crate) fn answered(&self, now: Instant) {
        self.inner.ticket.answered(now);
    }

    /// The call ends without a result, if it has not ended.
    pub(crate) fn stopped(&self) {
        self.inner.ticket.stop();
    }

    /// Marks the call as one whose result nobody wants.
    pub(crate) fn cancel(&self) {
        self.inner.cancelled();
    }

    /// The part of the context that the link tells of the call's end.
    pub(crate) fn on_end(&self) -> Arc<dyn OnEnd> {
        self.inner.clone()
    }
}

impl OnEnd for Inner {
    fn cancelled(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.on_cancel.notify_waiters();
    }

    fn ended(&self, result: &mut Result<Reply>) -> bool {
        self.ticket.end(result)
    }

    fn answered(&self, now: Instant) {
        self.ticket.answered(now);
    }

    fn stopped(&self) {
        self.ticket.stop();
    }
}

/// Marks the call as cancelled when the future that waits for blocking work is dropped.
struct CancelOnDrop<'a>(&'a Context);

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl From<&Context> for Client {
    fn from(cx: &Context) -> Self {
        cx.client()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("caller", &self.inner.caller)
            .field("deadline", &self.inner.deadline)
            .field("trace", &self.inner.trace)
            .finish_non_exhaustive()
    }
}
