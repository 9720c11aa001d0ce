//! A call about to be made: what is called, with which arguments, and what its caller asks of it.
//!
//! `make` makes it, as often as it takes; `choose` says at which node, `attempt` is one try there, and
//! `hedge` a second one beside a try that takes long. `gather` calls all nodes, `json` by name.

use std::{
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};

use super::Client;
use crate::{
    error::{Code, Error, Result},
    id::{MethodId, PublicKey, SchemaHash},
    message::{Codec, Message},
    rpc::{OnProgress, Progress},
    service::{
        Access, MethodDescriptor, Placement, ServiceDescriptor, descriptor::DEFAULT_TIMEOUT,
    },
};

mod attempt;
mod choose;
mod gather;
mod hedge;
mod json;
mod make;

pub use gather::Gather;
pub use json::{JsonCall, JsonReply};

/// A call about to be made; `.await` makes it.
///
/// # Cancel safety
/// Dropping the future cancels the call at the node that serves it, and all that it calls.
#[must_use = "a call does nothing until it is awaited"]
pub struct Call<T> {
    plan: Plan,
    arguments: Box<dyn EncodeArguments>,
    result: PhantomData<fn() -> T>,
}

/// Everything about a call but its arguments.
pub(crate) struct Plan {
    pub(super) client: Client,
    pub(super) what: What,
    timeout: Option<Duration>,
    on_progress: Option<OnProgress>,
    on_retry: Option<OnRetry>,
    to: Option<PublicKey>,
    prefer: Option<PublicKey>,
    /// Whether another node is asked as well.
    hedge: Hedging,
    key: Option<u64>,
    codec: Option<Codec>,
}

/// Whether another node is asked as well, and after how long.
enum Hedging {
    /// As the method says.
    OfMethod,
    /// As the caller says.
    After(Duration),
    /// The caller does not want it.
    Never,
}

/// Told of each try that failed and is followed by another.
type OnRetry = Box<dyn Fn(PublicKey, &Error) + Send + Sync>;

/// What is called.
pub(super) enum What {
    /// A method whose descriptor this program has.
    Typed(&'static ServiceDescriptor, &'static MethodDescriptor),
    /// A method by name.
    Named { service: String, method: String },
}

impl What {
    pub(super) fn id(&self) -> MethodId {
        match self {
            Self::Typed(_, method) => method.id,
            Self::Named { service, method } => {
                crate::service::descriptor::method_id(service, method)
            }
        }
    }

    fn service(&self) -> &str {
        match self {
            Self::Typed(service, _) => &service.name,
            Self::Named { service, .. } => service,
        }
    }

    fn method(&self) -> &str {
        match self {
            Self::Typed(_, method) => &method.name,
            Self::Named { method, .. } => method,
        }
    }

    fn hash(&self) -> Option<SchemaHash> {
        match self {
            Self::Typed(_, method) => Some(method.schema_hash),
            Self::Named { .. } => None,
        }
    }

    /// True if only the node may serve it that leads the service, as far as this program knows.
    fn is_led(&self) -> bool {
        match self {
            Self::Typed(_, method) => method.placement == Placement::Leader,
            Self::Named { .. } => false,
        }
    }

    /// True if it does no harm to serve the call more than once.
    fn is_idempotent(&self) -> bool {
        match self {
            Self::Typed(_, method) => method.idempotent || method.once,
            Self::Named { .. } => false,
        }
    }

    /// True if that is because its writes are numbered.
    fn is_once(&self) -> bool {
        match self {
            Self::Typed(_, method) => method.once,
            Self::Named { .. } => false,
        }
    }

    /// After how long the method wants another node asked as well.
    fn hedge(&self) -> Option<Duration> {
        match self {
            Self::Typed(_, method) => method.hedge,
            Self::Named { .. } => None,
        }
    }

    /// True if nodes need it of each other as long as they are there, also of one that drains.
    fn is_needed(&self) -> bool {
        match self {
            Self::Typed(_, method) => method.access == Access::Node,
            Self::Named { .. } => false,
        }
    }

    fn timeout(&self) -> Duration {
        match self {
            Self::Typed(_, method) => method.timeout,
            Self::Named { .. } => DEFAULT_TIMEOUT,
        }
    }
}

