//! How a node comes by an instance of a service, and how it reaches the implementation of an
//! interface that is a trait.

use std::{fmt, future::Future, sync::Arc};

use serde::de::DeserializeOwned;

use super::method::Failure;
use crate::{
    config::ServiceConfig,
    error::Result,
    node::NodeHandle,
    service::{BoxFuture, Context, Reply, Request, Service, ServiceDescriptor},
};

/// A service that needs nothing to start.
#[diagnostic::on_unimplemented(
    message = "a node cannot make a `{Self}`: it has no `Default`, and the service names no `init`",
    label = "no `Default`",
    note = "derive `Default`, or name an `async fn(&NodeHandle, Config) -> Result<Self>`: `#[distri::service(init = {Self}::open)]`",
    note = "a service that is only added by hand says `#[distri::service(register = false)]`"
)]
pub trait DefaultStart {
    /// A new instance.
    fn start() -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Default> DefaultStart for T {
    fn start() -> Self {
        Self::default()
    }
}

/// What a registration of a service without `init` makes.
pub fn by_default<'a, T: DefaultStart + Service>(config: &ServiceConfig) -> Made<'a> {
    let made = config
        .expect_empty()
        .map(|()| Arc::new(T::start()) as Arc<dyn Service>);
    Box::pin(std::future::ready(made))
}

/// An instance in the making.
type Made<'a> = BoxFuture<'a, Result<Arc<dyn Service>>>;

/// What the function that `init` names returns, for a service `T`.
#[diagnostic::on_unimplemented(
    message = "`init` does not start a `{T}`",
    label = "returns `{Self}`",
    note = "`init` names an `async fn(&NodeHandle, Config) -> Result<{T}>`, where `Config` is a type of yours that is read from `[services.…]` in `distri.toml`"
)]
pub trait Starts<T> {
    /// The instance, or why there is none.
    fn start(self) -> impl Future<Output = Result<T>> + Send;
}

#[diagnostic::do_not_recommend]
impl<T, F, E> Starts<T> for F
where
    F: Future<Output = Result<T, E>> + Send,
    E: Failure,
{
    async fn start(self) -> Result<T> {
        self.await.map_err(Failure::into_error)
    }
}

/// What a service reads of the configuration.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from the configuration",
    label = "the second argument is read from `[services.…]` in `distri.toml`",
    note = "write `#[distri::message]` above `{Self}`, or derive serde's `Deserialize`"
)]
pub trait Settings: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// As [`ServiceConfig::read`].
    fn read(config: &ServiceConfig) -> Result<Self>;
}

#[diagnostic::do_not_recommend]
impl<C: DeserializeOwned> Settings for C {
    fn read(config: &ServiceConfig) -> Result<Self> {
        config.read()
    }
}

/// What a registration of a service with `init` makes.
pub fn started<'a, T, C, F, S>(init: F, node: &'a NodeHandle, config: &ServiceConfig) -> Made<'a>
where
    T: Service,
    F: FnOnce(&'a NodeHandle, C) -> S,
    C: Settings,
    S: Starts<T> + Send + 'a,
{
    match C::read(config) {
        Ok(settings) => {
            let starting = init(node, settings);
            Box::pin(async move {
                let service: Arc<dyn Service> = Arc::new(starting.start().await?);
                Ok(service)
            })
        }
        Err(error) => Box::pin(std::future::ready(Err(error))),
    }
}

/// What the function that `stop` names returns.
#[diagnostic::on_unimplemented(
    message = "`stop` does not name an `async fn(&self)`",
    label = "returns `{Self}`"
)]
pub trait Stops {
    /// Waits for its end.
    fn stop(self) -> impl Future<Output = ()> + Send;
}

#[diagnostic::do_not_recommend]
impl<F: Future<Output = ()> + Send> Stops for F {
    fn stop(self) -> impl Future<Output = ()> + Send {
        self
    }
}

/// Waits until `stopping` has ended.
pub fn stopped<'a, F: Stops + Send + 'a>(stopping: F) -> BoxFuture<'a, ()> {
    Box::pin(async move { stopping.stop().await })
}

/// How a node reaches an implementation `S` of an interface.
pub struct Interface<S: ?Sized> {
    /// The interface's name.
    pub name: &'static str,
    /// What it offers.
    pub descriptor: fn() -> &'static ServiceDescriptor,
    /// Serves one call.
    pub call: fn(Arc<S>, Context, Request) -> BoxFuture<'static, Result<Reply>>,
}

impl<S: ?Sized> fmt::Debug for Interface<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interface")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The generated client of an interface, which knows how to reach any implementation `S` of it.
pub trait Serves<S: ?Sized> {
    /// How.
    const INTERFACE: Interface<S>;
}
