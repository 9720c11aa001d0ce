//! The driver of a link: one task that reads frames, writes what waits, and serves calls.
//!
//! Decisions are the [`Mux`]'s. Here they are carried out: wakers are woken, requests go to
//! [`Serve`], bytes go to and from the transport. A request's handler is polled once in place; only
//! if it waits for something does it get a task. All that is ready is written in one go.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: it owns the tasks and the timer of its link"
)]

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    sync::Notify,
    task::AbortHandle,
    time::{Instant, Sleep},
};

use super::{
    OnProgress, Progress, Reporter,
    mux::{CannotCall, Event, Mux, Sent},
};
use crate::{
    clock,
    config::Limits,
    error::{Code, Error, Result, chain},
    id::PublicKey,
    message::{Attachment, BoxFuture, Message, Reply},
    transport::{Address, ByteLink, ByteStream},
    wire::{
        Frame, Hello, Status,
        frame::{BODY_MAX, Channels, HEADER_LEN, RequestHead},
    },
};

/// Room kept free for one read: several frames of small calls, or one whole large frame.
const READ: usize = 2 * (BODY_MAX + HEADER_LEN);

/// Reads and writes in one turn of the driver before other tasks get theirs.
const ROUNDS: usize = 16;

/// Who answers the calls that come in over a link.
pub(crate) trait Serve: Send + Sync + 'static {
    /// Begins to serve a call. Must not wait.
    fn serve(&self, link: &Link, call: Incoming) -> Serving;
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
    /// The call has ended, well or not. Told once or more.
    fn ended(&self, well: bool);
}

/// What goes with a call besides its message.
#[derive(Default, Clone)]
pub(crate) struct CallOptions {
    pub(crate) deadline: Option<Instant>,
    pub(crate) on_progress: Option<OnProgress>,
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

struct Shared {
    peer: PublicKey,
    address: Address,
    dialed: bool,
    state: Mutex<State>,
    /// Calls made here and not answered, for placement.
    in_flight: AtomicU32,
    /// Calls that the other end says it is serving.
    their_load: AtomicU32,
    /// Takes calls: has said hello, does not drain, is not closed.
    ready: AtomicBool,
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
    readers: HashMap<u32, Waker>,
    writers: HashMap<u32, Waker>,
    /// Those who wait until another call can be made.
    room: Vec<Waker>,
    running: HashMap<u32, Running>,
    hello: Option<Arc<Hello>>,
    status: Option<Arc<Status>>,
    /// Asked to close, once all is written.
    closing: Option<String>,
    closed: Option<String>,
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

impl Running {
    fn stop(self) {
        self.on_end.cancelled();
        self.task.abort();
        self.on_end.ended(false);
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
    ) -> Self {
        let now = clock::now();
        let state = State {
            mux: Mux::new(now, limits, hello),
            driver: None,
            made: Vec::new(),
            readers: HashMap::new(),
            writers: HashMap::new(),
            room: Vec::new(),
            running: HashMap::new(),
            hello: None,
            status: None,
            closing: None,
            closed: None,
        };
        let shared = Arc::new(Shared {
            peer: bytes.peer,
            address: bytes.address,
            dialed,
            state: Mutex::new(state),
            in_flight: AtomicU32::new(0),
            their_load: AtomicU32::new(0),
            ready: AtomicBool::new(false),
            changed: Notify::new(),
        });
        let link = Self { shared };
        let driver = Driver {
            link: link.clone(),
            bytes: bytes.bytes,
            serve,
            read: BytesMut::new(),
            writing: VecDeque::new(),
            written: 0,
            flushed: true,
            yielded: false,
            timer: Box::pin(tokio::time::sleep_until(now)),
            events: Vec::new(),
            wakers: Vec::new(),
            replies: Vec::new(),
        };
        tokio::spawn(driver.run());
        link
    }

    pub(crate) fn peer(&self) -> PublicKey {
        self.shared.peer
    }

    pub(crate) fn address(&self) -> &Address {
        &self.shared.address
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
        self.shared.ready.load(Ordering::Acquire)
    }

