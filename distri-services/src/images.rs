//! Sharing pictures between people: what is offered, who asks, and what goes from one to the other.
//!
//! - [`media`] takes image files of any origin and gives files and previews that hold pixels and
//!   nothing else.

pub mod media;
