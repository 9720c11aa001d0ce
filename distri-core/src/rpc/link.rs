//! One end of a link, as the rest of the program holds it.
//!
//! Decisions are the [`Mux`]'s. Here is what surrounds it: the lock, those who wait for replies,
//! and the commands that change its state and wake the [`driver`], which does the rest.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::Notify, task::AbortHandle, time::Instant};

use super::{
    CallId, KeptReply, Left, OnProgress, Reporter,
    mux::{CannotCall, Mux},
};
use crate::{
    config::Limits,
    error::{Code, Error, Result},
    id::PublicKey,
    message::{Attachment, BoxFuture, Message, Reply},
    stats::Traffic,
    transport::{Address, ByteLink},
    wire::{
        Hello, Status,
        frame::{Channels, RequestHead},
    },
    world,
};

mod channel;
mod driver;

/// How long a link that is being closed may take to write what waits, above all why. Longer serves
/// slow networks, shorter frees what a dead end holds.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How much a call in flight weighs where none is answered: enough that a node whose calls hang draws
/// no more of them, and not so much that one long call keeps others away from an idle node.
const UNANSWERED: u32 = 4;

/// Who answers the calls that come in over a link.
pub(crate) trait Serve: Send + Sync + 'static {
    /// Begins to serve a call. Must not wait.
    fn serve(&self, link: &Link, call: Incoming) -> Serving;

    /// A link begins, over which calls may come.
    fn opened(&self, _link: &Link) {}

    /// The link ends, `parted` if both ends were done with it. What it [leaves](Link::leave) may be
    /// asked for again.
    fn ended(&self, _link: &Link, _parted: bool) {}

    /// A call that the link has left running has ended, with a reply that can be kept or without.
    fn finished(&self, _link: &Link, _call: CallId, _reply: Option<KeptReply>) {}
}

/// A call that came in.
pub(crate) struct Incoming {
    pub(crate) now: Instant,
    pub(crate) head: RequestHead,
    pub(crate) message: Message,
    pub(crate) reporter: Reporter,
}

/// How a call is being served.
pub(crate) enum Serving {
    /// It is done.
    Done(Result<Reply>),
    /// It goes on.
    Running {
        future: BoxFuture<'static, Result<Reply>>,
        deadline: Option<Instant>,
        on_end: Arc<dyn OnEnd>,
    },
}

/// Is told what becomes of a call that is served.
pub(crate) trait OnEnd: Send + Sync + 'static {
    /// The result is not wanted any more; the future is dropped.
    fn cancelled(&self);
    /// The call has ended with this result, whose blobs and streams it may wrap. True if that was
    /// not told before; then `answered` follows.
    fn ended(&self, result: &mut Result<Reply>) -> bool;
    /// The reply has been queued.
    fn answered(&self, now: Instant);
    /// The call ends without a result, unless it has ended.
    fn stopped(&self);
}

/// What goes with a call besides its message.
#[derive(Default, Clone)]
pub(crate) struct CallOptions {
    pub(crate) deadline: Option<Instant>,
    pub(crate) on_progress: Option<OnProgress>,
    /// It may be made elsewhere if the other end gives no sign of life.
    pub(crate) may_move: bool,
}

/// Why a call could not be begun; the message comes back.
#[derive(Debug)]
pub(crate) struct CallFailure {
    pub(crate) error: Error,
    /// True if there may be room later on this very link.
    pub(crate) full: bool,
    pub(crate) message: Message,
}

/// One end of a link. Cheap to clone; the link lives until it is closed by one of its ends.
#[derive(Clone)]
pub(crate) struct Link {
    shared: Arc<Shared>,
}

/// A link, as long as somebody else holds it.
pub(crate) struct WeakLink(Weak<Shared>);

impl WeakLink {
    pub(crate) fn upgrade(&self) -> Option<Link> {
        self.0.upgrade().map(|shared| Link { shared })
    }
}

