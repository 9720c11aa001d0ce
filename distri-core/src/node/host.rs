//! Dispatch: from a call that came in to the service that serves it.
//!
//! Checks what every call must pass (the method exists, the caller may, and not too often, the node
//! does not drain, node and method have room for one more), gives it a [`Context`], and counts.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::gate::{Admitted, Gate, Pass};
use crate::{
    config::Limits,
    error::{Code, Error, Result},
    hash::IdMap,
    id::MethodId,
    message::{Codec, Message},
    node::{
        NodeHandle,
        rates::Rates,
        repeats::{Repeat, Repeats},
        room::Room,
    },
    rpc::{CallId, Incoming, KeptReply, Link, OnProgress, Reporter, Serve, Serving, Trace},
    service::{
        Access, BoxFuture, Caller, Context, Health, MethodDescriptor, Placement, Reply, Request,
        Role, Service, ServiceDescriptor, context::Inherited,
    },
    wire::hello::ServiceOffer,
    world,
};

/// The services of a node. Those that are still being made are offered and answer that the node is
/// starting.
pub(crate) struct Host {
    services: BTreeMap<String, Hosted>,
    methods: IdMap<MethodId, Arc<Method>>,
    node: NodeHandle,
    load: Arc<Load>,
    caller_here: Arc<Caller>,
}

/// A service, and itself once it has been made.
#[derive(Clone)]
struct Hosted {
    descriptor: &'static ServiceDescriptor,
    service: Arc<OnceLock<Arc<dyn Service>>>,
}

/// What the whole node is doing.
struct Load {
    in_flight: AtomicU32,
    /// Calls of others than the cloud's own nodes about the cloud itself.
    room: Room,
    /// How often each caller may call, if that is bounded.
    rates: Option<Mutex<Rates>>,
    draining: AtomicBool,
}

/// A method with its service and its counts.
struct Method {
    /// Stands before it, if not every node may serve it.
    gate: OnceLock<Arc<dyn Gate>>,
    service: Arc<OnceLock<Arc<dyn Service>>>,
    index: usize,
    descriptor: &'static MethodDescriptor,
    counts: Arc<Counts>,
}

/// What a method is doing and has done.
pub(crate) struct Counts {
    node: Arc<Load>,
    room: Room,
    /// The method is the cloud's own: what keeps it going is not refused for the sake of others.
    is_own: bool,
    served: AtomicU64,
    failed: AtomicU64,
}

/// One call being served; counts it out when it ends.
pub(crate) struct Ticket {
    counts: Arc<Counts>,
    /// Known where there is a bound.
    begun: Option<Instant>,
    ended: AtomicBool,
}

/// What a method has done since the node started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct MethodCounts {
    pub(crate) in_flight: u32,
    pub(crate) served: u64,
    pub(crate) failed: u64,
}

impl Host {
    /// Offers the services described; [`Host::put`] gives it each of them when it has been made.
    pub(crate) fn new(
        descriptors: impl IntoIterator<Item = &'static ServiceDescriptor>,
        node: NodeHandle,
        limits: &Limits,
    ) -> Self {
        let rates = || Mutex::new(Rates::new(limits.rate, limits.burst));
        let load = Arc::new(Load {
            in_flight: AtomicU32::new(0),
            room: Room::new(Some(limits.serving)),
            rates: (limits.rate > 0).then(rates),
            draining: AtomicBool::new(false),
        });
        let mut methods = IdMap::default();
        let mut services = BTreeMap::new();
        for service in descriptors {
            let hosted = Hosted {
                descriptor: service,
                service: Arc::default(),
            };
            services.insert(service.name.clone(), hosted.clone());
            for (index, descriptor) in service.methods.iter().enumerate() {
                let counts = Arc::new(Counts {
                    node: load.clone(),
                    room: Room::new(descriptor.concurrency),
                    is_own: descriptor.access == Access::Node,
                    served: AtomicU64::new(0),
                    failed: AtomicU64::new(0),
                });
                let method = Method {
                    gate: OnceLock::new(),
                    service: hosted.service.clone(),
                    index,
                    descriptor,
                    counts,
                };
                methods.insert(descriptor.id, Arc::new(method));
            }
        }
        let caller_here = Arc::new(Caller {
            key: node.key(),
            role: Role::Node,
            roles: Vec::new(),
        });
        Self {
            services,
            methods,
            node,
            load,
            caller_here,
        }
    }

