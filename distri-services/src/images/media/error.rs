//! Why a file is not taken as a picture.

use image::ImageError;

use super::Format;

/// Why a file is not taken as a picture. Nothing was made of it.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// It begins like no format that is read.
    #[error("this is not a PNG, JPEG or WebP image")]
    NotAnImage,
    /// It is beyond a bound; nothing was decoded.
    #[error("{what} is {is}, more than the {limit} allowed")]
    TooLarge {
        /// What is too large: `the file`, `the width`, `the height`, `the picture`, `decoding it`.
        what: String,
        /// How large it is: pixels for sides, bytes for all else.
        is: u64,
        /// How large it may be.
        limit: u64,
    },
    /// It has several pictures, or moves. Share one still picture.
    #[error("this {format} is an animation; only still pictures are shared")]
    Animated {
        /// Its format.
        format: Format,
    },
    /// It is damaged, or of a kind that is not read.
    #[error("this {format} cannot be decoded: {problem}")]
    Broken {
        /// Its format.
        format: Format,
        /// What the decoder said.
        problem: String,
    },
    /// It could not be written anew.
    #[error("the picture cannot be written as {format}: {problem}")]
    Unwritten {
        /// The format.
        format: Format,
        /// What the encoder said.
        problem: String,
    },
}

impl MediaError {
    pub(super) fn broken(format: Format, error: &ImageError) -> Self {
        Self::Broken {
            format,
            problem: spoken(error),
        }
    }

    pub(super) fn unwritten(format: Format, error: &ImageError) -> Self {
        Self::Unwritten {
            format,
            problem: spoken(error),
        }
    }

    pub(super) fn too_large(what: &str, is: u64, limit: u64) -> Self {
        Self::TooLarge {
            what: what.to_owned(),
            is,
            limit,
        }
    }
}

impl distri::ServiceError for MediaError {
    fn code(&self) -> distri::Code {
        match self {
            Self::NotAnImage | Self::Animated { .. } | Self::Broken { .. } => {
                distri::Code::InvalidArgument
            }
            Self::TooLarge { .. } => distri::Code::TooLarge,
            Self::Unwritten { .. } => distri::Code::Internal,
        }
    }
}

/// What a decoder says may quote the file, so it is cleaned and bounded like anything of a stranger.
fn spoken(error: &ImageError) -> String {
    super::clean_text(&error.to_string(), 200)
}