struct Shared {
    /// The number that this end gave it in its hello.
    number: u64,
    peer: PublicKey,
    address: Address,
    dialed: bool,
    state: Mutex<State>,
    /// Calls made here and not answered, for placement.
    in_flight: AtomicU32,
    /// Calls that the other end says it is serving.
    their_load: AtomicU32,
    /// The other end has said hello, and neither end parts.
    there: AtomicBool,
    /// The other end finishes its calls and wants no new ones.
    draining: AtomicBool,
    /// Calls wait, and nothing comes.
    silent: AtomicBool,
    /// Calls wait, and none is answered.
    unanswered: AtomicBool,
    /// The other end broke the protocol, or does not read.
    faulty: AtomicBool,
    /// Woken when hello, status or closing change what others know.
    changed: Notify,
}

/// Locked for moments only; no guard lives across an await.
struct State {
    mux: Mux,
    /// The driver, when it waits.
    driver: Option<Waker>,
    /// Calls made here, by the id that the mux gave.
    made: Vec<Waiting>,
    readers: BTreeMap<u32, Waker>,
    /// Those who wait for room on a channel.
    writers: BTreeMap<u32, Waker>,
    /// Those who have nothing to send on a channel, and want to know when nobody reads it any more.
    idle: BTreeMap<u32, Waker>,
    /// Those who wait until another call can be made.
    room: Vec<Waker>,
    running: BTreeMap<u32, Running>,
    /// Of those, the ones that the link has left: they go on without it. `None` until it has.
    left: Option<BTreeMap<u32, CallId>>,
    hello: Option<Arc<Hello>>,
    status: Option<Arc<Status>>,
    /// It has come by itself: the one in a hello tells nothing of other nodes.
    reported: bool,
    /// Asked to close, once all is written.
    closing: Option<Closing>,
    closed: Option<String>,
}

struct Closing {
    why: String,
    /// When to close although not all is written.
    until: Instant,
}

enum Waiting {
    Nobody,
    For {
        waker: Option<Waker>,
        on_progress: Option<OnProgress>,
    },
    Done(Result<(Bytes, Channels), Error>),
}

struct Running {
    task: AbortHandle,
    on_end: Arc<dyn OnEnd>,
}

/// What follows from a reply.
enum Replied {
    /// Nothing more.
    Sent,
    /// Its attachments are to be sent.
    Pump(Channels, Vec<Attachment>),
    /// The link has been left; the reply is for whoever asks again.
    Late(CallId, Option<KeptReply>),
}

impl Running {
    fn stop(self) {
        self.on_end.cancelled();
        self.task.abort();
        self.on_end.stopped();
    }
}

impl Link {
    /// Starts the driver of a link on the current runtime and says `hello`.
    pub(crate) fn start(
        bytes: ByteLink,
        dialed: bool,
        hello: &Hello,
        limits: Limits,
        serve: Arc<dyn Serve>,
        traffic: Arc<Traffic>,
    ) -> Self {
        let now = world::now();
        let state = State {
            mux: Mux::new(now, limits, hello),
            driver: None,
            made: Vec::new(),
            readers: BTreeMap::new(),
            writers: BTreeMap::new(),
            idle: BTreeMap::new(),
            room: Vec::new(),
            running: BTreeMap::new(),
            left: None,
            hello: None,
            status: None,
            reported: false,
            closing: None,
            closed: None,
        };
        let shared = Arc::new(Shared {
            number: hello.link,
            peer: bytes.peer,
            address: bytes.address,
            dialed,
            state: Mutex::new(state),
            in_flight: AtomicU32::new(0),
            their_load: AtomicU32::new(0),
            there: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            unanswered: AtomicBool::new(false),
            faulty: AtomicBool::new(false),
            changed: Notify::new(),
        });
        let link = Self { shared };
        serve.opened(&link);
        driver::spawn(link.clone(), bytes.bytes, serve, traffic, now);
        link
    }

    pub(crate) fn peer(&self) -> PublicKey {
        self.shared.peer
    }

    pub(crate) fn address(&self) -> &Address {
        &self.shared.address
    }

    /// The number that this end gave the link.
    pub(crate) fn number(&self) -> u64 {
        self.shared.number
    }

    pub(crate) fn downgrade(&self) -> WeakLink {
        WeakLink(Arc::downgrade(&self.shared))
    }

    /// True if this end dialled.
    pub(crate) fn dialed(&self) -> bool {
        self.shared.dialed
    }

