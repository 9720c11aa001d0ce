//! Dispatch: from a call that came in to the service that serves it.
//!
//! Checks what every call must pass (the method exists, the caller may, and not too often, the node
//! does not drain, node and method have room for one more), gives it a [`Context`], and counts.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::gate::{Admitted, Gate, OwnsKeys, Pass};
use crate::{
    config::Limits,
    directory::CallWrites,
    error::{Code, Error, Result},
    hash::IdMap,
    id::MethodId,
    message::{Codec, Message},
    node::{
        NodeHandle,
        rates::Rates,
        repeats::{Repeat, Repeats},
        room::Room,
        ticket::{Counts, Full, Ticket},
    },
    rpc::{CallId, Incoming, KeptReply, Link, OnProgress, Reporter, Serve, Serving, Trace},
    service::{
        Access, BoxFuture, Caller, Context, Health, MethodDescriptor, Placement, Reply, Request,
        Role, Service, ServiceDescriptor, context::Inherited,
    },
    stats::MethodStats,
    wire::hello::ServiceOffer,
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
    in_flight: Arc<AtomicU32>,
    /// Calls of others than the cloud's own nodes about the cloud itself.
    room: Arc<Room>,
    /// How often each caller may call, if that is bounded.
    rates: Option<Mutex<Rates>>,
    draining: AtomicBool,
}

/// A method with its service and its counts.
struct Method {
    /// Stands before it, if not every node may serve it.
    gate: OnceLock<Arc<dyn Gate>>,
    /// Says which of its keys are this node's, if it is placed by one.
    keys: OnceLock<Arc<dyn OwnsKeys>>,
    service: Arc<OnceLock<Arc<dyn Service>>>,
    index: usize,
    descriptor: &'static MethodDescriptor,
    counts: Arc<Counts>,
}