    /// How busy the other end is, as it says and as this end sees: calls in flight.
    pub(crate) fn load(&self) -> u32 {
        let ours = self.shared.in_flight.load(Ordering::Relaxed);
        ours.saturating_add(self.shared.their_load.load(Ordering::Relaxed))
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

    /// Takes no new calls in either direction; the link closes by itself when the last has ended.
    pub(crate) fn go_away(&self) {
        self.shared.ready.store(false, Ordering::Release);
        self.command(|state| state.mux.go_away());
    }

    /// Closes the link now; calls in flight fail. The other end is told why.
    pub(crate) fn close(&self, why: &str) {
        self.shared.ready.store(false, Ordering::Release);
        self.command(|state| {
            if state.closing.is_none() && state.closed.is_none() {
                state.mux.refuse(why);
                state.closing = Some(why.to_owned());
            }
        });
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
            let begun = state.mux.call(options.deadline, head, &message.body, count);
            if let Ok((id, _)) = begun {
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

    fn pump(&self, channels: Channels, attachments: Vec<Attachment>) {
        for (id, attachment) in channels.ids().zip(attachments) {
            tokio::spawn(Pump {
                link: self.clone(),
                id,
                attachment,
                next: None,
            });
        }
    }

    fn attachments(&self, channels: Channels) -> Vec<Attachment> {
        channels
            .ids()
            .map(|id| {
                Attachment::new(ChannelReader {
                    link: self.clone(),
                    id,
                    ended: false,
                })
            })
            .collect()
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

/// The messages of a channel from the other end.
struct ChannelReader {
    link: Link,
    id: u32,
    ended: bool,
}

impl Stream for ChannelReader {
    type Item = Result<Message>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Message>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let mut state = self.link.shared.lock();
        let taken = state.mux.take(self.id);
        let next = match taken {
            None => {
                if let Some(why) = &state.closed {
                    let message = format!("the link broke within a stream: {why}");
                    Some(Err(Error::new(Code::Unavailable, message)))
                } else {
                    state.readers.insert(self.id, cx.waker().clone());
                    return Poll::Pending;
                }
            }
            Some(None) => None,
            Some(Some(Err(error))) => Some(Err(error)),
            Some(Some(Ok(received))) => Some(Ok(received)),
        };
        // Reading may have given credit, which the driver must send.
        let driver = if state.mux.out.waiting() > 0 {
            state.driver.take()
        } else {
            None
        };
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        self.ended = !matches!(next, Some(Ok(_)));
        Poll::Ready(next.map(|next| {
            next.map(|received| Message {
                attachments: self.link.attachments(received.channels),
                body: received.body,
            })
        }))
    }
}

impl Drop for ChannelReader {
    fn drop(&mut self) {
        self.link.command(|state| {
            state.readers.remove(&self.id);
            state.mux.stop(self.id);
        });
    }
}

/// Sends the messages of an attachment on a channel, as fast as the receiver reads.
struct Pump {
    link: Link,
    id: u32,
    attachment: Attachment,
    next: Option<Message>,
}

impl Future for Pump {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            if let Some(message) = this.next.take() {
                match this.link.send(this.id, &message, cx.waker()) {
                    (Sent::Yes, channels) => this.link.pump(channels, message.attachments),
                    (Sent::NotNow, _) => {
                        this.next = Some(message);
                        return Poll::Pending;
                    }
                    (Sent::Stopped, _) => return this.finish(None),
                    (Sent::TooLarge { max }, _) => {
                        let what = format!(
                            "an item of the stream has {} bytes, the receiver takes {max}",
                            message.body.len()
                        );
                        return this.finish(Some(Error::new(Code::TooLarge, what)));
                    }
                }
            }
            match this.attachment.poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => this.next = Some(message),
                Poll::Ready(Some(Err(error))) => return this.finish(Some(error)),
                Poll::Ready(None) => return this.finish(None),
                Poll::Pending => {
                    // The receiver may stop the channel while the source has nothing.
                    if this.link.watch_writer(this.id, cx.waker()) {
                        return Poll::Pending;
                    }
                    return this.finish(None);
                }
            }
        }
    }
}

impl Pump {
    fn finish(&mut self, error: Option<Error>) -> Poll<()> {
        self.link.command(|state| {
            state.writers.remove(&self.id);
            state.mux.end(self.id, error);
        });
        Poll::Ready(())
    }
}

impl Link {
    fn send(&self, id: u32, message: &Message, waker: &Waker) -> (Sent, Channels) {
        let mut state = self.shared.lock();
        if state.closed.is_some() {
            return (Sent::Stopped, Channels::default());
        }
        let sent = state
            .mux
            .send(id, &message.body, message.attachments.len() as u16);
        let driver = match sent.0 {
            Sent::NotNow => {
                state.writers.insert(id, waker.clone());
                None
            }
            Sent::Yes => state.driver.take(),
            Sent::Stopped | Sent::TooLarge { .. } => None,
        };
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        sent
    }