    /// From now on calls of the service go to `service`.
    pub(crate) fn put(&self, service: Arc<dyn Service>) {
        if let Some(hosted) = self.services.get(&service.descriptor().name) {
            // One that is there already was put by whoever made it first.
            let _ = hosted.service.set(service);
        }
    }

    pub(crate) fn descriptors(&self) -> impl Iterator<Item = &'static ServiceDescriptor> {
        self.services.values().map(|hosted| hosted.descriptor)
    }

    pub(crate) fn offers(&self) -> Vec<ServiceOffer> {
        self.descriptors()
            .map(|service| ServiceOffer {
                name: service.name.clone(),
                version: service.version,
                methods: service
                    .methods
                    .iter()
                    .map(|m| (m.id, m.schema_hash))
                    .collect(),
            })
            .collect()
    }

    pub(crate) fn not_serving(&self) -> Vec<String> {
        self.services
            .iter()
            .filter(|(_, hosted)| {
                let made = hosted.service.get();
                made.is_none_or(|service| service.health() == Health::NotServing)
            })
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// From now on `gate` says whether this node may serve the methods of a service that are placed
    /// so.
    pub(crate) fn guard(
        &self,
        service: &str,
        placed: impl Fn(&Placement) -> bool,
        gate: &Arc<dyn Gate>,
    ) {
        let hosted = self.services.get(service);
        let methods = hosted.map_or(&[][..], |hosted| &hosted.descriptor.methods);
        for descriptor in methods.iter().filter(|method| placed(&method.placement)) {
            if let Some(method) = self.methods.get(&descriptor.id) {
                // Guarded once, when the node starts.
                let _ = method.gate.set(gate.clone());
            }
        }
    }

    /// The services that this node leads, each with the number of its fence.
    pub(crate) fn leads(&self) -> Vec<(String, u64)> {
        let services = self.services.iter();
        let led = services.filter_map(|(name, hosted)| {
            let mut methods = hosted.descriptor.methods.iter();
            let gate = methods.find_map(|method| self.methods.get(&method.id)?.gate.get())?;
            Some((name.clone(), gate.leads()?))
        });
        led.collect()
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.load.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.load.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn drain(&self) {
        self.load.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) async fn stop(&self) {
        for hosted in self.services.values() {
            if let Some(service) = hosted.service.get() {
                service.stop().await;
            }
        }
    }

    pub(crate) fn counts(&self, method: MethodId) -> MethodCounts {
        self.methods
            .get(&method)
            .map_or_else(MethodCounts::default, |method| MethodCounts {
                in_flight: method.counts.room.taken(),
                served: method.counts.served.load(Ordering::Relaxed),
                failed: method.counts.failed.load(Ordering::Relaxed),
            })
    }

    fn admit(&self, now: Instant, id: MethodId, caller: &Caller) -> Result<(&Method, Ticket)> {
        let Some(method) = self.methods.get(&id) else {
            let node = self.node.name();
            return Err(Error::new(
                Code::UnknownMethod,
                format!(
                    "node {node} has no such service or method; `services --remote` lists them"
                ),
            ));
        };
        if self.is_draining() {
            let node = self.node.name();
            return Err(Error::new(
                Code::Unavailable,
                format!("node {node} takes no new calls"),
            ));
        }
        if !may_call(&method.descriptor.access, caller) {
            return Err(Error::new(
                Code::Denied,
                format!(
                    "key {} may not call `{}`: {}",
                    caller.key.short(),
                    method.descriptor.name,
                    explain(&method.descriptor.access)
                ),
            ));
        }
        self.check_rate(now, caller)?;
        let ticket = method.counts.enter(now).map_err(|full| {
            let (what, room) = match full {
                Full::Method(room) => (format!("`{}`", method.descriptor.name), room),
                Full::Node(room) => (format!("node {}", self.node.name()), room),
            };
            let message = format!("{what} serves {} calls already, its bound", room.limit());
            Error::new(Code::Busy, message).with_retry_after(room.hint())
        })?;
        Ok((method, ticket))
    }

    /// Refuses a caller who calls too often. The cloud's own nodes may.
    fn check_rate(&self, now: Instant, caller: &Caller) -> Result<()> {
        let Some(rates) = self.load.rates.as_ref() else {
            return Ok(());
        };
        if caller.role == Role::Node {
            return Ok(());
        }
        let mut rates = rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.take(now, caller.key).map_err(|wait| {
            let message = format!("key {} calls more often than it may", caller.key.short());
            Error::new(Code::Busy, message).with_retry_after(wait)
        })
    }

    fn begin(
        &self,
        now: Instant,
        method: MethodId,
        caller: &Arc<Caller>,
        request: (Codec, Message),
        mut inherited: Inherited,
        reporter: Reporter,
    ) -> Result<(Context, BoxFuture<'static, Result<Reply>>)> {
        self.node.check_fences(&inherited.fences, caller)?;
        let (method, ticket) = self.admit(now, method, caller)?;
        let service = method.service.get().ok_or_else(starting)?;
        let gate = method.gate.get();
        let admitted = gate.map(|gate| gate.admit()).transpose()?;
        let pass = admitted.map(|Admitted { fence, pass }| {
            inherited.fences = inherited.fences.with(fence);
            pass
        });
        let (codec, message) = request;
        let request = Request::new(method.index, codec, message);
        let cx = Context::new(
            caller.clone(),
            inherited,
            self.node.clone(),
            reporter,
            ticket,
        );
        let future = service.clone().call(cx.clone(), request);
        Ok((cx, held_while(pass, future)))
    }

    /// Serves a call made by this very process, without a link.
    pub(crate) async fn call_here(
        &self,
        method: MethodId,
        codec: Codec,
        message: Message,
        inherited: Inherited,
        on_progress: Option<OnProgress>,
    ) -> Result<Message> {
        let deadline = inherited.deadline;
        let reporter = on_progress.map_or(Reporter::Nobody, Reporter::Local);
        let caller = &self.caller_here;
        let now = world::now();
        let request = (codec, message);
        let (cx, future) = self.begin(now, method, caller, request, inherited, reporter)?;
        // Counts the call out also when this future is dropped.
        let guard = EndOnDrop(cx);
        let result = match deadline {
            None => future.await,
            Some(deadline) => tokio::time::timeout_at(deadline, future)
                .await
                .unwrap_or_else(|_| {
                    let message = "the deadline passed while the call was served";
                    Err(Error::new(Code::DeadlineExceeded, message))
                }),
        };
        guard.0.ended(result.is_ok());
        result.map(|reply| reply.message)
    }
}

/// `future`, with which a pass ends.
fn held_while<T: 'static>(
    pass: Option<Pass>,
    future: BoxFuture<'static, T>,
) -> BoxFuture<'static, T> {
    match pass {
        None => future,
        Some(pass) => Box::pin(async move {
            let _pass = pass;
            future.await
        }),
    }
}