/// Arguments whose type is forgotten until they are encoded.
trait EncodeArguments: Send {
    fn encode(&mut self, codec: Codec) -> Result<Message>;
}

impl<A: Serialize + Send> EncodeArguments for A {
    fn encode(&mut self, codec: Codec) -> Result<Message> {
        Message::encode(codec, self)
    }
}

impl Client {
    /// A call of the method at `index` of `service`. Generated clients use it.
    ///
    /// # Panics
    /// If the service has no method at `index`.
    pub fn call<A, T>(
        &self,
        service: &'static ServiceDescriptor,
        index: usize,
        arguments: A,
    ) -> Call<T>
    where
        A: Serialize + Send + 'static,
    {
        let what = What::Typed(service, &service.methods[index]);
        Call::new(self.clone(), what, Box::new(arguments))
    }
}

impl<T> Call<T> {
    fn new(client: Client, what: What, arguments: Box<dyn EncodeArguments>) -> Self {
        let plan = Plan {
            client,
            what,
            timeout: None,
            on_progress: None,
            on_retry: None,
            to: None,
            prefer: None,
            hedge: Hedging::OfMethod,
            key: None,
            codec: None,
        };
        Self {
            plan,
            arguments,
            result: PhantomData,
        }
    }

    /// Waits at most so long. Without this, the method's own timeout holds; a deadline inherited
    /// from a call that is being served holds in any case.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.plan.timeout = Some(timeout);
        self
    }

    /// Calls `tell` whenever the service reports how far it is.
    pub fn on_progress(mut self, tell: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.plan.on_progress = Some(Arc::new(tell));
        self
    }

    /// Calls `tell` with the node and the error of each try that failed and is followed by another,
    /// which is what remains to be seen of a node that went away.
    pub fn on_retry(mut self, tell: impl Fn(PublicKey, &Error) + Send + Sync + 'static) -> Self {
        self.plan.on_retry = Some(Box::new(tell));
        self
    }

    /// Calls this node and no other.
    pub fn to(mut self, node: PublicKey) -> Self {
        self.plan.to = Some(node);
        self
    }

    /// Calls this node if it takes calls, else another.
    pub fn prefer(mut self, node: PublicKey) -> Self {
        self.plan.prefer = Some(node);
        self
    }

    /// Asks another node as well if the first has not answered after so long: the first answer counts,
    /// and the other call is cancelled. For calls that are to be quick although a node hangs or is
    /// overloaded; choose a time that one call in twenty exceeds. Without this, what the method says
    /// with `hedge = "…"` holds.
    ///
    /// Only methods that say `idempotent` may be asked for twice; of others the call fails as
    /// [`Code::InvalidArgument`]. At most one other node is asked, one that is no busier than the first,
    /// and for at most one call in ten (and ten more after a quiet time): a cloud that is slow because
    /// it is busy is not made busier. Calls that only one node may serve, those whose arguments stream
    /// (blobs of more than 16 KB do), and those whose result has a blob or stream are made as
    /// if this were not said.
    pub fn hedge(mut self, after: Duration) -> Self {
        self.plan.hedge = Hedging::After(after);
        self
    }

    /// Asks one node at a time, although the method says `hedge = "…"`.
    pub fn without_hedge(mut self) -> Self {
        self.plan.hedge = Hedging::Never;
        self
    }

    /// Calls the node to which `key` belongs; see `placement = key(…)`.
    pub fn placed_by(mut self, key: u64) -> Self {
        self.plan.key = Some(key);
        self
    }
}

impl<T: DeserializeOwned> Call<T> {
    /// Makes the call, and tells which node served it.
    ///
    /// # Errors
    /// What the service fails with, or why it could not be called; see [`Code`].
    pub async fn served(mut self) -> Result<(T, PublicKey)> {
        let (message, codec, node) = self.plan.run(&mut *self.arguments).await?;
        let value = message.decode(codec).map_err(|error| {
            let message = format!(
                "the result of `{}` {}",
                self.plan.what.method(),
                error.message()
            );
            Error::new(Code::Incompatible, message).at_node(node)
        })?;
        Ok((value, node))
    }
}

impl<T: DeserializeOwned + Send + 'static> IntoFuture for Call<T> {
    type Output = Result<T>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.served().await.map(|(value, _)| value) })
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Call({}.{})",
            self.plan.what.service(),
            self.plan.what.method()
        )
    }
}
