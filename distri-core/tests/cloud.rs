//! Several nodes: who serves, and what happens when one goes.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests drive nodes as a program does, and may panic"
)]

extern crate distri_core as distri;

mod support;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use distri::{Client, Code, Context, Node, Result, client::NodeState, identity::Identity};
use support::{Cloud, builder, endpoint, eventually};
use tokio::{sync::Notify, task::JoinSet};

/// Says who serves.
#[derive(Clone, Default)]
struct Who {
    slow: Arc<AtomicBool>,
    begun: Arc<AtomicU32>,
    go_on: Arc<Notify>,
}

#[distri::service(register = false)]
impl Who {
    #[method(idempotent)]
    async fn serves(&self, cx: &Context) -> Result<String> {
        if self.slow.load(Ordering::SeqCst) {
            self.begun.fetch_add(1, Ordering::SeqCst);
            self.go_on.notified().await;
        }
        Ok(cx.node().name().to_owned())
    }

    #[method(idempotent, placement = key(user))]
    async fn owns(&self, cx: &Context, user: String) -> Result<String> {
        let _ = user;
        Ok(cx.node().name().to_owned())
    }

    #[method(idempotent, placement = every)]
    async fn is_there(&self, cx: &Context) -> Result<String> {
        Ok(cx.node().name().to_owned())
    }

    /// Not to be repeated.
    async fn once(&self) -> Result<()> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.go_on.notified().await;
        Ok(())
    }
}

async fn three() -> (Cloud, Client, Vec<Who>) {
    let services = vec![Who::default(), Who::default(), Who::default()];
    let cloud = Cloud::of(3, |place, node| node.service(services[place].clone())).await;
    let client = cloud.client().await;
    (cloud, client, services)
}

#[tokio::test]
async fn calls_spread_over_the_nodes() {
    let (_cloud, client, _) = three().await;
    let who = WhoClient::new(client);
    let mut shares = BTreeMap::new();

    for _ in 0..300 {
        *shares.entry(who.serves().await.unwrap()).or_insert(0) += 1;
    }

    assert_eq!(shares.len(), 3, "{shares:?}");
    assert!(shares.values().all(|&share| share > 40), "{shares:?}");
}

#[tokio::test]
async fn a_node_whose_calls_do_not_end_gets_no_more_than_its_share_of_waiting() {
    let (_cloud, client, services) = three().await;
    services[0].slow.store(true, Ordering::SeqCst);
    let who = WhoClient::new(client);
    let calls: Vec<_> = (0..300)
        .map(|_| {
            let who = who.clone();
            tokio::spawn(async move { who.serves().await })
        })
        .collect();

    eventually("all but the stuck calls have ended", || async {
        let stuck = services[0].begun.load(Ordering::SeqCst) as usize;
        calls.iter().filter(|call| call.is_finished()).count() + stuck == 300
    })
    .await;

    let stuck = services[0].begun.load(Ordering::SeqCst);
    assert!(
        stuck < 150,
        "{stuck} of 300 calls went to the node that does not answer"
    );
    // With the stuck calls counted against it, new calls go elsewhere.
    for _ in 0..50 {
        assert_ne!(who.serves().await.unwrap(), "node-0");
    }
    calls.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn no_call_fails_when_a_node_stops_abruptly() {
    let (mut cloud, client, _) = three().await;
    let who = WhoClient::new(client);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let who = who.clone();
            tokio::spawn(async move {
                for _ in 0..200 {
                    who.serves().await.unwrap();
                }
            })
        })
        .collect();

    eventually("calls are under way", || {
        let served = cloud.nodes[0]
            .status()
            .methods
            .iter()
            .any(|method| method.served > 50);
        async move { served }
    })
    .await;
    drop(cloud.nodes.remove(0));

    for call in calls {
        call.await.unwrap();
    }
}

#[tokio::test]
async fn a_call_that_must_not_be_repeated_says_that_its_outcome_is_unknown() {
    let (mut cloud, client, services) = three().await;
    let who = WhoClient::new(client);
    let to = cloud.nodes[0].key();
    let call = tokio::spawn(async move { who.once().to(to).await });
    eventually("the call is served", || async {
        services[0].begun.load(Ordering::SeqCst) == 1
    })
    .await;

    drop(cloud.nodes.remove(0));

    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.code(), Code::UnknownOutcome);
    assert!(error.is_unknown_outcome());
}

