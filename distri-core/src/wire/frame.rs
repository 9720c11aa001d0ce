//! Frames: an eight-byte header and a bounded body.
//!
//! ```text
//! 0        3      4        8
//! | length | kind |   id   | body …      length: of the body, little endian, at most BODY_MAX
//! ```
//!
//! A message (of kind request, reply, data or hello) that is longer than a body goes as several
//! frames of the same kind and id, each but the last with the flag `MORE`.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::fence::{FENCES_MAX, Fence, Fences, NAME_MAX};

/// Length of a header.
pub(crate) const HEADER_LEN: usize = 8;

/// Largest body of a frame: a 64 KiB chunk and the head of the message in front of it. Larger
/// frames would save little (a header costs eight bytes) and make small calls wait longer behind.
pub(crate) const BODY_MAX: usize = 64 * 1024 + 64;

const MORE: u8 = 0x80;

/// What a frame is about. Its `id` is that of a call or channel, or zero for the link itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    /// First on each side: who I am, what I offer, my bounds.
    Hello = 1,
    /// Caller to callee: a call begins. The id is the caller's.
    Request = 2,
    /// Callee to caller: the call has ended. Exactly one for each request.
    Reply = 3,
    /// Caller to callee: the result is no longer wanted. A reply still follows.
    Cancel = 4,
    /// Callee to caller: how far the work is.
    Progress = 5,
    /// A message on a channel. The id is the sender's.
    Data = 6,
    /// The channel has ended, with an error or without.
    End = 7,
    /// Receiver to sender: no more messages wanted on this channel.
    Stop = 8,
    /// Receiver to sender: so many more bytes may come, on a channel or (id 0) on the link.
    Credit = 9,
    /// No new calls please; those begun will be finished.
    GoAway = 10,
    /// Are you there?
    Ping = 11,
    /// I am.
    Pong = 12,
    /// How loaded I am, whether I drain, which nodes I know.
    Status = 13,
    /// The link will be closed; the body says why.
    Refused = 14,
}

impl Kind {
    const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Hello,
            2 => Self::Request,
            3 => Self::Reply,
            4 => Self::Cancel,
            5 => Self::Progress,
            6 => Self::Data,
            7 => Self::End,
            8 => Self::Stop,
            9 => Self::Credit,
            10 => Self::GoAway,
            11 => Self::Ping,
            12 => Self::Pong,
            13 => Self::Status,
            14 => Self::Refused,
            _ => return None,
        })
    }

    /// True for kinds whose messages may be spread over several frames.
    const fn may_continue(self) -> bool {
        matches!(self, Self::Hello | Self::Request | Self::Reply | Self::Data)
    }
}

/// The first eight bytes of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// Length of the body.
    pub len: usize,
    /// What it is about.
    pub kind: Kind,
    /// Whether the message goes on in another frame.
    pub more: bool,
    /// Call or channel.
    pub id: u32,
}

/// A header and its body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    /// The header.
    pub header: Header,
    /// The body.
    pub body: Bytes,
}

/// Bytes that are no frame, or a frame that does not keep the protocol. The link is of no further
/// use.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FrameError {
    /// A length over the bound.
    #[error("a frame of {len} bytes, at most {BODY_MAX} are allowed")]
    TooLong {
        /// What the header says.
        len: usize,
    },
    /// A kind that this version does not know.
    #[error("a frame of unknown kind {kind}")]
    UnknownKind {
        /// The number.
        kind: u8,
    },
    /// A frame of this kind cannot be part of a longer message.
    #[error("a {kind:?} frame cannot be continued")]
    CannotContinue {
        /// The kind.
        kind: Kind,
    },
    /// The body does not have the form that its kind has.
    #[error("a malformed {kind:?} frame: {problem}")]
    Malformed {
        /// The kind.
        kind: Kind,
        /// What is wrong.
        problem: &'static str,
    },
    /// The other end speaks another version of the wire format. Upgrade the older.
    #[error("the other end speaks version {theirs} of the protocol, this is version {ours}")]
    WrongVersion {
        /// The other end's.
        theirs: u16,
        /// This program's.
        ours: u16,
    },
    /// The other end does what it must not do now.
    #[error("the other end broke the protocol: {0}")]
    Violation(&'static str),
}

