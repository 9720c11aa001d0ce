//! The multiplexer: many calls and channels over one ordered link, as a pure state machine.
//!
//! It knows which calls are in flight in both directions, reassembles messages, keeps credit for
//! channels and the link, and decides when the link is silent for too long. It never waits, and
//! touches neither clock nor socket: [`super::link`] feeds it frames and time, and writes what
//! stands in its [`Outgoing`] queue. What it wants told to others it pushes as [`Event`]s.
//!
//! Ids: a call's id belongs to its caller, a channel's id to its sender, so the two ends never
//! choose the same one. An id is used again only after the other end has answered for it.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::outgoing::Outgoing;
use crate::{
    config::Limits,
    error::{Code, Error, WireError},
    wire::{
        Frame, FrameError, Hello, Kind, Status,
        frame::{Channels, RequestHead, ValueHead},
        hello::HELLO_MAX,
    },
};

/// Silent intervals after which a link counts as dead: the first brings a probe, the others wait
/// for its answer.
const SILENT_INTERVALS: u32 = 3;

/// How many times [`Limits::unwritten`] may wait before the other end counts as one that does not
/// read. Refusals and small replies still go out up to there.
const UNWRITTEN_FACTOR: usize = 4;

/// How many messages of the largest size a link may hold, half arrived or being served, in each
/// direction. Raising it lets one caller take more memory.
const MESSAGES_HELD: usize = 4;

/// Longest error, in bytes; fits a frame.
const ERROR_MAX: usize = 32 * 1024;

/// Longest note in a progress frame, in bytes.
const NOTE_MAX: usize = 512;

/// The state of one link.
#[derive(Debug)]
pub(crate) struct Mux {
    limits: Limits,
    peer: Option<PeerBounds>,
    /// What is to be written.
    pub(crate) out: Outgoing,
    /// Calls made here, by id.
    made: Vec<Option<Made>>,
    /// Free places in `made`.
    free: Vec<u32>,
    /// No call made here has a deadline before this.
    earliest_deadline: Option<Instant>,
    /// Calls of the other end that are not yet answered, by the id that it gave. Ids are below the
    /// number of calls allowed, so this stays small.
    served: Vec<Option<Served>>,
    /// How many of those there are.
    serving: usize,
    sending: HashMap<u32, Sending>,
    receiving: HashMap<u32, Receiving>,
    next_channel: u32,
    /// The other end's next channel: ids below have been used.
    next_received_channel: u32,
    link_credit: i64,
    /// Bytes of channels read here since credit for them was last given to the link.
    link_unreturned: u32,
    link_window_left: i64,
    hello: BytesMut,
    /// Bytes of messages that have not arrived whole.
    partial_bytes: usize,
    /// Bytes of the requests being served.
    served_bytes: usize,
    last_heard: Instant,
    probed: bool,
    /// Who has asked to part.
    parting: Parting,
}

#[derive(Debug, Clone, Copy, Default)]
struct Parting {
    here: bool,
    there: bool,
}

/// What the other end takes.
#[derive(Debug, Clone, Copy)]
struct PeerBounds {
    calls: u32,
    message_max: u32,
    channel_window: u32,
}

#[derive(Debug)]
struct Made {
    deadline: Option<Instant>,
    /// Nobody waits any more; the id is kept until the reply comes.
    abandoned: bool,
    /// Nobody holds the id any more.
    released: bool,
    /// Position in the link's bytes at which the request ends.
    written_at: u64,
    partial: BytesMut,
}

#[derive(Debug)]
enum Served {
    /// More frames of the request are to come.
    Arriving(BytesMut),
    /// The request, of so many bytes, has been handed out.
    Running(usize),
}

#[derive(Debug)]
struct Sending {
    credit: i64,
    stopped: bool,
}

