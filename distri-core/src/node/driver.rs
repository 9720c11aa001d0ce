//! What a node does in the world: it accepts links and tells how it stands. How it stops is in `stop`.
//!
//! Its tasks: `accept` (one), `meet` (one per link that came in, until it closes), `report` (one),
//! `heed` (one) and the gossip's (see [`crate::membership`]), and those of the directory (see
//! [`super::keeper`]) and of services that not every node may serve (see
//! [`super::leading`] and [`super::owning`]); the admin port has its own, see [`crate::http`]. All end
//! with [`Running`]. Links have tasks of their own, see [`crate::rpc`].
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: it owns the node's tasks"
)]

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::Notify, task::AbortHandle};

#[cfg(feature = "relay")]
use super::relay::Relay;
use super::{
    NodeHandle, StartError,
    admin::{self, Admin, Subject},
    handle::{Shared, Tasks},
    host::{Host, HostFor, HostsNothing},
    introspect,
    keeper::{Keeper, Place},
    leading::{self, Leading},
    owning::Owning,
    preparation::Preparation,
    repeats::Repeats,
    report::Report,
    standing,
    vitals::Vitals,
};
use crate::{
    client::{
        Client,
        pool::{Pool, PoolOptions},
        program,
    },
    cluster::{NO_MEMBER, Roster},
    config::{ClientAccess, Limits},
    directory::CollectionSpec,
    identity::Identity,
    membership::{MemberState, Membership},
    rpc::{Link, Serve},
    service::{Caller, Role},
    transport::{Address, ByteLink, Listener},
    wire::{Hello, Status},
    world,
};

mod stop;

/// How long a node that starts waits for the list of its cluster's members.
const KNOWS_MEMBERS: Duration = Duration::from_secs(5);

/// The pause before collections are declared again that could not be.
const DECLARE_AGAIN: Duration = Duration::from_millis(200);

/// A node that runs.
pub(super) struct Running {
    pub(super) handle: NodeHandle,
    pub(super) host: Arc<Host>,
    pub(super) address: Address,
    pub(super) keeper: Option<Keeper>,
    pub(super) admin: Option<Admin>,
    leading: Leading,
    owning: Owning,
    membership: Membership,
    gate: Arc<Gate>,
    pool: Arc<Pool>,
    repeats: Arc<Repeats>,
    tasks: Vec<AbortHandle>,
    limits: Limits,
    #[cfg(feature = "relay")]
    relay: Option<Relay>,
}

/// Who may come in, and who has.
struct Gate {
    roster: Arc<Roster>,
    /// The node keeps a directory, which says who is who.
    keeps_directory: bool,
    limits: Limits,
    hello: Arc<dyn Fn() -> Hello + Send + Sync>,
    host: Arc<OnceLock<Weak<Host>>>,
    repeats: Arc<Repeats>,
    links: Mutex<Vec<Link>>,
    vitals: Arc<Vitals>,
    /// The node may stand differently than it last told.
    status_changed: Notify,
}

