//! [`Cluster`]: whole nodes on a simulated network and simulated disks, and what can be done to
//! them.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use super::{
    acting::Invariant,
    chaos::{Chaos, Storm},
    seat::{Seat, Stands},
    sim::{Sim, lock},
};
use crate::{
    Client, Config, Node,
    cluster::{JoinToken, NodeRole},
    directory::{CollectionSpec, Replica, State},
    error::{Code, Error},
    id::PublicKey,
    identity::Identity,
    node::{NodeBuilder, StartError},
    service::Service,
    storage::MemoryDisk,
    transport::{TransportError, memory::Network},
    world,
};

/// How long is waited for what must come to be.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Until the tasks of a process that died have let go of its address.
const LET_GO: Duration = Duration::from_millis(5);

/// How many clients a cluster has at most, besides strangers.
const CLIENTS: usize = 32;

/// How long a token is valid with which a node joins.
const TOKEN: Duration = Duration::from_secs(3600);

/// Prepares a [`Cluster`]. [`Sim::cluster`] makes one.
pub struct ClusterBuilder {
    sim: Sim,
    nodes: usize,
    recipe: Recipe,
}

/// How a node is made, each time that it starts.
#[derive(Default)]
struct Recipe {
    linked: bool,
    config: Vec<Box<ChangeConfig>>,
    build: Vec<Box<ChangeBuilder>>,
}

type ChangeConfig = dyn Fn(&mut Config, usize) + Send + Sync;
type ChangeBuilder = dyn Fn(NodeBuilder, usize) -> NodeBuilder + Send + Sync;

/// A cluster. Cheap to clone; it ends with the scenario.
///
/// Nodes have places, counted from 0, which they keep while they are down.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
}

struct Shared {
    sim: Sim,
    /// Which of the run's clusters it is.
    nr: usize,
    network: Network,
    recipe: Recipe,
    seats: Mutex<Vec<Seat>>,
    /// Of clients that are yet to be made.
    listed: Mutex<std::vec::IntoIter<Identity>>,
    /// Clients that are no nodes.
    outside: Mutex<Vec<PublicKey>>,
}

impl ClusterBuilder {
    pub(super) fn new(sim: Sim, nodes: usize) -> Self {
        Self {
            sim,
            nodes,
            recipe: Recipe::default(),
        }
    }

    /// Hosts a service on every node: `make` is called each time that one starts.
    #[must_use]
    pub fn service<S: Service>(self, make: impl Fn() -> S + Send + Sync + 'static) -> Self {
        self.build(move |builder, _| builder.service(make()))
    }

    /// Hosts the services that are linked into the test, as `distri::main!` would.
    #[must_use]
    pub fn linked_services(mut self) -> Self {
        self.recipe.linked = true;
        self
    }

    /// Changes the configuration of each node, whose place is given. Its address is set already.
    #[must_use]
    pub fn config(mut self, change: impl Fn(&mut Config, usize) + Send + Sync + 'static) -> Self {
        self.recipe.config.push(Box::new(change));
        self
    }

    /// Changes how each node is made, whose place is given.
    #[must_use]
    pub fn build(
        mut self,
        change: impl Fn(NodeBuilder, usize) -> NodeBuilder + Send + Sync + 'static,
    ) -> Self {
        self.recipe.build.push(Box::new(change));
        self
    }

