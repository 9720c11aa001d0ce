//! What authors write and nodes host: the [`Service`] trait, its requests and replies.
//!
//! `#[distri::service]` writes an implementation of [`Service`] for an ordinary `impl`; writing
//! one by hand is supported and shown at the trait. Which services a program has is the business
//! of [`crate::registry`]; who may call and who serves is decided before a request gets here.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::{Code, Error, Result},
    message::{Codec, Message},
};

pub mod context;
pub mod descriptor;
mod owned;

pub use crate::{
    message::{BoxFuture, Reply},
    placement::Elsewhere,
};
pub use context::{Caller, Context, Role};
pub use descriptor::{Access, MethodDescriptor, Placement, ServiceDescriptor};
pub use owned::Owned;

/// A service as a node hosts it.
///
/// `#[distri::service]` implements this. By hand, with everything the macro would write:
///
/// ```
/// use std::sync::{Arc, OnceLock};
/// # extern crate distri_core as distri;
/// use distri::{
///     Context, Result,
///     service::{MethodDescriptor, Reply, Request, Service, ServiceDescriptor},
/// };
///
/// struct WordCount;
///
/// #[distri::message]
/// struct CountArguments {
///     text: String,
/// }
///
/// #[async_trait::async_trait]
/// impl Service for WordCount {
///     fn descriptor(&self) -> &'static ServiceDescriptor {
///         static DESCRIPTOR: OnceLock<ServiceDescriptor> = OnceLock::new();
///         DESCRIPTOR.get_or_init(|| {
///             ServiceDescriptor::new("word-count")
///                 .docs("Counts words.")
///                 .method(MethodDescriptor::new::<CountArguments, usize>("count"))
///         })
///     }
///
///     async fn call(self: Arc<Self>, _cx: Context, mut request: Request) -> Result<Reply> {
///         match request.method() {
///             0 => {
///                 let CountArguments { text } = request.arguments()?;
///                 request.reply(&text.split_whitespace().count())
///             }
///             _ => Err(request.unknown_method()),
///         }
///     }
/// }
/// ```
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a service",
    note = "put `#[distri::service]` on an `impl {Self} {{ … }}` block, or implement `distri::service::Service` by hand"
)]
pub trait Service: Send + Sync + 'static {
    /// What it offers. The same for every instance of a type.
    fn descriptor(&self) -> &'static ServiceDescriptor;

    /// Serves one call. Access, deadline and concurrency have been checked; the future is dropped
    /// when the caller gives up or the deadline passes.
    ///
    /// # Errors
    /// Travel to the caller as they are.
    async fn call(self: Arc<Self>, cx: Context, request: Request) -> Result<Reply>;

    /// The collections of the directory that it owns: a node creates them before the service gets
    /// its first call, or makes them as they are declared here.
    fn collections(&self) -> Vec<crate::directory::CollectionSpec> {
        Vec::new()
    }

    /// Whether it can serve now; a node with a service that cannot says so to those who place calls.
    fn health(&self) -> Health {
        Health::Serving
    }

    /// Called once, after the last call has ended, when the node stops in an orderly way.
    async fn stop(&self) {}
}

/// Whether a service can serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    /// Calls are welcome.
    Serving,
    /// Calls should go to other nodes for now.
    NotServing,
}

/// The arguments of one call, and the way to answer it.
#[derive(Debug)]
pub struct Request {
    method: usize,
    codec: Codec,
    message: Message,
}

impl Request {
    pub(crate) fn new(method: usize, codec: Codec, message: Message) -> Self {
        Self {
            method,
            codec,
            message,
        }
    }

    /// Index of the method in the service's descriptor.
    pub fn method(&self) -> usize {
        self.method
    }

    /// Decodes the arguments, once.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`], naming the field where the codec has names.
    pub fn arguments<A: DeserializeOwned>(&mut self) -> Result<A> {
        std::mem::take(&mut self.message)
            .decode(self.codec)
            .map_err(|error| {
                // Only callers with another schema use this codec, so a mismatch is one of versions.
                if self.codec == Codec::MESSAGE_PACK {
                    let message = format!(
                        "caller and node hold different versions: {}",
                        error.message()
                    );
                    Error::new(Code::Incompatible, message)
                } else {
                    error
                }
            })
    }

    /// Encodes `value` in the codec of the request.
    ///
    /// # Errors
    /// [`Code::Internal`] if the codec cannot express it.
    pub fn reply<T: Serialize>(self, value: &T) -> Result<Reply> {
        let message = Message::encode(self.codec, value)
            .map_err(|error| Error::new(Code::Internal, error.message()))?;
        Ok(Reply { message })
    }

    /// The error for a method index that the service does not have.
    pub fn unknown_method(&self) -> Error {
        Error::new(
            Code::UnknownMethod,
            format!("the service has no method {}", self.method),
        )
    }
}