/// Starts a node.
pub(super) async fn start(mut prepared: Preparation) -> Result<Running, StartError> {
    let listener = prepared.listener.take();
    let config = &prepared.config;
    let transport = prepared.transport.settle(&config.limits, || {
        Identity::load_or_create(&config.node.identity)
    })?;
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
    let admin_port = admin::bind(config.admin.listen.as_ref()).await?;
    let cell = Arc::new(OnceLock::new());
    let repeats = Repeats::new(&config.limits);
    let hello: Arc<dyn Fn() -> Hello + Send + Sync> = {
        let (cell, limits) = (cell.clone(), config.limits.clone());
        let (name, address, repeats) = (name.clone(), address.clone(), repeats.clone());
        Arc::new(move || node_hello(&cell, &repeats, &limits, &name, &address))
    };
    let place = Place::find(&prepared, &transport, key, &name, &address).await?;
    let config = &prepared.config;
    let mut nodes = config.cloud.nodes.clone();
    nodes.extend(place.iter().flat_map(|place| place.nodes()).cloned());
    let roster = Arc::new(Roster::new(config.access.clone(), nodes));
    let vitals = Arc::new(Vitals::new(world::now()));
    let pool = Pool::new(PoolOptions {
        transport,
        ways: Vec::new(),
        near: None,
        limits: config.limits.clone(),
        hello: {
            let hello = hello.clone();
            Box::new(move || hello())
        },
        serve: {
            let (cell, repeats, roster) = (cell.clone(), repeats.clone(), roster.clone());
            Box::new(move |key| serve_for(&cell, &repeats, roster.caller(key)))
        },
        few: None,
        traffic: vitals.traffic.clone(),
    });
    let client = Client::from_pool(pool.clone());
    let handle = NodeHandle {
        shared: Arc::new(Shared {
            key,
            name,
            client,
            vitals: vitals.clone(),
            group: OnceLock::new(),
            membership: OnceLock::new(),
            trouble: crate::cluster::Trouble::new(None),
            elections: OnceLock::new(),
            secrets: OnceLock::new(),
            seen: Mutex::default(),
            tasks: Tasks::default(),
        }),
    };
    let keeper = match place {
        Some(place) => Some(Keeper::open(place, config, &handle, &address).await?),
        None => None,
    };
    #[cfg(feature = "relay")]
    let relay = match &config.node.relay {
        Some(at) => {
            let replica = keeper.as_ref().map(|keeper| keeper.replica().clone());
            let relay = Relay::start(at, &roster, replica).await;
            Some(relay.map_err(StartError::Relay)?)
        }
        None => None,
    };
    #[cfg(not(feature = "relay"))]
    if config.node.relay.is_some() {
        return Err(StartError::NoRelay);
    }
    let mut own = keeper
        .as_ref()
        .map_or_else(Vec::new, |keeper| keeper.services(config));
    own.push(introspect::service(&cell, &handle));
    let membership = membership(&handle, &address, &roster);
    own.push(membership.service());
    let descriptors = prepared.roll.describe(config, &own)?;
    let host = Arc::new(Host::new(descriptors, handle.clone(), &config.limits));
    own.into_iter().for_each(|service| host.put(service));
    // The cell was made above and nobody else has it to set.
    let _ = cell.set(Arc::downgrade(&host));
    let leading = Leading::new(&handle, &host).map_err(|_| StartError::NeedsDirectory {
        name: leading::first(&host),
    })?;
    let owning = Owning::new(&handle, &host);
    pool.set_local(&host);
    let gate = Arc::new(Gate {
        roster: roster.clone(),
        keeps_directory: keeper.is_some(),
        limits: config.limits.clone(),
        hello,
        host: cell,
        repeats: repeats.clone(),
        links: Mutex::default(),
        vitals: vitals.clone(),
        status_changed: Notify::new(),
    });
    for node in roster.configured() {
        pool.add(node.clone());
    }
    let mut tasks = vec![
        world::spawn(accept(listener, gate.clone(), Arc::downgrade(&pool))).abort_handle(),
        world::spawn(report(
            gate.clone(),
            Arc::downgrade(&pool),
            Arc::downgrade(&host),
        ))
        .abort_handle(),
    ];
    let standing = {
        let (host, name) = (Arc::downgrade(&host), handle.name().to_owned());
        let address = address.clone();
        // Nodes on a transport of the program's own may share a process, whose CPU is then no one's;
        // and a simulation must not depend on it.
        let is_whole_process = prepared.transport.transport.is_none();
        Box::new(move |now, late| {
            let host = host.upgrade()?;
            vitals.note_late(now, late);
            let cpu_percent = is_whole_process
                .then(|| vitals.process.cpu_percent(now))
                .flatten();
            let about = standing::about(&host, &name, &address);
            Some((about, standing::load(&host, cpu_percent)))
        })
    };
    let heeds = heed(membership.clone(), Arc::downgrade(&pool));
    tasks.push(world::spawn(heeds).abort_handle());
    let gossips = membership.clone().run(handle.client().clone(), standing);
    tasks.push(world::spawn(gossips).abort_handle());
    if let Some(keeper) = &keeper {
        let members_changed = {
            let (gate, membership) = (gate.clone(), membership.clone());
            move || {
                gate.look_again();
                membership.set_members(gate.roster.members());
            }
        };
        tasks.extend(keeper.start(&roster, &pool, members_changed));
    }
    let keeps_directory = keeper.is_some();
    let admin = admin_port.map(|port| {
        let subject = Subject {
            node: handle.clone(),
            host: Arc::downgrade(&host),
            roster: keeps_directory.then(|| roster.clone()),
        };
        Admin::start(port, subject)
    });
    let admin = admin.transpose()?;
    let mut running = Running {
        handle: handle.clone(),
        host: host.clone(),
        address: address.clone(),
        keeper,
        admin,
        leading,
        owning,
        membership,
        gate,
        pool,
        repeats,
        tasks,
        limits: config.limits.clone(),
        #[cfg(feature = "relay")]
        relay,
    };
    // From here on an error drops `running`, which stops what was started.
    if keeps_directory {
        // Others are served when it is known who they are. A node that cannot know, since it has
        // joined and no leader answers, goes on without.
        let read = tokio::time::timeout(KNOWS_MEMBERS, roster.wait_until_read());
        if read.await.is_err() {
            tracing::warn!("the cluster's members are not known after {KNOWS_MEMBERS:?}");
        }
    }
    let services = prepared.roll.make(&prepared.config, &handle).await?;
    let mut collections = prepared.collections()?;
    for service in services.values() {
        collections.extend(service.collections());
    }
    if let Some(first) = collections.first() {
        let Some(keeper) = &running.keeper else {
            return Err(StartError::NoDirectory {
                collection: first.name.clone(),
            });
        };
        // What stands already needs no majority: a node must be able to start while there is none.
        let missing = collections.into_iter().filter(|spec| !keeper.has(spec));
        let late = declare(&handle, missing.collect()).await?;
        if !late.is_empty() {
            tracing::warn!("no leader answers: the services' collections are declared later");
            let declares = declare_at_last(handle.clone(), late);
            running.tasks.push(world::spawn(declares).abort_handle());
        }
    }
    for service in services.into_values() {
        host.put(service);
    }
    running.pool.set_local(&host);
    running.gate.status_changed.notify_one();
    let told = {
        let (gate, pool) = (running.gate.clone(), Arc::downgrade(&running.pool));
        let host = Arc::downgrade(&host);
        move || {
            if let (Some(pool), Some(host)) = (pool.upgrade(), host.upgrade()) {
                pool.set_local(&host);
            }
            gate.status_changed.notify_one();
        }
    };
    let campaigns = running.leading.start(&Arc::downgrade(&host), told);
    running.tasks.extend(campaigns);
    let follows = running.owning.start(&Arc::downgrade(&host));
    running.tasks.extend(follows);
    running.admin.iter().for_each(Admin::started);
    tracing::info!(
        key = %handle.key(),
        %address,
        name = handle.name(),
        services = ?host.descriptors().map(|service| service.name.as_str()).collect::<Vec<_>>(),
        "node started"
    );
    Ok(running)
}