impl Header {
    /// Reads a header from the front of `bytes`; `None` if there are too few.
    ///
    /// # Errors
    /// [`FrameError`] if the bytes are no header of this protocol.
    pub(crate) fn peek(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let Some((head, _)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let len = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
        let number = head[3] & !MORE;
        let kind = Kind::from_number(number).ok_or(FrameError::UnknownKind { kind: number })?;
        let more = head[3] & MORE != 0;
        if len > BODY_MAX {
            return Err(FrameError::TooLong { len });
        }
        if more && !kind.may_continue() {
            return Err(FrameError::CannotContinue { kind });
        }
        let id = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        Ok(Some(Self {
            len,
            kind,
            more,
            id,
        }))
    }

    /// Appends the header to `out`. The length must be at most [`BODY_MAX`].
    pub(crate) fn put(&self, out: &mut BytesMut) {
        debug_assert!(self.len <= BODY_MAX, "the caller cuts messages into frames");
        let len = (self.len as u32).to_le_bytes();
        let kind = self.kind as u8 | if self.more { MORE } else { 0 };
        out.put_slice(&[len[0], len[1], len[2], kind]);
        out.put_u32_le(self.id);
    }
}

impl Frame {
    /// Takes a whole frame from the front of `bytes`; `None` if it is not all there yet.
    ///
    /// # Errors
    /// [`FrameError`] if the bytes are no frame of this protocol.
    pub(crate) fn take(bytes: &mut BytesMut) -> Result<Option<Self>, FrameError> {
        let Some(header) = Header::peek(bytes)? else {
            return Ok(None);
        };
        if bytes.len() < HEADER_LEN + header.len {
            return Ok(None);
        }
        bytes.advance(HEADER_LEN);
        let body = bytes.split_to(header.len).freeze();
        Ok(Some(Self { header, body }))
    }
}

/// What stands in front of the arguments in a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RequestHead {
    /// Which method.
    pub method: u64,
    /// How long the caller still waits, in milliseconds; zero is without end.
    pub timeout_ms: u32,
    /// How the arguments are encoded, and the result shall be.
    pub codec: u8,
    /// The trace, if the caller has one.
    pub trace: Option<TraceHead>,
    /// Identity of the logical call, the same in every try of it.
    pub call_id: Option<[u8; 16]>,
    /// This is a repeat: the call was begun on the callee's link of this number, which broke.
    pub former: Option<u64>,
    /// The call may be served more than once; its writes to the directory take effect once.
    pub once: Option<OnceHead>,
    /// Channels that the message refers to.
    pub channels: Channels,
    /// The leaderships under which the call is made; at most [`FENCES_MAX`].
    pub fences: Fences,
}

/// The number of a call of which each run makes the same writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OnceHead {
    /// Of the program that calls: random.
    pub session: u128,
    /// Rises with each such call of the program.
    pub number: u64,
    /// The program has the replies of all calls below this number.
    pub acknowledged: u64,
}

/// Trace context, as W3C Trace Context has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TraceHead {
    /// Of the whole trace.
    pub trace: [u8; 16],
    /// Of the caller's span.
    pub span: [u8; 8],
    /// Flags; bit 0 is "sampled".
    pub flags: u8,
}

/// A run of channel ids, opened by the sender of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Channels {
    /// The first.
    pub first: u32,
    /// How many.
    pub count: u16,
}

const HAS_TRACE: u8 = 1;
const HAS_CALL_ID: u8 = 2;
const HAS_CHANNELS: u8 = 4;
const HAS_FENCES: u8 = 8;
const HAS_FORMER: u8 = 16;
const HAS_ONCE: u8 = 32;

impl RequestHead {
    /// Appends the head to `out`.
    pub(crate) fn put(&self, out: &mut BytesMut) {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let flags = flag(self.trace.is_some(), HAS_TRACE)
            | flag(self.call_id.is_some(), HAS_CALL_ID)
            | flag(self.channels.count > 0, HAS_CHANNELS)
            | flag(self.former.is_some(), HAS_FORMER)
            | flag(self.once.is_some(), HAS_ONCE)
            | flag(!self.fences.is_empty(), HAS_FENCES);
        out.put_u64_le(self.method);
        out.put_u32_le(self.timeout_ms);
        out.put_u8(self.codec);
        out.put_u8(flags);
        if let Some(trace) = &self.trace {
            out.put_slice(&trace.trace);
            out.put_slice(&trace.span);
            out.put_u8(trace.flags);
        }
        if let Some(call_id) = &self.call_id {
            out.put_slice(call_id);
        }
        if let Some(former) = self.former {
            out.put_u64_le(former);
        }
        if let Some(once) = &self.once {
            out.put_u128_le(once.session);
            out.put_u64_le(once.number);
            out.put_u64_le(once.acknowledged);
        }
        self.channels.put(out);
        put_fences(&self.fences, out);
    }

    /// How many bytes [`RequestHead::put`] appends.
    pub(crate) fn len(&self) -> usize {
        14 + if self.trace.is_some() { 25 } else { 0 }
            + if self.call_id.is_some() { 16 } else { 0 }
            + if self.former.is_some() { 8 } else { 0 }
            + if self.once.is_some() { 32 } else { 0 }
            + self.channels.len()
            + fences_len(&self.fences)
    }

