//! One call: which node, which codec, how often.

use std::{
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use super::{
    Client,
    guide::Guide,
    once::OpenCall,
    pool::{Route, Target},
    repeat::{Failure, Fate, Former},
};
use crate::{
    directory::{CallWrites, once},
    error::{Code, Error, Result},
    id::{MethodId, PublicKey, SchemaHash},
    message::{BoxFuture, Codec, Message},
    node::host::Arrived,
    placement,
    rpc::{CallOptions, OnProgress, Progress},
    service::{
        Access, MethodDescriptor, Placement, ServiceDescriptor, context::Inherited,
        descriptor::DEFAULT_TIMEOUT,
    },
    stats::calls::Making,
    wire::frame::{Channels, OnceHead, RequestHead},
    world,
};

/// How often a call is tried in all. More rides out more nodes failing at once, but makes a failure
/// that all share last longer.
const TRIES: u32 = 6;

/// When a call was refused for want of room and no other node may have some, it waits for as long as
/// the node said, and then for a time drawn at random between nothing and this, which doubles up to
/// the second. Longer spreads those who were refused together more evenly, and makes each wait longer.
const PAUSE: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a call waits for any node to be reachable before it says that none is.
const PATIENCE: Duration = Duration::from_secs(5);

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
    key: Option<u64>,
    codec: Option<Codec>,
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

    /// A call by name, with arguments and result as JSON. `arguments` serializes as an object with
    /// one member per argument; a [`crate::Blob`] anywhere in it is sent as one.
    pub fn call_json(
        &self,
        service: &str,
        method: &str,
        arguments: impl Serialize + Send + 'static,
    ) -> JsonCall {
        let what = What::Named {
            service: service.to_owned(),
            method: method.to_owned(),
        };
        let mut call = Call::new(self.clone(), what, Box::new(arguments));
        call.plan.codec = Some(Codec::JSON);
        JsonCall { call }
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

/// A call by name, about to be made; `.await` makes it.
#[must_use = "a call does nothing until it is awaited"]
#[derive(Debug)]
pub struct JsonCall {
    call: Call<()>,
}

/// The result of a call by name.
#[derive(Debug)]
pub struct JsonReply {
    /// The result. A blob in it stands as `{"$blob": place, "len": bytes}`, a stream as
    /// `{"$stream": place}`, where `place` is an index into the attachments.
    pub value: serde_json::Value,
    /// The contents of blobs (chunks of bytes) and streams (one JSON value a message).
    pub attachments: Vec<crate::message::Attachment>,
    /// The node that served.
    pub node: PublicKey,
}

impl JsonCall {
    /// See [`Call::timeout`].
    pub fn timeout(self, timeout: Duration) -> Self {
        Self {
            call: self.call.timeout(timeout),
        }
    }

    /// See [`Call::on_progress`].
    pub fn on_progress(self, tell: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self {
            call: self.call.on_progress(tell),
        }
    }

    /// See [`Call::to`].
    pub fn to(self, node: PublicKey) -> Self {
        Self {
            call: self.call.to(node),
        }
    }
}

impl IntoFuture for JsonCall {
    type Output = Result<JsonReply>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<JsonReply>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let Call {
            plan,
            mut arguments,
            ..
        } = self.call;
        Box::pin(async move {
            let (message, _, node) = plan.run(&mut *arguments).await?;
            let Message { body, attachments } = message;
            let value = serde_json::from_slice(&body).map_err(|error| {
                Error::new(Code::Incompatible, "the result is not JSON").with_source(error)
            })?;
            Ok(JsonReply {
                value,
                attachments,
                node,
            })
        })
    }
}

/// A call of all nodes that offer a method; `.await` makes it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Gather<T> {
    client: Client,
    what: (&'static ServiceDescriptor, usize),
    arguments: Box<dyn EncodeArguments>,
    timeout: Option<Duration>,
    result: PhantomData<fn() -> T>,
}

impl Client {
    /// A call of the method at `index` of `service` on every node. Generated clients use it.
    pub fn gather<A, T>(
        &self,
        service: &'static ServiceDescriptor,
        index: usize,
        arguments: A,
    ) -> Gather<T>
    where
        A: Serialize + Send + 'static,
    {
        Gather {
            client: self.clone(),
            what: (service, index),
            arguments: Box::new(arguments),
            timeout: None,
            result: PhantomData,
        }
    }
}

impl<T> Gather<T> {
    /// Waits at most so long for each node.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<T: DeserializeOwned + Send + 'static> IntoFuture for Gather<T> {
    /// What each node answered, sorted by key. Nodes that could not be called say why.
    type Output = Result<Vec<(PublicKey, Result<T>)>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            let (service, index) = self.what;
            let method = &service.methods[index];
            let mut nodes: Vec<_> = self
                .client
                .pool()
                .routes()
                .of(method.id)
                .iter()
                .map(|route| route.target.key())
                .collect();
            nodes.sort();
            let mut calls = Vec::new();
            for node in nodes {
                // One encoding a node: two nodes may hold different schemas.
                let arguments = Prepared {
                    compact: Some(self.arguments.encode(Codec::Compact)?),
                    named: Some(self.arguments.encode(Codec::MESSAGE_PACK)?),
                };
                let mut call = Call::<T>::new(
                    self.client.clone(),
                    What::Typed(service, method),
                    Box::new(arguments),
                )
                .to(node);
                call.plan.timeout = self.timeout;
                calls.push((node, call.into_future()));
            }
            Ok(join_all(calls).await)
        })
    }
}