/// Declares collections; gives those that could not be for now, since no leader answered. A node that
/// starts again before the others waits for them, and does not fail.
async fn declare(
    handle: &NodeHandle,
    collections: Vec<CollectionSpec>,
) -> Result<Vec<CollectionSpec>, StartError> {
    let mut late = Vec::new();
    for spec in collections {
        if !late.is_empty() {
            late.push(spec);
            continue;
        }
        match handle.directory().create(spec.clone()).await {
            Ok(()) => {}
            Err(error) if error.is_retryable() || error.is_unknown_outcome() => late.push(spec),
            Err(source) => {
                let name = spec.name;
                return Err(StartError::Collection { name, source });
            }
        }
    }
    Ok(late)
}

/// Declares collections as soon as somebody leads.
async fn declare_at_last(handle: NodeHandle, mut collections: Vec<CollectionSpec>) {
    loop {
        match declare(&handle, collections).await {
            Ok(late) if late.is_empty() => return,
            Ok(late) => collections = late,
            Err(error) => {
                let error = crate::error::chain(&error);
                tracing::error!(error, "a service's collections are not as it needs them");
                return;
            }
        }
        world::pause(DECLARE_AGAIN).await;
    }
}

fn serve_for(
    cell: &Arc<OnceLock<Weak<Host>>>,
    repeats: &Arc<Repeats>,
    caller: Caller,
) -> Arc<dyn Serve> {
    Arc::new(HostFor {
        host: cell.clone(),
        repeats: repeats.clone(),
        caller: Arc::new(caller),
    })
}