    /// Starts the nodes: the first founds the cluster, the others join. Returns when as many vote as
    /// may.
    ///
    /// # Panics
    /// If a node does not start.
    pub async fn start(self) -> Cluster {
        let Self {
            sim,
            nodes,
            mut recipe,
        } = self;
        let network = sim.network();
        let listed: Vec<_> = (0..CLIENTS).map(|_| Identity::generate()).collect();
        let keys: Vec<_> = listed.iter().map(Identity::public).collect();
        let list = move |config: &mut Config, _| config.access.keys.extend(keys.iter().copied());
        recipe.config.insert(0, Box::new(list));
        let cluster = Cluster {
            shared: Arc::new(Shared {
                nr: sim.next_cluster(),
                network,
                recipe,
                seats: Mutex::default(),
                listed: Mutex::new(listed.into_iter()),
                outside: Mutex::default(),
                sim,
            }),
        };
        assert!(nodes > 0, "a cluster has at least one node");
        cluster.add_seat();
        let founded = cluster.begin(0, Some(Entry::Found)).await;
        founded.unwrap_or_else(|error| panic!("{}", crate::error::chain(&error)));
        for _ in 1..nodes {
            cluster.join().await;
        }
        cluster.all_vote().await;
        cluster
    }
}

impl fmt::Debug for ClusterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterBuilder")
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}

/// How a node comes into the cluster for the first time.
enum Entry {
    Found,
    Join(JoinToken),
}

/// Who is there.
impl Cluster {
    /// The simulation.
    pub fn sim(&self) -> &Sim {
        &self.shared.sim
    }

    /// The network, for faults that have no method here.
    pub fn network(&self) -> &Network {
        &self.shared.network
    }

    /// How many places there are, those of nodes that are down or were removed included.
    pub fn size(&self) -> usize {
        self.seats().len()
    }

    /// The places whose nodes run, hang included.
    pub fn up(&self) -> Vec<usize> {
        self.places(|seat| seat.node().is_some())
    }

    /// The places whose nodes do not run, and have not been removed.
    pub fn down(&self) -> Vec<usize> {
        self.places(|seat| seat.is_down() && !seat.removed)
    }

    /// The places whose nodes belong to the cluster.
    pub fn members(&self) -> Vec<usize> {
        self.places(|seat| !seat.removed)
    }

    /// The node at a place. It dies with its process, whoever holds a clone.
    ///
    /// # Panics
    /// If it does not run.
    pub fn node(&self, index: usize) -> Node {
        self.try_node(index)
            .unwrap_or_else(|| panic!("node {index} does not run"))
    }

    /// The node at a place, if it runs.
    pub fn try_node(&self, index: usize) -> Option<Node> {
        self.seats()[index].node().cloned()
    }

    /// The key of a node, also while it is down.
    pub fn key(&self, index: usize) -> PublicKey {
        self.seats()[index].key()
    }

    /// What a node keeps its data on.
    pub fn disk(&self, index: usize) -> MemoryDisk {
        self.seats()[index].disk.clone()
    }

    /// The node that leads as far as it knows itself, if there is one now.
    pub fn leader_now(&self) -> Option<usize> {
        let seats = self.seats();
        seats.iter().position(|seat| {
            seat.node()
                .is_some_and(|node| node.handle().leader() == Some(seat.key()))
        })
    }

    /// Waits until a node leads that runs, and gives its place.
    pub async fn leader(&self) -> usize {
        self.eventually("a leader", || async { self.leader_now() })
            .await
    }

    /// A new client that is no node, and knows those that run. All nodes list its key, so that it may
    /// do what is open to the authenticated.
    ///
    /// # Panics
    /// If there are 32 already.
    pub async fn client(&self) -> Client {
        let next = lock(&self.shared.listed).next();
        let identity = next.unwrap_or_else(|| panic!("a cluster has at most {CLIENTS} clients"));
        self.connect(identity).await
    }

    /// A new client that no node has heard of.
    pub async fn stranger(&self) -> Client {
        self.connect(Identity::generate()).await
    }

    async fn connect(&self, identity: Identity) -> Client {
        lock(&self.shared.outside).push(identity.public());
        let nodes: Vec<_> = self
            .seats()
            .iter()
            .filter(|seat| !seat.removed)
            .filter_map(|seat| seat.node().map(Node::endpoint))
            .collect();
        let client = Client::builder()
            .transport(Arc::new(self.shared.network.transport(identity)))
            .nodes(nodes)
            .connect();
        client
            .await
            .unwrap_or_else(|error| panic!("{}", crate::error::chain(&error)))
    }

