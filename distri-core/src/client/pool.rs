//! The links that a client or node keeps to the nodes of a cloud.
//!
//! `members` chooses to which nodes, `keep` has the tasks that dial them and hold the links. Of what the
//! links say of themselves the table of routes is made ([`super::routes`]); `view` shows it to people.
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
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, task::AbortHandle, time::Instant};

mod keep;
mod members;
mod view;

pub use view::{NodeState, NodeView};

use self::members::Members;
use super::{
    budget::Budget,
    once::OnceCalls,
    routes::{self, Routes},
};
use crate::{
    config::Limits,
    directory::Session,
    error::Result,
    id::PublicKey,
    node::{HostsNothing, host::Host},
    peer::{Near, Whereabouts},
    rpc::{CallId, Link, Serve},
    stats::{Traffic, calls::CallTable},
    transport::{ByteLink, Endpoint, Transport},
    wire::{Hello, Status, hello::KnownNode},
    world,
};

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
    /// To how many nodes links are kept while no call needs others, if nodes that others know count as
    /// well; `None`: to all that are given, and no others.
    pub(crate) few: Option<usize>,
    /// The bytes of all links of the program, those that came in among them.
    pub(crate) traffic: Arc<Traffic>,
}

/// The links to the nodes of a cloud.
pub(crate) struct Pool {
    options: PoolOptions,
    me: PublicKey,
    members: Mutex<Members>,
    /// Held while routes are made anew, so that the later ones stay.
    rebuilding: Mutex<()>,
    routes: RwLock<Arc<Routes>>,
    /// Woken when routes or members change.
    changed: Notify,
    /// Woken when nodes that could not be linked are to be dialled again now.
    hurry: Arc<Notify>,
    /// Whether a link took calls when it was looked last.
    was_ready: AtomicBool,
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

impl Pool {
    /// A pool without links. [`Pool::add`] gives it nodes.
    pub(crate) fn new(options: PoolOptions) -> Arc<Self> {
        Self::leading_to(options, None)
    }

