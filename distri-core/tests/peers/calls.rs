//! Peers that are called, or cannot be.

use std::sync::Arc;

use distri::{
    Client, Code, Config, Node,
    identity::Identity,
    peer::{Peer, PeerError, PeerState, Presence},
    signed::Signed,
    transport::{Address, Endpoint, memory::Network, tcp::Tcp},
};

use super::{
    directory_support::Cluster,
    support::{
        Desk, DeskClient, answers, client_over_tcp, identity, is_linked, node_over_tcp, prepared,
        prepared_tcp, stands, started, within,
    },
};

pub(super) fn nodes(cluster: &Cluster) -> Vec<Endpoint> {
    cluster
        .up()
        .map(|node| cluster.node(node).endpoint())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn peers_call_each_other_by_key_and_know_who_calls() {
    let cluster = Cluster::of(3, 1).await;
    let alice = started(prepared(&cluster.network, &identity(1), nodes(&cluster), 1)).await;
    let bob = started(prepared(&cluster.network, &identity(2), nodes(&cluster), 2)).await;

    let of_bob = alice.client().peer(bob.key());
    let of_alice = bob.client().peer(alice.key());

    assert_eq!(
        DeskClient::new(&of_bob).who().await.unwrap(),
        alice.key().to_string()
    );
    assert_eq!(
        DeskClient::new(&of_alice).who().await.unwrap(),
        bob.key().to_string()
    );
    assert_eq!(DeskClient::new(&of_bob).number().await.unwrap(), 2);
    // A client that is no peer finds them too, and so does a node.
    let stranger = cluster.new_client().await;
    assert_eq!(
        DeskClient::new(stranger.peer(alice.key()))
            .number()
            .await
            .unwrap(),
        1
    );
    let node = cluster.node(1).client();
    assert_eq!(
        DeskClient::new(node.peer(bob.key()))
            .number()
            .await
            .unwrap(),
        2
    );
    // And a peer itself.
    assert_eq!(
        DeskClient::new(bob.client().peer(bob.key()))
            .number()
            .await
            .unwrap(),
        2
    );
}

#[tokio::test]
async fn the_same_over_tcp() {
    let node = node_over_tcp(|_| {}).await;
    let (alice, bob) = (Identity::generate(), Identity::generate());
    let alice = started(prepared_tcp(&alice, vec![node.endpoint()], 1)).await;
    let bob = started(prepared_tcp(&bob, vec![node.endpoint()], 2)).await;

    let of_bob = alice.client().peer(bob.key());
    assert_eq!(
        DeskClient::new(&of_bob).who().await.unwrap(),
        alice.key().to_string()
    );
    assert!(is_linked(&of_bob.state()), "{:?}", of_bob.state());
    let client = client_over_tcp(vec![node.endpoint()]).await;
    assert_eq!(
        DeskClient::new(client.peer(alice.key()))
            .number()
            .await
            .unwrap(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_takes_no_part_in_the_cloud() {
    let cluster = Cluster::of(1, 2).await;
    let alice = started(prepared(&cluster.network, &identity(1), nodes(&cluster), 1)).await;
    let client = cluster.new_client().await;
    answers(&client.peer(alice.key()), 1).await;

    let error = DeskClient::new(&client).number().await.unwrap_err();
    assert_eq!(error.code(), Code::UnknownService);
    let error = DeskClient::new(alice.client()).number().await.unwrap_err();
    assert_eq!(error.code(), Code::UnknownService);
    assert!(client.nodes().iter().all(|node| node.key != alice.key()));
    let members = cluster.node(0).handle().members();
    assert!(members.iter().all(|member| member.key != alice.key()));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_nobody_has_is_said_to_be_unknown_at_once() {
    let cluster = Cluster::of(1, 3).await;
    let client = cluster.new_client().await;
    let key = identity(9).public();

    let error = DeskClient::new(client.peer(key))
        .number()
        .await
        .unwrap_err();

    assert_eq!(error.details(), Some(PeerError::Unknown { key }));
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_finishes_calls_that_ask_the_cloud() {
    let cluster = Cluster::of(1, 5).await;
    let alice = started(prepared(&cluster.network, &identity(1), nodes(&cluster), 1)).await;
    let client = cluster.new_client().await;
    let desk = DeskClient::new(client.peer(alice.key()));

    let (asked, ()) = tokio::join!(desk.asks_the_cloud(2000), async {
        // It goes over the same link, so when it is answered the other has begun.
        desk.number().await.unwrap();
        alice.shutdown().await;
    });

    asked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_said_goodbye_is_away_and_one_that_is_back_is_called_again() {
    let cluster = Cluster::of(1, 4).await;
    let alice = started(prepared(&cluster.network, &identity(1), nodes(&cluster), 1)).await;
    let client = cluster.new_client().await;
    let of_alice = client.peer(alice.key());
    answers(&of_alice, 1).await;

    alice.shutdown().await;
    let state = stands(&of_alice, |state| matches!(state, PeerState::Out(_))).await;
    assert!(matches!(&state, PeerState::Out(PeerError::Away { name, .. }) if name == "alice"));
    let error = DeskClient::new(&of_alice).number().await.unwrap_err();
    assert!(error.message().contains("is away, for "), "{error}");
    // Who has never known it, hears the same from the cloud.
    let other = cluster.new_client().await;
    let error = DeskClient::new(other.peer(alice.key()))
        .number()
        .await
        .unwrap_err();
    assert!(matches!(error.details(), Some(PeerError::Away { name, .. }) if name == "alice"));

    let again = started(prepared(&cluster.network, &identity(1), nodes(&cluster), 5)).await;
    answers(&of_alice, 5).await;
    drop(again);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_died_is_away_when_its_lease_has_ended() {
    let cluster = Cluster::of(1, 5).await;
    let alice = started(prepared(&cluster.network, &identity(1), nodes(&cluster), 1)).await;
    let client = cluster.new_client().await;
    let of_alice = client.peer(alice.key());
    answers(&of_alice, 1).await;

    let at = alice.addresses()[0].clone();
    drop(alice);

    // At first it is only not reachable, and the error says where it was looked for.
    let unreachable = |state: &PeerState| {
        matches!(state, PeerState::Out(PeerError::Unreachable { tried, .. })
            if tried.len() == 1 && tried[0].address == at)
    };
    stands(&of_alice, unreachable).await;
    let is_away = |state: &PeerState| matches!(state, PeerState::Out(PeerError::Away { .. }));
    stands(&of_alice, is_away).await;
}

#[tokio::test(start_paused = true)]
async fn an_address_that_swallows_everything_does_not_hide_another() {
    let cluster = Cluster::of(1, 6).await;
    let network = &cluster.network;
    // A transport at whose addresses nobody ever answers: another network.
    let nowhere = Network::new(9);
    let stuck = identity(3);
    let listener = Arc::new(nowhere.transport(stuck.clone()));
    let alice = identity(1);
    let alice = prepared(network, &alice, nodes(&cluster), 1)
        .also_over(Arc::new(Tcp::new(alice)), Address::new("127.0.0.1:0"));
    drop(listener);
    let alice = started(alice).await;
    assert_eq!(alice.addresses().len(), 2);
    let client = cluster.new_client().await;

    // This client has no TCP besides, and says so only if nothing else works.
    answers(&client.peer(alice.key()), 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_cloud_may_have_a_list_of_peers() {
    let network = Network::new(7);
    let listed = identity(1);
    let mut config = Config::default();
    config.node.listen = Address::new("memory:1");
    config.access.peers = distri::config::PeerAccess::Listed;
    config.access.keys = vec![listed.public()];
    let node = Node::builder()
        .config(config)
        .transport(Arc::new(network.transport(identity(20))))
        .without_registry()
        .found()
        .start()
        .await
        .unwrap();

    started(prepared(&network, &listed, vec![node.endpoint()], 1)).await;
    let other = prepared(&network, &identity(2), vec![node.endpoint()], 2);
    let other = other.start().await.unwrap();
    let error = within(other.wait_announced()).await.unwrap_err();

    assert_eq!(error.code(), Code::Denied);
    assert!(error.message().contains("access.peers"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_serves_before_it_can_reach_a_cloud_and_says_where_it_is_as_soon_as_it_can() {
    let network = Network::new(8);
    let (node, alice) = (identity(20), identity(1));
    let endpoint = Endpoint {
        key: node.public(),
        address: Address::new("memory:100"),
    };
    let peer = prepared(&network, &alice, vec![endpoint.clone()], 1);
    let peer = peer.start().await.unwrap();
    assert_eq!(peer.announced(), None);

    let mut config = Config::default();
    config.node.listen = endpoint.address.clone();
    let node = Node::builder()
        .config(config)
        .transport(Arc::new(network.transport(node)))
        .without_registry()
        .found()
        .start()
        .await
        .unwrap();

    let record: Signed<Presence> = within(peer.wait_announced()).await.unwrap();
    assert_eq!(record.check_by(peer.key()).unwrap().name, "alice");
    answers(&node.client().peer(peer.key()), 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_may_have_a_list_of_callers() {
    let cluster = Cluster::of(1, 9).await;
    let (alice, friend) = (identity(1), identity(2));
    let mut config = Config::default();
    config.peer.listen = Address::new("memory:0");
    config.cloud.nodes = nodes(&cluster);
    config.access.clients = distri::config::ClientAccess::Listed;
    config.access.keys = vec![friend.public()];
    let builder = Peer::builder()
        .config(config)
        .identity(alice.clone())
        .transport(Arc::new(cluster.network.transport(alice)))
        .without_registry()
        .service(Desk(1));
    let alice = started(builder).await;
    let friend = Client::builder()
        .transport(Arc::new(cluster.network.transport(friend)))
        .nodes(nodes(&cluster))
        .connect()
        .await
        .unwrap();

    answers(&friend.peer(alice.key()), 1).await;
    let stranger = cluster.new_client().await;
    let of_alice = stranger.peer(alice.key());
    let state = stands(&of_alice, |state| matches!(state, PeerState::Out(_))).await;

    let text = format!("{state:?}");
    assert!(text.contains("is not admitted here"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_proves_another_key_is_refused() {
    let network = Network::new(1);
    let builder = prepared(&network, &identity(1), Vec::new(), 1)
        .transport(Arc::new(network.transport(identity(2))));

    let error = builder.start().await.unwrap_err();

    assert!(
        matches!(error, distri::peer::StartError::OtherKey { .. }),
        "{error}"
    );
}
