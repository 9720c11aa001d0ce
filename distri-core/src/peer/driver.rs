//! What a peer does in the world: it accepts links, tells the cloud where it is, and stops.
//!
//! Its tasks: `accept` (one for each address it listens on), `meet` (one for each link that came in,
//! until it closes), `announce` (one), `tend` (one), `roam` and that of `lan` (one each, on a local
//! network). All end with [`Running`].
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: it owns the peer's tasks"
)]

use std::{
    fmt,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, task::AbortHandle};

use super::{
    Boot, Near, PeerAddress, PeerBuilder, Presence, StartError,
    announce::Announcer,
    gate::{Gate, accept, tend},
    places::{self, Places, told},
    protocol::{ANNOUNCE, Announcement, LEAVE, Leave, descriptor},
};
use crate::{
    client::{
        Client, client_hello,
        pool::{Pool, PoolOptions},
    },
    config::Config,
    error::{Code, Error},
    identity::Identity,
    node::{HostsNothing, NodeHandle, host::Host, introspect},
    rpc::Link,
    service::ServiceDescriptor,
    signed::{RecordError, Signed},
    stats::Traffic,
    transport::{Address, Listener, Transport, TransportChoice, TransportError},
    watch, world,
};

/// Pauses before the cloud is told again that could not be told: from the first, doubled each time, to
/// the last. A peer that came back is found that much later at most.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long a cloud that refused the peer is left alone.
const REFUSED: Duration = Duration::from_secs(30);

/// How long one announcement may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a peer that stops waits until the cloud knows.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long a peer that stops waits at least for its links to part: for replies to be read.
const PART: Duration = Duration::from_millis(500);

/// How often a peer on a local network looks which addresses its machine has.
const ROAM: Duration = Duration::from_secs(5);

/// A peer that runs.
pub(super) struct Running {
    handle: NodeHandle,
    host: Arc<Host>,
    gate: Arc<Gate>,
    pool: Arc<Pool>,
    voice: Arc<Voice>,
    transport: Arc<dyn Transport>,
    /// How it tells addresses of its main transport.
    places: Places,
    /// The task that accepts links over the main transport.
    main: Mutex<Option<AbortHandle>>,
    tasks: Vec<AbortHandle>,
}

/// What the peer says of itself, and what the cloud has heard.
struct Voice {
    client: Client,
    lease: Duration,
    state: Mutex<Said>,
    /// Woken when there is something new to say, or it has been heard.
    changed: Notify,
    /// What it says, for the local network.
    record: watch::Sender<Option<Signed<Presence>>>,
}

struct Said {
    announcer: Announcer,
    /// Rises whenever there is something new to say.
    version: u64,
    /// Where it listens over the main transport, unless others are told otherwise.
    at: Option<Address>,
    /// And as others see it.
    main: Vec<PeerAddress>,
    /// And over the others.
    ways: Vec<Vec<PeerAddress>>,
    heard: Option<Signed<Presence>>,
    /// The cloud does not want it, and why.
    denied: Option<String>,
}

