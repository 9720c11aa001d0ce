//! The links that a client or node keeps to the nodes of a cloud.
//!
//! One task per node dials it, waits until the link ends, and dials again after a pause that grows
//! with each failure. Of what the links say of themselves the table of routes is made
//! ([`super::routes`]).
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: it owns the tasks that keep links alive"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, task::AbortHandle, time::Instant};

use super::{
    budget::Budget,
    once::OnceCalls,
    routes::{self, Routes},
};
use crate::{
    config::Limits,
    directory::Session,
    error::{Code, Error, Result},
    id::PublicKey,
    node::{HostsNothing, host::Host},
    peer::{Near, Whereabouts},
    rpc::{CallId, Link, Serve},
    stats::{Traffic, calls::CallTable},
    transport::{Address, ByteLink, Endpoint, Transport},
    wire::{Hello, Status, hello::KnownNode},
    world,
};

/// Pauses between dials: from the first, doubled with each failure, to the last. Shorter finds a
/// returned node sooner, longer spares a dead one.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Nodes to which a client keeps links. Two would do for placement; more spread the load better
/// while nodes come and go.
const LINKS_MAX: usize = 32;

/// What a pool needs to make a link.
pub(crate) struct PoolOptions {
    pub(crate) transport: Arc<dyn Transport>,
    /// Further transports, over which peers are dialled besides.
    pub(crate) ways: Vec<Arc<dyn Transport>>,
    /// The peers heard of on the local network, if that is listened to.
    pub(crate) near: Option<Arc<Near>>,
    pub(crate) limits: Limits,
    /// What this end says of itself, made anew for each link.
    pub(crate) hello: Box<dyn Fn() -> Hello + Send + Sync>,
    /// Who answers calls that come over links dialled here.
    pub(crate) serve: Box<dyn Fn(PublicKey) -> Arc<dyn Serve> + Send + Sync>,
    /// Whether nodes that others know are joined as well.
    pub(crate) learns: bool,
    /// The bytes of all links of the program, those that came in among them.
    pub(crate) traffic: Arc<Traffic>,
}

/// The links to the nodes of a cloud.
pub(crate) struct Pool {
    options: PoolOptions,
    me: PublicKey,
    members: Mutex<BTreeMap<PublicKey, Member>>,
    routes: RwLock<Arc<Routes>>,
    /// Woken when routes or members change.
    changed: Notify,
    tasks: Mutex<Vec<AbortHandle>>,
    /// The services of this very process, if it is a node.
    local: Mutex<Weak<Host>>,
    /// Nodes that do not answer, as gossip has it, if this is a node.
    absent: Mutex<BTreeSet<PublicKey>>,
    /// Nodes that the others have given up, as most of them say, if this is a client.
    lost: Mutex<BTreeSet<PublicKey>>,
    /// The numbering of this program's writes to the directory.
    session: Session,
    /// The numbering of its calls that may be served more than once.
    once: OnceCalls,
    /// The ids of its calls: what no other program has, and a number.
    calls: (u64, AtomicU64),
    /// What has been counted of the calls made here.
    counted: CallTable,
    /// How many of them may be tried again.
    budget: Budget,
    /// How many may be asked of a second node.
    hedges: Budget,
    /// The pools of those peers that somebody holds.
    peers: Mutex<BTreeMap<PublicKey, Weak<Self>>>,
    /// Where the peer is to which this pool leads, if it does not lead to a cloud.
    whereabouts: Option<Arc<Whereabouts>>,
}

/// A node, and how far one has come with it.
struct Member {
    address: Address,
    link: Option<Link>,
    /// Why there is no link.
    trouble: Option<String>,
    /// Dialled at least once, with success or without.
    tried: bool,
    /// What it said of itself and of other nodes has been taken in.
    heard: bool,
}

