//! Peers on one network without a cloud: they find and call each other, and believe nobody else.
//!
//! Everything is said on the loopback interface only. Where the system does not let programs share the
//! port of multicast DNS, or does not pass multicast on there, the tests say so and end.
#![cfg(feature = "lan")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests drive peers as a program does, and may panic"
)]

extern crate distri_core as distri;

#[path = "peers_lan/hostile.rs"]
mod hostile;
#[path = "peers/support.rs"]
mod support;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use distri::{
    Client, Code, Config,
    id::PublicKey,
    identity::Identity,
    peer::{Peer, PeerState},
    transport::Address,
};
use support::{Desk, DeskClient, answers, stands, within};
use swarm_discovery::{Discoverer, IpClass, Protocol};
use tokio::sync::{Mutex, MutexGuard, Notify};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The tests share one network: one after the other. `None` where there is no multicast.
async fn network() -> Option<MutexGuard<'static, ()>> {
    static NETWORK: Mutex<()> = Mutex::const_new(());
    let turn = NETWORK.lock().await;
    let heard = Arc::new(Notify::new());
    let tell = heard.clone();
    // It hears its own echo, or nobody would.
    let echo = discoverer("echo").with_callback(move |_, _| tell.notify_one());
    let echo = echo.with_addrs(1, [IpAddr::V4(HERE)]);
    let Ok(_guard) = echo.spawn(&tokio::runtime::Handle::current()) else {
        eprintln!("skipped: the port of multicast DNS cannot be shared here");
        return None;
    };
    let waits = tokio::time::timeout(Duration::from_secs(20), heard.notified());
    if waits.await.is_err() {
        eprintln!("skipped: there is no multicast here");
        return None;
    }
    Some(turn)
}

/// Another program on the network.
fn discoverer(name: &str) -> Discoverer {
    Discoverer::new_interactive("distri".into(), name.into())
        .with_protocol(Protocol::Tcp)
        .with_ip_class(IpClass::V4Only)
        .with_multicast_interfaces_v4(vec![HERE])
}

/// A peer that knows no cloud.
async fn peer(identity: &Identity, desk: u32) -> Peer {
    let mut config = Config::default();
    config.peer.name = Some(format!("desk {desk}"));
    config.peer.listen = Address::new("127.0.0.1:0");
    config.peer.lan_at = vec![HERE];
    Peer::builder()
        .config(config)
        .identity(identity.clone())
        .on_lan()
        .without_registry()
        .service(Desk(desk))
        .start()
        .await
        .unwrap()
}

/// Waits until the peer is listed.
async fn hears(client: &Client, key: PublicKey) {
    within(async {
        while !client.peers_nearby().iter().any(|peer| peer.key() == key) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_without_a_cloud_find_and_call_each_other() {
    let Some(_turn) = network().await else { return };
    let alice = peer(&Identity::generate(), 1).await;
    let bob = peer(&Identity::generate(), 2).await;

    let of_bob = alice.client().peer(bob.key());
    answers(&of_bob, 2).await;
    let who = DeskClient::new(&of_bob).who().await.unwrap();
    assert_eq!(who, alice.key().to_string());
    answers(&bob.client().peer(alice.key()), 1).await;

    // A program that only calls finds them as well, and lists them; its own key is not among them.
    let client = within(Client::builder().on_lan([HERE]).connect())
        .await
        .unwrap();
    hears(&client, alice.key()).await;
    hears(&client, bob.key()).await;
    let listed = client.peers_nearby();
    let found = listed.iter().find(|peer| peer.key() == bob.key()).unwrap();
    assert_eq!(found.check().unwrap().name, "desk 2");
    assert_eq!(found.check().unwrap().addresses, bob.addresses());
    answers(&client.peer(bob.key()), 2).await;

    // One that is not there is not found, and why is said.
    let nobody = client.peer(Identity::generate().public());
    let error = DeskClient::new(&nobody).number().await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    let why = error.message();
    assert!(
        why.contains("local network") || why.contains("no node is configured"),
        "{why}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn row_11_a_peer_that_moves_or_is_started_anew_is_found_again_without_a_cloud() {
    let Some(_turn) = network().await else { return };
    let identity = Identity::generate();
    let alice = peer(&identity, 1).await;
    let bob = peer(&Identity::generate(), 9).await;
    let of_alice = bob.client().peer(alice.key());
    answers(&of_alice, 1).await;

    // It moves while the link stands.
    let began = std::time::Instant::now();
    let to = alice.relocate(&Address::new("127.0.0.1:0")).await.unwrap();
    let state = stands(
        &of_alice,
        |state| matches!(state, PeerState::Linked(at) if at.address == to),
    );
    println!("{:?} after {:?}", state.await, began.elapsed());
    answers(&of_alice, 1).await;

    // It ends without a word, and comes back elsewhere.
    drop(alice);
    let _alice = peer(&identity, 2).await;
    let began = std::time::Instant::now();
    answers(&of_alice, 2).await;
    println!("found again after {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_was_not_asked_to_says_nothing_on_the_network() {
    let Some(_turn) = network().await else { return };
    let mut config = Config::default();
    config.peer.listen = Address::new("127.0.0.1:0");
    let quiet = Peer::builder().config(config).without_registry();
    let quiet = quiet.identity(Identity::generate()).start().await.unwrap();
    let loud = peer(&Identity::generate(), 1).await;
    let client = within(Client::builder().on_lan([HERE]).connect())
        .await
        .unwrap();

    hears(&client, loud.key()).await;

    assert!(quiet.client().peers_nearby().is_empty());
    let heard = client.peers_nearby();
    assert!(heard.iter().all(|peer| peer.key() != quiet.key()));
}