/// Starts a peer.
pub(super) async fn start(prepared: PeerBuilder) -> Result<Running, StartError> {
    let PeerBuilder {
        config,
        identity,
        transport,
        mut ways,
        lan,
        roll,
    } = prepared;
    let mut config = config;
    config.peer.lan |= lan;
    let identity = match identity {
        Some(identity) => identity,
        None => Identity::load_or_create(&config.peer.identity)?,
    };
    let key = identity.public();
    let choice = TransportChoice {
        identity: Some(identity.clone()),
        transport,
    };
    let transport = choice.settle(&config.limits, || Ok::<_, StartError>(identity.clone()))?;
    if let Some(at) = &config.peer.iroh {
        ways.push((over_iroh(&identity, &config)?, at.clone()));
    }
    let all = std::iter::once(&transport).chain(ways.iter().map(|(way, _)| way));
    if let Some(other) = all.into_iter().find(|way| way.key() != key) {
        return Err(StartError::OtherKey {
            transport: other.kind(),
            expected: key,
            found: other.key(),
        });
    }
    let name = config.peer.name.clone().unwrap_or_else(|| key.short());
    let traffic: Arc<Traffic> = Arc::default();
    let places = Places::of(&config, transport.kind());
    let near = places::listens(&config, key)?;
    let pool = cloud(&config, &transport, &ways, near.clone(), &traffic);
    let handle = NodeHandle::of_peer(key, name.clone(), Client::from_pool(pool.clone()));
    let cell = Arc::new(OnceLock::new());
    let own = [introspect::service(&cell, &handle)];
    let descriptors = roll.describe(&config, &own)?;
    let host = Arc::new(Host::new(descriptors, handle.clone(), &config.limits));
    own.into_iter().for_each(|service| host.put(service));
    // The cell was made above and nobody else has it to set.
    let _ = cell.set(Arc::downgrade(&host));
    let listener = transport.listen(&places.listen).await?;
    let mut further: Vec<(_, Arc<dyn Listener>)> = Vec::new();
    for (way, at) in &ways {
        further.push((way.kind(), way.listen(at).await?.into()));
    }
    for service in roll.make(&config, &handle).await?.into_values() {
        host.put(service);
    }
    let advertise = config.peer.advertise.clone();
    let at = advertise.is_none().then(|| listener.address());
    let main = places.told(advertise, listener.address());
    let ways: Vec<_> = further
        .iter()
        .map(|(kind, listener)| told(kind, &listener.addresses()))
        .collect();
    let presence = Presence {
        name,
        addresses: main.iter().chain(ways.iter().flatten()).cloned().collect(),
        boot: Boot::new(),
    };
    presence.check().map_err(StartError::Presence)?;
    let announcer =
        Announcer::new(identity, world::unix_ms(), presence).map_err(StartError::Presence)?;
    let record = watch::Sender::new(Some(announcer.record().clone()));
    let voice = Arc::new(Voice {
        client: handle.client().clone(),
        lease: config.peer.lease,
        state: Mutex::new(Said {
            announcer,
            version: 0,
            at,
            main,
            ways,
            heard: None,
            denied: None,
        }),
        changed: Notify::new(),
        record,
    });
    let gate = Gate::new(&config, handle.name(), cell, traffic);
    let address = listener.address();
    let main = world::spawn(accept(listener.into(), gate.clone())).abort_handle();
    let mut tasks = vec![
        world::spawn(announce(voice.clone())).abort_handle(),
        world::spawn(tend(Arc::downgrade(&gate))).abort_handle(),
    ];
    if let Some(near) = near {
        tasks.extend(places::on_lan(
            near,
            key,
            &places,
            voice.record.subscribe(),
        )?);
        let roam = roam(voice.clone(), places.clone());
        tasks.push(world::spawn(roam).abort_handle());
    }
    for (way, (kind, listener)) in further.into_iter().enumerate() {
        let trail = trail(voice.clone(), way, kind, listener.clone());
        tasks.push(world::spawn(trail).abort_handle());
        tasks.push(world::spawn(accept(listener, gate.clone())).abort_handle());
    }
    tracing::info!(
        key = %handle.key(),
        %address,
        name = handle.name(),
        services = ?host.descriptors().map(|service| service.name.as_str()).collect::<Vec<_>>(),
        "peer started"
    );
    Ok(Running {
        handle,
        host,
        gate,
        pool,
        voice,
        transport,
        places,
        main: Mutex::new(Some(main)),
        tasks,
    })
}

/// The transport `iroh`, if this program has it.
#[cfg(feature = "iroh")]
fn over_iroh(identity: &Identity, config: &Config) -> Result<Arc<dyn Transport>, StartError> {
    use crate::transport::iroh::{Iroh, IrohOptions};

    let options = IrohOptions {
        relays: config.peer.relays.clone(),
        dial_time: config.limits.dial,
        handshakes: config.limits.handshakes as usize,
        ..IrohOptions::default()
    };
    Ok(Arc::new(Iroh::with_options(identity.clone(), options)))
}

#[cfg(not(feature = "iroh"))]
fn over_iroh(_: &Identity, _: &Config) -> Result<Arc<dyn Transport>, StartError> {
    Err(StartError::NoIroh)
}