/// A node as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeView {
    /// Its key.
    pub key: PublicKey,
    /// The name it gives itself; empty until it has been linked.
    pub name: String,
    /// Where it is dialled.
    pub address: Address,
    /// Whether it takes calls.
    pub state: NodeState,
    /// Calls that it was serving when it last said so.
    pub in_flight: u32,
    /// The services that it offers.
    pub services: Vec<String>,
    /// Why there is no link, where there is none.
    pub trouble: Option<String>,
}

/// Whether a node takes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeState {
    /// It does.
    Ready,
    /// It finishes its calls and takes no new ones.
    Draining,
    /// A first link is being made.
    Connecting,
    /// There is no link to it.
    Down,
}

impl Pool {
    /// A pool without links. [`Pool::add`] gives it nodes.
    pub(crate) fn new(options: PoolOptions) -> Arc<Self> {
        Self::leading_to(options, None)
    }

    fn leading_to(options: PoolOptions, whereabouts: Option<Arc<Whereabouts>>) -> Arc<Self> {
        Arc::new(Self {
            me: options.transport.key(),
            options,
            members: Mutex::default(),
            routes: RwLock::default(),
            changed: Notify::new(),
            tasks: Mutex::default(),
            local: Mutex::default(),
            absent: Mutex::default(),
            lost: Mutex::default(),
            session: Session::new(),
            once: OnceCalls::default(),
            calls: (world::dice(), AtomicU64::new(1)),
            counted: CallTable::default(),
            budget: Budget::of_retries(),
            hedges: Budget::of_hedges(),
            peers: Mutex::default(),
            whereabouts,
        })
    }

    /// The pool that leads to the peer `key`; if nobody holds one, a new one for `whereabouts`, which
    /// is told to `start`.
    pub(crate) fn peer(
        &self,
        key: PublicKey,
        whereabouts: impl FnOnce() -> Arc<Whereabouts>,
        start: impl FnOnce(&Arc<Self>, &Arc<Whereabouts>),
    ) -> Arc<Self> {
        let mut peers = lock(&self.peers);
        if let Some(pool) = peers.get(&key).and_then(Weak::upgrade) {
            return pool;
        }
        peers.retain(|_, pool| pool.strong_count() > 0);
        let whereabouts = whereabouts();
        let limits = self.options.limits.clone();
        let options = PoolOptions {
            transport: self.options.transport.clone(),
            ways: self.options.ways.clone(),
            near: None,
            limits: limits.clone(),
            hello: Box::new(move || super::client_hello(&limits)),
            serve: Box::new(|_| Arc::new(HostsNothing)),
            learns: false,
            traffic: self.options.traffic.clone(),
        };
        let pool = Self::leading_to(options, Some(whereabouts.clone()));
        start(&pool, &whereabouts);
        peers.insert(key, Arc::downgrade(&pool));
        pool
    }

    /// The peers heard of on the local network, if that is listened to.
    pub(crate) fn near(&self) -> Option<&Arc<Near>> {
        self.options.near.as_ref()
    }

    /// Where the peer is to which this pool leads.
    pub(crate) fn whereabouts(&self) -> Option<&Arc<Whereabouts>> {
        self.whereabouts.as_ref()
    }

    /// The transport of that kind.
    ///
    /// # Errors
    /// Says which there are.
    pub(crate) fn way(&self, kind: &str) -> Result<Arc<dyn Transport>, String> {
        let ways = std::iter::once(&self.options.transport).chain(&self.options.ways);
        let found = ways.clone().find(|way| way.kind() == kind);
        found.cloned().ok_or_else(|| {
            let kinds: Vec<_> = ways.map(|way| way.kind()).collect();
            format!(
                "this program has no transport `{kind}`, only {}",
                kinds.join(", ")
            )
        })
    }

    /// Begins a link over `bytes`, which has so long to say hello.
    pub(crate) fn begin(&self, bytes: ByteLink) -> (Link, Duration) {
        let serve = (self.options.serve)(bytes.peer);
        let hello = (self.options.hello)();
        let (limits, traffic) = (self.options.limits.clone(), self.options.traffic.clone());
        let patience = limits.hello;
        let link = Link::start(bytes, true, &hello, limits, serve, traffic);
        if self.whereabouts.is_some() {
            link.leads_elsewhere();
        }
        (link, patience)
    }