    /// True if the two are ends of one process's same link object.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// True if it takes calls: the other end has said hello, does not drain, and is there.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_there() && !self.shared.draining.load(Ordering::Acquire)
    }

    /// True if the other end has said hello and neither end parts. One that drains still takes the
    /// calls that the cloud itself needs, and those that only it may serve.
    pub(crate) fn is_there(&self) -> bool {
        self.shared.there.load(Ordering::Acquire)
    }

    /// True if calls wait for the other end, and it gives no sign of life.
    pub(crate) fn is_silent(&self) -> bool {
        self.shared.silent.load(Ordering::Relaxed)
    }

    /// How busy the other end is, as it says and as this end sees: calls in flight, which weigh more
    /// where none has been answered for long.
    pub(crate) fn load(&self) -> u32 {
        let ours = self.shared.in_flight.load(Ordering::Relaxed);
        let weight = if self.shared.unanswered.load(Ordering::Relaxed) {
            UNANSWERED
        } else {
            1
        };
        let ours = ours.saturating_mul(weight);
        ours.saturating_add(self.shared.their_load.load(Ordering::Relaxed))
    }

    /// When a call was made over it that no other was under way beside, and whether some are now.
    pub(crate) fn asked(&self) -> (Instant, bool) {
        let state = self.shared.lock();
        (state.mux.last_asked(), state.mux.in_flight() > 0)
    }

    /// Waits for the other end's hello.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if the link closes first; why is in the message.
    pub(crate) async fn hello(&self) -> Result<Arc<Hello>> {
        loop {
            let mut changed = pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            {
                let state = self.shared.lock();
                if let Some(why) = &state.closed {
                    let message = format!("the link to {} closed: {why}", self.peer().short());
                    return Err(Error::new(Code::Unavailable, message));
                }
                if let Some(hello) = &state.hello {
                    return Ok(hello.clone());
                }
            }
            changed.await;
        }
    }

    /// The other end's hello, if it has come.
    pub(crate) fn hello_now(&self) -> Option<Arc<Hello>> {
        self.shared.lock().hello.clone()
    }

    /// How the other end stands, as it last said.
    pub(crate) fn status(&self) -> Option<Arc<Status>> {
        self.shared.lock().status.clone()
    }

    /// Waits for a status other than `seen`; `None` when the link is closed or takes no more calls.
    pub(crate) async fn next_status(&self, seen: Option<&Arc<Status>>) -> Option<Arc<Status>> {
        loop {
            let mut changed = pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            {
                let state = self.shared.lock();
                if state.closed.is_some() {
                    return None;
                }
                if let Some(status) = &state.status
                    && seen.is_none_or(|seen| !Arc::ptr_eq(seen, status))
                {
                    return Some(status.clone());
                }
            }
            changed.await;
        }
    }

    /// True if `status` is the last that came, and not the one of a hello, which tells nothing of other
    /// nodes.
    pub(crate) fn has_reported(&self, status: &Arc<Status>) -> bool {
        let state = self.shared.lock();
        let last = state.status.as_ref();
        state.reported && last.is_some_and(|last| Arc::ptr_eq(last, status))
    }

    /// True if the link ended because the other end broke the protocol, or does not read.
    pub(crate) fn is_faulty(&self) -> bool {
        self.shared.faulty.load(Ordering::Relaxed)
    }

    /// Why the link is closed, if it is.
    pub(crate) fn closed_now(&self) -> Option<String> {
        self.shared.lock().closed.clone()
    }

    /// Waits until the link is closed, and says why.
    pub(crate) async fn closed(&self) -> String {
        loop {
            let mut changed = pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            if let Some(why) = self.closed_now() {
                return why;
            }
            changed.await;
        }
    }

    /// Tells the other end how things stand here.
    pub(crate) fn send_status(&self, encoded: &Bytes) {
        self.command(|state| state.mux.status(encoded));
    }

    /// The other end may be found elsewhere: calls that miss their deadline on a link that is silent end
    /// it.
    pub(crate) fn leads_elsewhere(&self) {
        self.command(|state| state.mux.leads_elsewhere());
    }

    /// Takes no new calls in either direction; the link closes by itself when the last has ended.
    pub(crate) fn go_away(&self) {
        self.shared.there.store(false, Ordering::Release);
        self.command(|state| state.mux.go_away());
    }

    /// Closes the link now; calls in flight fail. The other end is told why.
    pub(crate) fn close(&self, why: &str) {
        self.shared.there.store(false, Ordering::Release);
        self.command(|state| {
            if state.closing.is_none() && state.closed.is_none() {
                state.mux.refuse(why);
                let until = world::now() + LAST_WORDS;
                state.closing = Some(Closing {
                    why: why.to_owned(),
                    until,
                });
            }
        });
    }

    /// Serves nothing more that comes over the link, and gives what it leaves: the calls with an id
    /// whose replies may not have arrived. Those that run go on, and what becomes of them
    /// [is told](Serve::finished). Gives nothing the second time.
    pub(crate) fn leave(&self) -> Vec<(CallId, Left)> {
        self.command(|state| {
            if state.left.is_some() {
                return Vec::new();
            }
            let mut running = BTreeMap::new();
            let left = state.mux.leave().into_iter().map(|(place, call, left)| {
                if left == Left::Running {
                    running.insert(place, call);
                }
                (call, left)
            });
            let left = left.collect();
            state.left = Some(running);
            left
        })
    }

    /// Stops the calls that the link has left running.
    pub(crate) fn stop_left(&self) {
        let running = self.command(|state| {
            let left = state.left.get_or_insert_default();
            left.clear();
            std::mem::take(&mut state.running)
        });
        running.into_values().for_each(Running::stop);
    }

    pub(crate) fn progress(&self, call: u32, fraction: f32, note: &str) {
        self.command(|state| state.mux.progress(call, fraction, note));
    }

    /// Begins a call.
    ///
    /// # Errors
    /// [`CallFailure`] with the message, if it cannot be begun now or here.
    ///
    /// # Cancel safety
    /// Dropping the returned future cancels the call at the other end.
    pub(crate) fn call(
        &self,
        head: RequestHead,
        message: Message,
        options: CallOptions,
    ) -> Result<PendingCall, CallFailure> {
        let count = message.attachments.len() as u16;
        let begun = {
            let mut state = self.shared.lock();
            if let Some(why) = &state.closed {
                let error = Error::new(Code::Unavailable, format!("the link is closed: {why}"));
                return Err(CallFailure {
                    error,
                    full: false,
                    message,
                });
            }
            if state.mux.in_flight() == 0 {
                state.mux.asked(world::now());
            }
            let begun = state.mux.call(options.deadline, head, &message.body, count);
            if let Ok((id, _)) = begun {
                if options.may_move {
                    state.mux.may_move(id);
                }
                let place = id as usize;
                if state.made.len() <= place {
                    state.made.resize_with(place + 1, || Waiting::Nobody);
                }
                state.made[place] = Waiting::For {
                    waker: None,
                    on_progress: options.on_progress,
                };
            }
            let driver = state.driver.take();
            drop(state);
            if let Some(driver) = driver {
                driver.wake();
            }
            begun
        };
        match begun {
            Ok((id, channels)) => {
                self.shared.in_flight.fetch_add(1, Ordering::Relaxed);
                self.pump(channels, message.attachments);
                Ok(PendingCall {
                    link: self.clone(),
                    id,
                    done: false,
                })
            }
            Err(why) => {
                let (full, error) = match why {
                    CannotCall::Full => (
                        true,
                        Error::new(Code::Busy, "too many calls are in flight on the link"),
                    ),
                    CannotCall::Parting => (
                        false,
                        Error::new(Code::Unavailable, "the node takes no new calls"),
                    ),
                    CannotCall::TooLarge { max } => {
                        let message = format!(
                            "the arguments have {} bytes, the node takes {max}; large bytes belong in a `Blob`",
                            message.body.len()
                        );
                        (false, Error::new(Code::TooLarge, message))
                    }
                };
                Err(CallFailure {
                    error,
                    full,
                    message,
                })
            }
        }
    }

    /// Waits until another call can be made, or the link is closed.
    pub(crate) async fn room(&self) {
        let mut waited = false;
        std::future::poll_fn(|cx| {
            if waited {
                return Poll::Ready(());
            }
            let mut state = self.shared.lock();
            if state.closed.is_some() {
                return Poll::Ready(());
            }
            waited = true;
            state.room.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Changes the state and wakes the driver.
    fn command<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.shared.lock();
        let result = change(&mut state);
        let driver = state.driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        result
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("peer", &self.shared.peer)
            .field("address", &self.shared.address)
            .finish_non_exhaustive()
    }
}

/// A call that waits for its reply.
pub(crate) struct PendingCall {
    link: Link,
    id: u32,
    done: bool,
}

impl Future for PendingCall {
    type Output = Result<Message>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Message>> {
        let reply = {
            let mut state = self.link.shared.lock();
            let Some(place) = state.made.get_mut(self.id as usize) else {
                return Poll::Ready(Err(Error::new(Code::Internal, "the call is not known")));
            };
            match place {
                Waiting::For { waker, .. } => {
                    match waker {
                        Some(waker) => waker.clone_from(cx.waker()),
                        None => *waker = Some(cx.waker().clone()),
                    }
                    return Poll::Pending;
                }
                Waiting::Done(_) | Waiting::Nobody => {
                    let reply = std::mem::replace(place, Waiting::Nobody);
                    state.mux.release(self.id);
                    reply
                }
            }
        };
        self.done = true;
        self.link.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        Poll::Ready(match reply {
            Waiting::Done(Ok((body, channels))) => {
                let attachments = if channels.count == 0 {
                    Vec::new()
                } else {
                    self.link.attachments(channels)
                };
                Ok(Message { body, attachments })
            }
            Waiting::Done(Err(error)) => Err(error.at_node(self.link.peer())),
            Waiting::For { .. } | Waiting::Nobody => {
                Err(Error::new(Code::Internal, "the reply was taken before"))
            }
        })
    }
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        self.link.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.link.command(|state| {
            let Some(place) = state.made.get_mut(self.id as usize) else {
                return;
            };
            match std::mem::replace(place, Waiting::Nobody) {
                Waiting::Done(Ok((_, channels))) => {
                    channels.ids().for_each(|channel| state.mux.stop(channel));
                }
                Waiting::For { .. } => state.mux.abandon(self.id),
                Waiting::Done(Err(_)) | Waiting::Nobody => {}
            }
            state.mux.release(self.id);
        });
    }
}