fn starting() -> Error {
    Error::new(Code::Unavailable, "the node is still starting")
}

struct EndOnDrop(Context);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
        self.0.ended(false);
    }
}

/// The services of a node, as one caller meets them.
pub(crate) struct HostFor {
    pub(crate) host: Arc<OnceLock<Weak<Host>>>,
    pub(crate) repeats: Arc<Repeats>,
    pub(crate) caller: Arc<Caller>,
}

impl Serve for HostFor {
    fn serve(&self, _link: &Link, call: Incoming) -> Serving {
        let (Some(former), Some(id)) = (call.head.former, call.head.call_id) else {
            return self.begin(call);
        };
        let deadline = deadline_of(&call);
        match self
            .repeats
            .ask(self.caller.key, former, CallId(id), deadline)
        {
            Repeat::Answered(serving) => serving,
            Repeat::Serve(begun) => match self.begin(call) {
                Serving::Done(reply) => {
                    begun.ended(&reply);
                    Serving::Done(reply)
                }
                Serving::Running {
                    future,
                    deadline,
                    on_end,
                } => Serving::Running {
                    future: begun.follow(future),
                    deadline,
                    on_end,
                },
            },
        }
    }

    fn opened(&self, link: &Link) {
        self.repeats.opened(link);
    }

    fn ended(&self, link: &Link, parted: bool) {
        self.repeats.ended(link, parted);
    }