    /// The keys of all clients so far.
    pub fn clients(&self) -> Vec<PublicKey> {
        lock(&self.shared.outside).clone()
    }

    /// Declares a collection of the directory.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn collection(&self, spec: CollectionSpec) {
        self.eventually("a collection", || async {
            let node = self.try_node(self.leader_now()?)?;
            match node.handle().directory().create(spec.clone()).await {
                Ok(()) => Some(()),
                Err(error) if error.is_retryable() || error.is_unknown_outcome() => None,
                Err(error) => panic!("{}", crate::error::chain(&error)),
            }
        })
        .await;
    }

    /// Asks again and again, until there is an answer.
    ///
    /// # Panics
    /// If there is none after a minute of virtual time.
    pub async fn eventually<T, F: Future<Output = Option<T>>>(
        &self,
        what: &str,
        mut ask: impl FnMut() -> F,
    ) -> T {
        let until = world::now() + PATIENCE;
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            assert!(world::now() < until, "not within {PATIENCE:?}: {what}");
            world::pause(LOOK).await;
        }
    }

    /// Adds an invariant: `holds` panics when it does not. It is asked every ten milliseconds of
    /// virtual time, and after everything that is done to the cluster.
    ///
    /// It sees what a test sees at one moment, so it does not wait: what nodes know
    /// ([`Cluster::up`], [`NodeHandle`](crate::NodeHandle)), and what services share with the test.
    pub fn always(&self, name: impl Into<String>, mut holds: impl FnMut(&Self) + Send + 'static) {
        let cluster = Arc::downgrade(&self.shared);
        self.sim().always(name, move || {
            if let Some(shared) = cluster.upgrade() {
                holds(&Self { shared });
            }
        });
    }

    /// From now on this must hold at every moment; what does not ends the run.
    ///
    /// ```
    /// # extern crate distri_core as distri;
    /// use distri::testing::{Invariant, simulate};
    ///
    /// simulate([7], async |sim| {
    ///     let cluster = sim.cluster(3).start().await;
    ///     cluster.watch(Invariant::OneHolder);
    ///     // …
    /// });
    /// ```
    pub fn watch(&self, invariant: Invariant) {
        let invariants = &self.sim().shared.invariants;
        invariants.watch(self.shared.nr, invariant);
    }

    /// Waits until all nodes run, hold the same documents, and have all that was acknowledged.
    ///
    /// # Panics
    /// If that does not come to be.
    pub async fn must_agree(&self) {
        let until = world::now() + PATIENCE;
        while let Err(why) = self.agree() {
            assert!(world::now() < until, "after {PATIENCE:?}, {why}");
            world::pause(LOOK).await;
        }
    }

    /// Waits until as many vote as may.
    pub async fn all_vote(&self) {
        self.eventually("enough voters", || async {
            let members = self.members().len();
            let node = self.try_node(self.leader_now()?)?;
            let voters_max = 5;
            let wanted = (members - (members + 1) % 2).min(voters_max);
            let info = node.client().cluster().await.ok()?;
            let voters = info
                .nodes
                .iter()
                .filter(|node| matches!(node.role, NodeRole::Leader | NodeRole::Voter))
                .count();
            (voters == wanted && info.nodes.len() == members).then_some(())
        })
        .await;
    }
}

/// What can be done to it.
impl Cluster {
    /// The power of a node's machine fails: the process ends at once; what it had not synced is
    /// lost, kept or torn.
    pub fn crash(&self, index: usize) {
        self.did(format_args!("the power of {index} fails"));
        self.end(index, MemoryDisk::crash);
    }

