//! What a node does in the world: it accepts links, tells how it stands, and stops.
//!
//! Its tasks: `accept` (one), `meet` (one per link that came in, until it closes), `report` (one).
//! All end with [`Running`]. Links have tasks of their own, see [`crate::rpc`].
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: it owns the node's tasks"
)]

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::Notify, task::AbortHandle};

use super::{
    NodeBuilder, NodeHandle, Shared, StartError,
    host::{Host, HostFor, HostsNothing, caller_of},
    introspect,
};
use crate::{
    client::{
        Client,
        pool::{Pool, PoolOptions},
        program,
    },
    config::{AccessConfig, ClientAccess, Limits},
    identity::Identity,
    rpc::{Link, Serve},
    service::{Caller, Role},
    transport::{Address, ByteLink, Endpoint, Listener, tcp::Tcp, tcp::TcpLimits},
    wire::{Hello, Status},
    world,
};

/// How often a node looks whether it stands differently than it last told. Shorter makes placement
/// follow load more closely and costs a frame per link each time.
const REPORT: Duration = Duration::from_millis(100);

/// A node that runs.
pub(super) struct Running {
    pub(super) handle: NodeHandle,
    pub(super) host: Arc<Host>,
    pub(super) address: Address,
    gate: Arc<Gate>,
    pool: Arc<Pool>,
    tasks: Vec<AbortHandle>,
    limits: Limits,
}

/// Who may come in, and who has.
struct Gate {
    access: AccessConfig,
    nodes: Vec<Endpoint>,
    limits: Limits,
    hello: Arc<dyn Fn() -> Hello + Send + Sync>,
    host: Arc<OnceLock<Weak<Host>>>,
    links: Mutex<Vec<Link>>,
    refused: AtomicU64,
    faulty: AtomicU64,
    status_changed: Notify,
}

/// Starts a node.
pub(super) async fn start(mut builder: NodeBuilder) -> Result<Running, StartError> {
    let listener = builder.listener.take();
    let config = &builder.config;
    let transport = match &builder.transport {
        Some(transport) => transport.clone(),
        None => {
            let identity = match &builder.identity {
                Some(identity) => identity.clone(),
                None => Identity::load_or_create(&config.node.identity)?,
            };
            Arc::new(Tcp::with_limits(identity, tcp_limits(&config.limits)))
        }
    };
    let key = transport.key();
    let name = config.node.name.clone().unwrap_or_else(|| key.short());
    let listener = match listener {
        Some(listener) => listener,
        None => transport.listen(&config.node.listen).await?,
    };
    let address = config
        .node
        .advertise
        .clone()
        .unwrap_or_else(|| listener.address());
    let cell = Arc::new(OnceLock::new());
    let hello: Arc<dyn Fn() -> Hello + Send + Sync> = {
        let (cell, limits) = (cell.clone(), config.limits.clone());
        let (name, address) = (name.clone(), address.clone());
        Arc::new(move || node_hello(&cell, &limits, &name, &address))
    };
    let (access, nodes) = (config.access.clone(), config.cloud.nodes.clone());
    let pool = Pool::new(PoolOptions {
        transport,
        limits: config.limits.clone(),
        hello: {
            let hello = hello.clone();
            Box::new(move || hello())
        },
        serve: {
            let (cell, access, nodes) = (cell.clone(), access.clone(), nodes.clone());
            Box::new(move |key| serve_for(&cell, caller_of(key, &access, &nodes)))
        },
        learns: false,
    });
    let client = Client::from_pool(pool.clone());
    let handle = NodeHandle {
        shared: Arc::new(Shared { key, name, client }),
    };
    let mut services = builder.make_services(&handle).await?;
    introspect::add(&mut services, &cell, &handle);
    let host = Arc::new(Host::new(services, handle.clone()));
    // The cell was made above and nobody else has it to set.
    let _ = cell.set(Arc::downgrade(&host));
    pool.set_local(&host);
    let gate = Arc::new(Gate {
        access,
        nodes: nodes.clone(),
        limits: config.limits.clone(),
        hello,
        host: cell,
        links: Mutex::default(),
        refused: AtomicU64::new(0),
        faulty: AtomicU64::new(0),
        status_changed: Notify::new(),
    });
    nodes.into_iter().for_each(|node| pool.add(node));
    let tasks = vec![
        tokio::spawn(accept(listener, gate.clone(), Arc::downgrade(&pool))).abort_handle(),
        tokio::spawn(report(
            gate.clone(),
            Arc::downgrade(&pool),
            Arc::downgrade(&host),
        ))
        .abort_handle(),
    ];
    let limits = config.limits.clone();
    tracing::info!(
        key = %handle.key(),
        %address,
        name = handle.name(),
        services = ?host.descriptors().map(|service| service.name.as_str()).collect::<Vec<_>>(),
        "node started"
    );
    Ok(Running {
        handle,
        host,
        address,
        gate,
        pool,
        tasks,
        limits,
    })
}

