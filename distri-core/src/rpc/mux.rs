//! The multiplexer: many calls and channels over one ordered link, as a pure state machine.
//!
//! It knows which calls are in flight in both directions, reassembles messages, keeps credit for
//! channels and the link, and decides when the link is silent for too long. It never waits, and
//! touches neither clock nor socket: [`super::link`] feeds it frames and time, and writes what
//! stands in its [`Outgoing`] queue. What it wants told to others it pushes as [`Event`]s.
//!
//! The link itself and the calls served are here. [`calls`] has the calls made, [`channels`] what
//! belongs to streams and blobs; [`message`] puts messages together from their frames.
//!
//! Ids: a call's id belongs to its caller, a channel's id to its sender, so the two ends never
//! choose the same one. An id is used again only after the other end has answered for it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use self::{
    calls::{Answer, MadeCalls},
    channels::{ChannelTable, Received},
    kept::Kept,
    message::{Assembly, MESSAGES_HELD},
};
use super::{CallId, Left, outgoing::Outgoing};
use crate::{
    config::Limits,
    error::{Code, Error},
    wire::{
        Frame, FrameError, Hello, Kind, Status,
        frame::{Channels, RequestHead, ValueHead},
        hello::HELLO_MAX,
    },
};

mod calls;
mod channels;
mod kept;
mod message;

pub(crate) use channels::Sent;
pub(super) use message::{decode_error, encode_error};

/// Silent intervals after which a link counts as dead: the first brings a probe, the others wait
/// for its answer.
const SILENT_INTERVALS: u32 = 3;

/// How long the other end may be silent while calls wait for it, before it is probed; and how long it
/// may then take to answer, before no call goes there that can go elsewhere. Shorter notices a node
/// that hangs sooner, and takes a busy machine for one.
const PROBE: Duration = Duration::from_millis(500);

/// How long the other end may be silent in all, before calls that may be made elsewhere are. Longer
/// than the pauses of a machine that has too much to do.
const MOVE: Duration = Duration::from_secs(3);

/// How many calls may miss their deadline on a link that [`leads elsewhere`](Mux::leads_elsewhere), while
/// nothing comes over it and a probe is not answered, before it is given up.
const MISSED_MAX: u32 = 2;

/// How long calls may wait without that any is answered, before their number weighs more.
const UNANSWERED: Duration = Duration::from_secs(1);

/// How many times [`Limits::unwritten`] may wait before the other end counts as one that does not
/// read. Refusals and small replies still go out up to there.
const UNWRITTEN_FACTOR: usize = 4;

/// Longest note in a progress frame, in bytes.
const NOTE_MAX: usize = 512;

/// The state of one link.
#[derive(Debug)]
pub(crate) struct Mux {
    limits: Limits,
    peer: Option<PeerBounds>,
    /// What is to be written.
    pub(crate) out: Outgoing,
    made: MadeCalls,
    /// Calls of the other end that are not yet answered, by the id that it gave. Ids are below the
    /// number of calls allowed, so this stays small.
    served: Vec<Option<Served>>,
    /// How many of those there are.
    serving: usize,
    /// Their replies, where they have an id.
    kept: Kept,
    channels: ChannelTable,
    assembly: Assembly,
    hello: BytesMut,
    /// Bytes of the requests being served.
    served_bytes: usize,
    last_heard: Instant,
    last_answered: Instant,
    /// When the first of the calls that now wait was made.
    asked: Instant,
    probed: Option<Instant>,
    doubt: Doubt,
    /// Calls that have missed their deadline since anything came.
    missed: u32,
    /// See [`Mux::leads_elsewhere`].
    leads_elsewhere: bool,
    /// Who has asked to part.
    parting: Parting,
}

#[derive(Debug, Clone, Copy, Default)]
struct Parting {
    here: bool,
    there: bool,
}

/// Why a link may be worse than its load says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Doubt {
    /// Calls wait, and nothing at all comes, not even the answer to a probe.
    pub(crate) silent: bool,
    /// Calls wait, and none is answered.
    pub(crate) unanswered: bool,
}

/// What the other end takes.
#[derive(Debug, Clone, Copy)]
struct PeerBounds {
    calls: u32,
    message_max: u32,
}

#[derive(Debug)]
enum Served {
    /// More frames of the request are to come.
    Arriving(BytesMut),
    /// The request, of so many bytes, has been handed out.
    Running(usize),
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
    /// The link is to be doubted so.
    Doubted(Doubt),
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

/// Why a link is of no further use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the other end gave no sign of life for {0:?}")]
    Silent(Duration),
    #[error("{0} calls in a row missed their deadline, and the other end gave no sign of life")]
    Missed(u32),
    #[error("the other end does not read: {0} bytes wait for it")]
    DoesNotRead(usize),
}

