//! The channels of one link: streams and blobs in both directions, and the credit that bounds them.
//!
//! A part of the multiplexer, and as pure: [`Channels`](crate::wire::frame::Channels) of a message
//! are opened here when the message goes out or comes in, and end here. It knows nothing of calls.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};

use super::{
    Event,
    message::{Assembly, decode_error, encode_error},
};
use crate::{
    config::Limits,
    error::Error,
    rpc::outgoing::Outgoing,
    wire::{
        FrameError, Header, Hello, Kind,
        frame::{Channels, ValueHead},
    },
};

/// The channels that are open on a link.
#[derive(Debug)]
pub(super) struct ChannelTable {
    ours: Windows,
    theirs: Option<Theirs>,
    sending: BTreeMap<u32, Sending>,
    receiving: BTreeMap<u32, Receiving>,
    /// Ids of channels sent here: those below have been used.
    next_sent: u32,
    /// The other end's next channel: ids below have been used.
    next_received: u32,
    /// Bytes that may be sent on all channels together.
    pub(super) link_credit: i64,
    /// Bytes that the other end may send on all channels together.
    link_window_left: i64,
    /// Bytes of channels read here since credit for them was last given to the link.
    link_unreturned: u32,
}

/// What this end takes.
#[derive(Debug)]
struct Windows {
    channel: u32,
    link: u32,
    /// Channels open at once.
    channels: usize,
}

