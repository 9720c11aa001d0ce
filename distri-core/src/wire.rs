//! The bytes on a link: frames, and what the two ends tell each other first.
//!
//! This module only encodes and decodes, with every bound checked before anything is allocated.
//! What the frames mean to a link is decided in [`crate::rpc`]. The format is written down for
//! other implementers in `docs/protocol.md`.

pub(crate) mod frame;
pub(crate) mod hello;

pub(crate) use frame::{Frame, FrameError, Header, Kind};
pub(crate) use hello::{Hello, Status};