    /// The power of a node's machine fails at the `nth` change of its disk from now: in the middle
    /// of what that belongs to. Does nothing if it is down before.
    pub fn crash_while_writing(&self, index: usize, nth: u64) {
        self.did(format_args!(
            "the power of {index} will fail at its {nth}th write"
        ));
        let (disk, life) = {
            let seats = self.seats();
            (seats[index].disk.clone(), seats[index].process().clone())
        };
        disk.stop_after(nth);
        let cluster = self.clone();
        self.sim().spawn(async move {
            while !disk.is_stopped() {
                world::pause(Duration::from_millis(1)).await;
            }
            let same = Arc::ptr_eq(cluster.seats()[index].process(), &life);
            if same && cluster.try_node(index).is_some() {
                cluster.crash(index);
            }
        });
    }

    /// A node's process is killed: it ends at once; its disk keeps what was written, synced or not.
    pub fn kill(&self, index: usize) {
        self.did(format_args!("{index} is killed"));
        self.end(index, MemoryDisk::abandon);
    }

    fn end(&self, index: usize, disk: fn(&MemoryDisk)) {
        let (stands, process) = {
            let mut seats = self.seats();
            let seat = &mut seats[index];
            disk(&seat.disk);
            (seat.die(), seat.process().clone())
        };
        if let Stands::Up(node) = stands {
            // What is left of it acts in the name of the dead.
            let _entered = process.enter();
            node.halt();
        }
        self.checked();
    }

    /// Stops a node in order: it hands over what it does and finishes its calls.
    pub async fn stop(&self, index: usize) {
        self.did(format_args!("{index} stops"));
        let (node, process) = {
            let mut seats = self.seats();
            let seat = &mut seats[index];
            let Stands::Up(node) = seat.stands.clone() else {
                return;
            };
            seat.stands = Stands::Stopping;
            (node, seat.process().clone())
        };
        let stopped = Self::within(&process, async move { node.shutdown().await });
        // It may be killed meanwhile.
        let _ = stopped.await;
        let mut seats = self.seats();
        if Arc::ptr_eq(seats[index].process(), &process)
            && matches!(seats[index].stands, Stands::Stopping)
        {
            let _ = seats[index].die();
            seats[index].disk.abandon();
        }
    }

    /// Starts a node again on its disk. Does nothing if it runs or starts already. One that has to
    /// declare a collection and finds no majority ends, as its program would, and is down.
    ///
    /// # Panics
    /// If it does not start for another reason.
    pub async fn restart(&self, index: usize) {
        if !self.seats()[index].is_down() {
            return;
        }
        self.did(format_args!("{index} starts"));
        match self.begin(index, None).await {
            Ok(()) => {}
            Err(error) if lacks_a_majority(&error) => {
                self.did(format_args!("{index} does not start: {error}"));
            }
            Err(error) => panic!("node {index}: {}", crate::error::chain(&error)),
        }
    }

    /// One more node joins. Gives its place.
    ///
    /// # Panics
    /// If it cannot, within a minute of virtual time.
    pub async fn join(&self) -> usize {
        let index = self.add_seat();
        self.did(format_args!("{index} joins"));
        let token = self.token().await;
        if let Err(error) = self.begin(index, Some(Entry::Join(token))).await {
            panic!("node {index}: {}", crate::error::chain(&error));
        }
        index
    }

    /// Tries to let one more node join; says whether it is a member now. If not, nobody will ever
    /// use its place.
    pub async fn try_join(&self) -> Option<usize> {
        let index = self.add_seat();
        self.seats()[index].removed = true;
        self.did(format_args!("{index} tries to join"));
        let node = self.try_node(self.leader_now()?)?;
        let token = node.client().join_token(TOKEN).await.ok()?;
        let joined = self.begin(index, Some(Entry::Join(token))).await;
        if let Err(error) = &joined {
            self.did(format_args!("{index} did not join: {error}"));
        }
        joined.ok()?;
        self.seats()[index].removed = false;
        Some(index)
    }