impl<T> fmt::Debug for Gather<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gather({})", self.what.0.name)
    }
}

/// Arguments encoded beforehand.
struct Prepared {
    compact: Option<Message>,
    named: Option<Message>,
}

impl EncodeArguments for Prepared {
    fn encode(&mut self, codec: Codec) -> Result<Message> {
        let prepared = match codec {
            Codec::Compact => self.compact.take(),
            Codec::Open(_) => self.named.take(),
        };
        prepared.ok_or_else(|| Error::new(Code::Unavailable, "the node cannot be reached"))
    }
}

/// Waits for all of a handful of futures.
async fn join_all<K, T>(calls: Vec<(K, BoxFuture<'static, T>)>) -> Vec<(K, T)> {
    let mut slots: Vec<(K, Option<T>, _)> = calls
        .into_iter()
        .map(|(key, future)| (key, None, future))
        .collect();
    std::future::poll_fn(|cx| {
        let mut all_done = true;
        for (_, done, future) in &mut slots {
            if done.is_none() {
                match future.as_mut().poll(cx) {
                    std::task::Poll::Ready(value) => *done = Some(value),
                    std::task::Poll::Pending => all_done = false,
                }
            }
        }
        if all_done {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    slots
        .into_iter()
        .filter_map(|(key, done, _)| done.map(|value| (key, value)))
        .collect()
}

impl Plan {
    /// Makes the call, on another node too if that is safe.
    async fn run(
        &self,
        arguments: &mut dyn EncodeArguments,
    ) -> Result<(Message, Codec, PublicKey)> {
        let now = world::now();
        let (service, method) = (self.what.service(), self.what.method());
        let counted = self.client.pool().counted();
        let making = counted.of(self.what.id(), service, method).begin(now);
        let made = self.run_counted(arguments, now, &making).await;
        let failed = made.as_ref().err().map(Error::code);
        making.end(world::now(), failed);
        made
    }

    async fn run_counted(
        &self,
        arguments: &mut dyn EncodeArguments,
        now: Instant,
        making: &Making,
    ) -> Result<(Message, Codec, PublicKey)> {
        // Once the outcome of one try is unknown, no later one can say that nothing was done.
        let mut may_be_done = false;
        let made = self.make(arguments, now, making, &mut may_be_done).await;
        made.map_err(|error| {
            if may_be_done && error.is_retryable() {
                let last = error.message();
                Error::new(
                    Code::UnknownOutcome,
                    format!("a try may have taken effect, and the last one failed: {last}"),
                )
            } else {
                error
            }
        })
    }

    async fn make(
        &self,
        arguments: &mut dyn EncodeArguments,
        now: Instant,
        making: &Making,
        may_be_done: &mut bool,
    ) -> Result<(Message, Codec, PublicKey)> {
        self.client.scope.fences.check()?;
        let own = now + self.timeout.unwrap_or_else(|| self.what.timeout());
        let own = match self.what.is_once() {
            true => own.min(now + once::LONGEST),
            false => own,
        };
        let deadline = self
            .client
            .scope
            .deadline
            .map_or(own, |inherited| inherited.min(own));
        self.client.pool().budget().earn();
        // The same number in each try. When the call has ended, however, it is acknowledged.
        let open = self
            .what
            .is_once()
            .then(|| self.client.pool().once().begin());
        let once = open.as_ref().map(OpenCall::head);
        let mut tried = Vec::new();
        let mut former: Option<Former> = None;
        let mut waiting = None;
        let mut last = None;
        let mut pause = PAUSE;
        let mut tries = 0;
        let mut guide = Guide::new(self.what.is_led());
        loop {
            let route = match &former {
                Some(former) => self.rejoin(former, deadline).await?,
                None => self.choose(deadline, &tried, &guide).await?,
            };
            let node = route.target.key();
            let codec = self
                .codec
                .unwrap_or(if self.what.hash() == Some(route.hash) {
                    Codec::Compact
                } else {
                    Codec::MESSAGE_PACK
                });
            let message = match waiting.take() {
                Some((encoded_as, message)) if encoded_as == codec => message,
                Some(_) | None => match arguments.encode(codec) {
                    Ok(message) => message,
                    // A stream in the arguments was sent in an earlier try: that one's failure counts.
                    Err(error) => return Err(last.unwrap_or(error)),
                },
            };
            let made = self.attempt(&route, codec, message, deadline, (former, once));
            let Failure { error, fate } = match made.await {
                Ok(reply) => return Ok((reply, codec, node)),
                Err(failure) => failure,
            };
            let may_repeat = match fate {
                Fate::Answered => {
                    if error.is_retryable() && former.take().is_some() {
                        // The node knows that it had never begun the call, and will not.
                        *may_be_done = false;
                    }
                    *may_be_done |= error.code() == Code::UnknownOutcome;
                    error.is_retryable()
                        || (self.what.is_idempotent() && error.code() == Code::UnknownOutcome)
                }
                Fate::NotSent(unsent) => {
                    waiting = unsent.map(|message| (codec, message));
                    error.is_retryable()
                }
                Fate::Lost(lost) => {
                    *may_be_done = true;
                    former = former.or(lost);
                    self.what.is_idempotent() || former.is_some()
                }
            };
            if !may_repeat {
                return Err(error);
            }
            if self.to.is_none()
                && former.is_none()
                && let Some(wait) = guide.refused(world::now(), node, &error)
                && world::now() + wait < deadline
            {
                last = Some(error);
                world::pause(wait).await;
                continue;
            }
            if former.is_none() {
                // To ask again for what one node has is bounded by the deadline.
                tries += 1;
                if tries >= TRIES {
                    return Err(error);
                }
            }
            if error.code() == Code::Busy {
                if !self.client.pool().budget().spend() {
                    return Err(error);
                }
                let elsewhere = [&tried[..], &[node]].concat();
                if self.pick(&elsewhere, &guide).is_none() {
                    let hint = error.retry_after().unwrap_or_default();
                    let wait = hint + world::jitter(pause.max(hint));
                    if world::now() + wait >= deadline {
                        return Err(error);
                    }
                    world::pause(wait).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
            making.retried();
            if let Some(tell) = &self.on_retry {
                tell(node, &error);
            }
            tried.push(node);
            last = Some(error);
        }
    }

    /// A node for the call that takes calls now, other than those tried before if there is one.
    async fn choose(&self, deadline: Instant, tried: &[PublicKey], guide: &Guide) -> Result<Route> {
        if let Some(route) = self.pick(tried, guide) {
            return Ok(route);
        }
        let until = deadline.min(world::now() + PATIENCE);
        let pool = self.client.pool();
        let found = pool
            .wait_for(until, |pool| {
                if let Some(route) = self.pick(&[], guide) {
                    return Some(Some(route));
                }
                let routes = pool.routes();
                // Nodes are there, all have spoken, and none has it: waiting brings nothing.
                let may_come =
                    !routes.of(self.what.id()).is_empty() || routes.is_resting(self.what.service());
                let is_vain = routes.any_ready() && pool.all_heard() && !may_come;
                (is_vain || pool.is_hopeless()).then_some(None)
            })
            .await;
        found.flatten().ok_or_else(|| self.nobody())
    }

    fn pick(&self, tried: &[PublicKey], guide: &Guide) -> Option<Route> {
        let routes = self.client.pool().routes();
        let candidates = routes.of(self.what.id());
        let is_new = |route: &Route| {
            !tried.contains(&route.target.key())
                && self.to.is_none_or(|to| route.target.key() == to)
        };
        // One that drains serves until others do what only it may.
        let there = |route: &Route| route.target.is_there() && is_new(route);
        if self.to.is_none()
            && let Some(route) = guide.pick(candidates, there)
        {
            return Some(route.clone());
        }
        let is_needed = self.what.is_needed();
        let fresh = |route: &Route| {
            let takes = route.target.is_ready() || (is_needed && route.target.is_there());
            takes && is_new(route)
        };
        let sure = |route: &Route| fresh(route) && !route.doubtful && !route.target.is_silent();
        let preferred = |route: &&Route| Some(route.target.key()) == self.prefer && sure(route);
        if let Some(route) = candidates.iter().find(preferred) {
            return Some(route.clone());
        }
        if let Some(key) = self.key {
            let id = |route: &Route| placement::weight_of(&route.target.key());
            return placement::owner_of(candidates, key, fresh, id).cloned();
        }
        let load = |route: &Route| route.target.load();
        let chosen = placement::better_of_two(candidates, world::dice(), sure, load)
            .or_else(|| placement::better_of_two(candidates, world::dice(), fresh, load));
        chosen.cloned()
    }

    /// Why no node serves the call.
    fn nobody(&self) -> Error {
        let pool = self.client.pool();
        let routes = pool.routes();
        let (service, method) = (self.what.service(), self.what.method());
        if !routes.of(self.what.id()).is_empty() {
            let message = match self.to {
                Some(to) => format!("node {} does not take calls of `{service}`", to.short()),
                None => format!("no node that offers `{service}` takes calls now"),
            };
            return Error::new(Code::Unavailable, message);
        }
        if !routes.any_ready() && routes.services().next().is_none() {
            return pool.unreachable();
        }
        if !routes.has_service(service) && routes.is_resting(service) {
            let message = format!("no node that offers `{service}` serves it now");
            return Error::new(Code::Unavailable, message);
        }
        if routes.has_service(service) {
            let message = format!("service `{service}` has no method `{method}`");
            return Error::new(Code::UnknownMethod, message);
        }
        let offered: Vec<_> = routes.services().collect();
        let message = format!(
            "no node offers a service `{service}` (offered: {})",
            offered.join(", ")
        );
        Error::new(Code::UnknownService, message)
    }

    /// One try, of which `former` was an earlier one, and `once` is the number.
    async fn attempt(
        &self,
        route: &Route,
        codec: Codec,
        message: Message,
        deadline: Instant,
        (former, once): (Option<Former>, Option<OnceHead>),
    ) -> Result<Message, Failure> {
        let trace = self
            .client
            .scope
            .trace
            .unwrap_or_else(crate::rpc::Trace::start)
            .next_span();
        let timed_out = || {
            Error::new(
                Code::DeadlineExceeded,
                "the deadline passed before the call could be sent",
            )
        };
        match &route.target {
            Target::Local(host, _) => {
                let Some(host) = host.upgrade() else {
                    let gone = Error::new(Code::Unavailable, "the node is stopping");
                    return Err(Failure::not_sent(gone, Some(message)));
                };
                let on_progress = self.on_progress.clone();
                let inherited = Inherited {
                    deadline: Some(deadline),
                    trace,
                    fences: self.client.scope.fences.clone(),
                    writes: once.map(|once| Arc::new(CallWrites::of(route.target.key(), &once))),
                };
                let method = self.what.id();
                let arrived = Arrived {
                    now: world::now(),
                    codec,
                    message,
                };
                host.call_here(method, arrived, inherited, on_progress)
                    .await
                    .map_err(Failure::answered)
            }
            Target::Link(link) => {
                let mut message = message;
                let call_id = match former {
                    Some(former) => Some(former.call),
                    // What the arguments have beside them is sent once.
                    None => (!self.what.is_idempotent() && message.attachments.is_empty())
                        .then(|| self.client.pool().next_call()),
                };
                loop {
                    let now = world::now();
                    let left = deadline.saturating_duration_since(now);
                    if left.is_zero() {
                        return Err(Failure::not_sent(timed_out(), None));
                    }
                    let head = RequestHead {
                        method: self.what.id().0,
                        timeout_ms: u32::try_from(left.as_millis()).unwrap_or(u32::MAX).max(1),
                        codec: codec.id(),
                        trace: Some(trace.to_wire()),
                        call_id: call_id.map(|call| call.0),
                        former: former.map(|former| former.link),
                        once,
                        channels: Channels::default(),
                        fences: self.client.scope.fences.clone(),
                    };
                    let options = CallOptions {
                        deadline: Some(deadline),
                        on_progress: self.on_progress.clone(),
                        may_move: self.what.is_idempotent() && self.to.is_none(),
                    };
                    match link.call(head, message, options) {
                        Ok(pending) => {
                            let reply = pending.await;
                            return reply.map_err(|error| Failure::of(error, link, call_id));
                        }
                        Err(failure) if failure.full => {
                            message = failure.message;
                            if tokio::time::timeout_at(deadline, link.room())
                                .await
                                .is_err()
                            {
                                return Err(Failure::not_sent(timed_out(), None));
                            }
                        }
                        Err(failure) => {
                            let unsent = Some(failure.message);
                            return Err(Failure::not_sent(failure.error, unsent));
                        }
                    }
                }
            }
        }
    }
}