impl Mux {
    pub(crate) fn new(now: Instant, limits: Limits, ours: &Hello) -> Self {
        let mut out = Outgoing::new();
        out.message(Kind::Hello, 0, 0, |_| {}, &Bytes::from(ours.encode()));
        Self {
            channels: ChannelTable::new(&limits),
            assembly: Assembly::new(limits.message_max),
            kept: Kept::new(limits.replies as usize),
            limits,
            peer: None,
            out,
            made: MadeCalls::default(),
            served: Vec::new(),
            serving: 0,
            hello: BytesMut::new(),
            served_bytes: 0,
            last_heard: now,
            last_answered: now,
            asked: now,
            probed: None,
            doubt: Doubt::default(),
            missed: 0,
            leads_elsewhere: false,
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
        self.probed = None;
        self.missed = 0;
        if self.doubt.silent {
            self.doubt.silent = false;
            events.push(Event::Doubted(self.doubt));
        }
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
                    self.kept.give_up(header.id as usize);
                    events.push(Event::Cancelled { id: header.id });
                }
            }
            Kind::Progress => self.receive_progress(header.id, &body, events)?,
            Kind::Data => self.channels.receive_data(
                header,
                body,
                &mut self.assembly,
                &mut self.out,
                events,
            )?,
            Kind::End => self.channels.receive_end(header.id, &body, events)?,
            Kind::Stop => self.channels.receive_stop(header.id, events),
            Kind::Credit => self.channels.receive_credit(header.id, &body, events)?,
            Kind::GoAway => {
                self.parting.there = true;
                events.push(Event::GoAway);
            }
            Kind::Ping => self.out.signal(Kind::Pong, 0),
            Kind::Pong => self.kept.ponged(),
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
        });
        self.channels.greeted(&hello);
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
                match self.assembly.add(partial, more, body)? {
                    Some(whole) => whole,
                    None => return Ok(()),
                }
            }
        };
        let size = body.len();
        let head = RequestHead::take(&mut body)?;
        self.channels.open_received(head.channels)?;
        self.served[place] = Some(Served::Running(size));
        self.kept.begin(place, head.call_id.map(CallId));
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
        let answer = self
            .made
            .receive_reply(id, more, body, &mut self.assembly)?;
        let Some(Answer {
            mut body,
            abandoned,
        }) = answer
        else {
            return Ok(());
        };
        self.last_answered = self.last_heard;
        if self.doubt.unanswered {
            self.doubt.unanswered = false;
            events.push(Event::Doubted(self.doubt));
        }
        let head = ValueHead::take(Kind::Reply, &mut body)?;
        self.channels.open_received(head.channels)?;
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
        if self.made.is_wanted(id) {
            let fraction = f32::from_le_bytes(*fraction);
            let note = String::from_utf8_lossy(note).into_owned();
            events.push(Event::Progress { id, fraction, note });
        }
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
        let channels = self.channels.open_sending(attachments);
        head.channels = channels;
        let id = self.made.next_id();
        self.out
            .message(Kind::Request, id, head.len(), |out| head.put(out), body);
        self.made.begin(id, deadline, self.out.end());
        Ok((id, channels))
    }

    /// A call is made while no other waits.
    pub(crate) fn asked(&mut self, now: Instant) {
        self.asked = now;
    }

    /// When a call was made while no other waited.
    pub(crate) fn last_asked(&self) -> Instant {
        self.asked
    }

    /// The other end may be where this link does not lead any more, and be found anew: the link is given
    /// up as soon as calls have missed their deadline and nothing else comes, long before it would be
    /// for silence alone.
    pub(crate) fn leads_elsewhere(&mut self) {
        self.leads_elsewhere = true;
    }

    /// The call may be made elsewhere if the other end is silent for too long.
    pub(crate) fn may_move(&mut self, id: u32) {
        self.made.may_move(id);
    }

    /// Gives up a call. Its place stays taken until the other end has answered.
    pub(crate) fn abandon(&mut self, id: u32) {
        self.made.abandon(id, &mut self.out);
    }

    /// Whoever made a call has no further use for its id. It can be used again once the other end
    /// has answered too.
    pub(crate) fn release(&mut self, id: u32) {
        self.made.release(id);
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
                // What must not be repeated has taken effect all the same.
                let code = if self.kept.has(id as usize) {
                    Code::UnknownOutcome
                } else {
                    Code::Busy
                };
                Err(Error::new(
                    code,
                    "too many results wait for this caller to read them",
                ))
            }
            reply => reply,
        };
        match reply {
            Ok((body, attachments)) => {
                let kept = (attachments == 0).then_some((false, body));
                self.kept.done(id as usize, kept);
                let channels = self.channels.open_sending(attachments);
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
                self.kept.done(id as usize, Some((true, &body)));
                self.out
                    .message(Kind::Reply, id, head.len(), |out| head.put(out), &body);
                Err(error)
            }
        }
    }

    /// The calls that came in with an id and whose replies may not have arrived, each with its
    /// place: what remains to be done for them when the link ends.
    pub(crate) fn leave(&mut self) -> Vec<(u32, CallId, Left)> {
        self.kept.take()
    }

    /// A call that came in will not be served, since the link ends before.
    pub(crate) fn is_not_served(&mut self, id: u32) {
        self.kept.give_up(id as usize);
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

    /// Puts a message on a channel, if there is credit. Channels of its attachments are opened
    /// with it.
    pub(crate) fn send(&mut self, id: u32, body: &Bytes, attachments: u16) -> (Sent, Channels) {
        let unwritten_max = self.unwritten_max() / 4;
        self.channels
            .send(id, body, attachments, unwritten_max, &mut self.out)
    }

    /// True if the receiver of a channel sent here still wants messages.
    pub(crate) fn is_wanted(&self, id: u32) -> bool {
        self.channels.is_wanted(id)
    }

    /// Ends a channel sent here.
    pub(crate) fn end(&mut self, id: u32, error: Option<Error>) {
        self.channels.end(id, error, &mut self.out);
    }

    /// Takes the next message of a channel received here: `None` if it has none yet, an inner
    /// `None` at its end.
    pub(crate) fn take(&mut self, id: u32) -> Option<Option<Result<Received, Error>>> {
        self.channels.take(id, &mut self.out)
    }

    /// Wants no more messages of a channel received here.
    pub(crate) fn stop(&mut self, id: u32) {
        self.channels.stop(id, &mut self.assembly, &mut self.out);
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
            && self.channels.is_empty()
            && self.out.waiting() == 0
    }

    /// Calls made here and not yet answered.
    pub(crate) fn in_flight(&self) -> usize {
        self.made.in_flight()
    }

    /// Channels on which something is sent from here.
    pub(crate) fn sending(&self) -> usize {
        self.channels.sending()
    }

    /// Notices what the passing of time brings: calls whose deadline has passed, a silent link.
    pub(crate) fn tick(&mut self, now: Instant, events: &mut Vec<Event>) -> Result<(), Broken> {
        let missed = self.made.expire(now, &mut self.out, events);
        self.missed = self.missed.saturating_add(missed);
        let interval = self.limits.keep_alive;
        if now >= self.last_heard + interval * SILENT_INTERVALS {
            return Err(Broken::Silent(now - self.last_heard));
        }
        if self.probed.is_none() && now >= self.probe_at() {
            self.probed = Some(now);
            self.kept.pinged();
            self.out.signal(Kind::Ping, 0);
        }
        let waits = self.in_flight() > 0;
        let doubt = Doubt {
            silent: waits && self.probed.is_some_and(|probed| now >= probed + PROBE),
            unanswered: waits && now >= self.last_answered.max(self.asked) + UNANSWERED,
        };
        if doubt != self.doubt {
            self.doubt = doubt;
            events.push(Event::Doubted(doubt));
        }
        if doubt.silent && self.leads_elsewhere && self.missed >= MISSED_MAX {
            return Err(Broken::Missed(self.missed));
        }
        if doubt.silent && now >= self.move_at() {
            let why = format!(
                "the node gave no sign of life for {:?}",
                now - self.last_heard
            );
            self.made.move_away(&why, &mut self.out, events);
        }
        Ok(())
    }

    /// Since when the other end could have been heard.
    fn silent_since(&self) -> Instant {
        if self.in_flight() > 0 {
            self.last_heard.max(self.asked)
        } else {
            self.last_heard
        }
    }

    fn probe_at(&self) -> Instant {
        let interval = self.limits.keep_alive;
        let patience = if self.in_flight() > 0 {
            interval.min(PROBE)
        } else {
            interval
        };
        self.silent_since() + patience
    }

    fn move_at(&self) -> Instant {
        self.silent_since() + MOVE
    }

    /// When [`Mux::tick`] has something to do.
    pub(crate) fn next_wakeup(&self) -> Instant {
        let closes = self.last_heard + self.limits.keep_alive * SILENT_INTERVALS;
        let next = match self.probed {
            None => self.probe_at().min(closes),
            Some(probed) if self.in_flight() > 0 && !self.doubt.silent => {
                (probed + PROBE).min(closes)
            }
            Some(_) if self.doubt.silent && self.made.any_may_move() => self.move_at().min(closes),
            Some(_) => closes,
        };
        self.made
            .earliest_deadline()
            .map_or(next, |deadline| deadline.min(next))
    }

    /// How each call in flight ends when the link breaks: those whose request never left had no
    /// effect, of the others nobody knows. `written` is the number of bytes that left.
    pub(crate) fn fail_all(&mut self, written: u64, why: &str) -> Vec<(u32, Error)> {
        self.made.fail_all(written, why)
    }
}

#[cfg(test)]
mod tests;
