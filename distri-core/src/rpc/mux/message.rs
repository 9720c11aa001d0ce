//! Messages that come in pieces, and errors as messages.

use bytes::{Bytes, BytesMut};

use crate::{
    error::{Code, Error, WireError},
    wire::FrameError,
};

/// How many messages of the largest size a link may hold, half arrived or being served, in each
/// direction. Raising it lets one caller take more memory.
pub(super) const MESSAGES_HELD: usize = 4;

/// Longest error, in bytes; fits a frame.
const ERROR_MAX: usize = 32 * 1024;

/// Puts messages together from the bodies of their frames, with a bound on what has come of all
/// that are not whole.
#[derive(Debug)]
pub(super) struct Assembly {
    message_max: usize,
    /// Bytes of messages that have not arrived whole.
    pub(super) held: usize,
}

impl Assembly {
    pub(super) fn new(message_max: u32) -> Self {
        Self {
            message_max: message_max as usize,
            held: 0,
        }
    }

    /// Adds a frame's body to what has arrived of its message; gives the message once it is whole.
    pub(super) fn add(
        &mut self,
        partial: &mut BytesMut,
        more: bool,
        body: Bytes,
    ) -> Result<Option<Bytes>, FrameError> {
        if !more && partial.is_empty() {
            return Ok(Some(body));
        }
        if partial.len() + body.len() > self.message_max {
            return Err(FrameError::Violation("a message over the bound announced"));
        }
        if self.held + body.len() > MESSAGES_HELD * self.message_max {
            return Err(FrameError::Violation(
                "too many messages begun and not finished",
            ));
        }
        partial.extend_from_slice(&body);
        self.held += body.len();
        if more {
            return Ok(None);
        }
        self.held -= partial.len();
        Ok(Some(std::mem::take(partial).freeze()))
    }

    /// Nobody waits any more for the rest of a message.
    pub(super) fn give_up(&mut self, partial: &BytesMut) {
        self.held -= partial.len();
    }
}

pub(crate) fn encode_error(error: Error) -> Bytes {
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

pub(crate) fn decode_error(body: &[u8]) -> Error {
    match postcard::from_bytes::<WireError>(body) {
        Ok(wire) => Error::from_wire(wire),
        Err(_) => Error::new(
            Code::Failed,
            "the call failed with an error that cannot be read",
        ),
    }
}