    /// Ends `task` with the pool.
    pub(crate) fn own(&self, task: AbortHandle) {
        let mut tasks = lock(&self.tasks);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }

    /// Those who wait for a route look again, though no link has changed.
    pub(crate) fn look_again(&self) {
        self.changed.notify_waiters();
    }

    /// True if waiting for a link brings nothing.
    pub(crate) fn is_hopeless(&self) -> bool {
        let whereabouts = self.whereabouts.as_ref();
        whereabouts.is_some_and(|whereabouts| whereabouts.is_hopeless())
    }

    pub(crate) fn key(&self) -> PublicKey {
        self.me
    }

    /// What is counted of the calls made here.
    pub(crate) fn counted(&self) -> &CallTable {
        &self.counted
    }

    /// The numbering of this program's writes to the directory.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Calls may also go to the services of this process.
    pub(crate) fn set_local(&self, host: &Arc<Host>) {
        *lock(&self.local) = Arc::downgrade(host);
        self.rebuild();
    }

    /// From now on no call is served in this process.
    pub(crate) fn forget_local(&self) {
        *lock(&self.local) = Weak::new();
        self.rebuild();
    }

    /// Keeps a link to the node `endpoint` from now on. A node known already gets no second one.
    pub(crate) fn add(self: &Arc<Self>, endpoint: Endpoint) {
        if endpoint.key == self.me {
            return;
        }
        {
            let mut members = lock(&self.members);
            if members.contains_key(&endpoint.key) || members.len() >= self.members_max() {
                return;
            }
            let member = Member {
                address: endpoint.address.clone(),
                link: None,
                trouble: None,
                tried: false,
                heard: false,
            };
            members.insert(endpoint.key, member);
        }
        let task = world::spawn(keep(Arc::downgrade(self), endpoint.key));
        lock(&self.tasks).push(task.abort_handle());
    }

    /// Keeps a link to the node `endpoint`, which may have moved: it is dialled there from now on.
    pub(crate) fn place(self: &Arc<Self>, endpoint: Endpoint) {
        if let Some(member) = lock(&self.members).get_mut(&endpoint.key) {
            member.address = endpoint.address;
            return;
        }
        self.add(endpoint);
    }

    /// Keeps no link to `key` any more, and closes the one that stands.
    pub(crate) fn remove(&self, key: PublicKey, why: &str) {
        let member = lock(&self.members).remove(&key);
        if let Some(link) = member.and_then(|member| member.link) {
            link.close(why);
        }
        self.rebuild();
    }

    /// Where the node `key` is dialled, unless it was removed.
    fn endpoint(&self, key: PublicKey) -> Option<Endpoint> {
        let members = lock(&self.members);
        let address = members.get(&key)?.address.clone();
        Some(Endpoint { key, address })
    }

    fn members_max(&self) -> usize {
        if self.options.learns {
            LINKS_MAX
        } else {
            usize::MAX
        }
    }

    /// Takes over a link whose other end has said `hello`. Of two links to one node, both ends keep
    /// the one that was dialled by the smaller key, so that one remains.
    pub(crate) fn adopt(self: &Arc<Self>, link: &Link, hello: &Hello) {
        {
            let mut members = lock(&self.members);
            let member = members.entry(link.peer()).or_insert_with(|| Member {
                address: hello
                    .address
                    .clone()
                    .unwrap_or_else(|| link.address().clone()),
                link: None,
                trouble: None,
                tried: true,
                heard: false,
            });
            let kept = match &member.link {
                Some(old) if old.closed_now().is_none() && self.prefers(old, link) => {
                    link.go_away();
                    false
                }
                Some(old) => {
                    old.go_away();
                    true
                }
                None => true,
            };
            if kept {
                member.link = Some(link.clone());
                member.trouble = None;
                member.heard = false;
            }
        }
        self.rebuild();
        let task = world::spawn(watch(Arc::downgrade(self), link.clone()));
        self.own(task.abort_handle());
    }

