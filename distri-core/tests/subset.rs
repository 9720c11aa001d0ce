//! Clients of clouds with more nodes than they keep links to: calls reach the nodes that they must
//! reach, and links that no call needs any more end.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test drives the world"
)]

extern crate distri_core as distri;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    time::Duration,
};

use distri::{
    Client, Code, Context, Node, Result,
    client::NodeState,
    directory::{CollectionSpec, Who},
    id::PublicKey,
    node::NodeBuilder,
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

mod directory_support;
mod support;

use directory_support::Cluster;
use support::{Cloud, eventually};

const NODES: usize = 6;
const FEW: usize = 3;

/// Tells who serves, by each way to choose.
#[derive(Default)]
struct Desk;

#[distri::service(register = false)]
impl Desk {
    #[method(idempotent)]
    async fn any(&self, cx: &Context) -> Result<PublicKey> {
        Ok(cx.node().key())
    }

    #[method(placement = leader)]
    async fn led(&self, cx: &Context) -> Result<PublicKey> {
        Ok(cx.node().key())
    }

    #[method(placement = key(user))]
    async fn owned(&self, cx: &Context, user: u32) -> Result<PublicKey> {
        let _ = user;
        Ok(cx.node().key())
    }

    #[method(placement = every)]
    async fn all(&self, cx: &Context) -> Result<PublicKey> {
        Ok(cx.node().key())
    }
}

/// What needs no directory.
#[derive(Default)]
struct Plain;

#[distri::service(register = false)]
impl Plain {
    #[method(idempotent)]
    async fn any(&self, cx: &Context) -> Result<PublicKey> {
        Ok(cx.node().key())
    }
}

/// What one node alone has.
#[derive(Default)]
struct Rare;

#[distri::service(register = false)]
impl Rare {
    async fn find(&self, cx: &Context) -> Result<PublicKey> {
        Ok(cx.node().key())
    }
}

fn desks(builder: NodeBuilder) -> NodeBuilder {
    builder.service(Desk)
}

/// Six nodes, and a client that has made its choice among them.
async fn six() -> (Cluster, Client) {
    let cluster = Cluster::hosting(NODES, 11, desks).await;
    cluster.all_vote().await;
    let client = cluster.new_client().await;
    has_chosen(&client, NODES).await;
    (cluster, client)
}

/// Six nodes without a directory, whose first has something rare.
async fn six_plain() -> Cloud {
    Cloud::of(NODES, |place, node| match place {
        0 => node.service(Rare).service(Plain),
        _ => node.service(Plain),
    })
    .await
}

/// A client that has made its choice among the nodes of `cloud`.
async fn client_of(cloud: &Cloud, seed: u8) -> Client {
    let client = Client::builder()
        .transport(cloud.transport(seed))
        .nodes(cloud.nodes.iter().map(Node::endpoint))
        .connect()
        .await
        .unwrap();
    has_chosen(&client, NODES).await;
    client
}

/// Waits until the client has heard of all nodes, and has its few links.
async fn has_chosen(client: &Client, nodes: usize) {
    eventually("three links and no more", || async {
        client.nodes().len() == nodes && ready(client).len() == FEW
    })
    .await;
}

fn in_state(client: &Client, state: NodeState) -> BTreeSet<PublicKey> {
    let nodes = client.nodes().into_iter();
    let there = nodes.filter(|node| node.state == state);
    there.map(|node| node.key).collect()
}

fn ready(client: &Client) -> BTreeSet<PublicKey> {
    in_state(client, NodeState::Ready)
}

fn keys(cluster: &Cluster) -> BTreeSet<PublicKey> {
    (0..cluster.size()).map(|node| cluster.key(node)).collect()
}

#[test]
fn what_any_node_serves_stays_with_the_few_nodes_linked() {
    virtually(async {
        let (_cluster, client) = six().await;
        let few = ready(&client);
        let mut shares = BTreeMap::new();

        for _ in 0..300 {
            let served = DeskClient::new(&client).any().await.unwrap();
            *shares.entry(served).or_insert(0) += 1;
        }

        assert_eq!(shares.keys().copied().collect::<BTreeSet<_>>(), few);
        assert!(shares.values().all(|&share| share > 40), "{shares:?}");
        assert_eq!(in_state(&client, NodeState::Standby).len(), NODES - FEW);
    });
}

#[test]
fn a_leader_an_owner_and_every_node_are_reached_whichever_nodes_are_linked() {
    virtually(async {
        let (cluster, _) = six().await;
        let of_node = DeskClient::new(cluster.node(0));
        let leads = of_node.led().await.unwrap();
        for _ in 0..8 {
            let client = cluster.new_client().await;
            has_chosen(&client, NODES).await;
            let desk = DeskClient::new(&client);

            assert_eq!(desk.led().await.unwrap(), leads);
            for user in 0..20 {
                let owner = of_node.owned(user).await.unwrap();
                assert_eq!(desk.owned(user).await.unwrap(), owner);
            }
            let all = desk.all().await.unwrap().into_iter();
            let all: BTreeSet<_> = all.map(|(_, node)| node.unwrap()).collect();
            assert_eq!(all, keys(&cluster));
        }
    });
}

#[test]
fn a_node_that_is_named_is_linked_and_let_go_a_while_after_its_last_call() {
    virtually(async {
        let cloud = six_plain().await;
        let client = client_of(&cloud, 100).await;
        let few = ready(&client);
        let standby = in_state(&client, NodeState::Standby);
        let named = *standby.first().unwrap();
        let plain = PlainClient::new(&client);

        assert_eq!(plain.any().to(named).await.unwrap(), named);
        assert!(ready(&client).contains(&named));
        // Calls now and then keep it.
        for _ in 0..6 {
            tokio::time::sleep(Duration::from_secs(40)).await;
            assert!(ready(&client).contains(&named));
            assert_eq!(plain.any().to(named).await.unwrap(), named);
        }
        tokio::time::sleep(Duration::from_secs(70)).await;

        assert_eq!(ready(&client), few);
        assert_eq!(in_state(&client, NodeState::Standby), standby);
        assert_eq!(plain.any().to(named).await.unwrap(), named);
    });
}

#[test]
fn a_node_that_goes_away_is_replaced_and_its_replacement_let_go_when_it_returns() {
    virtually(async {
        let (mut cluster, client) = six().await;
        let few = ready(&client);
        let gone = (0..NODES)
            .find(|&node| few.contains(&cluster.key(node)))
            .unwrap();
        let gone_key = cluster.key(gone);
        let calls = tokio::spawn({
            let desk = DeskClient::new(&client);
            async move {
                let until = Instant::now() + Duration::from_secs(20);
                while Instant::now() < until {
                    desk.any().await?;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok::<_, distri::Error>(())
            }
        });

        cluster.stop(gone).await;
        eventually("three links to others", || async {
            let now = ready(&client);
            now.len() == FEW && !now.contains(&gone_key)
        })
        .await;
        cluster.restart(gone).await;

        eventually("the same links as before", || async {
            ready(&client) == few
        })
        .await;
        calls.await.unwrap().unwrap();
    });
}

#[test]
fn a_node_that_was_away_for_long_is_there_for_a_call_that_names_it_as_soon_as_it_is_back() {
    virtually(async {
        let (mut cluster, client) = six().await;
        let few = ready(&client);
        let gone = (0..NODES)
            .find(|&node| few.contains(&cluster.key(node)))
            .unwrap();
        let named = cluster.key(gone);
        cluster.kill(gone);
        // Long enough for the pauses between two dials to be as long as they get.
        tokio::time::sleep(Duration::from_secs(60)).await;

        cluster.restart(gone).await;
        let back = Instant::now();
        let desk = DeskClient::new(&client);
        assert_eq!(desk.any().to(named).await.unwrap(), named);

        assert!(
            back.elapsed() < Duration::from_secs(1),
            "{:?}",
            back.elapsed()
        );
    });
}

#[test]
fn a_service_that_one_node_has_is_found_by_every_client() {
    virtually(async {
        let cloud = six_plain().await;
        let has_it = cloud.nodes[0].key();
        let mut beyond = 0;
        for seed in 100..110 {
            let client = client_of(&cloud, seed).await;
            beyond += usize::from(!ready(&client).contains(&has_it));

            let asked = Instant::now();
            assert_eq!(RareClient::new(&client).find().await.unwrap(), has_it);
            assert!(asked.elapsed() < Duration::from_secs(1));

            let unknown = client.call_json("nobody-has-it", "find", serde_json::json!({}));
            assert_eq!(unknown.await.unwrap_err().code(), Code::UnknownService);
        }
        assert!(beyond > 0, "each client happened to be linked to it anyway");
    });
}

#[test]
fn a_client_that_waits_for_more_nodes_keeps_links_to_as_many() {
    virtually(async {
        let cloud = six_plain().await;
        let client = client_of(&cloud, 100).await;

        let patience = Duration::from_secs(10);
        client.wait_for_nodes(NODES, patience).await.unwrap();

        assert_eq!(ready(&client).len(), NODES);
        tokio::time::sleep(Duration::from_secs(200)).await;
        assert_eq!(ready(&client).len(), NODES);
    });
}

#[test]
fn a_client_linked_to_more_nodes_of_a_smaller_part_than_of_the_larger_is_served_by_the_larger() {
    virtually(async {
        let cluster = Cluster::hosting(5, 11, desks).await;
        cluster.all_vote().await;
        let notes = CollectionSpec::new("notes").write(Who::Public);
        cluster.client().directory().create(notes).await.unwrap();
        let client = cluster.new_client().await;
        has_chosen(&client, 5).await;
        let few: Vec<_> = ready(&client).into_iter().collect();
        let smaller = [few[0], few[1]];
        let larger = keys(&cluster)
            .into_iter()
            .filter(|key| !smaller.contains(key));

        cluster.network.partition(smaller, larger);
        directory_support::eventually("calls to the larger part alone", || async {
            are_served_by_others(&client, smaller).await.then_some(())
        })
        .await;

        assert!(are_served_by_others(&client, smaller).await);
    });
}

/// True if writes and calls go through, and none of `these` serves.
async fn are_served_by_others(client: &Client, these: [PublicKey; 2]) -> bool {
    for _ in 0..30 {
        let served = DeskClient::new(client).any().await;
        let by_others = served.is_ok_and(|served| !these.contains(&served));
        if !by_others || write(client).await.is_err() {
            return false;
        }
    }
    true
}

async fn write(client: &Client) -> Result<()> {
    let notes = client.directory().collection::<Value>("notes");
    notes.put("note", &json!({"text": "there"})).await.map(drop)
}

/// Runs `scenario` on a clock that jumps to whatever is waited for next.
fn virtually(scenario: impl Future<Output = ()>) {
    const LIMIT: Duration = Duration::from_secs(3600);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let ended = runtime.block_on(async { timeout(LIMIT, scenario).await });
    assert!(ended.is_ok(), "the scenario did not end within {LIMIT:?}");
}