fn tcp_limits(limits: &Limits) -> TcpLimits {
    TcpLimits {
        dial_time: limits.dial,
        handshakes: limits.handshakes as usize,
        ..TcpLimits::default()
    }
}

fn serve_for(cell: &Arc<OnceLock<Weak<Host>>>, caller: Caller) -> Arc<dyn Serve> {
    Arc::new(HostFor {
        host: cell.clone(),
        caller: Arc::new(caller),
    })
}

fn node_hello(
    cell: &OnceLock<Weak<Host>>,
    limits: &Limits,
    name: &str,
    address: &Address,
) -> Hello {
    let host = cell.get().and_then(Weak::upgrade);
    Hello {
        is_node: true,
        name: name.to_owned(),
        program: program(),
        address: Some(address.clone()),
        calls_max: limits.calls,
        message_max: limits.message_max,
        channel_window: limits.channel_window,
        link_window: limits.link_window,
        services: host.as_ref().map(|host| host.offers()).unwrap_or_default(),
        status: host.map(|host| status(&host, None)).unwrap_or_default(),
    }
}

fn status(host: &Host, pool: Option<&Pool>) -> Status {
    Status {
        in_flight: host.in_flight(),
        draining: host.is_draining(),
        not_serving: host.not_serving(),
        nodes: pool.map(Pool::known).unwrap_or_default(),
    }
}

/// Accepts links until the listener closes.
async fn accept(listener: Box<dyn Listener>, gate: Arc<Gate>, pool: Weak<Pool>) {
    loop {
        match listener.accept().await {
            Ok(bytes) => gate.clone().admit(bytes, &pool),
            Err(error) => {
                tracing::info!(
                    error = crate::error::chain(&error),
                    "no more links are accepted"
                );
                return;
            }
        }
    }
}

impl Gate {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a link in, or tells the other end why not.
    fn admit(self: Arc<Self>, bytes: ByteLink, pool: &Weak<Pool>) {
        let caller = caller_of(bytes.peer, &self.access, &self.nodes);
        let refusal = match (caller.role, self.access.clients) {
            (Role::Stranger, ClientAccess::Listed) => {
                Some(format!("key {} is not admitted here", bytes.peer))
            }
            (Role::Node | Role::Known, _) | (Role::Stranger, ClientAccess::Open) => {
                (self.lock().len() >= self.limits.links as usize).then(|| {
                    format!(
                        "this node keeps {} links already, its bound",
                        self.limits.links
                    )
                })
            }
        };
        let hello = (self.hello)();
        if let Some(why) = refusal {
            self.note_refusal(&bytes, &why);
            Link::start(
                bytes,
                false,
                &hello,
                self.limits.clone(),
                Arc::new(HostsNothing),
            )
            .close(&why);
            return;
        }
        let is_node = caller.role == Role::Node;
        let serve = serve_for(&self.host, caller);
        let link = Link::start(bytes, false, &hello, self.limits.clone(), serve);
        self.lock().push(link.clone());
        tokio::spawn(meet(self.clone(), link, pool.clone(), is_node));
    }

