//! Peers over QUIC: called, moved, and talking to nobody else.
#![cfg(feature = "iroh")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests drive peers as a program does, and may panic"
)]

extern crate distri_core as distri;

#[path = "peers_iroh/alone.rs"]
mod alone;
#[path = "peers/support.rs"]
mod support;

use std::sync::Arc;

use distri::{
    Client, Config,
    identity::Identity,
    peer::{Peer, PeerState},
    transport::{
        Address, Endpoint,
        iroh::{Iroh, IrohOptions},
    },
};
use support::{Desk, DeskClient, answers, node_over_tcp, within};
use tokio::time::Instant;

/// A peer that is reached over QUIC only, at `at`.
async fn peer(identity: &Identity, nodes: Vec<Endpoint>, desk: u32, at: &str) -> Peer {
    let mut config = Config::default();
    // Nobody can dial a wildcard, so nothing but QUIC is told to others.
    config.peer.listen = Address::new("0.0.0.0:0");
    config.peer.iroh = Some(Address::new(at));
    config.cloud.nodes = nodes;
    let peer = Peer::builder()
        .config(config)
        .identity(identity.clone())
        .without_registry()
        .service(Desk(desk))
        .start()
        .await
        .unwrap();
    within(peer.wait_announced()).await.unwrap();
    let kinds = peer.addresses();
    assert!(
        kinds.iter().all(|address| address.transport == "iroh"),
        "{kinds:?}"
    );
    peer
}

/// A client that dials peers over QUIC.
async fn client(nodes: Vec<Endpoint>) -> Client {
    let identity = Identity::generate();
    let mut options = IrohOptions::default();
    options.bind = "127.0.0.1:0".parse().unwrap();
    Client::builder()
        .identity(identity.clone())
        .peers_over(Arc::new(Iroh::with_options(identity, options)))
        .nodes(nodes)
        .connect()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_call_each_other_over_quic_and_know_who_calls() {
    let node = node_over_tcp(|_| {}).await;
    let nodes = vec![node.endpoint()];
    let alice = peer(&Identity::generate(), nodes.clone(), 1, "127.0.0.1:0").await;
    let bob = peer(&Identity::generate(), nodes.clone(), 2, "127.0.0.1:0").await;

    let of_bob = alice.client().peer(bob.key());
    let who = DeskClient::new(&of_bob).who().await.unwrap();
    assert_eq!(who, alice.key().to_string());
    assert!(
        matches!(of_bob.state(), PeerState::Linked(at) if at.transport == "iroh"),
        "{:?}",
        of_bob.state()
    );
    // And back, though bob's own endpoint has alice linked already.
    answers(&bob.client().peer(alice.key()), 1).await;
    let client = client(nodes.clone()).await;
    answers(&client.peer(alice.key()), 1).await;
    // A program without the transport says so.
    let plain = Client::builder().nodes(nodes).connect().await.unwrap();
    let error = DeskClient::new(plain.peer(alice.key()))
        .number()
        .await
        .unwrap_err();
    assert!(error.message().contains("no transport `iroh`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_11_a_killed_peer_is_found_again_over_quic_while_the_old_link_is_held() {
    let node = node_over_tcp(|_| {}).await;
    let nodes = vec![node.endpoint()];
    let identity = Identity::generate();
    let client = client(nodes.clone()).await;
    let of_alice = client.peer(identity.public());
    for desk in 1..=3 {
        // Each life has a runtime of its own, with which its socket ends in the middle of everything: no
        // link is closed, as if the process had been killed.
        let life = tokio::runtime::Runtime::new().unwrap();
        let starts = {
            let (identity, nodes) = (identity.clone(), nodes.clone());
            life.spawn(async move { peer(&identity, nodes, desk, "127.0.0.1:0").await })
        };
        let alice = starts.await.unwrap();
        let began = Instant::now();
        answers(&of_alice, desk).await;
        println!("life {desk} is found after {:?}", began.elapsed());
        std::mem::forget(alice);
        life.shutdown_background();
    }
}