    /// True if of two links to the same node the `old` one remains.
    fn prefers(&self, old: &Link, new: &Link) -> bool {
        if old.dialed() == new.dialed() {
            // The other end has dialled anew, so it holds the old one for dead.
            return false;
        }
        let dialled_by = |link: &Link| if link.dialed() { self.me } else { link.peer() };
        dialled_by(old) < dialled_by(new)
    }

    /// How many calls may be tried again after `busy`.
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// How many calls may be asked of a second node.
    pub(super) fn hedges(&self) -> &Budget {
        &self.hedges
    }

    /// Numbers calls that may be served more than once.
    pub(super) fn once(&self) -> &OnceCalls {
        &self.once
    }

    /// An id for a call.
    pub(crate) fn next_call(&self) -> CallId {
        let (program, numbers) = &self.calls;
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let mut id = [0; 16];
        id[..8].copy_from_slice(&program.to_le_bytes());
        id[8..].copy_from_slice(&number.to_le_bytes());
        CallId(id)
    }

    /// The table of routes as it is now.
    pub(crate) fn routes(&self) -> Arc<Routes> {
        self.routes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn rebuild(&self) {
        let mut routes = Routes::default();
        let local = lock(&self.local).clone();
        if let Some(host) = local.upgrade() {
            routes.add_local(&host, self.me);
        }
        let links: Vec<_> = lock(&self.members)
            .values()
            .filter_map(|member| member.link.clone())
            .collect();
        let absent = self.absent(&links);
        self.give_up(&links);
        for link in links {
            let doubtful = absent.contains(&link.peer());
            routes.add_link(link, doubtful);
        }
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(routes);
        self.changed.notify_waiters();
    }

    /// Which nodes may not answer: as gossip has it, or as most of the nodes linked say.
    fn absent(&self, links: &[Link]) -> BTreeSet<PublicKey> {
        let mut absent = lock(&self.absent).clone();
        absent.extend(self.most_say(links, |node| !node.there));
        absent
    }

    /// Closes the links to nodes that the others have given up since this was asked last, so that
    /// calls under way there end rather than wait until the silence is noticed here. One that can
    /// be linked anew is: then only the others do not reach it.
    fn give_up(&self, links: &[Link]) {
        let lost = self.most_say(links, |node| !node.there && !node.linked);
        let before = std::mem::replace(&mut *lock(&self.lost), lost.clone());
        for link in links {
            if lost.contains(&link.peer()) && !before.contains(&link.peer()) {
                link.close("the other nodes have given it up");
            }
        }
    }

    /// The nodes of which most of those linked say so. A node knows better by itself.
    fn most_say(&self, links: &[Link], so: impl Fn(&KnownNode) -> bool) -> BTreeSet<PublicKey> {
        if self.options.learns {
            routes::most_say(links, so)
        } else {
            BTreeSet::new()
        }
    }

    /// From now on these nodes are known not to answer, and those of `down` not to come back to the
    /// calls that they are serving, whose links end.
    pub(crate) fn avoid(&self, absent: BTreeSet<PublicKey>, down: &[PublicKey]) {
        *lock(&self.absent) = absent;
        for key in down {
            if let Some(link) = self.link_to(*key) {
                link.close("the node does not answer");
            }
        }
        self.rebuild();
    }

    /// Waits until `done` gives something, asked anew whenever routes or members change.
    pub(crate) async fn wait_for<R>(
        &self,
        until: Instant,
        mut done: impl FnMut(&Self) -> Option<R>,
    ) -> Option<R> {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(result) = done(self) {
                return Some(result);
            }
            if tokio::time::timeout_at(until, changed).await.is_err() {
                return None;
            }
        }
    }

