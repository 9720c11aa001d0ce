//! Row 11 of the promises: a peer that has moved is found again.

use std::time::Duration;

use distri::{
    Code,
    identity::Identity,
    peer::{Peer, PeerEvent, PeerState, RemotePeer},
    transport::{Address, Endpoint},
};
use tokio::time::Instant;

use super::{
    calls::nodes,
    directory_support::Cluster,
    support::{
        DeskClient, answers, client_over_tcp, identity, is_linked, node_over_tcp, prepared,
        prepared_tcp, stands, started, within,
    },
};

/// What a moved peer may take to be found again.
const FOUND_WITHIN: Duration = Duration::from_secs(3);

#[tokio::test(start_paused = true)]
async fn a_moved_peer_is_found_again_while_the_old_link_is_held() {
    let cluster = Cluster::of(3, 11).await;
    let network = &cluster.network;
    let old = started(prepared(network, &identity(1), nodes(&cluster), 1)).await;
    let client = cluster.new_client().await;
    let of_alice = client.peer(old.key());
    answers(&of_alice, 1).await;

    // The old life stays where it was and answers: only the record tells that it is not the peer any
    // more. Time is simulated, so the three seconds are exact.
    let moved = Instant::now();
    let new = started(prepared(network, &identity(1), nodes(&cluster), 2)).await;
    answers(&of_alice, 2).await;

    assert!(moved.elapsed() <= FOUND_WITHIN, "{:?}", moved.elapsed());
    assert_ne!(old.addresses(), new.addresses());
    // The old life has noticed, and does not outbid the new one.
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(DeskClient::new(&of_alice).number().await.unwrap(), 2);
    let boot = new.announced().unwrap().unchecked().boot;
    assert_eq!(of_alice.record().unwrap().unchecked().boot, boot);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_moves_while_it_runs_is_dialled_at_its_new_address() {
    let cluster = Cluster::of(1, 12).await;
    let alice = started(prepared(&cluster.network, &identity(1), nodes(&cluster), 1)).await;
    let client = cluster.new_client().await;
    let of_alice = client.peer(alice.key());
    answers(&of_alice, 1).await;
    let mut events = of_alice.events();
    let former = alice.announced().unwrap().seq();

    let moved = Instant::now();
    let address = alice.relocate(&Address::new("memory:0")).await.unwrap();
    let at_new =
        |state: &PeerState| matches!(state, PeerState::Linked(at) if at.address == address);
    stands(&of_alice, at_new).await;

    assert!(moved.elapsed() <= FOUND_WITHIN, "{:?}", moved.elapsed());
    let now = within(alice.wait_announced()).await.unwrap();
    assert!(now.seq() > former);
    let mut seen = Vec::new();
    while !matches!(seen.last(), Some(PeerEvent::Linked(_))) {
        seen.push(within(events.next()).await.unwrap());
    }
    let told = |n: usize| format!("{:?}", seen[n]);
    assert!(
        matches!(seen[0], PeerEvent::Announced { .. }),
        "{}",
        told(0)
    );
    assert!(
        matches!(&seen[1], PeerEvent::Unlinked(why) if why.contains("moved")),
        "{}",
        told(1)
    );
}

/// The peer says nothing new, and is not there where the link leads: its network has forgotten the link,
/// or it has gone without a word and come back at the same place.
#[tokio::test(start_paused = true)]
async fn a_link_over_which_calls_miss_their_deadline_is_closed_and_made_anew() {
    let cluster = Cluster::of(1, 15).await;
    let network = &cluster.network;
    let alice = started(prepared(network, &identity(1), nodes(&cluster), 1)).await;
    let client = cluster.new_client().await;
    let of_alice = client.peer(alice.key());
    answers(&of_alice, 1).await;
    let mut events = of_alice.events();

    // Nothing passes, and no link breaks.
    network.partition([client.key()], [alice.key()]);
    let began = Instant::now();
    for _ in 0..2 {
        let call = DeskClient::new(&of_alice).slowly(0);
        let error = call.timeout(Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    }
    let event = within(events.next()).await;
    assert!(
        matches!(&event, Some(PeerEvent::Unlinked(why)) if why.contains("missed")),
        "{event:?}"
    );
    assert!(began.elapsed() <= FOUND_WITHIN, "{:?}", began.elapsed());

    network.heal();
    let healed = Instant::now();
    answers(&of_alice, 1).await;
    assert!(healed.elapsed() <= FOUND_WITHIN, "{:?}", healed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_link_to_a_peer_that_is_slow_but_there_is_kept() {
    let cluster = Cluster::of(1, 16).await;
    let alice = started(prepared(&cluster.network, &identity(1), nodes(&cluster), 1)).await;
    let client = cluster.new_client().await;
    let of_alice = client.peer(alice.key());
    answers(&of_alice, 1).await;
    let mut events = of_alice.events();

    for _ in 0..3 {
        let call = DeskClient::new(&of_alice).slowly(60_000);
        let error = call.timeout(Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    }

    assert!(is_linked(&of_alice.state()));
    let quiet = tokio::time::timeout(Duration::from_millis(1), events.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_begun_while_the_peer_moves_arrives() {
    let cluster = Cluster::of(1, 13).await;
    let network = &cluster.network;
    let old = started(prepared(network, &identity(1), nodes(&cluster), 1)).await;
    let client = cluster.new_client().await;
    let of_alice = client.peer(old.key());
    answers(&of_alice, 1).await;

    drop(old);
    let number = DeskClient::new(&of_alice).number();
    let new = started(prepared(network, &identity(1), nodes(&cluster), 2));
    let (number, _new) = tokio::join!(number, new);

    assert_eq!(number.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_link_is_kept_when_the_peer_only_has_one_address_more() {
    let cluster = Cluster::of(1, 14).await;
    let alice = started(prepared(&cluster.network, &identity(1), nodes(&cluster), 1)).await;
    let client = cluster.new_client().await;
    let of_alice = client.peer(alice.key());
    answers(&of_alice, 1).await;
    let call = {
        let of_alice = of_alice.clone();
        tokio::spawn(async move { DeskClient::new(&of_alice).slowly(2000).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;

    // As the peer itself would say it, with a further address before the one it has.
    let record = alice.announced().unwrap();
    let mut presence = record.unchecked().clone();
    let further = distri::peer::PeerAddress::new("memory", Address::new("memory:777"));
    presence.addresses.insert(0, further);
    let seq = record.seq() + 1;
    let record = distri::signed::Signed::sign(&identity(1), seq, presence).unwrap();
    let arguments = serde_json::json!({ "record": record, "lease_ms": 6000 });
    alice
        .client()
        .call_json("distri-peers", "announce", arguments)
        .await
        .unwrap();
    within(async {
        while of_alice.record().map(|record| record.seq()) != Some(seq) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;

    assert_eq!(call.await.unwrap().unwrap(), 1);
    assert!(is_linked(&of_alice.state()));
    assert_eq!(alice.links(), 1);
}

#[tokio::test]
async fn a_moved_peer_is_found_again_over_tcp_too() {
    let node = node_over_tcp(|_| {}).await;
    let nodes: Vec<Endpoint> = vec![node.endpoint()];
    let identity = Identity::generate();
    let old = started(prepared_tcp(&identity, nodes.clone(), 1)).await;
    let client = client_over_tcp(nodes.clone()).await;
    let of_alice: RemotePeer = client.peer(old.key());
    answers(&of_alice, 1).await;

    // First its old life is still there and answers, and then another is killed.
    let second: Peer = started(prepared_tcp(&identity, nodes.clone(), 2)).await;
    let began = Instant::now();
    answers(&of_alice, 2).await;
    println!("found after {:?} with the old link held", began.elapsed());
    drop(second);
    let began = Instant::now();
    let _third = started(prepared_tcp(&identity, nodes, 3)).await;
    answers(&of_alice, 3).await;
    println!("found after {:?} with the old one killed", began.elapsed());
}
