//! Peers that cannot reach each other directly, through the relay of a node.
#![cfg(all(feature = "iroh", feature = "relay"))]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests drive peers as a program does, and may panic"
)]

extern crate distri_core as distri;

#[path = "peers/support.rs"]
mod support;

use std::sync::Arc;

use distri::{
    Client, Config, Node,
    identity::Identity,
    peer::{Boot, Peer, PeerState, Presence},
    signed::Signed,
    transport::{
        Address,
        iroh::{Iroh, IrohOptions},
    },
};
use support::{Desk, DeskClient, answers, node_over_tcp, within};

/// A transport that has no way but the node's relay.
fn relayed(identity: &Identity, node: &Node) -> Arc<Iroh> {
    let mut options = IrohOptions::default();
    options.relays = vec![format!("http://{}", node.relay().unwrap())];
    options.direct = false;
    Arc::new(Iroh::with_options(identity.clone(), options))
}

async fn peer(node: &Node, desk: u32) -> Peer {
    let identity = Identity::generate();
    let mut config = Config::default();
    // Nobody can dial a wildcard, so nothing is told to others but the relay.
    config.peer.listen = Address::new("0.0.0.0:0");
    config.cloud.nodes = vec![node.endpoint()];
    let peer = Peer::builder()
        .config(config)
        .identity(identity.clone())
        .also_over(relayed(&identity, node), Address::new("127.0.0.1:0"))
        .without_registry()
        .service(Desk(desk))
        .start()
        .await
        .unwrap();
    within(peer.wait_announced()).await.unwrap();
    peer
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_without_a_direct_way_are_linked_by_the_relay_and_strangers_are_refused() {
    let node = node_over_tcp(|config| config.node.relay = Some(Address::new("127.0.0.1:0"))).await;
    let alice = peer(&node, 1).await;
    let bob = peer(&node, 2).await;

    let of_bob = alice.client().peer(bob.key());
    answers(&of_bob, 2).await;
    let state = of_bob.state();
    let over_relay = |at: &distri::peer::PeerAddress| at.address.as_str().contains("/http://");
    assert!(
        matches!(&state, PeerState::Linked(at) if over_relay(at)),
        "{state:?}"
    );
    answers(&bob.client().peer(alice.key()), 1).await;

    // A key that is no peer of this cloud knows where alice is, and gets nowhere.
    let stranger = Identity::generate();
    let client = Client::builder()
        .identity(stranger.clone())
        .peers_over(relayed(&stranger, &node))
        .nodes([node.endpoint()])
        .connect()
        .await
        .unwrap();
    let of_alice = client.peer(alice.key());
    let unreachable = |state: &PeerState| matches!(state, PeerState::Out(_)).then(|| state.clone());
    let state = within(of_alice.wait_for(unreachable)).await;
    assert!(format!("{state:?}").contains("Unreachable"), "{state:?}");
    assert!(DeskClient::new(&of_alice).number().await.is_err());

    // As soon as it is one, it is let in: nothing else stood in its way.
    let presence = Presence {
        name: "newcomer".into(),
        addresses: Vec::new(),
        boot: Boot::new(),
    };
    let record = Signed::sign(&stranger, 1, presence).unwrap();
    let arguments = serde_json::json!({ "record": record, "lease_ms": 60_000 });
    let announced = client.call_json("distri-peers", "announce", arguments);
    announced.await.unwrap();
    answers(&of_alice, 1).await;
}