    /// Wakes `waker` when the channel can be written or is stopped; false if it is stopped already.
    fn watch_writer(&self, id: u32, waker: &Waker) -> bool {
        let mut state = self.shared.lock();
        let open = state.closed.is_none() && state.mux.is_wanted(id);
        if open {
            state.writers.insert(id, waker.clone());
        }
        open
    }
}

/// The task of a link.
struct Driver {
    link: Link,
    bytes: Box<dyn ByteStream>,
    serve: Arc<dyn Serve>,
    read: BytesMut,
    /// Taken from the mux, and not yet given to the transport.
    writing: VecDeque<Bytes>,
    /// Bytes given to the transport.
    written: u64,
    flushed: bool,
    /// Other tasks have had their turn since there was something to write.
    yielded: bool,
    timer: Pin<Box<Sleep>>,
    /// Kept between turns for their room only.
    events: Vec<Event>,
    wakers: Vec<Waker>,
    replies: Vec<(u32, Result<Reply>)>,
}

impl Driver {
    async fn run(mut self) {
        let why = std::future::poll_fn(|cx| self.poll(cx)).await;
        self.close(&why).await;
    }

    /// One turn; ready with the reason when the link has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        if self.timer.as_mut().poll(cx).is_ready()
            && let Err(why) = self.tick(cx)
        {
            return Poll::Ready(why);
        }
        for _ in 0..ROUNDS {
            let mut idle = true;
            match self.poll_read(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready("the other end closed it".to_owned()),
                Poll::Ready(Ok(_)) => {
                    idle = false;
                    if let Err(why) = self.take_in(cx) {
                        return Poll::Ready(why);
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(chain(&error)),
                Poll::Pending => {}
            }
            match self.poll_write(cx) {
                Poll::Ready(Ok(wrote)) => idle &= !wrote,
                Poll::Ready(Err(error)) => return Poll::Ready(chain(&error)),
                Poll::Pending => {}
            }
            if idle {
                return self.park(cx);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        if self.read.capacity() - self.read.len() < READ / 2 {
            self.read.reserve(READ);
        }
        pin!(self.bytes.read_buf(&mut self.read)).poll(cx)
    }

    /// Takes in the frames that have been read, and serves the calls among them.
    fn take_in(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        let now = clock::now();
        {
            let shared = self.link.shared.clone();
            let mut state = shared.lock();
            while let Some(frame) = Frame::take(&mut self.read).map_err(|e| chain(&e))? {
                state
                    .mux
                    .receive(now, frame, &mut self.events)
                    .map_err(|e| chain(&e))?;
            }
            self.tell(&mut state)?;
        }
        self.wakers.drain(..).for_each(Waker::wake);
        if self.events.is_empty() {
            return Ok(());
        }
        let overfull = self.link.shared.lock().mux.overfull();
        for event in std::mem::take(&mut self.events) {
            if let Event::Request { id, head, body } = event {
                self.serve_one(cx, now, overfull, id, head, body);
            }
        }
        self.answer();
        Ok(())
    }

    /// Tells waiting tasks what has happened. Requests stay in the list.
    fn tell(&mut self, state: &mut State) -> Result<(), String> {
        let mut refused = None;
        let wakers = &mut self.wakers;
        let shared = &self.link.shared;
        self.events.retain_mut(|event| {
            match event {
                Event::Request { .. } => return true,
                Event::Replied { id, reply } => {
                    let reply = std::mem::replace(reply, Ok((Bytes::new(), Channels::default())));
                    state.replied(*id, reply, wakers);
                }
                Event::Progress { id, fraction, note } => {
                    if let Some(Waiting::For {
                        on_progress: Some(tell),
                        ..
                    }) = state.made.get(*id as usize)
                    {
                        tell(Progress {
                            fraction: *fraction,
                            note: std::mem::take(note),
                        });
                    }
                }
                Event::Cancelled { id } => {
                    if let Some(running) = state.running.remove(id) {
                        running.stop();
                    }
                    let gone = Error::new(Code::Cancelled, "the caller gave the call up");
                    // The caller does not wait; the reply only frees the id.
                    let _ = state.mux.reply(*id, Err(gone));
                }
                Event::Readable { channel } => wakers.extend(state.readers.remove(channel)),
                Event::Writable { channel } => wakers.extend(state.writers.remove(channel)),
                Event::AllWritable => wakers.extend(state.writers.drain().map(|(_, waker)| waker)),
                Event::Hello(hello) => {
                    shared
                        .their_load
                        .store(hello.status.in_flight, Ordering::Relaxed);
                    shared
                        .ready
                        .store(!hello.status.draining, Ordering::Release);
                    state.status = Some(Arc::new(hello.status.clone()));
                    state.hello = Some(Arc::new((**hello).clone()));
                    shared.changed.notify_waiters();
                }
                Event::Status(status) => {
                    shared.their_load.store(status.in_flight, Ordering::Relaxed);
                    if status.draining {
                        shared.ready.store(false, Ordering::Release);
                    }
                    state.status = Some(Arc::new((**status).clone()));
                    shared.changed.notify_waiters();
                }
                Event::GoAway => {
                    shared.ready.store(false, Ordering::Release);
                    wakers.append(&mut state.room);
                    shared.changed.notify_waiters();
                }
                Event::Refused(why) => refused = Some(format!("the other end says: {why}")),
            }
            false
        });
        refused.map_or(Ok(()), Err)
    }

    fn serve_one(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        overfull: bool,
        id: u32,
        head: RequestHead,
        body: Bytes,
    ) {
        let attachments = if head.channels.count == 0 {
            Vec::new()
        } else {
            self.link.attachments(head.channels)
        };
        if overfull {
            let busy = Error::new(Code::Busy, "results wait for the caller to read them");
            self.replies.push((id, Err(busy)));
            return;
        }
        let message = Message { body, attachments };
        let reporter = Reporter::Link {
            link: self.link.clone(),
            call: id,
        };
        let incoming = Incoming {
            now,
            head,
            message,
            reporter,
        };
        let serve = &self.serve;
        let link = &self.link;
        let serving = {
            match serve.serve(link, incoming) {
                Serving::Running {
                    mut future,
                    deadline,
                    on_end,
                } => {
                    let polled =
                        std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)))
                            .unwrap_or_else(|_| Poll::Ready(Err(panicked())));
                    match polled {
                        Poll::Ready(result) => {
                            on_end.ended(result.is_ok());
                            Serving::Done(result)
                        }
                        Poll::Pending => Serving::Running {
                            future,
                            deadline,
                            on_end,
                        },
                    }
                }
                done @ Serving::Done(_) => done,
            }
        };
        match serving {
            Serving::Done(result) => self.replies.push((id, result)),
            Serving::Running {
                future,
                deadline,
                on_end,
            } => {
                let mut state = self.link.shared.lock();
                let work = finish_call(self.link.clone(), id, future, deadline, on_end.clone());
                let task = tokio::spawn(work).abort_handle();
                state.running.insert(id, Running { task, on_end });
            }
        }
    }