#[derive(Debug)]
struct Receiving {
    queue: VecDeque<Received>,
    partial: BytesMut,
    /// Bytes that the sender may still send.
    window_left: i64,
    /// Bytes read here since credit was last given.
    unreturned: u32,
    ended: Option<Option<Error>>,
}

/// A message that has arrived on a channel.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) body: Bytes,
    pub(crate) channels: Channels,
    /// Bytes that it took of the windows.
    size: u32,
}

/// What a frame or the passing of time means to others.
#[derive(Debug)]
pub(crate) enum Event {
    /// The other end has introduced itself.
    Hello(Box<Hello>),
    /// A call to serve.
    Request {
        id: u32,
        head: RequestHead,
        body: Bytes,
    },
    /// A call made here has ended.
    Replied {
        id: u32,
        reply: Result<(Bytes, Channels), Error>,
    },
    /// How far a call made here is.
    Progress {
        id: u32,
        fraction: f32,
        note: String,
    },
    /// The caller does not want the result of a call served here any more.
    Cancelled { id: u32 },
    /// A channel received here has a message or has ended.
    Readable { channel: u32 },
    /// A channel sent here has credit again, or has been stopped.
    Writable { channel: u32 },
    /// All channels sent here may go on.
    AllWritable,
    /// The other end has new things to say of itself.
    Status(Box<Status>),
    /// The other end takes no new calls.
    GoAway,
    /// The other end closes the link, and why.
    Refused(String),
}

/// Why a call cannot be made now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CannotCall {
    /// Too much waits to be written, or too many calls are in flight; later there is room.
    Full,
    /// The other end takes no more calls.
    Parting,
    /// The arguments are larger than the other end takes.
    TooLarge { max: u32 },
}

/// Whether a message went onto a channel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It did.
    Yes,
    /// Not now: no credit, or too much waits to be written.
    NotNow,
    /// The receiver wants no more.
    Stopped,
    /// It is larger than the other end takes.
    TooLarge { max: u32 },
}

/// Why a link is of no further use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the other end gave no sign of life for {0:?}")]
    Silent(Duration),
    #[error("the other end does not read: {0} bytes wait for it")]
    DoesNotRead(usize),
}

impl Mux {
    pub(crate) fn new(now: Instant, limits: Limits, ours: &Hello) -> Self {
        let mut out = Outgoing::new();
        out.message(Kind::Hello, 0, 0, |_| {}, &Bytes::from(ours.encode()));
        Self {
            link_window_left: i64::from(limits.link_window),
            limits,
            peer: None,
            out,
            made: Vec::new(),
            free: Vec::new(),
            earliest_deadline: None,
            served: Vec::new(),
            serving: 0,
            sending: HashMap::new(),
            receiving: HashMap::new(),
            next_channel: 1,
            next_received_channel: 1,
            link_credit: 0,
            link_unreturned: 0,
            hello: BytesMut::new(),
            partial_bytes: 0,
            served_bytes: 0,
            last_heard: now,
            probed: false,
            parting: Parting::default(),
        }
    }