/// Follows which addresses the machine has, where all of them are told.
async fn roam(voice: Arc<Voice>, places: Places) {
    loop {
        world::pause(ROAM).await;
        let Some(at) = voice.lock().at.clone() else {
            continue;
        };
        let told = places.told(None, at.clone());
        voice.moved(|said| {
            // Unless it listens elsewhere by now.
            if said.at == Some(at) {
                said.main = told;
            }
        });
    }
}

/// Follows where a listener is, which may change as networks come and go.
async fn trail(voice: Arc<Voice>, way: usize, kind: &'static str, listener: Arc<dyn Listener>) {
    let mut addresses = listener.addresses();
    loop {
        let told = told(kind, &addresses);
        voice.moved(|said| said.ways[way] = told);
        addresses = listener.moved(&addresses).await;
    }
}

/// Links to the cloud, which are made as soon as they can be.
fn cloud(
    config: &Config,
    transport: &Arc<dyn Transport>,
    ways: &[(Arc<dyn Transport>, Address)],
    near: Option<Arc<Near>>,
    traffic: &Arc<Traffic>,
) -> Arc<Pool> {
    let limits = config.limits.clone();
    let pool = Pool::new(PoolOptions {
        transport: transport.clone(),
        ways: ways.iter().map(|(way, _)| way.clone()).collect(),
        near,
        limits: config.limits.clone(),
        hello: Box::new(move || client_hello(&limits)),
        serve: Box::new(|_| Arc::new(HostsNothing)),
        few: Some(config.client.links),
        traffic: traffic.clone(),
    });
    let nodes = config.cloud.nodes.iter().cloned();
    nodes.for_each(|node| pool.add(node));
    pool
}

/// Tells the cloud where the peer is: at once, when that changes, and before the lease ends.
async fn announce(voice: Arc<Voice>) {
    let mut pause = PAUSE;
    loop {
        let (record, version) = {
            let said = voice.lock();
            (said.announcer.record().clone(), said.version)
        };
        let wait = match voice.tell(record.clone()).await {
            Ok(()) => {
                pause = PAUSE;
                voice.heard(record);
                voice.lease / 3
            }
            Err(error) => match voice.refused(&error) {
                Refused::Again => continue,
                Refused::Denied => REFUSED,
                Refused::Later => {
                    tracing::debug!(
                        error = crate::error::chain(&error),
                        "the cloud does not know where this peer is"
                    );
                    let wait = world::about(pause);
                    pause = (pause * 2).min(PAUSE_MAX);
                    wait
                }
            },
        };
        voice.news(version, world::now() + wait).await;
    }
}

/// What is to be done about an announcement that failed.
enum Refused {
    /// There is another record now: at once.
    Again,
    /// The cloud does not want this peer.
    Denied,
    /// It may go better in a while.
    Later,
}

impl Voice {
    fn lock(&self) -> MutexGuard<'_, Said> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self, record: Signed<Presence>) -> Result<(), Error> {
        let announcement = Announcement {
            record,
            lease_ms: u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX),
        };
        self.client
            .call(descriptor(), ANNOUNCE, announcement)
            .timeout(PATIENCE)
            .await
    }

    fn heard(&self, record: Signed<Presence>) {
        let mut said = self.lock();
        said.heard = Some(record);
        said.denied = None;
        drop(said);
        self.changed.notify_waiters();
    }

    fn refused(&self, error: &Error) -> Refused {
        let mut said = self.lock();
        let is_taken = said.heard.is_some();
        let why = error.details::<RecordError>();
        let is_about_record = why.is_some();
        if why.is_some_and(|why| matches!(said.announcer.refused(&why, is_taken), Ok(true))) {
            said.version += 1;
            self.record
                .send_replace(Some(said.announcer.record().clone()));
            return Refused::Again;
        }
        let is_final = matches!(error.code(), Code::Denied | Code::InvalidArgument);
        if !is_final && !is_about_record {
            return Refused::Later;
        }
        said.denied = Some(error.message().to_owned());
        drop(said);
        tracing::warn!(error = error.message(), "the cloud does not take this peer");
        self.changed.notify_waiters();
        Refused::Denied
    }

    /// Waits until there is something to say that is newer than `version`, or for so long.
    async fn news(&self, version: u64, until: tokio::time::Instant) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.lock().version != version {
                return;
            }
            if tokio::time::timeout_at(until, changed).await.is_err() {
                return;
            }
        }
    }

    /// The peer is elsewhere now, as `change` says.
    fn moved(&self, change: impl FnOnce(&mut Said)) {
        let mut said = self.lock();
        change(&mut said);
        let ways = said.main.iter().chain(said.ways.iter().flatten());
        let addresses = ways.cloned().collect();
        match said.announcer.moved(addresses) {
            Ok(true) => {
                said.version += 1;
                self.record
                    .send_replace(Some(said.announcer.record().clone()));
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the peer cannot say where it is"),
        }
        drop(said);
        self.changed.notify_waiters();
    }
}

