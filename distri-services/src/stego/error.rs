//! What can go wrong with hiding and revealing, each with the numbers a caller needs to act.
//!
//! Which of these [`reveal`](super::reveal) can honestly tell apart, and why, is written down in
//! `docs/decisions/0003-what-reveal-can-tell.md`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::jpeg::JpegError;

use super::{cover::Format, key::KeyError};

/// Why nothing was hidden or revealed. No error leaves anything behind: there is no output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Error {
    /// The bytes begin like none of the formats that are read. Send one of those.
    #[error("not an image: expected PNG, JPEG, WebP, BMP, GIF or TIFF")]
    NotAnImage,

    /// The bytes begin like an image, but do not decode: truncated or damaged on the way.
    #[error("the {format} file is broken")]
    BrokenImage {
        /// What the file begins like.
        format: Format,
        /// What the decoder found.
        source: DecoderError,
    },

    /// The pixels are of a kind that PNG cannot hold, such as floating point.
    #[error("pixels of type {pixels} in a {format} file cannot be kept in a PNG")]
    UnsupportedPixels {
        /// The file's format.
        format: Format,
        /// The decoder's name for the pixel type.
        pixels: String,
    },

    /// A moving picture: hiding in it would silently drop all frames but one.
    #[error("the {format} file is animated; send a still image")]
    Animated {
        /// The file's format.
        format: Format,
    },

    /// Refused before decoding; the operator's limits say what is accepted.
    #[error("{what} is {}, the limit is {limit}", known(*is, *limit))]
    TooLarge {
        /// What was measured.
        what: Measure,
        /// How large it is; one beyond the limit, where no more is known than that it is larger.
        is: u64,
        /// How large it may be.
        limit: u64,
    },

    /// The payload does not fit, or under `stealth` not safely. Send a cover of at least `needs`, or less; or ask
    /// for `scale_cover`, unless the cover is a JPEG that is to stay one: then for several covers, or for it to
    /// be resampled.
    #[error(
        "{payload} bytes do not fit a cover of {} × {} that has room for {room}: \
         one like it must be at least {} × {}", has.width, has.height, needs.width, needs.height
    )]
    CoverTooSmall {
        /// Bytes to hide, payload and label together.
        payload: u64,
        /// Bytes the cover has room for.
        room: u64,
        /// The cover as it is.
        has: Size,
        /// The smallest size of the same shape and transparency in which the payload fits; of a JPEG that is to
        /// stay one, if it has as much detail everywhere.
        needs: Size,
    },

    /// The cover is or was a JPEG, and that was to be refused: whoever suspects it can prove any
    /// change. Send another cover, or ask for it to be resampled.
    #[error("the cover is or was a JPEG, in which any change can be proven")]
    JpegPast {
        /// Its quality, where it can be told.
        quality: Option<u8>,
    },

    /// The cover cannot stay a JPEG, as was asked for. Ask for it to be resampled (the result is a PNG),
    /// or save it as a JPEG of the common kind first.
    #[error("the cover cannot stay a JPEG")]
    NotAsJpeg {
        /// Why.
        source: JpegError,
    },

    /// No message goes over so many covers. Send as many as are needed at least.
    #[error("{covers} covers of which {needed} are to suffice: expected {needed} to {most} covers")]
    Covers {
        /// How many there are.
        covers: usize,
        /// How many are to suffice.
        needed: usize,
        /// How many there may be.
        most: usize,
    },

    /// One of several covers was refused, so that nothing was hidden in any. Send another one in its
    /// place.
    #[error("nothing can be hidden in cover {number} (counted from 0)")]
    InCover {
        /// Its place among the covers.
        number: usize,
        /// Why.
        source: Box<Self>,
    },

    /// The images are parts of one message, and too few. Find `needed` of them.
    #[error("{has} of the {parts} parts of this message are here, {needed} are needed")]
    PartsMissing {
        /// Different parts that opened.
        has: u32,
        /// Parts that are needed.
        needed: u32,
        /// Parts that were made.
        parts: u32,
    },

    /// Two of the images hold different messages for this key. Reveal them apart.
    #[error("images {first} and {other} (counted from 0) hold different messages")]
    PartsOfOthers {
        /// The first image that opened.
        first: usize,
        /// The first that is no part of the same message.
        other: usize,
    },

    /// There is no code of this height.
    #[error("a height of {is} was asked for, there are {least} to {most}")]
    Height {
        /// What was asked for.
        is: u8,
        /// The lowest.
        least: u8,
        /// The highest.
        most: u8,
    },

    /// Every pixel is transparent or nearly so, and those are never touched. Send another cover.
    #[error("the cover has no opaque pixel, and others are never changed")]
    Transparent,

    /// The label exceeds [`LABEL_MAX`](super::LABEL_MAX).
    #[error("the label has {is} bytes, at most {limit} are carried")]
    LabelTooLong {
        /// Its length.
        is: usize,
        /// The bound.
        limit: usize,
    },

    /// Nothing in the image opens with this key: the key is another one, or the image carries no
    /// message (or what it carried is damaged beyond recognition). Without a [`Mark`](super::Mark)
    /// nobody can tell these apart, which is what makes a stego image look like any other.
    #[error(
        "no message in this image opens with this key: another key, or an image without a message"
    )]
    NoMessage,

    /// The image bears the mark it was asked for, so it carries a message, but not for this key.
    #[error("wrong key: the image carries a message, but this key does not open it")]
    WrongKey,

    /// The image certainly carries nothing that could be revealed.
    #[error("not a stego image: {reason}")]
    NotStego {
        /// How that is known.
        reason: NotStego,
    },

    /// The key is right and a message is there, but it was changed since it was hidden. Nothing
    /// of it is returned; ask for the image again, over a channel that keeps every byte.
    #[error("the key is right, but the hidden message is damaged")]
    Damaged,

    /// The message was hidden by a newer version of this service. Upgrade to reveal it.
    #[error("the message was hidden by a newer version (format {version}, method {method})")]
    Newer {
        /// The format it is written in.
        version: u8,
        /// The embedding method it uses.
        method: u8,
    },

    /// The image about to be delivered did not give back exactly what was hidden in it, or
    /// differed from its cover by more than it may. It was withheld. This is a bug: report it.
    #[error("the finished image was not {what} and was withheld: this is a bug, please report it")]
    SelfCheck {
        /// The property that did not hold.
        what: Property,
    },

    /// Whoever asked for the work gave up on it between two of its steps.
    #[error("given up before it was done")]
    Stopped,

    /// The operating system gave no random bytes.
    #[error("no randomness from the operating system")]
    Randomness {
        /// What it said; known only where it happened.
        #[serde(skip)]
        source: Option<getrandom::Error>,
    },

    /// The key is unusable.
    #[error("the key is unusable")]
    Key {
        /// Why.
        #[from]
        source: KeyError,
    },
}