    /// Takes in one frame.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        frame: Frame,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        self.last_heard = now;
        self.probed = false;
        let Frame { header, body } = frame;
        if self.peer.is_none() && !matches!(header.kind, Kind::Hello | Kind::Refused) {
            return Err(FrameError::Violation("it did not say hello first").into());
        }
        match header.kind {
            Kind::Hello => self.receive_hello(header.more, &body, events)?,
            Kind::Request => self.receive_request(header.id, header.more, body, events)?,
            Kind::Reply => self.receive_reply(header.id, header.more, body, events)?,
            Kind::Cancel => {
                if self.is_running(header.id) {
                    events.push(Event::Cancelled { id: header.id });
                }
            }
            Kind::Progress => self.receive_progress(header.id, &body, events)?,
            Kind::Data => self.receive_data(header.id, header.more, body, events)?,
            Kind::End => self.receive_end(header.id, &body, events)?,
            Kind::Stop => {
                if let Some(sending) = self.sending.get_mut(&header.id) {
                    sending.stopped = true;
                    events.push(Event::Writable { channel: header.id });
                }
            }
            Kind::Credit => self.receive_credit(header.id, &body, events)?,
            Kind::GoAway => {
                self.parting.there = true;
                events.push(Event::GoAway);
            }
            Kind::Ping => self.out.signal(Kind::Pong, 0),
            Kind::Pong => {}
            Kind::Status => events.push(Event::Status(Box::new(Status::decode(&body)?))),
            Kind::Refused => {
                events.push(Event::Refused(String::from_utf8_lossy(&body).into_owned()));
            }
        }
        if self.out.waiting() > self.unwritten_max() * UNWRITTEN_FACTOR {
            return Err(Broken::DoesNotRead(self.out.waiting()));
        }
        Ok(())
    }

    fn receive_hello(
        &mut self,
        more: bool,
        body: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), FrameError> {
        if self.peer.is_some() {
            return Err(FrameError::Violation("it said hello twice"));
        }
        if self.hello.len() + body.len() > HELLO_MAX {
            return Err(FrameError::TooLong {
                len: self.hello.len() + body.len(),
            });
        }
        self.hello.extend_from_slice(body);
        if more {
            return Ok(());
        }
        let hello = Hello::decode(&std::mem::take(&mut self.hello))?;
        self.peer = Some(PeerBounds {
            calls: hello.calls_max,
            message_max: hello.message_max,
            channel_window: hello.channel_window,
        });
        self.link_credit = i64::from(hello.link_window);
        events.push(Event::Hello(Box::new(hello)));
        Ok(())
    }

    fn receive_request(
        &mut self,
        id: u32,
        more: bool,
        body: Bytes,
        events: &mut Vec<Event>,
    ) -> Result<(), FrameError> {
        if id >= self.limits.calls {
            return Err(FrameError::Violation("a call id beyond the calls allowed"));
        }
        let place = id as usize;
        if self.served.len() <= place {
            self.served.resize_with(place + 1, || None);
        }
        let mut body = match &mut self.served[place] {
            None if !more => {
                self.serving += 1;
                body
            }
            Some(Served::Running(_)) => {
                return Err(FrameError::Violation("a call id is in use already"));
            }
            arriving => {
                if arriving.is_none() {
                    self.serving += 1;
                }
                let served = arriving.get_or_insert_with(|| Served::Arriving(BytesMut::new()));
                let Served::Arriving(partial) = served else {
                    return Err(FrameError::Violation("a call id is in use already"));
                };
                match assemble(partial, &mut self.partial_bytes, more, &body, &self.limits)? {
                    Some(whole) => whole,
                    None => return Ok(()),
                }
            }
        };
        let size = body.len();
        let head = RequestHead::take(&mut body)?;
        self.open_received(head.channels)?;
        self.served[place] = Some(Served::Running(size));
        self.served_bytes += size;
        if self.served_bytes > MESSAGES_HELD * self.limits.message_max as usize {
            for channel in head.channels.ids() {
                self.stop(channel);
            }
            let busy = Error::new(
                Code::Busy,
                "the requests being served for this link are too large",
            );
            // The error is for the caller; here nothing else is to be done.
            let _ = self.reply(id, Err(busy));
            return Ok(());
        }
        events.push(Event::Request { id, head, body });
        Ok(())
    }

    fn receive_reply(
        &mut self,
        id: u32,
        more: bool,
        body: Bytes,
        events: &mut Vec<Event>,
    ) -> Result<(), FrameError> {
        let Some(made) = self.made.get_mut(id as usize).and_then(Option::as_mut) else {
            return Err(FrameError::Violation("a reply to no call"));
        };
        let whole = assemble(
            &mut made.partial,
            &mut self.partial_bytes,
            more,
            &body,
            &self.limits,
        )?;
        let Some(mut body) = whole else {
            return Ok(());
        };
        let (abandoned, released) = (made.abandoned, made.released);
        self.made[id as usize] = None;
        if released {
            self.free.push(id);
        }
        let head = ValueHead::take(Kind::Reply, &mut body)?;
        self.open_received(head.channels)?;
        if abandoned {
            for channel in head.channels.ids() {
                self.stop(channel);
            }
            return Ok(());
        }
        let reply = if head.failed {
            Err(decode_error(&body))
        } else {
            Ok((body, head.channels))
        };
        events.push(Event::Replied { id, reply });
        Ok(())
    }

    fn receive_progress(
        &mut self,
        id: u32,
        body: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), FrameError> {
        let Some((fraction, note)) = body.split_first_chunk::<4>() else {
            return Err(FrameError::Malformed {
                kind: Kind::Progress,
                problem: "too short",
            });
        };
        let waiting = self.made.get(id as usize).and_then(Option::as_ref);
        if waiting.is_some_and(|made| !made.abandoned) {
            let fraction = f32::from_le_bytes(*fraction);
            let note = String::from_utf8_lossy(note).into_owned();
            events.push(Event::Progress { id, fraction, note });
        }
        Ok(())
    }

    fn receive_data(
        &mut self,
        id: u32,
        more: bool,
        body: Bytes,
        events: &mut Vec<Event>,
    ) -> Result<(), FrameError> {
        let len = i64::try_from(body.len()).unwrap_or(i64::MAX);
        self.link_window_left -= len;
        let Some(receiving) = self.receiving.get_mut(&id) else {
            // It was under way when the receiver stopped the channel.
            if id >= self.next_received_channel {
                return Err(FrameError::Violation(
                    "a message on a channel that was never opened",
                ));
            }
            self.return_link_credit(body.len() as u32);
            return Ok(());
        };
        if receiving.ended.is_some() {
            return Err(FrameError::Violation(
                "a message on a channel that has ended",
            ));
        }
        // A message may begin while there is any credit left, and is then sent whole.
        let begins = receiving.partial.is_empty();
        if begins && (receiving.window_left <= 0 || self.link_window_left + len <= 0) {
            return Err(FrameError::Violation("a message beyond the credit given"));
        }
        receiving.window_left -= len;
        let whole = assemble(
            &mut receiving.partial,
            &mut self.partial_bytes,
            more,
            &body,
            &self.limits,
        )?;
        let Some(mut body) = whole else {
            return Ok(());
        };
        let size = body.len() as u32;
        let head = ValueHead::take(Kind::Data, &mut body)?;
        receiving.queue.push_back(Received {
            body,
            channels: head.channels,
            size,
        });
        self.open_received(head.channels)?;
        events.push(Event::Readable { channel: id });
        Ok(())
    }

    fn receive_end(
        &mut self,
        id: u32,
        body: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), FrameError> {
        if let Some(receiving) = self.receiving.get_mut(&id) {
            if receiving.ended.is_some() || !receiving.partial.is_empty() {
                return Err(FrameError::Violation(
                    "a channel ended twice or within a message",
                ));
            }
            let error = if body.is_empty() {
                None
            } else {
                Some(decode_error(body))
            };
            receiving.ended = Some(error);
            events.push(Event::Readable { channel: id });
        }
        Ok(())
    }

    fn receive_credit(
        &mut self,
        id: u32,
        body: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), FrameError> {
        let Ok(bytes) = <[u8; 4]>::try_from(body) else {
            return Err(FrameError::Malformed {
                kind: Kind::Credit,
                problem: "not four bytes",
            });
        };
        let bytes = i64::from(u32::from_le_bytes(bytes));
        if id == 0 {
            let was_dry = self.link_credit <= 0;
            self.link_credit += bytes;
            if was_dry && self.link_credit > 0 {
                events.push(Event::AllWritable);
            }
        } else if let Some(sending) = self.sending.get_mut(&id) {
            sending.credit += bytes;
            events.push(Event::Writable { channel: id });
        }
        Ok(())
    }

    /// Notes the channels that a message from the other end refers to.
    fn open_received(&mut self, channels: Channels) -> Result<(), FrameError> {
        if channels.count == 0 {
            return Ok(());
        }
        if channels.first != self.next_received_channel {
            return Err(FrameError::Violation("a channel id out of turn"));
        }
        if self.receiving.len() + usize::from(channels.count) > self.limits.channels as usize {
            return Err(FrameError::Violation("more streams open than allowed"));
        }
        for id in channels.ids() {
            self.receiving.insert(
                id,
                Receiving {
                    queue: VecDeque::new(),
                    partial: BytesMut::new(),
                    window_left: i64::from(self.limits.channel_window),
                    unreturned: 0,
                    ended: None,
                },
            );
        }
        self.next_received_channel = channels
            .first
            .checked_add(channels.count.into())
            .ok_or(FrameError::Violation("all channel ids are used up"))?;
        Ok(())
    }

    /// Begins a call. Channels for its attachments are opened with it; the second value names them.
    pub(crate) fn call(
        &mut self,
        deadline: Option<Instant>,
        mut head: RequestHead,
        body: &Bytes,
        attachments: u16,
    ) -> Result<(u32, Channels), CannotCall> {
        let Some(peer) = self.peer else {
            return Err(CannotCall::Full);
        };
        if self.parting.here || self.parting.there {
            return Err(CannotCall::Parting);
        }
        if body.len() + head.len() + 6 > peer.message_max as usize {
            return Err(CannotCall::TooLarge {
                max: peer.message_max,
            });
        }
        if self.in_flight() >= peer.calls as usize || self.out.waiting() > self.unwritten_max() {
            return Err(CannotCall::Full);
        }
        head.channels = self.open_sending(attachments);
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                self.made.push(None);
                self.made.len() as u32 - 1
            }
        };
        self.out
            .message(Kind::Request, id, head.len(), |out| head.put(out), body);
        self.made[id as usize] = Some(Made {
            deadline,
            abandoned: false,
            released: false,
            written_at: self.out.end(),
            partial: BytesMut::new(),
        });
        if let Some(deadline) = deadline
            && self
                .earliest_deadline
                .is_none_or(|earliest| deadline < earliest)
        {
            self.earliest_deadline = Some(deadline);
        }
        Ok((id, head.channels))
    }

    /// Gives up a call. Its place stays taken until the other end has answered.
    pub(crate) fn abandon(&mut self, id: u32) {
        if let Some(Some(made)) = self.made.get_mut(id as usize)
            && !made.abandoned
        {
            made.abandoned = true;
            made.deadline = None;
            self.out.signal(Kind::Cancel, id);
        }
    }

    /// Whoever made a call has no further use for its id. It can be used again once the other end
    /// has answered too.
    pub(crate) fn release(&mut self, id: u32) {
        match self.made.get_mut(id as usize) {
            Some(Some(made)) => made.released = true,
            Some(None) => self.free.push(id),
            // The link has ended.
            None => {}
        }
    }

    /// Answers a call. Channels for the result's attachments are opened with it.
    pub(crate) fn reply(
        &mut self,
        id: u32,
        reply: Result<(&Bytes, u16), Error>,
    ) -> Result<Channels, Error> {
        if !self.is_running(id) {
            // Answered before: by the deadline, or because the caller gave up.
            return Ok(Channels::default());
        }
        if let Some(Served::Running(size)) = self.served[id as usize].take() {
            self.serving -= 1;
            self.served_bytes -= size;
        }
        let message_max = self.peer.map_or(0, |peer| peer.message_max as usize);
        let reply = match reply {
            Ok((body, _)) if body.len() + 16 > message_max => Err(Error::new(
                Code::TooLarge,
                format!(
                    "the result has {} bytes, the caller takes {message_max}",
                    body.len()
                ),
            )),
            Ok((body, _))
                if self.out.waiting() + body.len()
                    > self.unwritten_max().max(message_max) * (UNWRITTEN_FACTOR / 2) =>
            {
                Err(Error::new(
                    Code::Busy,
                    "too many results wait for this caller to read them",
                ))
            }
            reply => reply,
        };
        match reply {
            Ok((body, attachments)) => {
                let channels = self.open_sending(attachments);
                let head = ValueHead {
                    failed: false,
                    channels,
                };
                self.out
                    .message(Kind::Reply, id, head.len(), |out| head.put(out), body);
                Ok(channels)
            }
            Err(error) => {
                let head = ValueHead {
                    failed: true,
                    channels: Channels::default(),
                };
                let body = encode_error(error.repeat());
                self.out
                    .message(Kind::Reply, id, head.len(), |out| head.put(out), &body);
                Err(error)
            }
        }
    }

    /// True if calls from the other end should be refused because it does not read the answers.
    pub(crate) fn overfull(&self) -> bool {
        self.out.waiting() > self.unwritten_max()
    }

    fn unwritten_max(&self) -> usize {
        self.limits.unwritten as usize
    }

    fn is_running(&self, id: u32) -> bool {
        matches!(self.served.get(id as usize), Some(Some(Served::Running(_))))
    }

    /// Tells the caller how far a call served here is.
    pub(crate) fn progress(&mut self, id: u32, fraction: f32, note: &str) {
        if self.is_running(id) && !self.overfull() {
            let note = &note.as_bytes()[..note.len().min(NOTE_MAX)];
            let body = Bytes::from([&fraction.to_le_bytes()[..], note].concat());
            self.out.message(Kind::Progress, id, 0, |_| {}, &body);
        }
    }

    fn open_sending(&mut self, count: u16) -> Channels {
        if count == 0 {
            return Channels::default();
        }
        let credit = self.peer.map_or(0, |peer| i64::from(peer.channel_window));
        let channels = Channels {
            first: self.next_channel,
            count,
        };
        self.next_channel = self.next_channel.saturating_add(count.into());
        for id in channels.ids() {
            self.sending.insert(
                id,
                Sending {
                    credit,
                    stopped: false,
                },
            );
        }
        channels
    }

    /// Puts a message on a channel, if there is credit. Channels of its attachments are opened
    /// with it.
    pub(crate) fn send(&mut self, id: u32, body: &Bytes, attachments: u16) -> (Sent, Channels) {
        let nothing = Channels::default();
        let Some(peer) = self.peer else {
            return (Sent::NotNow, nothing);
        };
        let unwritten_max = self.unwritten_max() / 4;
        let Some(sending) = self.sending.get_mut(&id) else {
            return (Sent::Stopped, nothing);
        };
        if sending.stopped {
            return (Sent::Stopped, nothing);
        }
        if body.len() + 16 > peer.message_max as usize {
            return (
                Sent::TooLarge {
                    max: peer.message_max,
                },
                nothing,
            );
        }
        if sending.credit <= 0 || self.link_credit <= 0 || self.out.waiting() > unwritten_max {
            return (Sent::NotNow, nothing);
        }
        let mut head = ValueHead {
            failed: false,
            channels: nothing,
        };
        head.channels.count = attachments;
        let size = (head.len() + body.len()) as i64;
        sending.credit -= size;
        self.link_credit -= size;
        head.channels = self.open_sending(attachments);
        self.out
            .message(Kind::Data, id, head.len(), |out| head.put(out), body);
        (Sent::Yes, head.channels)
    }

    /// True if the receiver of a channel sent here still wants messages.
    pub(crate) fn is_wanted(&self, id: u32) -> bool {
        self.sending
            .get(&id)
            .is_some_and(|sending| !sending.stopped)
    }

    /// Ends a channel sent here.
    pub(crate) fn end(&mut self, id: u32, error: Option<Error>) {
        if self.sending.remove(&id).is_some() {
            let body = error.map(encode_error).unwrap_or_default();
            self.out.message(Kind::End, id, 0, |_| {}, &body);
        }
    }

    /// Takes the next message of a channel received here: `None` if it has none yet, an inner
    /// `None` at its end.
    pub(crate) fn take(&mut self, id: u32) -> Option<Option<Result<Received, Error>>> {
        let Some(receiving) = self.receiving.get_mut(&id) else {
            return Some(None);
        };
        if let Some(received) = receiving.queue.pop_front() {
            receiving.unreturned += received.size;
            if receiving.unreturned >= self.limits.channel_window / 2 && receiving.ended.is_none() {
                let bytes = std::mem::take(&mut receiving.unreturned);
                receiving.window_left += i64::from(bytes);
                put_credit(&mut self.out, id, bytes);
            }
            self.return_link_credit(received.size);
            return Some(Some(Ok(received)));
        }
        let ended = receiving.ended.take()?;
        self.receiving.remove(&id);
        Some(ended.map(Err))
    }

    /// Wants no more messages of a channel received here.
    pub(crate) fn stop(&mut self, id: u32) {
        let Some(receiving) = self.receiving.remove(&id) else {
            return;
        };
        if receiving.ended.is_none() {
            self.out.signal(Kind::Stop, id);
        }
        let unread: u32 = receiving.queue.iter().map(|received| received.size).sum();
        self.return_link_credit(unread + receiving.partial.len() as u32);
        self.partial_bytes -= receiving.partial.len();
        for channel in receiving
            .queue
            .iter()
            .flat_map(|received| received.channels.ids())
        {
            self.stop(channel);
        }
    }

    fn return_link_credit(&mut self, bytes: u32) {
        self.link_unreturned += bytes;
        if self.link_unreturned >= self.limits.link_window / 2 {
            let bytes = std::mem::take(&mut self.link_unreturned);
            self.link_window_left += i64::from(bytes);
            put_credit(&mut self.out, 0, bytes);
        }
    }

    /// Tells the other end how things stand here.
    pub(crate) fn status(&mut self, encoded: &Bytes) {
        self.out.message(Kind::Status, 0, 0, |_| {}, encoded);
    }

    /// Tells the other end that no new calls are taken here.
    pub(crate) fn go_away(&mut self) {
        if !self.parting.here {
            self.parting.here = true;
            self.out.signal(Kind::GoAway, 0);
        }
    }

    /// Tells the other end why the link will be closed.
    pub(crate) fn refuse(&mut self, why: &str) {
        let why = Bytes::copy_from_slice(&why.as_bytes()[..why.len().min(NOTE_MAX)]);
        self.out.message(Kind::Refused, 0, 0, |_| {}, &why);
    }

    /// True if one end has asked to part and nothing is under way any more.
    pub(crate) fn may_close(&self) -> bool {
        (self.parting.here || self.parting.there)
            && self.serving == 0
            && self.in_flight() == 0
            && self.sending.is_empty()
            && self.receiving.is_empty()
            && self.out.waiting() == 0
    }

    /// Calls made here and not yet answered.
    pub(crate) fn in_flight(&self) -> usize {
        self.made.len() - self.free.len()
    }

    /// Channels on which something is sent from here.
    pub(crate) fn sending(&self) -> usize {
        self.sending.len()
    }

    /// Notices what the passing of time brings: calls whose deadline has passed, a silent link.
    pub(crate) fn tick(&mut self, now: Instant, events: &mut Vec<Event>) -> Result<(), Broken> {
        if self
            .earliest_deadline
            .is_some_and(|deadline| deadline <= now)
        {
            self.expire(now, events);
        }
        let interval = self.limits.keep_alive;
        if now >= self.last_heard + interval * SILENT_INTERVALS {
            return Err(Broken::Silent(now - self.last_heard));
        }
        if !self.probed && now >= self.last_heard + interval {
            self.probed = true;
            self.out.signal(Kind::Ping, 0);
        }
        Ok(())
    }

    fn expire(&mut self, now: Instant, events: &mut Vec<Event>) {
        let mut earliest = None;
        for id in 0..self.made.len() {
            let Some(deadline) = self.made[id].as_ref().and_then(|made| made.deadline) else {
                continue;
            };
            if deadline <= now {
                self.abandon(id as u32);
                let error = Error::new(Code::DeadlineExceeded, "no reply came before the deadline");
                events.push(Event::Replied {
                    id: id as u32,
                    reply: Err(error),
                });
            } else if earliest.is_none_or(|earliest| deadline < earliest) {
                earliest = Some(deadline);
            }
        }
        self.earliest_deadline = earliest;
    }

    /// When [`Mux::tick`] has something to do.
    pub(crate) fn next_wakeup(&self) -> Instant {
        let intervals = if self.probed { SILENT_INTERVALS } else { 1 };
        let silent = self.last_heard + self.limits.keep_alive * intervals;
        self.earliest_deadline
            .map_or(silent, |deadline| deadline.min(silent))
    }

    /// How each call in flight ends when the link breaks: those whose request never left had no
    /// effect, of the others nobody knows. `written` is the number of bytes that left.
    pub(crate) fn fail_all(&mut self, written: u64, why: &str) -> Vec<(u32, Error)> {
        let mut failed = Vec::new();
        for (id, place) in self.made.iter_mut().enumerate() {
            if let Some(made) = place.take()
                && !made.abandoned
            {
                let error = if made.written_at > written {
                    Error::new(
                        Code::Unavailable,
                        format!("the link broke before the call left: {why}"),
                    )
                } else {
                    Error::new(
                        Code::UnknownOutcome,
                        format!("the link broke before the reply came: {why}"),
                    )
                };
                failed.push((id as u32, error));
            }
        }
        self.made.clear();
        self.free.clear();
        failed
    }
}