impl State {
    /// When the driver has something to do though nothing comes.
    fn next_wakeup(&self) -> Instant {
        let wakeup = self.mux.next_wakeup();
        self.closing
            .as_ref()
            .map_or(wakeup, |closing| closing.until.min(wakeup))
    }

    /// True if several tasks may have something to send at the same moment.
    fn is_shared(&self) -> bool {
        self.mux.in_flight() + self.mux.sending() + self.running.len() > 1
    }

    fn replied(
        &mut self,
        id: u32,
        reply: Result<(Bytes, Channels), Error>,
        wakers: &mut Vec<Waker>,
    ) {
        let Some(place) = self.made.get_mut(id as usize) else {
            return;
        };
        if let Waiting::For { waker, .. } = place {
            wakers.extend(waker.take());
            *place = Waiting::Done(reply);
        }
        wakers.append(&mut self.room);
    }

    /// Queues the reply of a call that was served in a task of its own, unless it has been ended
    /// meanwhile: then its caller may have another one under the same id by now, and must not be
    /// given this reply for it.
    fn reply_late(&mut self, id: u32, on_end: &Arc<dyn OnEnd>, result: Result<Reply>) -> Replied {
        let address = |one: &Arc<dyn OnEnd>| Arc::as_ptr(one).cast::<()>();
        let running = self.running.get(&id);
        if running.is_some_and(|call| address(&call.on_end) == address(on_end)) {
            self.reply(id, result)
        } else {
            Replied::Sent
        }
    }

    /// Queues a reply.
    fn reply(&mut self, id: u32, result: Result<Reply>) -> Replied {
        self.running.remove(&id);
        if let Some(call) = self.left.as_mut().and_then(|left| left.remove(&id)) {
            return Replied::Late(call, KeptReply::of(&result));
        }
        match result {
            Ok(Reply {
                message: Message { body, attachments },
            }) => {
                let queued = self.mux.reply(id, Ok((&body, attachments.len() as u16)));
                match queued {
                    Ok(channels) if channels.count > 0 => Replied::Pump(channels, attachments),
                    Ok(_) | Err(_) => Replied::Sent,
                }
            }
            Err(error) => {
                // The error has been sent; it is of no further use here.
                let _ = self.mux.reply(id, Err(error));
                Replied::Sent
            }
        }
    }
}