fn node_hello(
    cell: &OnceLock<Weak<Host>>,
    repeats: &Repeats,
    limits: &Limits,
    name: &str,
    address: &Address,
) -> Hello {
    let host = cell.get().and_then(Weak::upgrade);
    Hello {
        is_node: true,
        life: repeats.life(),
        link: repeats.number(),
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
        leads: host.leads(),
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
    fn host(&self) -> Option<Arc<Host>> {
        self.host.get().and_then(Weak::upgrade)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a link in, or tells the other end why not.
    fn admit(self: Arc<Self>, bytes: ByteLink, pool: &Weak<Pool>) {
        let caller = self.roster.caller(bytes.peer);
        let is_known = !self.keeps_directory || self.roster.is_read();
        let is_guest = caller
            .roles
            .iter()
            .any(|role| role == crate::cluster::GUEST);
        let refusal = match (caller.role, self.roster.access().clients) {
            (Role::Stranger, ClientAccess::Listed) if !is_guest => {
                Some(format!("key {} is not admitted here", bytes.peer))
            }
            (Role::Known | Role::Stranger, _) if !is_known => {
                Some("the node is still starting".to_owned())
            }
            (Role::Node | Role::Known | Role::Stranger, _) => {
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
                self.vitals.traffic.clone(),
            )
            .close(&why);
            return;
        }
        let is_node = caller.role == Role::Node;
        let serve = serve_for(&self.host, &self.repeats, caller);
        let (limits, traffic) = (self.limits.clone(), self.vitals.traffic.clone());
        let link = Link::start(bytes, false, &hello, limits, serve, traffic);
        self.vitals.accepted.fetch_add(1, Ordering::Relaxed);
        self.vitals.came_in.fetch_add(1, Ordering::Relaxed);
        self.lock().push(link.clone());
        world::spawn(meet(self.clone(), link, pool.clone(), is_node));
    }

    /// Closes links of keys that are no longer what they were when they came in.
    fn look_again(&self) {
        let links = self.lock().clone();
        for link in links {
            let caller = self.roster.caller(link.peer());
            let is_node = caller.role == Role::Node;
            let came_as_node = link.hello_now().is_some_and(|hello| hello.is_node);
            if came_as_node && !is_node {
                link.close("the node was removed from the cluster");
            }
        }
    }

    /// Logs a refusal: the first, and then each time their number has doubled.
    fn note_refusal(&self, bytes: &ByteLink, why: &str) {
        let refused = self.vitals.refused.fetch_add(1, Ordering::Relaxed) + 1;
        if refused.is_power_of_two() {
            tracing::warn!(peer = %bytes.peer, address = %bytes.address, refused, why, "link refused");
        }
    }
}

impl Gate {
    /// Logs a link that was closed for what came over it, as seldom as refusals.
    fn note_fault(&self, link: &Link, why: &str) {
        let faulty = self.vitals.faulty.fetch_add(1, Ordering::Relaxed) + 1;
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
                gate.status_changed.notify_one();
            }
        }
        Ok(Ok(hello)) if hello.is_node => {
            gate.roster.note_unknown_caller(link.peer());
            link.close(&format!("key {} {NO_MEMBER}", link.peer()));
        }
        Ok(_) => {}
        Err(_) => link.close("no hello in time"),
    }
    // A client learns from its first report which other nodes there are. The others have been told.
    if let (Some(pool), Some(host)) = (pool.upgrade(), gate.host()) {
        link.send_status(&Bytes::from(status(&host, Some(&pool)).encode()));
    }
    drop(pool);
    let why = link.closed().await;
    if link.is_faulty() {
        gate.note_fault(&link, &why);
    }
    gate.lock().retain(|held| !held.is_same(&link));
    gate.vitals.came_in.fetch_sub(1, Ordering::Relaxed);
}

/// Tells every link how the node stands, when that changes.
async fn report(gate: Arc<Gate>, pool: Weak<Pool>, host: Weak<Host>) {
    let mut report = Report::new();
    loop {
        let pause = {
            let (Some(pool), Some(host)) = (pool.upgrade(), host.upgrade()) else {
                return;
            };
            let status = status(&host, Some(&pool));
            gate.repeats.expire();
            let count = gate.lock().len();
            if report.is_due(world::now(), &status, count) {
                let encoded = Bytes::from(status.encode());
                let links = gate.lock().clone();
                links.iter().for_each(|link| link.send_status(&encoded));
                pool.send_status(&encoded);
            }
            report.pause(&status)
        };
        // Either way it looks again.
        let _ = tokio::time::timeout(pause, gate.status_changed.notified()).await;
    }
}

/// The node's part in the gossip, which begins with what is known now.
fn membership(handle: &NodeHandle, address: &Address, roster: &Roster) -> Membership {
    let membership = Membership::new(handle.key(), handle.name(), address);
    membership.set_members(roster.members());
    // Set once, here.
    let _ = handle.shared.membership.set(membership.clone());
    membership
}

/// Lets no call go where nobody answers, until the pool is gone.
async fn heed(membership: Membership, pool: Weak<Pool>) {
    let mut states = membership.states();
    let mut down = Vec::new();
    while states.changed().await.is_ok() {
        let states = states.borrow_and_update().clone();
        let having = |wanted: &[MemberState]| {
            let found = states.iter().filter(|(_, state)| wanted.contains(state));
            found.map(|(key, _)| *key).collect::<Vec<_>>()
        };
        let absent = having(&[MemberState::Suspect, MemberState::Down]);
        let was_down = std::mem::replace(&mut down, having(&[MemberState::Down]));
        let Some(pool) = pool.upgrade() else { return };
        let newly: Vec<_> = down
            .iter()
            .filter(|key| !was_down.contains(key))
            .copied()
            .collect();
        pool.avoid(absent.into_iter().collect(), &newly);
    }
}

#[cfg(feature = "relay")]
impl Running {
    pub(super) fn relay(&self) -> Option<std::net::SocketAddr> {
        self.relay.as_ref().map(Relay::address)
    }
}

impl Running {
    pub(super) fn links(&self) -> usize {
        self.gate.lock().len() + self.pool.dialed()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.halt();
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
