//! [`Cluster`]: whole nodes on a simulated network and simulated disks.
//!
//! Here is who is there, and what is asked of them. What a cluster is made of is in `builder`, what is
//! done to it in `deeds`, how its processes begin and end in `lives`, and whether its nodes hold the same
//! in `agreement`.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use super::{
    acting::Invariant,
    seat::Seat,
    sim::{Sim, lock},
};
use crate::{
    Client, Node, directory::CollectionSpec, id::PublicKey, identity::Identity,
    storage::MemoryDisk, transport::memory::Network, world,
};

mod agreement;
mod builder;
mod deeds;
mod lives;

pub use builder::ClusterBuilder;
use builder::{CLIENTS, Recipe};

/// How long is waited for what must come to be.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(20);

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