impl Running {
    pub(super) fn handle(&self) -> &NodeHandle {
        &self.handle
    }

    pub(super) fn addresses(&self) -> Vec<PeerAddress> {
        let said = self.voice.lock();
        said.announcer.record().unchecked().addresses.clone()
    }

    pub(super) fn services(&self) -> Vec<&'static ServiceDescriptor> {
        self.host.descriptors().collect()
    }

    pub(super) fn announced(&self) -> Option<Signed<Presence>> {
        self.voice.lock().heard.clone()
    }

    pub(super) async fn wait_announced(&self) -> Result<Signed<Presence>, Error> {
        loop {
            let mut changed = pin!(self.voice.changed.notified());
            changed.as_mut().enable();
            {
                let said = self.voice.lock();
                if let Some(why) = &said.denied {
                    return Err(Error::new(Code::Denied, why.clone()));
                }
                let record = said.announcer.record();
                if said.heard.as_ref() == Some(record) {
                    return Ok(record.clone());
                }
            }
            changed.await;
        }
    }

    pub(super) async fn relocate(&self, at: &Address) -> Result<Address, TransportError> {
        let listener = self.transport.listen(at).await?;
        let address = listener.address();
        let task = world::spawn(accept(listener.into(), self.gate.clone())).abort_handle();
        let former = self
            .main
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(task);
        former.iter().for_each(AbortHandle::abort);
        let told = self.places.told(None, address.clone());
        self.voice.moved(|said| {
            said.at = Some(address.clone());
            said.main = told;
        });
        Ok(address)
    }

    pub(super) fn links(&self) -> usize {
        self.gate.links().len()
    }

    pub(super) async fn shutdown(&self) {
        self.host.drain();
        self.stop_tasks();
        let boot = self.voice.lock().announcer.record().unchecked().boot;
        let farewell = self
            .voice
            .client
            .call::<_, ()>(descriptor(), LEAVE, Leave { boot })
            .timeout(FAREWELL);
        let told = self.voice.lock().heard.is_some();
        if told && let Err(error) = farewell.await {
            tracing::debug!(%error, "the cloud will learn by the lease that the peer is gone");
        }
        // What is finished here may call the cloud, so those links stay until then.
        let until = world::now() + self.gate.limits.drain;
        if tokio::time::timeout_at(until, self.host.idle())
            .await
            .is_err()
        {
            let (in_flight, waited) = (self.host.serving(), self.gate.limits.drain);
            tracing::warn!(in_flight, ?waited, "calls did not finish in time");
        }
        let links = self.gate.links();
        links.iter().for_each(Link::go_away);
        self.pool.go_away();
        let all_ended = async {
            for link in &links {
                link.closed().await;
            }
            self.pool.ended().await;
        };
        let wait = until.saturating_duration_since(world::now()).max(PART);
        if tokio::time::timeout(wait, all_ended).await.is_err() {
            tracing::debug!("links did not part in time");
        }
        self.close();
        self.host.stop().await;
        self.handle.stop_tasks();
        tracing::info!(name = self.handle.name(), "peer stopped");
    }

    fn stop_tasks(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        let main = self.main.lock().unwrap_or_else(PoisonError::into_inner);
        main.iter().for_each(AbortHandle::abort);
    }

    fn close(&self) {
        self.gate.close("the peer has stopped");
        self.pool.close("the peer has stopped");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop_tasks();
        self.handle.stop_tasks();
        self.close();
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("key", &self.handle.key())
            .field("addresses", &self.addresses())
            .finish_non_exhaustive()
    }
}
