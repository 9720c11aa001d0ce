//! Clusters of whole nodes over the in-memory network, each on a disk in memory that survives it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::{future::Future, sync::Arc, time::Duration};

use distri::{
    Client, Config, Node,
    cluster::{JoinToken, NodeRole},
    id::PublicKey,
    identity::Identity,
    node::{NodeBuilder, StartError},
    storage::MemoryDisk,
    transport::{Address, memory::Network},
};

/// How long a test waits for what must come to be.
const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster.
pub(crate) struct Cluster {
    pub(crate) network: Network,
    seats: Vec<Seat>,
    client: Client,
    /// What each node hosts besides.
    services: Services,
}

/// Adds services to a node that is about to start.
pub(crate) type Services = fn(NodeBuilder) -> NodeBuilder;

/// A node with what outlives it.
struct Seat {
    node: Option<Node>,
    identity: Identity,
    disk: Arc<MemoryDisk>,
    address: Address,
}

impl Cluster {
    /// `count` nodes, the first of which founded the cluster.
    pub(crate) async fn of(count: usize, seed: u64) -> Self {
        Self::hosting(count, seed, |builder| builder).await
    }

    /// The same, with services on every node.
    pub(crate) async fn hosting(count: usize, seed: u64, services: Services) -> Self {
        println!("seed {seed}");
        let network = Network::new(seed);
        let mut seats = vec![Seat::new(seed, 0)];
        let found = |builder: NodeBuilder| services(builder.found());
        seats[0].start(&network, found).await.unwrap();
        let client = seats[0].node().client();
        let mut cluster = Self {
            network,
            seats,
            client,
            services,
        };
        for _ in 1..count {
            let token = cluster.token().await;
            cluster.join(token).await.unwrap();
        }
        cluster
    }

    /// A client of the first node's own.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// A client that is no node, and in no list.
    pub(crate) async fn new_client(&self) -> Client {
        let nodes = self.seats.iter().filter_map(|seat| seat.node.as_ref());
        Client::builder()
            .transport(Arc::new(self.network.transport(Identity::generate())))
            .nodes(nodes.map(Node::endpoint))
            .connect()
            .await
            .unwrap()
    }

    pub(crate) fn node(&self, index: usize) -> &Node {
        self.seats[index].node()
    }

    /// How many nodes there are, those that are down included.
    pub(crate) fn size(&self) -> usize {
        self.seats.len()
    }

    /// The nodes that run.
    pub(crate) fn up(&self) -> impl Iterator<Item = usize> {
        let seats = self.seats.iter().enumerate();
        seats.filter_map(|(index, seat)| seat.node.as_ref().map(|_| index))
    }

    /// The nodes that were stopped or killed.
    pub(crate) fn down(&self) -> Vec<usize> {
        let seats = self.seats.iter().enumerate();
        let down = seats.filter(|(_, seat)| seat.node.is_none());
        down.map(|(index, _)| index).collect()
    }

    /// The key of a node, also while it is down.
    pub(crate) fn key(&self, index: usize) -> PublicKey {
        self.seats[index].identity.public()
    }

    /// The node that leads as far as it knows itself, if there is one now.
    pub(crate) fn leader_now(&self) -> Option<usize> {
        self.up()
            .find(|&index| self.node(index).handle().leader() == Some(self.key(index)))
    }

    /// What a node keeps its data on.
    pub(crate) fn disk(&self, index: usize) -> &MemoryDisk {
        &self.seats[index].disk
    }

    /// A token for one more node.
    pub(crate) async fn token(&self) -> JoinToken {
        eventually("a token", || async {
            let valid = Duration::from_secs(60);
            self.client.join_token(valid).await.ok()
        })
        .await
    }

    /// One more node.
    pub(crate) async fn join(&mut self, token: JoinToken) -> Result<(), StartError> {
        let mut seat = Seat::new(self.network.seed(), self.seats.len());
        let services = self.services;
        seat.start(&self.network, |builder| services(builder.join(token)))
            .await?;
        self.seats.push(seat);
        Ok(())
    }

    /// Stops a node in an orderly way.
    pub(crate) async fn stop(&mut self, index: usize) {
        let node = self.seats[index].node.take().unwrap();
        node.shutdown().await;
    }

    /// Ends a node at once; what it had not synced is lost.
    pub(crate) fn kill(&mut self, index: usize) {
        let seat = &mut self.seats[index];
        seat.disk.crash();
        drop(seat.node.take());
    }

    /// Starts a node again on its disk.
    pub(crate) async fn restart(&mut self, index: usize) {
        let network = self.network.clone();
        let seat = &mut self.seats[index];
        // The tasks of the node that was killed let go of its address a moment later.
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            match seat.start(&network, self.services).await {
                Ok(()) => return,
                Err(StartError::Listen(_)) if tokio::time::Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("{}", distri::error::chain(&error)),
            }
        }
    }

    /// Which node leads.
    pub(crate) async fn leader(&self) -> usize {
        eventually("a leader", || async {
            let mut nodes = self.seats.iter().filter_map(|seat| seat.node.as_ref());
            let leader = nodes.find_map(|node| node.handle().leader())?;
            self.seats
                .iter()
                .position(|seat| seat.identity.public() == leader && seat.node.is_some())
        })
        .await
    }

    /// Waits until as many vote as may.
    pub(crate) async fn all_vote(&self) {
        let wanted = self.seats.len() - (self.seats.len() + 1) % 2;
        eventually("enough voters", || async {
            let info = self.client.cluster().await.ok()?;
            let voters = info
                .nodes
                .iter()
                .filter(|node| matches!(node.role, NodeRole::Leader | NodeRole::Voter))
                .count();
            (voters == wanted).then_some(())
        })
        .await;
    }
}

impl Seat {
    fn new(seed: u64, index: usize) -> Self {
        let mut bits = [0; 32];
        bits[..8].copy_from_slice(&seed.to_le_bytes());
        bits[8] = u8::try_from(index + 1).unwrap();
        Self {
            node: None,
            identity: Identity::from_seed(&bits),
            disk: Arc::new(MemoryDisk::new(seed ^ ((index as u64) << 32))),
            address: Address::new(format!("memory:{}", 100 + index)),
        }
    }

    fn node(&self) -> &Node {
        self.node.as_ref().expect("the node runs")
    }

    async fn start(
        &mut self,
        network: &Network,
        entry: impl FnOnce(NodeBuilder) -> NodeBuilder,
    ) -> Result<(), StartError> {
        let mut config = Config::default();
        config.node.listen = self.address.clone();
        // Whatever waits for it to pass is caught by the deadlines of the tests.
        config.limits.drain = Duration::from_secs(120);
        let builder = Node::builder()
            .transport(Arc::new(network.transport(self.identity.clone())))
            .config(config)
            .disk(self.disk.clone())
            .without_registry();
        self.node = Some(entry(builder).start().await?);
        Ok(())
    }
}

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            tokio::time::Instant::now() < until,
            "not within {PATIENCE:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
