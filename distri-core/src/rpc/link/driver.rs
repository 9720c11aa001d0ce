//! The task of a link: reads frames, writes what waits, serves the calls that come in.
//!
//! Each turn takes in what has been read, polls the handlers of new calls in place, and writes all
//! that is ready in one go. A handler that waits for something moves into a task of its own.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: it owns the tasks of the calls it serves, and the link's timer"
)]

use std::{
    collections::VecDeque,
    future::Future,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    time::{Instant, Sleep},
};

use super::{Incoming, Link, OnEnd, Replied, Running, Serve, Serving, State, Waiting};
use crate::{
    error::{Code, Error, Result, chain},
    message::{BoxFuture, Message, Reply},
    rpc::{
        OnProgress, Progress, Reporter,
        mux::{Broken, Event},
    },
    stats::Traffic,
    transport::ByteStream,
    wire::{
        Frame,
        frame::{BODY_MAX, Channels, HEADER_LEN, RequestHead},
    },
    world,
};

/// Room kept free for one read: several frames of small calls, or one whole large frame.
const READ: usize = 2 * (BODY_MAX + HEADER_LEN);

/// Reads and writes in one turn of the driver before other tasks get theirs.
const ROUNDS: usize = 16;

/// Starts the task of `link`.
pub(super) fn spawn(
    link: Link,
    bytes: Box<dyn ByteStream>,
    serve: Arc<dyn Serve>,
    traffic: Arc<Traffic>,
    now: Instant,
) {
    let driver = Driver {
        link,
        bytes,
        serve,
        traffic,
        read: BytesMut::new(),
        writing: VecDeque::new(),
        written: 0,
        flushed: true,
        parted: false,
        yielded: false,
        timer: Box::pin(tokio::time::sleep_until(now)),
        events: Vec::new(),
        wakers: Vec::new(),
        reports: Vec::new(),
        replies: Vec::new(),
    };
    world::spawn(driver.run());
}

/// The task of a link.
struct Driver {
    link: Link,
    bytes: Box<dyn ByteStream>,
    serve: Arc<dyn Serve>,
    traffic: Arc<Traffic>,
    read: BytesMut,
    /// Taken from the mux, and not yet given to the transport.
    writing: VecDeque<Bytes>,
    /// Bytes given to the transport.
    written: u64,
    flushed: bool,
    /// Both ends were done with the link.
    parted: bool,
    /// Other tasks have had their turn since there was something to write.
    yielded: bool,
    timer: Pin<Box<Sleep>>,
    /// Kept between turns for their room only.
    events: Vec<Event>,
    wakers: Vec<Waker>,
    /// Progress to be told once the lock is let go.
    reports: Vec<(OnProgress, Progress)>,
    replies: Vec<Answer>,
}

