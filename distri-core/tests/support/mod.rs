//! What whole-core tests share: clouds of nodes on the in-memory network.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{future::Future, sync::Arc, time::Duration};

use distri::{
    Client, Config, Node,
    config::Limits,
    identity::Identity,
    node::NodeBuilder,
    transport::{Address, Endpoint, Transport, memory::Network},
};

/// Nodes that know each other, on one network.
pub(crate) struct Cloud {
    pub(crate) network: Network,
    pub(crate) nodes: Vec<Node>,
}

impl Cloud {
    /// `size` nodes, each with what `services` adds to its builder.
    pub(crate) async fn of(
        size: usize,
        services: impl Fn(usize, NodeBuilder) -> NodeBuilder,
    ) -> Self {
        Self::on(Network::new(7), size, services).await
    }

    /// The same on a given network.
    pub(crate) async fn on(
        network: Network,
        size: usize,
        services: impl Fn(usize, NodeBuilder) -> NodeBuilder,
    ) -> Self {
        let endpoints: Vec<_> = (0..size).map(endpoint).collect();
        let mut nodes = Vec::new();
        for place in 0..size {
            let builder = builder(&network, place, &endpoints);
            nodes.push(services(place, builder).start().await.unwrap());
        }
        let cloud = Self { network, nodes };
        for node in &cloud.nodes {
            let all = Duration::from_secs(10);
            node.client().wait_for_nodes(size - 1, all).await.unwrap();
        }
        cloud
    }

    /// The same with `limits`.
    pub(crate) async fn limited(
        network: Network,
        size: usize,
        limits: Limits,
        services: impl Fn(usize, NodeBuilder) -> NodeBuilder,
    ) -> Self {
        Self::on(network, size, |place, builder| {
            let endpoints: Vec<_> = (0..size).map(endpoint).collect();
            let mut config = config(place, &endpoints);
            config.limits = limits.clone();
            services(place, builder.config(config))
        })
        .await
    }

    /// A client that knows all nodes and is linked to each.
    pub(crate) async fn client(&self) -> Client {
        let client = Client::builder()
            .transport(self.transport(200))
            .nodes(self.nodes.iter().map(Node::endpoint))
            .connect()
            .await
            .unwrap();
        client
            .wait_for_nodes(self.nodes.len(), Duration::from_secs(10))
            .await
            .unwrap();
        client
    }

    pub(crate) fn transport(&self, seed: u8) -> Arc<dyn Transport> {
        Arc::new(self.network.transport(identity(seed)))
    }
}

/// A builder of the node at `place` among `endpoints`.
pub(crate) fn builder(network: &Network, place: usize, endpoints: &[Endpoint]) -> NodeBuilder {
    let transport = Arc::new(network.transport(identity(place as u8)));
    Node::builder()
        .config(config(place, endpoints))
        .transport(transport)
        .without_registry()
}

/// The configuration of the node at `place` among `endpoints`.
pub(crate) fn config(place: usize, endpoints: &[Endpoint]) -> Config {
    let mut config = Config::default();
    config.node.listen = endpoints[place].address.clone();
    config.node.name = Some(format!("node-{place}"));
    config.cloud.nodes = endpoints.to_vec();
    config.limits.drain = Duration::from_secs(5);
    config
}

pub(crate) fn endpoint(place: usize) -> Endpoint {
    Endpoint {
        key: identity(place as u8).public(),
        address: Address::new(format!("memory:{}", place + 1)),
    }
}

pub(crate) fn identity(seed: u8) -> Identity {
    Identity::from_seed(&[seed + 1; 32])
}

/// Waits until `condition` holds, at most for ten seconds.
pub(crate) async fn eventually<F: Future<Output = bool>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "not within ten seconds: {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