/// A size, as far as it is known.
fn known(is: u64, limit: u64) -> String {
    if is.checked_sub(1) == Some(limit) {
        "larger".to_owned()
    } else {
        is.to_string()
    }
}

/// A width and a height in pixels.
#[distri::message]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// What a limit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Measure {
    /// The file, in bytes.
    File,
    /// Pixels in a row.
    Width,
    /// Rows.
    Height,
    /// The decoded picture, in bytes.
    Memory,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "the file's length in bytes",
            Self::Width => "the image's width in pixels",
            Self::Height => "the image's height in pixels",
            Self::Memory => "the decoded image's size in bytes",
        })
    }
}

/// How it is known that an image carries nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotStego {
    /// The format does not keep pixels exactly, and nothing that keeps a message is in the file: it
    /// is no JPEG, or one that could not stay one. If this was a stego image once, saving it in this
    /// format destroyed the message.
    Lossy(Format),
    /// Even an empty message needs more opaque pixels.
    TooSmall(Size),
    /// It bears no mark, although marks are in use: it was not made here, or its pixels were
    /// changed all over since.
    Unmarked,
}

impl fmt::Display for NotStego {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lossy(Format::Jpeg) => {
                f.write_str("a JPEG that is too small, broken, or of a kind that carries nothing")
            }
            Self::Lossy(format) => write!(f, "{format} does not keep pixels exactly"),
            Self::TooSmall(size) => {
                write!(
                    f,
                    "{} × {} is too small to carry anything",
                    size.width, size.height
                )
            }
            Self::Unmarked => f.write_str("it does not bear the mark of this cloud"),
        }
    }
}

/// What a decoder found wrong with a file, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{0}")]
pub struct DecoderError(String);

impl DecoderError {
    pub(crate) fn new(said: impl fmt::Display) -> Self {
        Self(said.to_string())
    }
}

/// What must hold of a finished stego image before anyone gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Property {
    /// It can be written and read back, as a PNG or JPEG.
    Readable,
    /// It gives back the payload and the label, byte for byte, from each of its headers.
    Exact,
    /// It has the size and pixel type of the cover, no colour differs by more than one step, and
    /// no transparency differs at all. Of a JPEG: no coefficient of the first component differs by more
    /// than one step, and nothing else but Huffman tables differs at all. Either file says beside its
    /// picture what was to be kept of the cover's metadata, and nothing else.
    Faithful,
    /// It bears the mark it was to be given.
    Marked,
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Readable => "readable",
            Self::Exact => "exact",
            Self::Faithful => "faithful to the cover",
            Self::Marked => "marked",
        })
    }
}