/// What the other end takes.
#[derive(Debug)]
struct Theirs {
    message_max: u32,
    channel_window: u32,
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

impl ChannelTable {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            ours: Windows {
                channel: limits.channel_window,
                link: limits.link_window,
                channels: limits.channels as usize,
            },
            theirs: None,
            sending: BTreeMap::new(),
            receiving: BTreeMap::new(),
            next_sent: 1,
            next_received: 1,
            link_credit: 0,
            link_window_left: i64::from(limits.link_window),
            link_unreturned: 0,
        }
    }

    /// The other end has said what it takes.
    pub(super) fn greeted(&mut self, hello: &Hello) {
        self.theirs = Some(Theirs {
            message_max: hello.message_max,
            channel_window: hello.channel_window,
        });
        self.link_credit = i64::from(hello.link_window);
    }

    /// True if no channel is open.
    pub(super) fn is_empty(&self) -> bool {
        self.sending.is_empty() && self.receiving.is_empty()
    }

    /// Those on which something is sent from here.
    pub(super) fn sending(&self) -> usize {
        self.sending.len()
    }

    /// Opens channels for what goes out with a message.
    pub(super) fn open_sending(&mut self, count: u16) -> Channels {
        if count == 0 {
            return Channels::default();
        }
        let credit = self
            .theirs
            .as_ref()
            .map_or(0, |theirs| i64::from(theirs.channel_window));
        let channels = Channels {
            first: self.next_sent,
            count,
        };
        self.next_sent = self.next_sent.saturating_add(count.into());
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

    /// Notes the channels that a message from the other end refers to.
    pub(super) fn open_received(&mut self, channels: Channels) -> Result<(), FrameError> {
        if channels.count == 0 {
            return Ok(());
        }
        if channels.first != self.next_received {
            return Err(FrameError::Violation("a channel id out of turn"));
        }
        if self.receiving.len() + usize::from(channels.count) > self.ours.channels {
            return Err(FrameError::Violation("more streams open than allowed"));
        }
        for id in channels.ids() {
            self.receiving.insert(
                id,
                Receiving {
                    queue: VecDeque::new(),
                    partial: BytesMut::new(),
                    window_left: i64::from(self.ours.channel),
                    unreturned: 0,
                    ended: None,
                },
            );
        }
        self.next_received = channels
            .first
            .checked_add(channels.count.into())
            .ok_or(FrameError::Violation("all channel ids are used up"))?;
        Ok(())
    }

    pub(super) fn receive_data(
        &mut self,
        header: Header,
        body: Bytes,
        assembly: &mut Assembly,
        out: &mut Outgoing,
        events: &mut Vec<Event>,
    ) -> Result<(), FrameError> {
        let Header { id, more, .. } = header;
        let len = i64::try_from(body.len()).unwrap_or(i64::MAX);
        self.link_window_left -= len;
        let Some(receiving) = self.receiving.get_mut(&id) else {
            // It was under way when the receiver stopped the channel.
            if id >= self.next_received {
                return Err(FrameError::Violation(
                    "a message on a channel that was never opened",
                ));
            }
            self.return_link_credit(body.len() as u32, out);
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
        let Some(mut body) = assembly.add(&mut receiving.partial, more, body)? else {
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

    pub(super) fn receive_end(
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

    pub(super) fn receive_stop(&mut self, id: u32, events: &mut Vec<Event>) {
        if let Some(sending) = self.sending.get_mut(&id) {
            sending.stopped = true;
            events.push(Event::Writable { channel: id });
        }
    }

    pub(super) fn receive_credit(
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

    /// Puts a message on a channel, if there is credit and no more than `unwritten_max` bytes wait
    /// to be written. Channels of its attachments are opened with it.
    pub(super) fn send(
        &mut self,
        id: u32,
        body: &Bytes,
        attachments: u16,
        unwritten_max: usize,
        out: &mut Outgoing,
    ) -> (Sent, Channels) {
        let nothing = Channels::default();
        let Some(theirs) = &self.theirs else {
            return (Sent::NotNow, nothing);
        };
        let Some(sending) = self.sending.get_mut(&id) else {
            return (Sent::Stopped, nothing);
        };
        if sending.stopped {
            return (Sent::Stopped, nothing);
        }
        let max = theirs.message_max;
        if body.len() + 16 > max as usize {
            return (Sent::TooLarge { max }, nothing);
        }
        if sending.credit <= 0 || self.link_credit <= 0 || out.waiting() > unwritten_max {
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
        out.message(Kind::Data, id, head.len(), |out| head.put(out), body);
        (Sent::Yes, head.channels)
    }

    /// True if the receiver of a channel sent here still wants messages.
    pub(super) fn is_wanted(&self, id: u32) -> bool {
        self.sending
            .get(&id)
            .is_some_and(|sending| !sending.stopped)
    }

    /// Ends a channel sent here.
    pub(super) fn end(&mut self, id: u32, error: Option<Error>, out: &mut Outgoing) {
        if self.sending.remove(&id).is_some() {
            let body = error.map(encode_error).unwrap_or_default();
            out.message(Kind::End, id, 0, |_| {}, &body);
        }
    }

    /// Takes the next message of a channel received here: `None` if it has none yet, an inner
    /// `None` at its end.
    pub(super) fn take(
        &mut self,
        id: u32,
        out: &mut Outgoing,
    ) -> Option<Option<Result<Received, Error>>> {
        let Some(receiving) = self.receiving.get_mut(&id) else {
            return Some(None);
        };
        if let Some(received) = receiving.queue.pop_front() {
            receiving.unreturned += received.size;
            if receiving.unreturned >= self.ours.channel / 2 && receiving.ended.is_none() {
                let bytes = std::mem::take(&mut receiving.unreturned);
                receiving.window_left += i64::from(bytes);
                put_credit(out, id, bytes);
            }
            self.return_link_credit(received.size, out);
            return Some(Some(Ok(received)));
        }
        let ended = receiving.ended.take()?;
        self.receiving.remove(&id);
        Some(ended.map(Err))
    }

    /// Wants no more messages of a channel received here.
    pub(super) fn stop(&mut self, id: u32, assembly: &mut Assembly, out: &mut Outgoing) {
        let Some(receiving) = self.receiving.remove(&id) else {
            return;
        };
        if receiving.ended.is_none() {
            out.signal(Kind::Stop, id);
        }
        let unread: u32 = receiving.queue.iter().map(|received| received.size).sum();
        self.return_link_credit(unread + receiving.partial.len() as u32, out);
        assembly.give_up(&receiving.partial);
        for channel in receiving
            .queue
            .iter()
            .flat_map(|received| received.channels.ids())
        {
            self.stop(channel, assembly, out);
        }
    }

    fn return_link_credit(&mut self, bytes: u32, out: &mut Outgoing) {
        self.link_unreturned += bytes;
        if self.link_unreturned >= self.ours.link / 2 {
            let bytes = std::mem::take(&mut self.link_unreturned);
            self.link_window_left += i64::from(bytes);
            put_credit(out, 0, bytes);
        }
    }
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