/// The reply of a call that was served in place.
struct Answer {
    id: u32,
    result: Result<Reply>,
    /// Is told when the reply has been queued.
    on_end: Option<Arc<dyn OnEnd>>,
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
                Poll::Ready(Ok(read)) => {
                    idle = false;
                    self.traffic.add_received(read);
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
        let now = world::now();
        let told = {
            let shared = self.link.shared.clone();
            let mut state = shared.lock();
            let received = self.receive(now, &mut state);
            // Also when the link ends here: what came before has been taken from the mux.
            let told = self.tell(&mut state);
            received.and(told)
        };
        self.wake_and_report();
        if self.events.is_empty() {
            return told;
        }
        if told.is_err() {
            let mut state = self.link.shared.lock();
            for event in self.events.drain(..) {
                if let Event::Request { id, .. } = event {
                    state.mux.is_not_served(id);
                }
            }
            return told;
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

    /// Wakes those whose wait has ended, and tells progress, without the lock.
    fn wake_and_report(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
        for (tell, progress) in self.reports.drain(..) {
            // A caller's function that panics is the caller's affair; the link goes on.
            let _ = std::panic::catch_unwind(AssertUnwindSafe(|| tell(progress)));
        }
    }

    /// Gives the frames that have been read to the mux.
    fn receive(&mut self, now: Instant, state: &mut State) -> Result<(), String> {
        if state.left.is_some() {
            return Err("the other end has linked anew".to_owned());
        }
        let mut receive = || -> Result<(), Broken> {
            while let Some(frame) = Frame::take(&mut self.read)? {
                state.mux.receive(now, frame, &mut self.events)?;
            }
            Ok(())
        };
        receive().map_err(|broken| {
            self.link.shared.faulty.store(true, Ordering::Relaxed);
            chain(&broken)
        })
    }

    /// Tells waiting tasks what has happened. Requests stay in the list.
    fn tell(&mut self, state: &mut State) -> Result<(), String> {
        let mut refused = None;
        let mut given_up = Vec::new();
        let wakers = &mut self.wakers;
        let reports = &mut self.reports;
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
                        let progress = Progress {
                            fraction: *fraction,
                            note: std::mem::take(note),
                        };
                        reports.push((tell.clone(), progress));
                    }
                }
                Event::Cancelled { id } => {
                    match state.running.remove(id) {
                        Some(running) => running.stop(),
                        // It came in the same go as its request.
                        None => given_up.push(*id),
                    }
                    let gone = Error::new(Code::Cancelled, "the caller gave the call up");
                    // The caller does not wait; the reply only frees the id.
                    let _ = state.mux.reply(*id, Err(gone));
                }
                Event::Readable { channel } => wakers.extend(state.readers.remove(channel)),
                Event::Writable { channel } => {
                    wakers.extend(state.writers.remove(channel));
                    wakers.extend(state.idle.remove(channel));
                }
                Event::AllWritable => {
                    wakers.extend(std::mem::take(&mut state.writers).into_values())
                }
                Event::Hello(hello) => {
                    shared
                        .their_load
                        .store(hello.status.in_flight, Ordering::Relaxed);
                    shared
                        .draining
                        .store(hello.status.draining, Ordering::Release);
                    shared.there.store(true, Ordering::Release);
                    state.status = Some(Arc::new(hello.status.clone()));
                    state.hello = Some(Arc::new((**hello).clone()));
                    shared.changed.notify_waiters();
                }
                Event::Status(status) => {
                    shared.their_load.store(status.in_flight, Ordering::Relaxed);
                    if status.draining {
                        shared.draining.store(true, Ordering::Release);
                    }
                    state.status = Some(Arc::new((**status).clone()));
                    state.reported = true;
                    shared.changed.notify_waiters();
                }
                Event::Doubted(doubt) => {
                    shared.silent.store(doubt.silent, Ordering::Relaxed);
                    shared.unanswered.store(doubt.unanswered, Ordering::Relaxed);
                }
                Event::GoAway => {
                    shared.there.store(false, Ordering::Release);
                    wakers.append(&mut state.room);
                    shared.changed.notify_waiters();
                }
                Event::Refused(why) => refused = Some(format!("the other end says: {why}")),
            }
            false
        });
        if !given_up.is_empty() {
            self.events.retain(|event| match event {
                Event::Request { id, head, .. } if given_up.contains(id) => {
                    head.channels
                        .ids()
                        .for_each(|channel| state.mux.stop(channel));
                    false
                }
                _ => true,
            });
        }
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
            self.replies.push(Answer {
                id,
                result: Err(busy),
                on_end: None,
            });
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
        let mut told = None;
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
                        Poll::Ready(mut result) => {
                            told = on_end.ended(&mut result).then_some(on_end);
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
            Serving::Done(result) => self.replies.push(Answer {
                id,
                result,
                on_end: told,
            }),
            Serving::Running {
                future,
                deadline,
                on_end,
            } => {
                let mut state = self.link.shared.lock();
                let link = self.link.clone();
                let serve = self.serve.clone();
                let work = finish_call(link, serve, id, future, deadline, on_end.clone());
                let task = world::spawn(work).abort_handle();
                state.running.insert(id, Running { task, on_end });
            }
        }
    }

    /// Queues the replies of calls that were served in place.
    fn answer(&mut self) {
        if self.replies.is_empty() {
            return;
        }
        let mut more = Vec::new();
        {
            // One look at the clock for all: their replies go together.
            let now = world::now();
            let mut state = self.link.shared.lock();
            for Answer { id, result, on_end } in self.replies.drain(..) {
                match state.reply(id, result) {
                    Replied::Sent => {}
                    replied @ (Replied::Pump(..) | Replied::Late(..)) => more.push(replied),
                }
                if let Some(on_end) = on_end {
                    on_end.answered(now);
                }
            }
        }
        for replied in more {
            follow(&self.link, &*self.serve, replied);
        }
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        let told = {
            let shared = self.link.shared.clone();
            let mut state = shared.lock();
            let now = world::now();
            let ticked = state.mux.tick(now, &mut self.events).map_err(|e| chain(&e));
            let told = self.tell(&mut state);
            let given_up = match &state.closing {
                Some(closing) if closing.until <= now => Err(closing.why.clone()),
                Some(_) | None => Ok(()),
            };
            self.timer.as_mut().reset(state.next_wakeup());
            ticked.and(told).and(given_up)
        };
        self.wake_and_report();
        told?;
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
                if !self.yielded && state.is_shared() && state.mux.out.waiting() < READ {
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
                        .extend(std::mem::take(&mut state.writers).into_values());
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
                self.traffic.add_sent(len);
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
            if let Some(closing) = state.closing.take() {
                return Poll::Ready(closing.why);
            }
            if state.mux.may_close() {
                self.parted = true;
                return Poll::Ready("both ends are done".to_owned());
            }
        }
        let wakeup = state.next_wakeup();
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

    async fn close(mut self, why: &str) {
        self.end(why);
        // Nobody waits for a polite end; who reads gets one, others are left after a moment.
        let end = std::future::poll_fn(|cx| Pin::new(&mut self.bytes).poll_shutdown(cx));
        let _ = tokio::time::timeout(super::LAST_WORDS, end).await;
    }
}