    /// True once every node has been dialled at least once, and a client has heard of each that it
    /// is linked to which others there are.
    pub(crate) fn all_heard(&self) -> bool {
        let learns = self.options.learns;
        let heard =
            |member: &Member| member.tried && (member.heard || member.link.is_none() || !learns);
        lock(&self.members).values().all(heard)
    }

    /// Why no node can be reached.
    pub(crate) fn unreachable(&self) -> Error {
        if let Some(whereabouts) = &self.whereabouts {
            return whereabouts.trouble();
        }
        let members = lock(&self.members);
        if members.is_empty() {
            return Error::new(
                Code::Unavailable,
                "no node is configured: name at least one as KEY@HOST:PORT in `cloud.nodes`",
            );
        }
        let each: Vec<_> = members
            .iter()
            .map(|(key, member)| {
                let why = member.trouble.as_deref().unwrap_or("not linked yet");
                format!("{} at {}: {why}", key.short(), member.address)
            })
            .collect();
        Error::new(
            Code::Unavailable,
            format!("no node can be reached ({})", each.join("; ")),
        )
    }

    /// The nodes as they are now, sorted by key.
    pub(crate) fn view(&self) -> Vec<NodeView> {
        lock(&self.members)
            .iter()
            .map(|(key, member)| {
                let hello = member.link.as_ref().and_then(Link::hello_now);
                let status = member.link.as_ref().and_then(Link::status);
                let state = match &member.link {
                    Some(link) if link.is_ready() => NodeState::Ready,
                    Some(_) => NodeState::Draining,
                    None if member.tried => NodeState::Down,
                    None => NodeState::Connecting,
                };
                NodeView {
                    key: *key,
                    name: hello
                        .as_ref()
                        .map(|hello| hello.name.clone())
                        .unwrap_or_default(),
                    address: member.address.clone(),
                    state,
                    in_flight: status.map_or(0, |status| status.in_flight),
                    services: hello.map_or_else(Vec::new, |hello| {
                        hello
                            .services
                            .iter()
                            .map(|service| service.name.clone())
                            .collect()
                    }),
                    trouble: member.trouble.clone(),
                }
            })
            .collect()
    }

    /// The nodes known, for the status that is told to others.
    pub(crate) fn known(&self) -> Vec<KnownNode> {
        let absent = lock(&self.absent).clone();
        lock(&self.members)
            .iter()
            .map(|(key, member)| KnownNode {
                key: *key,
                address: member.address.clone(),
                linked: member.link.is_some(),
                there: !absent.contains(key),
            })
            .collect()
    }

    /// Tells the nodes linked how things stand here.
    pub(crate) fn send_status(&self, encoded: &bytes::Bytes) {
        for member in lock(&self.members).values() {
            // Links that came in are told by those who accepted them.
            if let Some(link) = member.link.as_ref().filter(|link| link.dialed()) {
                link.send_status(encoded);
            }
        }
    }

    /// How many links dialled here stand.
    pub(crate) fn dialed(&self) -> usize {
        let members = lock(&self.members);
        members
            .values()
            .filter_map(|member| member.link.as_ref())
            .filter(|l| l.dialed())
            .count()
    }

    /// Waits until no link stands.
    pub(crate) async fn ended(&self) {
        let links: Vec<_> = lock(&self.members)
            .values()
            .filter_map(|member| member.link.clone())
            .collect();
        for link in links {
            link.closed().await;
        }
    }

    /// Dials no more, and lets the links end with their last call.
    pub(crate) fn go_away(&self) {
        self.stop_tasks();
        for member in lock(&self.members).values() {
            if let Some(link) = &member.link {
                link.go_away();
            }
        }
    }

    /// Closes all links now.
    pub(crate) fn close(&self, why: &str) {
        self.stop_tasks();
        let links: Vec<_> = lock(&self.members)
            .values_mut()
            .filter_map(|member| member.link.take())
            .collect();
        for link in links {
            link.close(why);
        }
        self.rebuild();
    }

    fn stop_tasks(&self) {
        lock(&self.tasks).drain(..).for_each(|task| task.abort());
    }