    /// Removes a node from the cluster for good, running or not.
    ///
    /// # Errors
    /// That of [`Client::remove_node`].
    pub async fn remove(&self, index: usize) -> Result<(), Error> {
        self.did(format_args!("{index} is removed"));
        let key = self.key(index);
        let up = self.up();
        let helper = up.iter().find(|other| **other != index).or(up.first());
        let node = helper.and_then(|helper| self.try_node(*helper));
        let Some(node) = node else {
            return Err(Error::new(Code::Unavailable, "no node runs"));
        };
        let info = node.client().cluster().await?;
        if let Some(member) = info.nodes.iter().find(|member| member.key == key) {
            node.client().remove_node(member.number).await?;
        }
        self.seats()[index].removed = true;
        Ok(())
    }

    /// Lets nothing of a node run, while its links stand and its clock goes on, as `SIGSTOP` does.
    pub fn hang(&self, index: usize) {
        self.did(format_args!("{index} hangs"));
        self.seats()[index].process().hang();
        self.checked();
    }

    /// Ends [`Cluster::hang`].
    pub fn resume(&self, index: usize) {
        self.did(format_args!("{index} goes on"));
        self.seats()[index].process().go_on();
        self.checked();
    }

    /// Sets a node's clock so far ahead of the true time, across restarts. What waits is not
    /// changed: timers run on a clock of their own, as everywhere.
    pub fn set_clock_ahead(&self, index: usize, by: Duration) {
        self.did(format_args!("the clock of {index} is {by:?} ahead"));
        let ahead = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.seats()[index].set_clock_ahead_ms(ahead);
    }

    /// Sets a node's clock so far behind the true time; see [`Cluster::set_clock_ahead`].
    pub fn set_clock_behind(&self, index: usize, by: Duration) {
        self.did(format_args!("the clock of {index} is {by:?} behind"));
        let behind = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.seats()[index].set_clock_ahead_ms(-behind);
    }

    /// Lets nothing pass between two groups of nodes, until [`Cluster::heal`].
    pub fn partition(
        &self,
        left: impl IntoIterator<Item = usize>,
        right: impl IntoIterator<Item = usize>,
    ) {
        let (left, right) = (collected(left), collected(right));
        self.did(format_args!("nothing between {left:?} and {right:?}"));
        let keys = (self.keys(&left), self.keys(&right));
        self.network().partition(keys.0, keys.1);
        self.checked();
    }

    /// Lets nothing pass from one group of nodes to another, until [`Cluster::heal`]; the other way
    /// all is well.
    pub fn partition_one_way(
        &self,
        from: impl IntoIterator<Item = usize>,
        to: impl IntoIterator<Item = usize>,
    ) {
        let (from, to) = (collected(from), collected(to));
        self.did(format_args!("nothing from {from:?} to {to:?}"));
        let keys = (self.keys(&from), self.keys(&to));
        self.network().partition_one_way(keys.0, keys.1);
        self.checked();
    }

    /// Lets nothing pass between a node and all other nodes, until [`Cluster::heal`]. Clients still
    /// reach it.
    pub fn isolate(&self, index: usize) {
        let others = (0..self.size()).filter(|other| *other != index);
        self.partition([index], others.collect::<Vec<_>>());
    }

    /// Breaks the links of a node, to nodes and clients. They can be made again at once.
    pub fn cut(&self, index: usize) {
        self.did(format_args!("the links of {index} break"));
        let keys = self.keys(&(0..self.size()).collect::<Vec<_>>());
        for other in keys.into_iter().chain(self.clients()) {
            self.network().cut(self.key(index), other);
        }
        self.checked();
    }

    /// Sets how long everything takes on the network.
    pub fn delay(&self, range: std::ops::RangeInclusive<Duration>) {
        self.did(format_args!("everything takes {range:?}"));
        self.network().delay(range);
    }

    /// Ends all partitions.
    pub fn heal(&self) {
        self.did("all partitions end");
        self.network().heal();
        self.checked();
    }