    fn finished(&self, link: &Link, call: CallId, reply: Option<KeptReply>) {
        let key = (link.peer(), link.number());
        self.repeats.finished(key, call, reply.as_ref());
    }
}

/// Until when the caller waits, if it says.
fn deadline_of(call: &Incoming) -> Option<Instant> {
    let timeout = Duration::from_millis(call.head.timeout_ms.into());
    (!timeout.is_zero()).then(|| call.now + timeout)
}

impl HostFor {
    /// Begins to serve a call that has not come before.
    fn begin(&self, call: Incoming) -> Serving {
        let Some(host) = self.host.get().and_then(Weak::upgrade) else {
            return Serving::Done(Err(starting()));
        };
        let asked = deadline_of(&call);
        let Incoming {
            now,
            head,
            message,
            reporter,
        } = call;
        let Some(codec) = Codec::from_id(head.codec) else {
            let message = format!("this node does not have codec {}", head.codec);
            return Serving::Done(Err(Error::new(Code::Unsupported, message)));
        };
        let method = MethodId(head.method);
        let usual = || Some(now + host.methods.get(&method)?.descriptor.timeout);
        let deadline = asked.or_else(usual);
        let trace = head.trace.as_ref();
        let inherited = Inherited {
            deadline,
            trace: trace.map_or_else(Trace::start, Trace::from_wire),
            fences: head.fences,
        };
        let request = (codec, message);
        match host.begin(now, method, &self.caller, request, inherited, reporter) {
            Ok((cx, future)) => Serving::Running {
                future,
                deadline,
                on_end: cx.on_end(),
            },
            Err(error) => Serving::Done(Err(error)),
        }
    }
}

/// Refuses all calls: what a client, which hosts nothing, answers.
pub(crate) struct HostsNothing;

impl Serve for HostsNothing {
    fn serve(&self, _link: &Link, _call: Incoming) -> Serving {
        Serving::Done(Err(Error::new(
            Code::UnknownService,
            "this program hosts no services",
        )))
    }
}

fn may_call(access: &Access, caller: &Caller) -> bool {
    let is_node = caller.role == Role::Node;
    match access {
        Access::Public => true,
        Access::Authenticated => is_node || caller.role == Role::Known,
        Access::Member => is_node || caller.roles.iter().any(|role| role == "member"),
        Access::Node => is_node,
        Access::Role(needed) => is_node || caller.roles.iter().any(|role| role == needed),
    }
}

fn explain(access: &Access) -> String {
    match access {
        Access::Public => "it is open to all".to_owned(),
        Access::Authenticated => {
            "it is open to keys listed in `access.keys` or under a role".to_owned()
        }
        Access::Member => "it is open to nodes and the role `member`".to_owned(),
        Access::Node => "it is open to nodes of the cloud only".to_owned(),
        Access::Role(role) => format!("it is open to the role `{role}`"),
    }
}

/// What has no room for a call.
enum Full<'a> {
    Method(&'a Room),
    Node(&'a Room),
}

impl Counts {
    fn enter(self: &Arc<Self>, now: Instant) -> Result<Ticket, Full<'_>> {
        if !self.room.enter() {
            return Err(Full::Method(&self.room));
        }
        if !self.is_own && !self.node.room.enter() {
            self.room.leave(None);
            return Err(Full::Node(&self.node.room));
        }
        self.node.in_flight.fetch_add(1, Ordering::Relaxed);
        Ok(Ticket {
            counts: self.clone(),
            begun: self.room.is_bounded().then_some(now),
            ended: AtomicBool::new(false),
        })
    }
}

impl Ticket {
    pub(crate) fn end(&self, well: bool) {
        if self.ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let counts = &self.counts;
        let stayed = self.begun.map(|begun| world::now() - begun);
        counts.room.leave(stayed);
        if !counts.is_own {
            counts.node.room.leave(None);
        }
        counts.node.in_flight.fetch_sub(1, Ordering::Relaxed);
        counts.served.fetch_add(1, Ordering::Relaxed);
        if !well {
            counts.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.end(false);
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("services", &self.services.keys())
            .finish_non_exhaustive()
    }
}