    fn tried(&self, key: PublicKey, trouble: Option<String>) {
        if let Some(member) = lock(&self.members).get_mut(&key) {
            member.tried = true;
            // A link that was made and has ended since left its reason.
            if member.link.is_none() && trouble.is_some() {
                member.trouble = trouble;
            }
        }
        self.changed.notify_waiters();
    }

    /// The link to `key`, if one stands.
    pub(crate) fn link_to(&self, key: PublicKey) -> Option<Link> {
        lock(&self.members).get(&key)?.link.clone()
    }

    pub(crate) fn forget(&self, link: &Link) {
        let why = link.closed_now();
        if let Some(member) = lock(&self.members).get_mut(&link.peer())
            && member.link.as_ref().is_some_and(|held| held.is_same(link))
        {
            member.link = None;
            member.trouble = why;
        }
        self.rebuild();
    }

    async fn link(self: &Arc<Self>, endpoint: &Endpoint) -> Result<(), String> {
        let bytes = self
            .options
            .transport
            .dial(endpoint)
            .await
            .map_err(|e| crate::error::chain(&e))?;
        let (link, patience) = self.begin(bytes);
        let hello = match tokio::time::timeout(patience, link.hello()).await {
            Ok(hello) => hello.map_err(|error| error.message().to_owned())?,
            Err(_) => {
                link.close("no hello in time");
                return Err(format!("no hello within {patience:?}"));
            }
        };
        if !hello.is_node {
            link.close("a node was expected");
            return Err("it is not a node".to_owned());
        }
        self.adopt(&link, &hello);
        Ok(())
    }

    /// Takes in what a node said over `link`.
    fn learn(self: &Arc<Self>, link: &Link, status: &Arc<Status>) {
        if !self.options.learns {
            return;
        }
        for node in &status.nodes {
            self.add(Endpoint {
                key: node.key,
                address: node.address.clone(),
            });
        }
        let mut members = lock(&self.members);
        if let Some(member) = members.get_mut(&link.peer())
            && member.link.as_ref().is_some_and(|held| held.is_same(link))
            && !member.heard
            && link.has_reported(status)
        {
            member.heard = true;
            self.changed.notify_waiters();
        }
    }
}

/// Keeps a link to one node: dials, waits for its end, dials again, until it is removed.
async fn keep(pool: Weak<Pool>, key: PublicKey) {
    let mut pause = PAUSE;
    loop {
        let Some(strong) = pool.upgrade() else { return };
        let Some(endpoint) = strong.endpoint(key) else {
            return;
        };
        let held = strong.link_to(endpoint.key);
        let link = match held {
            Some(link) => Some(link),
            None => {
                let result = strong.link(&endpoint).await;
                if let Err(why) = &result {
                    tracing::debug!(node = %endpoint.key.short(), address = %endpoint.address, why, "cannot link");
                }
                strong.tried(endpoint.key, result.err());
                strong.link_to(endpoint.key)
            }
        };
        drop(strong);
        if let Some(link) = link {
            pause = PAUSE;
            link.closed().await;
            // The watcher of the link takes it out of the table.
            if let Some(pool) = pool.upgrade() {
                pool.forget(&link);
            }
        }
        world::pause(world::about(pause)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Follows what the other end of a link says of itself, until it closes.
async fn watch(pool: Weak<Pool>, link: Link) {
    let mut seen = None;
    while let Some(status) = link.next_status(seen.as_ref()).await {
        let Some(pool) = pool.upgrade() else { return };
        pool.learn(&link, &status);
        let former: Option<Arc<Status>> = seen.replace(status.clone());
        if former.is_none_or(|former| {
            former.not_serving != status.not_serving
                || former.draining != status.draining
                || former.nodes != status.nodes
                || former.leads != status.leads
        }) {
            pool.rebuild();
        }
    }
    if let Some(pool) = pool.upgrade() {
        pool.forget(&link);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close("the client is gone");
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("key", &self.me)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
