//! Values on their way: a value encoded by some codec, with the blobs and streams that it carries.
//!
//! [`codec`] turns values into messages and back, [`attachment`] carries what serde does not
//! (blobs and streams), [`Blob`] and [`Stream`] are the types that authors and callers use. How
//! messages cross a link is the business of [`crate::rpc`].

use std::{future::Future, pin::Pin};

pub mod attachment;
pub mod blob;
pub mod codec;
pub mod stream;

pub use attachment::Attachment;
pub use blob::Blob;
pub use codec::{Codec, Format, FormatRegistration, Message};
pub use stream::{Stream, StreamSender};

/// A boxed future, as the object-safe traits return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An encoded result, on its way to the caller. [`crate::service::Request::reply`] makes one.
#[derive(Debug)]
pub struct Reply {
    pub(crate) message: Message,
}