#[tokio::test]
async fn a_node_that_drains_finishes_its_calls_and_gets_no_new_ones() {
    let (cloud, client, services) = three().await;
    services[0].slow.store(true, Ordering::SeqCst);
    let who = WhoClient::new(client);
    let held = tokio::spawn({
        let (who, to) = (who.clone(), cloud.nodes[0].key());
        async move { who.serves().to(to).await }
    });
    eventually("the call is served", || async {
        services[0].begun.load(Ordering::SeqCst) == 1
    })
    .await;

    let node = cloud.nodes[0].clone();
    let stopping = tokio::spawn(async move { node.shutdown().await });
    for _ in 0..100 {
        who.serves().await.unwrap();
    }
    assert_eq!(services[0].begun.load(Ordering::SeqCst), 1);
    services[0].go_on.notify_waiters();

    assert_eq!(held.await.unwrap().unwrap(), "node-0");
    stopping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_at_its_limit_even_if_a_call_does_not() {
    let (cloud, client, services) = three().await;
    services[0].slow.store(true, Ordering::SeqCst);
    let who = WhoClient::new(client);
    let to = cloud.nodes[0].key();
    let held = tokio::spawn(async move { who.once().to(to).await });
    eventually("the call is served", || async {
        services[0].begun.load(Ordering::SeqCst) == 1
    })
    .await;
    let start = tokio::time::Instant::now();

    cloud.nodes[0].shutdown().await;

    assert!(
        start.elapsed() < Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
    assert!(held.await.unwrap().is_err());
}

#[tokio::test]
async fn the_same_key_meets_the_same_node() {
    let (_cloud, client, _) = three().await;
    let who = WhoClient::new(client);
    let mut owners = BTreeMap::new();
    for n in 0..60 {
        let user = format!("user-{n}");
        let owner = who.owns(user.clone()).await.unwrap();
        for _ in 0..3 {
            assert_eq!(who.owns(user.clone()).await.unwrap(), owner);
        }
        *owners.entry(owner).or_insert(0) += 1;
    }

    assert_eq!(owners.len(), 3, "{owners:?}");
}

#[tokio::test]
async fn a_call_of_every_node_gathers_every_answer() {
    let (_cloud, client, _) = three().await;

    let mut names: Vec<_> = WhoClient::new(client)
        .is_there()
        .await
        .unwrap()
        .into_iter()
        .map(|(_, name)| name.unwrap())
        .collect();

    names.sort();
    assert_eq!(names, ["node-0", "node-1", "node-2"]);
}

#[tokio::test]
async fn a_client_that_knows_one_node_learns_of_the_others() {
    let (cloud, _, _) = three().await;
    let client = Client::builder()
        .transport(cloud.transport(201))
        .nodes([cloud.nodes[1].endpoint()])
        .connect()
        .await
        .unwrap();

    client
        .wait_for_nodes(3, Duration::from_secs(10))
        .await
        .unwrap();
}

// On several threads, so that the call may come before what the node says of the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_first_call_of_a_client_that_knows_one_node_finds_what_only_another_offers() {
    let cloud = Cloud::of(2, |place, node| match place {
        0 => node,
        _ => node.service(Who::default()),
    })
    .await;
    for seed in 0..50 {
        let client = Client::builder()
            .transport(cloud.transport(100 + seed))
            .nodes([cloud.nodes[0].endpoint()])
            .connect()
            .await
            .unwrap();

        let served = WhoClient::new(client).serves().await;

        assert_eq!(served.unwrap(), "node-1", "client {seed}");
    }
}

// On more threads than there are processors, so that a link may be made at any moment of another's look.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn no_client_says_that_nobody_is_there_while_it_is_being_linked() {
    let (cloud, _, _) = three().await;
    let mut connecting = JoinSet::new();
    for _ in 0..400 {
        let transport = Arc::new(cloud.network.transport(Identity::generate()));
        let nodes = [cloud.nodes[0].endpoint(), cloud.nodes[1].endpoint()];
        connecting.spawn(async move {
            let client = Client::builder().transport(transport).nodes(nodes);
            client.connect().await.map(|_| ())
        });
    }

    while let Some(connected) = connecting.join_next().await {
        connected.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_node_that_comes_back_is_found_again() {
    let (mut cloud, client, _) = three().await;
    let gone = cloud.nodes.remove(0);
    let key = gone.key();
    gone.shutdown().await;
    drop(gone);
    let state = |client: &Client| client.nodes().iter().find(|n| n.key == key).unwrap().state;
    eventually("the client notices", || async {
        state(&client) != NodeState::Ready
    })
    .await;

    let endpoints: Vec<_> = (0..3).map(endpoint).collect();
    let back = builder(&cloud.network, 0, &endpoints).service(Who::default());
    let _back = back.start().await.unwrap();

    eventually("the client finds it", || async {
        state(&client) == NodeState::Ready
    })
    .await;
}

#[tokio::test]
async fn two_nodes_that_dial_each_other_at_once_keep_one_link() {
    for seed in 0..20 {
        let network = distri::transport::memory::Network::new(seed);
        let cloud = Cloud::on(network, 2, |_, node| node.service(Who::default())).await;

        eventually("one link remains", || async {
            cloud.nodes.iter().all(|node| node.links() == 1)
        })
        .await;

        for node in &cloud.nodes {
            let who = WhoClient::new(node);
            let other = cloud
                .nodes
                .iter()
                .find(|other| other.key() != node.key())
                .unwrap();
            assert_eq!(who.serves().to(other.key()).await.unwrap(), other.name());
        }
    }
}

#[tokio::test]
async fn a_client_that_reaches_nobody_says_whom_it_tried_and_why() {
    let network = distri::transport::memory::Network::new(1);
    let transport = Arc::new(network.transport(support::identity(9)));

    let error = Client::builder()
        .transport(transport)
        .nodes([endpoint(4)])
        .connect()
        .await
        .unwrap_err();

    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.message().contains("memory:5"), "{error}");
}

#[tokio::test]
async fn a_node_cut_off_is_left_out_and_comes_back_after_healing() {
    let (cloud, client, _) = three().await;
    let keys: Vec<_> = cloud.nodes.iter().map(Node::key).collect();
    let who = WhoClient::new(client.clone());

    cloud.network.cut(client.key(), keys[0]);
    for _ in 0..100 {
        who.serves().await.unwrap();
    }

    client
        .wait_for_nodes(3, Duration::from_secs(10))
        .await
        .unwrap();
}
