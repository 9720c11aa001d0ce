//! The standard services of distri, each written as a stranger would write it: on the public API
//! only, and linked into a program by naming this crate in `distri::main!(distri_services)`.
//!
//! - [`stego`]: seals a payload and hides it in a cover image; opens it again, exactly.
//! - [`images`]: people share pictures, for a limited number of views.

mod base64;
pub mod images;
pub mod stego;