impl Driver {
    /// Ends everything that hangs on the link.
    fn end(&mut self, why: &str) {
        let shared = self.link.shared.clone();
        shared.there.store(false, Ordering::Release);
        if shared.lock().closed.is_some() {
            return;
        }
        self.serve.ended(&self.link, self.parted);
        let mut wakers = Vec::new();
        let running = {
            let mut guard = shared.lock();
            let state = &mut *guard;
            for (id, error) in state.mux.fail_all(self.written, why) {
                state.replied(id, Err(error), &mut wakers);
            }
            state.closed = Some(why.to_owned());
            wakers.append(&mut state.room);
            wakers.extend(std::mem::take(&mut state.readers).into_values());
            wakers.extend(std::mem::take(&mut state.writers).into_values());
            wakers.extend(std::mem::take(&mut state.idle).into_values());
            let mut stopped = Vec::new();
            let left = state.left.get_or_insert_default();
            for (id, running) in std::mem::take(&mut state.running) {
                if left.contains_key(&id) {
                    state.running.insert(id, running);
                } else {
                    stopped.push(running);
                }
            }
            stopped
        };
        running.into_iter().for_each(Running::stop);
        wakers.into_iter().for_each(Waker::wake);
        shared.changed.notify_waiters();
        tracing::debug!(peer = %shared.peer.short(), address = %shared.address, why, "link closed");
    }
}

impl Drop for Driver {
    /// Also when the runtime stops, or the task panics: nobody waits for a link that has no driver.
    fn drop(&mut self) {
        self.end("its task was stopped");
    }
}

/// The task of a call that could not be served in place.
async fn finish_call(
    link: Link,
    serve: Arc<dyn Serve>,
    id: u32,
    mut future: BoxFuture<'static, Result<Reply>>,
    deadline: Option<Instant>,
    on_end: Arc<dyn OnEnd>,
) {
    let guarded = std::future::poll_fn(|cx| {
        std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)))
            .unwrap_or_else(|_| Poll::Ready(Err(panicked())))
    });
    let mut result = match deadline {
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
    if on_end.ended(&mut result) {
        on_end.answered(world::now());
    }
    let replied = link.command(|state| state.reply_late(id, &on_end, result));
    follow(&link, &*serve, replied);
}

/// Does what follows from a reply, without the lock.
fn follow(link: &Link, serve: &dyn Serve, replied: Replied) {
    match replied {
        Replied::Sent => {}
        Replied::Pump(channels, attachments) => link.pump(channels, attachments),
        Replied::Late(call, reply) => serve.finished(link, call, reply),
    }
}

fn panicked() -> Error {
    Error::new(
        Code::Internal,
        "the service panicked; the node's log says where",
    )
}