/// Adds a frame's body to what has arrived of its message; gives the message once it is whole.
fn assemble(
    partial: &mut BytesMut,
    partial_bytes: &mut usize,
    more: bool,
    body: &Bytes,
    limits: &Limits,
) -> Result<Option<Bytes>, FrameError> {
    if !more && partial.is_empty() {
        return Ok(Some(body.clone()));
    }
    if partial.len() + body.len() > limits.message_max as usize {
        return Err(FrameError::Violation("a message over the bound announced"));
    }
    if *partial_bytes + body.len() > MESSAGES_HELD * limits.message_max as usize {
        return Err(FrameError::Violation(
            "too many messages begun and not finished",
        ));
    }
    partial.extend_from_slice(body);
    *partial_bytes += body.len();
    if more {
        return Ok(None);
    }
    *partial_bytes -= partial.len();
    Ok(Some(std::mem::take(partial).freeze()))
}

fn put_credit(out: &mut Outgoing, id: u32, bytes: u32) {
    out.message(
        Kind::Credit,
        id,
        0,
        |_| {},
        &Bytes::copy_from_slice(&bytes.to_le_bytes()),
    );
}

fn encode_error(error: Error) -> Bytes {
    let code = error.code();
    let encode = |error: Error| {
        postcard::to_stdvec(&error.into_wire())
            .expect("an error has only types that postcard can express")
    };
    let bytes = encode(error);
    if bytes.len() <= ERROR_MAX {
        return bytes.into();
    }
    encode(Error::new(code, "the error is too long to be sent")).into()
}

fn decode_error(body: &[u8]) -> Error {
    match postcard::from_bytes::<WireError>(body) {
        Ok(wire) => Error::from_wire(wire),
        Err(_) => Error::new(
            Code::Failed,
            "the call failed with an error that cannot be read",
        ),
    }
}

#[cfg(test)]
mod tests;