    fn leading_to(options: PoolOptions, whereabouts: Option<Arc<Whereabouts>>) -> Arc<Self> {
        let me = options.transport.key();
        Arc::new(Self {
            me,
            members: Mutex::new(Members::new(me, options.few)),
            options,
            rebuilding: Mutex::default(),
            routes: RwLock::default(),
            changed: Notify::new(),
            hurry: Arc::default(),
            was_ready: AtomicBool::new(false),
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
            few: None,
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
    pub(crate) fn set_local(self: &Arc<Self>, host: &Arc<Host>) {
        *lock(&self.local) = Arc::downgrade(host);
        self.rebuild();
    }

    /// From now on no call is served in this process.
    pub(crate) fn forget_local(self: &Arc<Self>) {
        *lock(&self.local) = Weak::new();
        self.rebuild();
    }

    /// Knows the node `endpoint` from now on. A node known already stays where it was.
    pub(crate) fn add(self: &Arc<Self>, endpoint: Endpoint) {
        if lock(&self.members).add(endpoint) {
            self.rebuild();
        }
    }

    /// Knows the node `endpoint`, which may have moved: it is dialled there from now on.
    pub(crate) fn place(self: &Arc<Self>, endpoint: Endpoint) {
        if let Some(member) = lock(&self.members).get_mut(endpoint.key) {
            member.address = endpoint.address;
            return;
        }
        self.add(endpoint);
    }

    /// Keeps no link to `key` any more, and closes the one that stands.
    pub(crate) fn remove(self: &Arc<Self>, key: PublicKey, why: &str) {
        let member = lock(&self.members).remove(key);
        if let Some(link) = member.and_then(|member| member.link) {
            link.close(why);
        }
        self.rebuild();
    }

    /// Links the nodes `keys` too, for as long as calls need them.
    pub(super) fn want(self: &Arc<Self>, keys: impl IntoIterator<Item = PublicKey>) {
        let now = world::now();
        let mut is_news = false;
        {
            let mut members = lock(&self.members);
            for key in keys {
                is_news |= members.want(key, now);
            }
        }
        if is_news {
            self.rebuild();
        }
    }

    /// Links all nodes that are known, as far as that goes within `patience`, for as long as calls need
    /// them.
    pub(super) async fn link_all(self: &Arc<Self>, patience: Duration) {
        let linked = |_: &Self| {
            let (routes, heard) = self.routes_so_far();
            if routes.standby().is_empty() {
                return heard.then_some(());
            }
            self.want(routes.standby().iter().copied());
            None
        };
        self.hurry();
        self.wait_for(world::now() + patience, linked).await;
    }

    /// Keeps links to at least `count` nodes from now on, if it has been told of so many.
    pub(super) fn keep_at_least(self: &Arc<Self>, count: usize) {
        lock(&self.members).keep_at_least(count);
        self.rebuild();
        self.hurry();
    }

    /// Dials nodes that could not be linked again now, because a call waits for one of them.
    pub(super) fn hurry(&self) {
        // Nodes call each other all the time, those that are gone too.
        if self.options.few.is_some() {
            self.hurry.notify_waiters();
        }
    }

    /// Where the task `keeper` dials the node `key`; `None` if it is to end.
    fn dials(&self, key: PublicKey, keeper: u64) -> Option<Endpoint> {
        lock(&self.members).dials(key, keeper, world::now())
    }

    /// True if this is a client that has a link over which it can call.
    fn is_served_by_others(&self) -> bool {
        self.options.few.is_some() && self.routes().any_ready()
    }

    fn wanted_for(&self, key: PublicKey) -> Option<Duration> {
        lock(&self.members).wanted_for(key, world::now())
    }

    /// Takes over a link whose other end has said `hello`. Of two links to one node, both ends keep
    /// the one that was dialled by the smaller key, so that one remains.
    pub(crate) fn adopt(self: &Arc<Self>, link: &Link, hello: &Hello) {
        {
            let mut members = lock(&self.members);
            let address = || hello.address.as_ref().unwrap_or(link.address()).clone();
            let member = members.linked(link.peer(), address);
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
        let task = world::spawn(keep::watch(Arc::downgrade(self), link.clone()));
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

    /// Chooses to whom links are kept, and makes the table of routes anew.
    fn rebuild(self: &Arc<Self>) {
        let rebuilding = lock(&self.rebuilding);
        let mut routes = Routes::default();
        self.add_local(&mut routes);
        let all: Vec<_> = lock(&self.members).links().cloned().collect();
        let absent = self.absent(&all);
        self.give_up(&all);
        let (choice, links) = {
            let mut members = lock(&self.members);
            members.note_hellos();
            let choice = members.choose(world::now(), &absent);
            let standby = members.standby();
            standby
                .into_iter()
                .for_each(|node| routes.add_standby(node));
            let links: Vec<_> = members.links().cloned().collect();
            (choice, links)
        };
        for link in links {
            let doubtful = absent.contains(&link.peer());
            routes.add_link(link, doubtful);
        }
        for (key, keeper) in choice.keep {
            let task = world::spawn(keep::keep(Arc::downgrade(self), key, keeper));
            self.own(task.abort_handle());
        }
        choice.spare.iter().for_each(Link::go_away);
        self.publish(routes);
        drop(rebuilding);
    }

    fn add_local(&self, routes: &mut Routes) {
        let local = lock(&self.local).clone();
        if let Some(host) = local.upgrade() {
            routes.add_local(&host, self.me);
        }
    }

    fn publish(&self, routes: Routes) {
        let is_ready = routes.any_ready();
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(routes);
        if self.was_ready.swap(is_ready, Ordering::AcqRel) && !is_ready {
            self.hurry();
        }
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
        if self.options.few.is_some() {
            routes::most_say(links.iter().filter_map(Link::status), so)
        } else {
            BTreeSet::new()
        }
    }

    /// From now on these nodes are known not to answer, and those of `down` not to come back to the
    /// calls that they are serving, whose links end.
    pub(crate) fn avoid(self: &Arc<Self>, absent: BTreeSet<PublicKey>, down: &[PublicKey]) {
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

    /// The table of routes, and whether it has all that is to be heard for now: see
    /// [`all_heard`](Self::all_heard). What nodes say is in the table before it counts as heard, so what is not
    /// in this table then is nowhere.
    pub(super) fn routes_so_far(&self) -> (Arc<Routes>, bool) {
        let heard = self.all_heard();
        (self.routes(), heard)
    }

    /// True once every node that is to be linked has been dialled at least once, and a client has heard
    /// of each that it is linked to which others there are.
    fn all_heard(&self) -> bool {
        lock(&self.members).all_heard(world::now())
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
        // Links that came in are told by those who accepted them.
        for link in lock(&self.members).links().filter(|link| link.dialed()) {
            link.send_status(encoded);
        }
    }

    /// How many links dialled here stand.
    pub(crate) fn dialed(&self) -> usize {
        let members = lock(&self.members);
        members.links().filter(|link| link.dialed()).count()
    }

    /// Waits until no link stands.
    pub(crate) async fn ended(&self) {
        let links: Vec<_> = lock(&self.members).links().cloned().collect();
        for link in links {
            link.closed().await;
        }
    }

    /// Dials no more, and lets the links end with their last call.
    pub(crate) fn go_away(&self) {
        self.stop_tasks();
        lock(&self.members).links().for_each(Link::go_away);
    }

    /// Closes all links now.
    pub(crate) fn close(&self, why: &str) {
        self.stop_tasks();
        let links = lock(&self.members).take_links();
        for link in links {
            link.close(why);
        }
        let mut routes = Routes::default();
        self.add_local(&mut routes);
        self.publish(routes);
    }

    fn stop_tasks(&self) {
        lock(&self.members).stop();
        lock(&self.tasks).drain(..).for_each(|task| task.abort());
    }

    fn tried(self: &Arc<Self>, key: PublicKey, trouble: Option<String>) {
        let mut is_worse = false;
        if let Some(member) = lock(&self.members).get_mut(key) {
            member.tried = true;
            // A link that was made and has ended since left its reason.
            if member.link.is_none() && trouble.is_some() {
                is_worse = member.trouble.is_none();
                member.trouble = trouble;
            }
        }
        if is_worse {
            self.rebuild();
        } else {
            self.changed.notify_waiters();
        }
    }

    /// The link to `key`, if one stands.
    pub(crate) fn link_to(&self, key: PublicKey) -> Option<Link> {
        lock(&self.members).get(key)?.link.clone()
    }

    pub(crate) fn forget(self: &Arc<Self>, link: &Link) {
        let why = link.closed_now();
        if let Some(member) = lock(&self.members).get_mut(link.peer())
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
        if self.options.few.is_none() {
            return;
        }
        let mut is_news = false;
        for node in &status.nodes {
            is_news |= lock(&self.members).add(Endpoint {
                key: node.key,
                address: node.address.clone(),
            });
        }
        if is_news {
            self.rebuild();
        }
        // Only now: until what it said is in the table of routes, it might seem that nobody has more.
        let mut members = lock(&self.members);
        if let Some(member) = members.get_mut(link.peer())
            && member.link.as_ref().is_some_and(|held| held.is_same(link))
            && !member.heard
            && link.has_reported(status)
        {
            member.heard = true;
            self.changed.notify_waiters();
        }
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