/// A message, and when it came.
pub(crate) struct Arrived {
    pub(crate) now: Instant,
    pub(crate) codec: Codec,
    pub(crate) message: Message,
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
            in_flight: Arc::default(),
            room: Arc::new(Room::new(Some(limits.serving))),
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
                let is_own = descriptor.access == Access::Node;
                let node_room = (!is_own).then(|| load.room.clone());
                let in_flight = load.in_flight.clone();
                let counts = Counts::new(in_flight, descriptor.concurrency, node_room);
                let method = Method {
                    gate: OnceLock::new(),
                    keys: OnceLock::new(),
                    service: hosted.service.clone(),
                    index,
                    descriptor,
                    counts: Arc::new(counts),
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

    /// From now on `keys` says which keys of a service are this node's.
    pub(crate) fn own(&self, service: &str, keys: &Arc<dyn OwnsKeys>) {
        let hosted = self.services.get(service);
        let methods = hosted.map_or(&[][..], |hosted| &hosted.descriptor.methods);
        let keyed = methods
            .iter()
            .filter(|method| matches!(method.placement, Placement::Key(_)));
        for descriptor in keyed {
            if let Some(method) = self.methods.get(&descriptor.id) {
                // Set once, when the node starts.
                let _ = method.keys.set(keys.clone());
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

    /// Waits until no call is served but the cloud's own.
    pub(crate) async fn idle(&self) {
        self.load.room.emptied().await;
    }

    /// Calls being served, the cloud's own not among them.
    pub(crate) fn serving(&self) -> u32 {
        self.load.room.taken()
    }

    pub(crate) async fn stop(&self) {
        for hosted in self.services.values() {
            if let Some(service) = hosted.service.get() {
                service.stop().await;
            }
        }
    }

    /// Calls of the method that are being served.
    pub(crate) fn in_flight_of(&self, method: MethodId) -> u32 {
        let method = self.methods.get(&method);
        method.map_or(0, |method| method.counts.served().in_flight())
    }

    /// What has been counted of each method, by service and then in the order written.
    pub(crate) fn stats(&self) -> Vec<MethodStats> {
        let services = self.descriptors();
        let methods =
            services.flat_map(|service| service.methods.iter().map(move |m| (service, m)));
        let stats = methods.filter_map(|(service, descriptor)| {
            let counts = &self.methods.get(&descriptor.id)?.counts;
            Some(counts.served().picture(&service.name, &descriptor.name))
        });
        stats.collect()
    }

    fn admit(&self, id: MethodId, caller: &Caller, now: Instant) -> Result<(&Method, Ticket)> {
        let Some(method) = self.methods.get(&id) else {
            let node = self.node.name();
            return Err(Error::new(
                Code::UnknownMethod,
                format!(
                    "node {node} has no such service or method; `services --remote` lists them"
                ),
            ));
        };
        if self.is_draining() && !self.serves_to_the_end(method, caller) {
            let node = self.node.name();
            return Err(method.refuse(Error::new(
                Code::Unavailable,
                format!("node {node} takes no new calls"),
            )));
        }
        if !may_call(&method.descriptor.access, caller) {
            return Err(method.refuse(Error::new(
                Code::Denied,
                format!(
                    "key {} may not call `{}`: {}",
                    caller.key.short(),
                    method.descriptor.name,
                    explain(&method.descriptor.access)
                ),
            )));
        }
        if method.service.get().is_none() {
            return Err(method.refuse(starting()));
        }
        self.check_rate(now, caller)
            .map_err(|error| method.refuse(error))?;
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

    /// True for what a node that drains goes on to serve.
    fn serves_to_the_end(&self, method: &Method, caller: &Caller) -> bool {
        // What the cloud itself needs: others elect a leader with this node's vote.
        method.descriptor.access == Access::Node
            // What the calls that are being finished here call in turn.
            || caller.key == self.node.key()
            // What no other may serve yet: whoever stands before it says who may.
            || method.gate.get().is_some()
            || method.keys.get().is_some()
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
        method: MethodId,
        caller: &Arc<Caller>,
        arrived: Arrived,
        mut inherited: Inherited,
        reporter: Reporter,
    ) -> Result<(Context, BoxFuture<'static, Result<Reply>>)> {
        self.node.check_fences(&inherited.fences, caller)?;
        let Arrived {
            now,
            codec,
            mut message,
        } = arrived;
        let (method, ticket) = self.admit(method, caller, now)?;
        if inherited.writes.is_some() && !method.descriptor.once {
            // Its caller counts on it, and makes it again where this run is lost.
            ticket.refuse(Code::Unavailable);
            let (name, node) = (&method.descriptor.name, self.node.name());
            let message = format!("`{name}` is not `once` in the program of node {node}");
            return Err(Error::new(Code::Unavailable, message));
        }
        let service = method.service.get().ok_or_else(starting)?;
        let gate = method.gate.get();
        let admitted = gate.map(|gate| gate.admit()).transpose();
        let admitted = admitted.inspect_err(|error| ticket.refuse(error.code()))?;
        let pass = admitted.map(|Admitted { fence, pass }| {
            inherited.fences = inherited.fences.with(fence);
            pass
        });
        method.counts.served().receives(&mut message);
        let request = Request::new(method.index, codec, message);
        let cx = Context::new(
            caller.clone(),
            inherited,
            method.keys.get().cloned(),
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
        arrived: Arrived,
        inherited: Inherited,
        on_progress: Option<OnProgress>,
    ) -> Result<Message> {
        let deadline = inherited.deadline;
        let reporter = on_progress.map_or(Reporter::Nobody, Reporter::Local);
        let caller = &self.caller_here;
        let (cx, future) = self.begin(method, caller, arrived, inherited, reporter)?;
        // Counts the call out also when this future is dropped.
        let guard = EndOnDrop(cx);
        let mut result = match deadline {
            None => future.await,
            Some(deadline) => tokio::time::timeout_at(deadline, future)
                .await
                .unwrap_or_else(|_| {
                    let message = "the deadline passed while the call was served";
                    Err(Error::new(Code::DeadlineExceeded, message))
                }),
        };
        if guard.0.ended(&mut result) {
            guard.0.answered(crate::world::now());
        }
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
        self.0.stopped();
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
        let arrived = Arrived {
            now,
            codec,
            message,
        };
        let inherited = Inherited {
            deadline,
            trace: trace.map_or_else(Trace::start, Trace::from_wire),
            fences: head.fences,
            writes: head
                .once
                .map(|once| Arc::new(CallWrites::of(self.caller.key, &once))),
        };
        match host.begin(method, &self.caller, arrived, inherited, reporter) {
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

impl Method {
    /// Counts a call that is not begun.
    fn refuse(&self, error: Error) -> Error {
        self.counts.served().refuse(error.code());
        error
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("services", &self.services.keys())
            .finish_non_exhaustive()
    }
}