    /// Takes a head from the front of `body`.
    ///
    /// # Errors
    /// [`FrameError::Malformed`] if it is not whole.
    pub(crate) fn take(body: &mut Bytes) -> Result<Self, FrameError> {
        let short = FrameError::Malformed {
            kind: Kind::Request,
            problem: "the head is not whole",
        };
        let mut flagged = 0;
        let mut head = || -> Result<Self, bytes::TryGetError> {
            let method = body.try_get_u64_le()?;
            let timeout_ms = body.try_get_u32_le()?;
            let codec = body.try_get_u8()?;
            let flags = body.try_get_u8()?;
            flagged = flags;
            let trace = if flags & HAS_TRACE != 0 {
                let mut trace = TraceHead {
                    trace: [0; 16],
                    span: [0; 8],
                    flags: 0,
                };
                body.try_copy_to_slice(&mut trace.trace)?;
                body.try_copy_to_slice(&mut trace.span)?;
                trace.flags = body.try_get_u8()?;
                Some(trace)
            } else {
                None
            };
            let call_id = if flags & HAS_CALL_ID != 0 {
                let mut id = [0; 16];
                body.try_copy_to_slice(&mut id)?;
                Some(id)
            } else {
                None
            };
            let former = if flags & HAS_FORMER != 0 {
                Some(body.try_get_u64_le()?)
            } else {
                None
            };
            let once = if flags & HAS_ONCE != 0 {
                Some(OnceHead {
                    session: body.try_get_u128_le()?,
                    number: body.try_get_u64_le()?,
                    acknowledged: body.try_get_u64_le()?,
                })
            } else {
                None
            };
            let channels = Channels::take(body, flags & HAS_CHANNELS != 0)?;
            Ok(Self {
                method,
                timeout_ms,
                codec,
                trace,
                call_id,
                former,
                once,
                channels,
                fences: Fences::default(),
            })
        };
        let mut head = head().map_err(|_| short)?;
        if flagged & HAS_FENCES != 0 {
            head.fences = take_fences(body)?;
        }
        Ok(head)
    }
}

const FENCE_HAS_KEY: u8 = 1;

fn put_fences(fences: &Fences, out: &mut BytesMut) {
    if fences.is_empty() {
        return;
    }
    debug_assert!(
        fences.as_slice().len() <= FENCES_MAX,
        "calls are not begun under more fences"
    );
    out.put_u8(fences.as_slice().len() as u8);
    for fence in fences.iter() {
        out.put_u64_le(fence.number);
        out.put_u8(if fence.key.is_some() {
            FENCE_HAS_KEY
        } else {
            0
        });
        if let Some(key) = fence.key {
            out.put_u64_le(key);
        }
        out.put_u8(fence.election.len() as u8);
        out.put_slice(fence.election.as_bytes());
    }
}

fn fences_len(fences: &Fences) -> usize {
    if fences.is_empty() {
        return 0;
    }
    let one = |fence: &Fence| 10 + fence.election.len() + if fence.key.is_some() { 8 } else { 0 };
    1 + fences.iter().map(one).sum::<usize>()
}

fn take_fences(body: &mut Bytes) -> Result<Fences, FrameError> {
    let malformed = |problem| FrameError::Malformed {
        kind: Kind::Request,
        problem,
    };
    let short = |_| malformed("the head is not whole");
    let count = usize::from(body.try_get_u8().map_err(short)?);
    if count == 0 || count > FENCES_MAX {
        return Err(malformed("it has no fences, or too many"));
    }
    let mut fences = Vec::with_capacity(count);
    for _ in 0..count {
        let number = body.try_get_u64_le().map_err(short)?;
        let key = match body.try_get_u8().map_err(short)? & FENCE_HAS_KEY {
            0 => None,
            _ => Some(body.try_get_u64_le().map_err(short)?),
        };
        let len = usize::from(body.try_get_u8().map_err(short)?);
        if len > NAME_MAX {
            return Err(malformed("a fence's name is too long"));
        }
        let mut name = vec![0; len];
        body.try_copy_to_slice(&mut name).map_err(short)?;
        let election =
            String::from_utf8(name).map_err(|_| malformed("a fence's name is not text"))?;
        fences.push(Fence {
            election,
            number,
            key,
        });
    }
    Ok(fences.into())
}

impl Channels {
    fn put(self, out: &mut BytesMut) {
        if self.count > 0 {
            out.put_u32_le(self.first);
            out.put_u16_le(self.count);
        }
    }

    const fn len(self) -> usize {
        if self.count > 0 { 6 } else { 0 }
    }

