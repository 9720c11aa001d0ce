//! A service for peers to host, and peers, for all tests with peers.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{sync::Arc, time::Duration};

use distri::{
    Client, Config, Context, Node, Result,
    identity::Identity,
    peer::{Peer, PeerBuilder, PeerState, RemotePeer},
    transport::{Address, Endpoint, memory::Network, tcp::Tcp},
};

/// How long a test waits for what must come to be.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What peers host here.
pub(crate) struct Desk(pub(crate) u32);

#[distri::service(register = false)]
impl Desk {
    /// Who calls.
    async fn who(&self, cx: &Context) -> Result<String> {
        Ok(cx.caller().key.to_string())
    }

    /// Which desk it is.
    #[method(idempotent)]
    async fn number(&self) -> Result<u32> {
        Ok(self.0)
    }

    /// How many peers the cloud knows, asked after so long.
    #[method(idempotent)]
    async fn asks_the_cloud(&self, cx: &Context, ms: u64) -> Result<usize> {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        Ok(cx.node().client().peers().await?.len())
    }

    /// Which desk it is, after so long.
    #[method(idempotent)]
    async fn slowly(&self, ms: u64) -> Result<u32> {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        Ok(self.0)
    }
}

pub(crate) fn identity(n: u8) -> Identity {
    Identity::from_seed(&[n; 32])
}

/// A cloud of one node, over TCP, with what `change` changes.
pub(crate) async fn node_over_tcp(change: impl FnOnce(&mut Config)) -> Node {
    let mut config = Config::default();
    config.node.listen = Address::new("127.0.0.1:0");
    change(&mut config);
    Node::builder()
        .config(config)
        .identity(Identity::generate())
        .without_registry()
        .found()
        .start()
        .await
        .unwrap()
}

/// A peer on the in-memory network, not started.
pub(crate) fn prepared(
    network: &Network,
    identity: &Identity,
    nodes: Vec<Endpoint>,
    desk: u32,
) -> PeerBuilder {
    let mut config = Config::default();
    config.peer.name = Some("alice".into());
    config.peer.listen = Address::new("memory:0");
    config.peer.lease = Duration::from_secs(6);
    config.cloud.nodes = nodes;
    Peer::builder()
        .config(config)
        .identity(identity.clone())
        .transport(Arc::new(network.transport(identity.clone())))
        .without_registry()
        .service(Desk(desk))
}

/// The same over TCP.
pub(crate) fn prepared_tcp(identity: &Identity, nodes: Vec<Endpoint>, desk: u32) -> PeerBuilder {
    let mut config = Config::default();
    config.peer.listen = Address::new("127.0.0.1:0");
    config.cloud.nodes = nodes;
    Peer::builder()
        .config(config)
        .identity(identity.clone())
        .transport(Arc::new(Tcp::new(identity.clone())))
        .without_registry()
        .service(Desk(desk))
}

/// The peer, once the cloud knows of it.
pub(crate) async fn started(builder: PeerBuilder) -> Peer {
    let peer = builder.start().await.unwrap();
    within(peer.wait_announced()).await.unwrap();
    peer
}

/// The number of the desk that answers in the end.
pub(crate) async fn answers(peer: &RemotePeer, desk: u32) {
    within(async {
        loop {
            match DeskClient::new(peer).number().await {
                Ok(number) if number == desk => return,
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    })
    .await;
}

/// Waits until the peer stands so.
pub(crate) async fn stands(peer: &RemotePeer, so: impl Fn(&PeerState) -> bool) -> PeerState {
    within(peer.wait_for(|state| so(state).then(|| state.clone()))).await
}

pub(crate) fn is_linked(state: &PeerState) -> bool {
    matches!(state, PeerState::Linked(_))
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("not within {PATIENCE:?}"),
    }
}

pub(crate) async fn client_over_tcp(nodes: Vec<Endpoint>) -> Client {
    Client::builder().nodes(nodes).connect().await.unwrap()
}
