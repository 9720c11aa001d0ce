//! [`ClusterBuilder`]: what a cluster is made of.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use super::{Cluster, Shared, lives::Entry};
use crate::{Config, identity::Identity, node::NodeBuilder, service::Service, testing::sim::Sim};

/// How many clients a cluster has at most, besides strangers.
pub(super) const CLIENTS: usize = 32;

/// Prepares a [`Cluster`]. [`Sim::cluster`] makes one.
pub struct ClusterBuilder {
    sim: Sim,
    nodes: usize,
    recipe: Recipe,
}

/// How a node is made, each time that it starts.
#[derive(Default)]
pub(super) struct Recipe {
    pub(super) linked: bool,
    pub(super) config: Vec<Box<ChangeConfig>>,
    pub(super) build: Vec<Box<ChangeBuilder>>,
}

type ChangeConfig = dyn Fn(&mut Config, usize) + Send + Sync;
type ChangeBuilder = dyn Fn(NodeBuilder, usize) -> NodeBuilder + Send + Sync;

impl ClusterBuilder {
    pub(in crate::testing) fn new(sim: Sim, nodes: usize) -> Self {
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