    /// Logs a refusal: the first, and then each time their number has doubled.
    fn note_refusal(&self, bytes: &ByteLink, why: &str) {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        if refused.is_power_of_two() {
            tracing::warn!(peer = %bytes.peer, address = %bytes.address, refused, why, "link refused");
        }
    }
}

impl Gate {
    /// Logs a link that was closed for what came over it, as seldom as refusals.
    fn note_fault(&self, link: &Link, why: &str) {
        let faulty = self.faulty.fetch_add(1, Ordering::Relaxed) + 1;
        if faulty.is_power_of_two() {
            tracing::warn!(peer = %link.peer(), address = %link.address(), faulty, why, "link closed for its fault");
        }
    }
}

/// Follows a link that came in until it closes.
async fn meet(gate: Arc<Gate>, link: Link, pool: Weak<Pool>, is_node: bool) {
    match tokio::time::timeout(gate.limits.hello, link.hello()).await {
        Ok(Ok(hello)) if hello.is_node && is_node => {
            if let Some(pool) = pool.upgrade() {
                pool.adopt(&link, &hello);
            }
        }
        Ok(Ok(hello)) if hello.is_node => {
            link.close(&format!("key {} is not in `cloud.nodes` here", link.peer()));
        }
        Ok(_) => {}
        Err(_) => link.close("no hello in time"),
    }
    drop(pool);
    // A client learns from the first report which other nodes there are.
    gate.status_changed.notify_one();
    let why = link.closed().await;
    if link.is_faulty() {
        gate.note_fault(&link, &why);
    }
    gate.lock().retain(|held| !held.is_same(&link));
}

/// Tells every link how the node stands, whenever that changes.
async fn report(gate: Arc<Gate>, pool: Weak<Pool>, host: Weak<Host>) {
    let mut told = Status::default();
    let mut to_all = false;
    loop {
        {
            let (Some(pool), Some(host)) = (pool.upgrade(), host.upgrade()) else {
                return;
            };
            let now = status(&host, Some(&pool));
            if to_all || now != told {
                let encoded = Bytes::from(now.encode());
                let links = gate.lock().clone();
                links.iter().for_each(|link| link.send_status(&encoded));
                pool.send_status(&encoded);
                told = now;
            }
        }
        to_all = tokio::select! {
            () = gate.status_changed.notified() => true,
            () = tokio::time::sleep(REPORT) => false,
        };
    }
}

impl Running {
    pub(super) fn links(&self) -> usize {
        self.gate.lock().len() + self.pool.dialed()
    }

    pub(super) async fn shutdown(&self) {
        self.host.drain();
        self.gate.status_changed.notify_one();
        self.tasks.first().into_iter().for_each(AbortHandle::abort);
        let links = self.gate.lock().clone();
        links.iter().for_each(Link::go_away);
        self.pool.go_away();
        let until = world::now() + self.limits.drain;
        let all_ended = async {
            for link in &links {
                link.closed().await;
            }
            self.pool.ended().await;
        };
        if tokio::time::timeout_at(until, all_ended).await.is_err() {
            let in_flight = self.host.in_flight();
            tracing::warn!(in_flight, waited = ?self.limits.drain, "calls did not finish in time");
        }
        links
            .iter()
            .for_each(|link| link.close("the node has stopped"));
        self.pool.close("the node has stopped");
        self.host.stop().await;
        tracing::info!(name = self.handle.name(), "node stopped");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.gate
            .lock()
            .drain(..)
            .for_each(|link| link.close("the node has stopped"));
        self.pool.close("the node has stopped");
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("key", &self.handle.key())
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
