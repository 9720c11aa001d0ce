//! Bytes that wait to be written: small frames gathered in one buffer, large bodies by reference.

use std::{collections::VecDeque, ops::Range};

use bytes::{Bytes, BytesMut};

use crate::wire::{
    Header, Kind,
    frame::{BODY_MAX, HEADER_LEN},
};

/// Bodies from this size on are queued by reference; below, copying is cheaper than one more write.
const BY_REFERENCE_MIN: usize = 8 * 1024;

/// The buffer for small frames starts with this room.
const GATHER: usize = 16 * 1024;

/// A queue of bytes for one link.
#[derive(Debug)]
pub(crate) struct Outgoing {
    ready: VecDeque<Bytes>,
    gathering: BytesMut,
    /// Bytes in `ready` and `gathering`.
    waiting: usize,
    /// Bytes ever queued; the position of the queue's end in the link's stream of bytes.
    queued: u64,
}

impl Outgoing {
    pub(crate) fn new() -> Self {
        Self {
            ready: VecDeque::new(),
            gathering: BytesMut::with_capacity(GATHER),
            waiting: 0,
            queued: 0,
        }
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// The position of the queue's end in the link's stream of bytes.
    pub(crate) fn end(&self) -> u64 {
        self.queued
    }

    /// Queues a frame without a body.
    pub(crate) fn signal(&mut self, kind: Kind, id: u32) {
        self.message(kind, id, 0, |_| {}, &Bytes::new());
    }

    /// Queues a message, cut into frames: a head of `head_len` bytes that `put_head` appends, and
    /// the body.
    pub(crate) fn message(
        &mut self,
        kind: Kind,
        id: u32,
        head_len: usize,
        put_head: impl FnOnce(&mut BytesMut),
        body: &Bytes,
    ) {
        debug_assert!(head_len < BODY_MAX, "heads are some dozens of bytes");
        let first = body.len().min(BODY_MAX - head_len);
        let more = first < body.len();
        Header {
            len: head_len + first,
            kind,
            more,
            id,
        }
        .put(&mut self.gathering);
        put_head(&mut self.gathering);
        self.count(HEADER_LEN + head_len);
        self.bytes(body, 0..first);
        let mut at = first;
        while at < body.len() {
            let len = (body.len() - at).min(BODY_MAX);
            let more = at + len < body.len();
            Header {
                len,
                kind,
                more,
                id,
            }
            .put(&mut self.gathering);
            self.count(HEADER_LEN);
            self.bytes(body, at..at + len);
            at += len;
        }
    }

    fn bytes(&mut self, bytes: &Bytes, range: Range<usize>) {
        self.count(range.len());
        if range.len() < BY_REFERENCE_MIN {
            self.gathering.extend_from_slice(&bytes[range]);
        } else {
            self.seal();
            self.ready.push_back(bytes.slice(range));
        }
    }

    fn count(&mut self, len: usize) {
        self.waiting += len;
        self.queued += len as u64;
    }

    /// Moves the gathered small frames behind the bytes that are ready.
    fn seal(&mut self) {
        if !self.gathering.is_empty() {
            self.ready.push_back(self.gathering.split().freeze());
            self.gathering.reserve(GATHER);
        }
    }

    /// Moves all that waits to the end of `to`.
    pub(crate) fn drain_into(&mut self, to: &mut VecDeque<Bytes>) {
        self.seal();
        to.append(&mut self.ready);
        self.waiting = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Frame;

    #[test]
    fn a_message_of_any_length_comes_out_as_frames_that_add_up() {
        for len in [
            0,
            1,
            BY_REFERENCE_MIN,
            BODY_MAX - 4,
            BODY_MAX - 3,
            3 * BODY_MAX + 7,
        ] {
            let body = Bytes::from(vec![7; len]);
            let mut outgoing = Outgoing::new();

            outgoing.message(
                Kind::Request,
                9,
                4,
                |out| out.extend_from_slice(b"head"),
                &body,
            );

            let mut pieces = VecDeque::new();
            outgoing.drain_into(&mut pieces);
            let mut bytes = BytesMut::new();
            pieces
                .iter()
                .for_each(|piece| bytes.extend_from_slice(piece));
            assert_eq!(bytes.len() as u64, outgoing.end());
            let mut message = Vec::new();
            loop {
                let frame = Frame::take(&mut bytes).unwrap().expect("a last frame");
                assert_eq!((frame.header.kind, frame.header.id), (Kind::Request, 9));
                message.extend_from_slice(&frame.body);
                if !frame.header.more {
                    break;
                }
            }
            assert!(bytes.is_empty());
            assert_eq!(message, [&b"head"[..], &body].concat());
        }
    }
}
