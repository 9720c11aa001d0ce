//! Blobs and streams inside values: how they leave a value when it is encoded, and come back.
//!
//! Serde sees only values. A `Blob` or `Stream` in an argument or result serialises as a number,
//! and the contents travel beside the message as an [`Attachment`]: a stream of messages of its
//! own, with its own flow control. While a message is encoded or decoded, a list of attachments
//! hangs on the thread; outside of that, blobs serialise as bytes and streams not at all.

use std::{cell::RefCell, fmt, pin::Pin, task};

use futures_core::Stream as Poll;

use crate::{
    error::Result,
    message::codec::{Codec, Message},
};

/// A stream of messages that travels beside another message.
pub struct Attachment(Pin<Box<dyn Poll<Item = Result<Message>> + Send>>);

impl Attachment {
    /// Takes any stream of messages.
    pub fn new(messages: impl Poll<Item = Result<Message>> + Send + 'static) -> Self {
        Self(Box::pin(messages))
    }

    /// The next message, or `None` at the end.
    ///
    /// # Cancel safety
    /// Dropping the future loses no message.
    pub async fn next(&mut self) -> Option<Result<Message>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next message, in the form that streams have.
    pub fn poll_next(&mut self, cx: &mut task::Context<'_>) -> task::Poll<Option<Result<Message>>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attachment")
    }
}

/// What encoding or decoding on this thread has to do with attachments.
struct Scope {
    codec: Codec,
    direction: Direction,
    /// What a blob or stream found wrong. Kept here because some codecs drop the words of an error.
    problem: Option<String>,
}

enum Direction {
    Encoding(Vec<Attachment>),
    Decoding(Vec<Option<Attachment>>),
}

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// Puts the former scope back, also when encoding panics.
struct Restore(Option<Scope>);

impl Drop for Restore {
    fn drop(&mut self) {
        SCOPE.set(self.0.take());
    }
}

/// Runs `encode` and returns its value with what it attached. The words of an error are those of
/// the blob or stream that refused, if one did.
pub(crate) fn collect<R>(
    codec: Codec,
    encode: impl FnOnce() -> Result<R, String>,
) -> Result<(R, Vec<Attachment>), String> {
    let direction = Direction::Encoding(Vec::new());
    let _restore = Restore(SCOPE.replace(Some(Scope {
        codec,
        direction,
        problem: None,
    })));
    let result = encode();
    match (result, SCOPE.take()) {
        (
            Ok(value),
            Some(Scope {
                direction: Direction::Encoding(attached),
                ..
            }),
        ) => Ok((value, attached)),
        (Ok(value), _) => Ok((value, Vec::new())),
        (Err(error), scope) => Err(scope.and_then(|scope| scope.problem).unwrap_or(error)),
    }
}

/// Runs `decode`, which may take the attachments by their place. Errors as with [`collect`].
pub(crate) fn offer<R>(
    codec: Codec,
    attachments: Vec<Attachment>,
    decode: impl FnOnce() -> Result<R, String>,
) -> Result<R, String> {
    let direction = Direction::Decoding(attachments.into_iter().map(Some).collect());
    let _restore = Restore(SCOPE.replace(Some(Scope {
        codec,
        direction,
        problem: None,
    })));
    let result = decode();
    let scope = SCOPE.take();
    result.map_err(|error| scope.and_then(|scope| scope.problem).unwrap_or(error))
}

/// Notes what is wrong with a blob or stream, and gives the words back for the codec's own error.
pub(crate) fn problem(words: impl Into<String>) -> String {
    let words = words.into();
    SCOPE.with_borrow_mut(|scope| {
        if let Some(scope) = scope {
            scope.problem.get_or_insert_with(|| words.clone());
        }
    });
    words
}

/// Attaches what `make` gives for the codec in force, and returns its place; `None` outside of
/// [`collect`].
pub(crate) fn attach(make: impl FnOnce(Codec) -> Attachment) -> Option<u32> {
    SCOPE.with_borrow_mut(|scope| match scope {
        Some(Scope {
            codec,
            direction: Direction::Encoding(attached),
            ..
        }) => {
            let place = u32::try_from(attached.len()).ok()?;
            attached.push(make(*codec));
            Some(place)
        }
        Some(Scope {
            direction: Direction::Decoding(_),
            ..
        })
        | None => None,
    })
}

/// Takes the attachment at `place`, with the codec of its messages.
///
/// # Errors
/// In words, if there is none or it has been taken.
pub(crate) fn detach(place: u32) -> Result<(Codec, Attachment), String> {
    SCOPE
        .with_borrow_mut(|scope| match scope {
            Some(Scope {
                codec,
                direction: Direction::Decoding(offered),
                ..
            }) => {
                let attachment = offered.get_mut(place as usize)?.take()?;
                Some((*codec, attachment))
            }
            Some(Scope {
                direction: Direction::Encoding(_),
                ..
            })
            | None => None,
        })
        .ok_or_else(|| problem(format!("the message has no attachment {place}")))
}