    /// Queues the replies of calls that were served in place.
    fn answer(&mut self) {
        if self.replies.is_empty() {
            return;
        }
        let mut pumps = Vec::new();
        {
            let mut state = self.link.shared.lock();
            for (id, result) in self.replies.drain(..) {
                pumps.extend(state.reply(id, result));
            }
        }
        for (channels, attachments) in pumps {
            self.link.pump(channels, attachments);
        }
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        {
            let shared = self.link.shared.clone();
            let mut state = shared.lock();
            state
                .mux
                .tick(clock::now(), &mut self.events)
                .map_err(|e| chain(&e))?;
            self.tell(&mut state)?;
            self.timer.as_mut().reset(state.mux.next_wakeup());
        }
        self.wakers.drain(..).for_each(Waker::wake);
        // A reset timer wakes nobody until it has been polled.
        let _ = self.timer.as_mut().poll(cx);
        Ok(())
    }

    /// Writes what waits; ready with whether anything was written.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<bool>> {
        let mut wrote = false;
        loop {
            if self.writing.is_empty() {
                let mut state = self.link.shared.lock();
                if state.mux.out.waiting() == 0 {
                    break;
                }
                // Tasks that were just woken are about to add to the queue: let them, once.
                if !self.yielded && state.mux.in_flight() > 1 && state.mux.out.waiting() < READ {
                    self.yielded = true;
                    drop(state);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                self.yielded = false;
                state.mux.out.drain_into(&mut self.writing);
                if !state.writers.is_empty() || !state.room.is_empty() {
                    let state = &mut *state;
                    self.wakers.append(&mut state.room);
                    self.wakers
                        .extend(state.writers.drain().map(|(_, waker)| waker));
                }
                drop(state);
                self.wakers.drain(..).for_each(Waker::wake);
            }
            while let Some(piece) = self.writing.front_mut() {
                let bytes = Pin::new(&mut self.bytes);
                let len = std::task::ready!(bytes.poll_write(cx, piece))?;
                if len == 0 {
                    return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
                }
                wrote = true;
                self.flushed = false;
                self.written += len as u64;
                if len == piece.len() {
                    self.writing.pop_front();
                } else {
                    bytes::Buf::advance(piece, len);
                }
            }
        }
        if !self.flushed {
            std::task::ready!(Pin::new(&mut self.bytes).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(wrote))
    }

    /// Waits for bytes, time or a command, unless there is something to do after all.
    fn park(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        let mut state = self.link.shared.lock();
        let all_written = self.writing.is_empty() && state.mux.out.waiting() == 0 && self.flushed;
        if all_written {
            if let Some(why) = state.closing.take() {
                return Poll::Ready(why);
            }
            if state.mux.may_close() {
                return Poll::Ready("both ends are done".to_owned());
            }
        }
        let wakeup = state.mux.next_wakeup();
        let blocked = !self.writing.is_empty() || !self.flushed;
        let more = state.mux.out.waiting() > 0 && !blocked;
        match &mut state.driver {
            Some(driver) => driver.clone_from(cx.waker()),
            None => state.driver = Some(cx.waker().clone()),
        }
        drop(state);
        if wakeup < self.timer.deadline() {
            self.timer.as_mut().reset(wakeup);
            if self.timer.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        if more {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Ends everything that hangs on the link.
    async fn close(mut self, why: &str) {
        let shared = self.link.shared.clone();
        shared.ready.store(false, Ordering::Release);
        let mut wakers = Vec::new();
        let running = {
            let mut guard = shared.lock();
            let state = &mut *guard;
            for (id, error) in state.mux.fail_all(self.written, why) {
                state.replied(id, Err(error), &mut wakers);
            }
            state.closed = Some(why.to_owned());
            wakers.append(&mut state.room);
            wakers.extend(state.readers.drain().map(|(_, waker)| waker));
            wakers.extend(state.writers.drain().map(|(_, waker)| waker));
            std::mem::take(&mut state.running)
        };
        for running in running.into_values() {
            running.stop();
        }
        wakers.into_iter().for_each(Waker::wake);
        shared.changed.notify_waiters();
        tracing::debug!(peer = %shared.peer.short(), address = %shared.address, why, "link closed");
        // Nobody waits for a polite end; a peer that reads gets one, others are left after a moment.
        let end = std::future::poll_fn(|cx| Pin::new(&mut self.bytes).poll_shutdown(cx));
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), end).await;
    }
}

impl State {
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

    /// Queues a reply; gives the attachments that are now to be sent.
    fn reply(&mut self, id: u32, result: Result<Reply>) -> Option<(Channels, Vec<Attachment>)> {
        self.running.remove(&id);
        match result {
            Ok(Reply {
                message: Message { body, attachments },
            }) => {
                let queued = self.mux.reply(id, Ok((&body, attachments.len() as u16)));
                let channels = queued.ok().filter(|channels| channels.count > 0)?;
                Some((channels, attachments))
            }
            Err(error) => {
                // The error has been sent; it is of no further use here.
                let _ = self.mux.reply(id, Err(error));
                None
            }
        }
    }
}

/// The task of a call that could not be served in place.
async fn finish_call(
    link: Link,
    id: u32,
    mut future: BoxFuture<'static, Result<Reply>>,
    deadline: Option<Instant>,
    on_end: Arc<dyn OnEnd>,
) {
    let guarded = std::future::poll_fn(|cx| {
        std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)))
            .unwrap_or_else(|_| Poll::Ready(Err(panicked())))
    });
    let result = match deadline {
        None => guarded.await,
        Some(deadline) => tokio::time::timeout_at(deadline, guarded)
            .await
            .unwrap_or_else(|_| {
                on_end.cancelled();
                Err(Error::new(
                    Code::DeadlineExceeded,
                    "the deadline passed while the call was served",
                ))
            }),
    };
    on_end.ended(result.is_ok());
    let pump = link.command(|state| state.reply(id, result));
    if let Some((channels, attachments)) = pump {
        link.pump(channels, attachments);
    }
}

fn panicked() -> Error {
    Error::new(
        Code::Internal,
        "the service panicked; the node's log says where",
    )
}
