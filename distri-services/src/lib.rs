//! The standard services of distri, each written as a stranger would write it: on the public API
//! only, and linked into a program by naming this crate in `distri::main!(distri_services)`.
//!
//! - [`stego`]: seals a payload and hides it in a cover image; opens it again, exactly.
//! - [`permissions`]: who may look at an image, how often, until when; the cloud counts, and sees
//!   neither the image nor the whole key.
//! - [`images`]: people share pictures with each other, for a limited number of views.

pub mod images;
mod jpeg;
pub mod permissions;
pub mod stego;
mod text;
