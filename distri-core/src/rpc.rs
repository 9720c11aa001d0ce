//! Calls over links.
//!
//! A `Link` joins two keys. Either end may call the other; many calls share the link, each can be
//! cancelled, has a deadline, and may carry streams and blobs with flow control of their own. What
//! is being called is not known here: a request names a method by number, and whoever hosts
//! services answers through `Serve`.
//!
//! `mux` decides (a pure state machine), `link` does (one task per link).

mod link;
mod mux;
mod outgoing;

use std::{fmt, sync::Arc};

use bytes::Bytes;

pub(crate) use link::{CallOptions, Incoming, Link, OnEnd, Serve, Serving, WeakLink};

use crate::{
    error::Result,
    message::{Message, Reply},
    wire::frame::TraceHead,
};

/// Identity of a call, the same in every try of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct CallId(pub(crate) [u8; 16]);

/// A reply as it went out, for the case that it did not arrive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KeptReply {
    /// It is an error.
    pub(crate) failed: bool,
    /// The result, in the codec of the request, or the error.
    pub(crate) body: Bytes,
}

/// What a link that has ended leaves of a call that came over it with an id, and whose reply may not
/// have arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Left {
    /// It is being served.
    Running,
    /// It has ended.
    Done(KeptReply),
    /// It has ended, and the reply was not kept: for want of room, or because it has a blob or
    /// stream, which belong to the link.
    Gone,
}

impl KeptReply {
    /// `reply` as it can be kept: `None` if it has a blob or stream.
    pub(crate) fn of(reply: &Result<Reply>) -> Option<Self> {
        match reply {
            Ok(reply) => reply.message.attachments.is_empty().then(|| Self {
                failed: false,
                body: reply.message.body.clone(),
            }),
            Err(error) => Some(Self {
                failed: true,
                body: mux::encode_error(error.repeat()),
            }),
        }
    }

    /// The reply once more.
    pub(crate) fn again(self) -> Result<Reply> {
        if self.failed {
            return Err(mux::decode_error(&self.body));
        }
        let message = Message {
            body: self.body,
            attachments: Vec::new(),
        };
        Ok(Reply { message })
    }
}

/// How far a call is, as its service reports it.
#[derive(Clone, PartialEq, Debug)]
pub struct Progress {
    /// From 0 to 1.
    pub fraction: f32,
    /// A word about it.
    pub note: String,
}

/// Who wants to hear of a call's progress.
pub(crate) type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// Where a service's progress goes.
#[derive(Clone)]
pub(crate) enum Reporter {
    /// To the caller at the other end of a link.
    Link { link: Link, call: u32 },
    /// To a caller on the same node.
    Local(OnProgress),
    /// To nobody.
    Nobody,
}

impl Reporter {
    pub(crate) fn progress(&self, fraction: f32, note: &str) {
        match self {
            Self::Link { link, call } => link.progress(*call, fraction, note),
            Self::Local(tell) => tell(Progress {
                fraction,
                note: note.to_owned(),
            }),
            Self::Nobody => {}
        }
    }
}

/// The trace that a call belongs to (W3C Trace Context): the same at every hop.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Trace {
    trace: [u8; 16],
    span: [u8; 8],
}

impl Trace {
    /// A new trace.
    pub(crate) fn start() -> Self {
        let (high, low) = (crate::world::dice(), crate::world::dice());
        let mut trace = [0; 16];
        trace[..8].copy_from_slice(&high.to_be_bytes());
        trace[8..].copy_from_slice(&low.to_be_bytes());
        Self {
            trace,
            span: [0; 8],
        }
    }

    /// The same trace, one hop further.
    #[must_use]
    pub(crate) fn next_span(self) -> Self {
        Self {
            span: crate::world::dice().to_be_bytes(),
            ..self
        }
    }

    pub(crate) fn from_wire(head: &TraceHead) -> Self {
        Self {
            trace: head.trace,
            span: head.span,
        }
    }

    pub(crate) fn to_wire(self) -> TraceHead {
        TraceHead {
            trace: self.trace,
            span: self.span,
            flags: 1,
        }
    }
}

impl fmt::Display for Trace {
    /// The trace id: 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trace
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({self})")
    }
}