    /// Puts everything right: network, clocks and disks; what hangs goes on, what is down starts.
    pub async fn mend(&self) {
        self.network().heal();
        self.network().delay(Duration::ZERO..=Duration::ZERO);
        for index in self.members() {
            let seats = self.seats();
            seats[index].disk.heal();
            seats[index].process().go_on();
            drop(seats);
            self.seats()[index].set_clock_ahead_ms(0);
        }
        self.did("everything is put right");
        self.eventually("all nodes run", || async {
            // At once: one may need the others to get on.
            let starting = self.down().into_iter().map(|index| {
                let cluster = self.clone();
                let start = async move { cluster.restart(index).await };
                self.sim().spawn(start)
            });
            for started in starting.collect::<Vec<_>>() {
                if let Err(error) = started.await
                    && error.is_panic()
                {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
            (self.up().len() >= self.members().len()).then_some(())
        })
        .await;
    }

    /// Lets things go wrong, as the seed says, until the storm is told to end.
    pub fn chaos(&self, chaos: Chaos) -> Storm {
        Storm::begin(self.clone(), chaos)
    }
}

impl Cluster {
    fn seats(&self) -> MutexGuard<'_, Vec<Seat>> {
        lock(&self.shared.seats)
    }

    fn places(&self, wanted: impl Fn(&Seat) -> bool) -> Vec<usize> {
        let seats = self.seats();
        let places = seats.iter().enumerate().filter(|(_, seat)| wanted(seat));
        places.map(|(index, _)| index).collect()
    }

    pub(super) fn keys(&self, of: &[usize]) -> Vec<PublicKey> {
        let seats = self.seats();
        of.iter().map(|index| seats[*index].key()).collect()
    }

    fn add_seat(&self) -> usize {
        let mut seats = self.seats();
        let index = seats.len();
        seats.push(Seat::new(self.sim(), self.shared.nr, index));
        index
    }

    async fn token(&self) -> JoinToken {
        self.eventually("a token", || async {
            let node = self.try_node(self.leader_now()?)?;
            node.client().join_token(TOKEN).await.ok()
        })
        .await
    }

    /// Starts a process at a place, and a node in it.
    async fn begin(&self, index: usize, mut entry: Option<Entry>) -> Result<(), StartError> {
        let process = {
            let mut seats = self.seats();
            seats[index].begin(self.sim())
        };
        let until = world::now() + PATIENCE;
        let started = loop {
            let builder = self.builder(index);
            let builder = match entry.take() {
                Some(Entry::Found) => builder.found(),
                Some(Entry::Join(token)) => builder.join(token),
                None => builder,
            };
            match Self::within(&process, builder.start()).await {
                Some(Err(StartError::Listen(TransportError::Bind { .. })))
                    if world::now() < until =>
                {
                    world::pause(LET_GO).await;
                }
                started => break started,
            }
        };
        let mut seats = self.seats();
        let seat = &mut seats[index];
        // It may have been killed, or even started again, meanwhile.
        let is_current =
            Arc::ptr_eq(seat.process(), &process) && matches!(seat.stands, Stands::Starting);
        match started {
            Some(Ok(node)) if is_current => {
                seat.stands = Stands::Up(node.clone());
                let number = seat.number;
                drop(seats);
                self.follow(number, &node);
                self.end_when_removed(index, node);
                Ok(())
            }
            Some(Err(error)) if is_current => {
                let _ = seat.die();
                seat.disk.abandon();
                Err(error)
            }
            // Whoever killed it knows.
            Some(_) | None => Ok(()),
        }
    }

    fn builder(&self, index: usize) -> NodeBuilder {
        let recipe = &self.shared.recipe;
        let seats = self.seats();
        let seat = &seats[index];
        let mut config = Config::default();
        config.node.listen = seat.address.clone();
        config.node.name = Some(format!("node-{index}"));
        for change in &recipe.config {
            change(&mut config, index);
        }
        let transport = self.shared.network.transport(seat.identity.clone());
        let mut builder = Node::builder()
            .transport(Arc::new(transport))
            .disk(Arc::new(seat.disk.clone()))
            .vault(seat.vault.clone())
            .config(config);
        if !recipe.linked {
            builder = builder.without_registry();
        }
        drop(seats);
        let steps = recipe.build.iter();
        steps.fold(builder, |builder, step| step(builder, index))
    }

    /// Runs something in a process; `None` if that dies before.
    #[expect(
        clippy::disallowed_methods,
        reason = "a driver: the task ends with its process, or the runtime of the simulation"
    )]
    async fn within<F>(process: &Arc<world::process::Process>, work: F) -> Option<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = {
            let _entered = process.enter();
            world::spawn(work)
        };
        match task.await {
            Ok(done) => Some(done),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => None,
        }
    }

    /// Notes in which terms a node leads.
    fn follow(&self, number: usize, node: &Node) {
        let Some(group) = node.group() else { return };
        let invariants = self.sim().shared.invariants.clone();
        self.sim().spawn(async move {
            let never: Option<()> = group
                .wait_for(|group| {
                    let view = group.view();
                    if view.leads {
                        invariants.leads(number, view.term);
                    }
                    None
                })
                .await;
            debug_assert!(never.is_none());
        });
    }

    /// Stops a node that has been removed from the cluster, as the program that runs one does.
    fn end_when_removed(&self, index: usize, node: Node) {
        let cluster = self.clone();
        self.sim().spawn(async move {
            node.removed().await;
            let same = cluster
                .try_node(index)
                .is_some_and(|now| now.is_same(&node));
            if same {
                cluster.seats()[index].removed = true;
                cluster.stop(index).await;
            }
        });
    }

    /// Whether all nodes run, hold the same, and have what was acknowledged; why not.
    fn agree(&self) -> Result<(), String> {
        let nodes: Vec<_> = {
            let seats = self.seats();
            let members = seats.iter().filter(|seat| !seat.removed);
            members.map(|seat| seat.node().cloned()).collect()
        };
        let replicas: Option<Vec<_>> = nodes
            .iter()
            .map(|node| node.as_ref().and_then(Node::replica))
            .collect();
        let replicas = replicas.ok_or_else(|| format!("only {:?} run", self.up()))?;
        let revision = |of: &Arc<Replica>| of.read(State::revision);
        let revisions: Vec<_> = replicas.iter().map(revision).collect();
        let acknowledged = self.sim().shared.invariants.acknowledged(self.shared.nr);
        if revisions.iter().any(|revision| *revision < acknowledged) {
            return Err(format!(
                "revision {acknowledged} was acknowledged, and the nodes are at {revisions:?}"
            ));
        }
        if revisions.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(format!("the nodes are at revisions {revisions:?}"));
        }
        let print = |of: &Arc<Replica>| of.read(State::fingerprint);
        let prints: Vec<_> = replicas.iter().map(print).collect();
        if prints.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(format!(
                "the nodes differ at revision {}, of which all are",
                revisions[0]
            ));
        }
        Ok(())
    }

    /// Notes what is done to the cluster.
    pub(super) fn did(&self, what: impl fmt::Display) {
        self.sim().note(what);
    }

    /// Asks the invariants; what does not hold ends the run.
    fn checked(&self) {
        // Told through the simulation.
        let _ = self.sim().check();
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("seed", &self.sim().seed())
            .field("up", &self.up())
            .finish_non_exhaustive()
    }
}

fn lacks_a_majority(error: &StartError) -> bool {
    let StartError::Collection { source, .. } = error else {
        return false;
    };
    matches!(
        source.code(),
        Code::Unavailable | Code::Busy | Code::DeadlineExceeded | Code::UnknownOutcome
    )
}

fn collected(places: impl IntoIterator<Item = usize>) -> Vec<usize> {
    places.into_iter().collect()
}