    fn take(body: &mut Bytes, present: bool) -> Result<Self, bytes::TryGetError> {
        if !present {
            return Ok(Self::default());
        }
        Ok(Self {
            first: body.try_get_u32_le()?,
            count: body.try_get_u16_le()?,
        })
    }

    /// The ids.
    pub(crate) fn ids(self) -> impl Iterator<Item = u32> {
        (0..u32::from(self.count)).map(move |offset| self.first.wrapping_add(offset))
    }
}

/// What stands in front of a reply's or data message's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ValueHead {
    /// The value is an error.
    pub failed: bool,
    /// Channels that the value refers to.
    pub channels: Channels,
}

const FAILED: u8 = 1;

impl ValueHead {
    /// Appends the head to `out`.
    pub(crate) fn put(&self, out: &mut BytesMut) {
        let flags = if self.failed { FAILED } else { 0 }
            | if self.channels.count > 0 {
                HAS_CHANNELS
            } else {
                0
            };
        out.put_u8(flags);
        self.channels.put(out);
    }

    /// How many bytes [`ValueHead::put`] appends.
    pub(crate) const fn len(&self) -> usize {
        1 + self.channels.len()
    }

    /// Takes a head from the front of the body of a frame of `kind`.
    ///
    /// # Errors
    /// [`FrameError::Malformed`] if it is not whole.
    pub(crate) fn take(kind: Kind, body: &mut Bytes) -> Result<Self, FrameError> {
        let short = FrameError::Malformed {
            kind,
            problem: "the head is not whole",
        };
        let mut head = || -> Result<Self, bytes::TryGetError> {
            let flags = body.try_get_u8()?;
            let channels = Channels::take(body, flags & HAS_CHANNELS != 0)?;
            Ok(Self {
                failed: flags & FAILED != 0,
                channels,
            })
        };
        head().map_err(|_| short)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds() -> impl Strategy<Value = Kind> {
        (1_u8..=14).prop_map(|number| Kind::from_number(number).unwrap())
    }

    fn fences() -> impl Strategy<Value = Fence> {
        ("[a-z/-]{0,200}", any::<u64>(), any::<Option<u64>>()).prop_map(
            |(election, number, key)| Fence {
                election,
                number,
                key,
            },
        )
    }

    proptest! {
        #[test]
        fn a_frame_survives_its_bytes(
            kind in kinds(),
            id: u32,
            body in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let header = Header { len: body.len(), kind, more: kind.may_continue(), id };
            let mut bytes = BytesMut::new();
            header.put(&mut bytes);
            bytes.put_slice(&body);

            let frame = Frame::take(&mut bytes).unwrap().unwrap();

            prop_assert_eq!(frame, Frame { header, body: body.into() });
            prop_assert!(bytes.is_empty());
        }

        #[test]
        fn any_bytes_are_a_frame_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = BytesMut::from(&bytes[..]);

            while let Ok(Some(frame)) = Frame::take(&mut bytes) {
                let _ = RequestHead::take(&mut frame.body.clone());
                let _ = ValueHead::take(frame.header.kind, &mut frame.body.clone());
            }
        }

        #[test]
        fn a_request_head_survives_its_bytes(
            method: u64,
            timeout_ms: u32,
            codec: u8,
            trace in prop::option::of(any::<([u8; 16], [u8; 8], u8)>()),
            call_id in prop::option::of(any::<[u8; 16]>()),
            former: Option<u64>,
            once in prop::option::of(any::<(u128, u64, u64)>()),
            (first, count) in any::<(u32, u16)>(),
            fences in prop::collection::vec(fences(), 0..=FENCES_MAX),
        ) {
            let trace = trace.map(|(trace, span, flags)| TraceHead { trace, span, flags });
            let once = once.map(|(session, number, acknowledged)| OnceHead {
                session,
                number,
                acknowledged,
            });
            let channels = if count == 0 { Channels::default() } else { Channels { first, count } };
            let fences = Fences::from(fences);
            let head = RequestHead {
                method, timeout_ms, codec, trace, call_id, former, once, channels, fences,
            };
            let mut bytes = BytesMut::new();
            head.put(&mut bytes);
            prop_assert_eq!(bytes.len(), head.len());

            prop_assert_eq!(RequestHead::take(&mut bytes.freeze()).unwrap(), head);
        }
    }

    #[test]
    fn a_frame_over_the_bound_is_refused_before_its_body_comes() {
        let mut bytes = BytesMut::from(&[0xff, 0xff, 0x7f, 2, 0, 0, 0, 0][..]);

        let error = Frame::take(&mut bytes).unwrap_err();

        assert_eq!(error, FrameError::TooLong { len: 0x7f_ffff });
    }
}
