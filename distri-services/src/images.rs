//! Sharing pictures between people: what is offered, who asks, and what goes from one to the other.
//!
//! - [`media`] takes image files of any origin and gives files and previews that hold pixels and
//!   nothing else.
//! - [`record`] is what people say of themselves and to each other, signed and sealed.
//! - [`cloud`] is the cloud's part: who is there, what is offered, letters for those who are away.

pub mod cloud;
pub mod media;
pub mod record;
