//! A node with services and a client of it, linked in memory.

use std::sync::Arc;

use distri::{
    Client, Config, Node,
    identity::Identity,
    node::NodeBuilder,
    transport::{Address, memory::Network},
};

/// The configuration of a node in memory.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.node.listen = Address::new("memory:0");
    config
}

/// A node in memory, not yet started. Services that registered themselves are not on it.
pub(crate) fn node(network: &Network) -> NodeBuilder {
    Node::builder()
        .config(config())
        .transport(Arc::new(network.transport(Identity::generate())))
        .without_registry()
}

/// A client that knows `nodes`.
pub(crate) async fn client(network: &Network, nodes: &[&Node]) -> Client {
    Client::builder()
        .transport(Arc::new(network.transport(Identity::generate())))
        .nodes(nodes.iter().map(|node| node.endpoint()))
        .connect()
        .await
        .expect("the nodes run")
}

/// A node that `prepare` gives its services, and a client linked to it. Keep the node: dropping
/// it stops it.
pub(crate) async fn serve(prepare: impl FnOnce(NodeBuilder) -> NodeBuilder) -> (Node, Client) {
    let network = Network::new(7);
    let node = prepare(node(&network))
        .start()
        .await
        .expect("nothing refuses it");
    let client = client(&network, &[&node]).await;
    (node, client)
}
