//! Services that one node leads (`placement = leader`): who serves, and what becomes of calls when that
//! changes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use distri::{
    Client, Code, Config, Context, Node, Result,
    directory::CollectionSpec,
    id::PublicKey,
    identity::Identity,
    node::{NodeBuilder, StartError},
    service::{Elsewhere, Health},
    transport::{Address, Endpoint, memory::Network},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    LEASE,
    directory_support::{Cluster, eventually},
    is_fenced, virtually,
};

/// Gives out numbers, one after the other, and knows where.
#[derive(Default)]
struct Counter {
    ill: Arc<AtomicBool>,
}

#[distri::service(register = false, placement = leader, health = Self::health)]
impl Counter {
    /// Who serves, and under which fence.
    #[method(idempotent)]
    async fn place(&self, cx: &Context) -> Result<(PublicKey, u64)> {
        let fence = cx.fence().expect("a led service has a fence");
        assert_eq!(fence.election(), "service/counter");
        Ok((cx.node().key(), fence.number()))
    }

    /// Writes after a while.
    async fn write(&self, cx: &Context, millis: u64) -> Result<()> {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let notes = cx.directory().collection::<Value>("notes");
        notes.put("note", &json!({"after": millis})).await.map(drop)
    }

    /// From now on it is ill here.
    async fn fall_ill(&self) -> Result<()> {
        self.ill.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Served by any node.
    #[method(placement = any)]
    async fn hello(&self, cx: &Context) -> Result<bool> {
        Ok(cx.fence().is_none())
    }
}

impl Counter {
    fn health(&self) -> Health {
        if self.ill.load(Ordering::Relaxed) {
            Health::NotServing
        } else {
            Health::Serving
        }
    }
}

fn counters(builder: NodeBuilder) -> NodeBuilder {
    builder.service(Counter::default())
}

async fn cluster(count: usize) -> Cluster {
    let cluster = Cluster::hosting(count, 1, counters).await;
    cluster.all_vote().await;
    let directory = cluster.client().directory();
    directory
        .create(CollectionSpec::new("notes"))
        .await
        .unwrap();
    cluster
}

/// Which node leads the service, as a client is served.
async fn leader(cluster: &Cluster, client: &Client) -> usize {
    let (key, _) = CounterClient::new(client).place().await.unwrap();
    index_of(cluster, key)
}

fn index_of(cluster: &Cluster, key: PublicKey) -> usize {
    (0..cluster.size())
        .find(|i| cluster.key(*i) == key)
        .unwrap()
}

#[test]
fn one_node_serves_whoever_asks_and_by_whichever_way() {
    virtually(async {
        let cluster = cluster(3).await;
        let outside = cluster.new_client().await;
        let first = CounterClient::new(&outside).place().await.unwrap();

        for index in 0..3 {
            let counter = CounterClient::new(cluster.node(index));
            assert_eq!(counter.place().await.unwrap(), first);
            let by_name = cluster
                .node(index)
                .client()
                .call_json("counter", "place", json!({}));
            assert_eq!(by_name.await.unwrap().node, first.0);
        }
        let by_name = outside.call_json("counter", "place", json!({})).await;
        assert_eq!(by_name.unwrap().node, first.0);
        assert!(CounterClient::new(&outside).hello().await.unwrap());
    });
}

#[test]
fn a_node_that_does_not_lead_says_who_does() {
    virtually(async {
        let cluster = cluster(3).await;
        let client = cluster.new_client().await;
        let leads = leader(&cluster, &client).await;
        let other = (leads + 1) % 3;

        let call = CounterClient::new(&client).place().to(cluster.key(other));
        let refused = call.await.unwrap_err();

        assert!(refused.is_retryable());
        let elsewhere = Elsewhere::Led {
            service: "counter".into(),
            by: Some(cluster.key(leads)),
        };
        assert_eq!(refused.details(), Some(elsewhere));
    });
}

#[test]
fn calls_go_on_at_another_node_when_the_leader_dies() {
    virtually(async {
        let mut cluster = cluster(3).await;
        let client = cluster.new_client().await;
        let (key, fence) = CounterClient::new(&client).place().await.unwrap();

        let began = Instant::now();
        cluster.kill(index_of(&cluster, key));
        let (next, higher) = CounterClient::new(&client).place().await.unwrap();

        assert!(next != key && higher > fence);
        // The lease, and an election of the directory's own leader if it was the same node.
        assert!(
            began.elapsed() < LEASE + Duration::from_secs(3),
            "{:?}",
            began.elapsed()
        );
    });
}

#[test]
fn no_call_fails_while_leaders_stop_one_after_the_other() {
    virtually(async {
        let mut cluster = cluster(3).await;
        let client = cluster.new_client().await;
        let done = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let (client, done) = (client.clone(), done.clone());
                tokio::spawn(async move {
                    let mut fence = 0;
                    while !done.load(Ordering::Relaxed) {
                        let (_, next) = CounterClient::new(&client).place().await.unwrap();
                        assert!(next >= fence, "served by a former leader");
                        fence = next;
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                })
            })
            .collect();

        for _ in 0..3 {
            let leads = leader(&cluster, &client).await;
            cluster.stop(leads).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            cluster.restart(leads).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }

        done.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.await.unwrap();
        }
    });
}

#[test]
fn a_leader_that_stops_finishes_its_calls_under_a_fence_that_stands() {
    virtually(async {
        let mut cluster = cluster(3).await;
        let client = cluster.new_client().await;
        let leads = leader(&cluster, &client).await;
        let counter = CounterClient::new(&client);
        let slow = tokio::spawn(async move { counter.write(1500).await });
        eventually("the call is served", || async {
            let served = cluster.node(leads).status();
            let methods = served.methods.iter();
            let write = methods.filter(|method| method.name == "counter.write");
            (write.map(|m| m.in_flight).sum::<u32>() > 0).then_some(())
        })
        .await;

        cluster.stop(leads).await;

        slow.await.unwrap().unwrap();
        assert_ne!(leader(&cluster, &client).await, leads);
    });
}

#[test]
fn what_a_former_leader_still_writes_is_refused() {
    virtually(async {
        let cluster = cluster(3).await;
        let outside = cluster.new_client().await;
        let leads = leader(&cluster, &outside).await;
        let here = CounterClient::new(cluster.node(leads));
        let late = tokio::spawn(async move { here.write(12_000).await });
        let others = (0..3).filter(|i| *i != leads).map(|i| cluster.key(i));
        tokio::time::sleep(Duration::from_millis(10)).await;

        let outsider = [outside.key()];
        cluster
            .network
            .partition([cluster.key(leads)], others.chain(outsider));
        tokio::time::sleep(2 * LEASE).await;
        assert_ne!(leader(&cluster, &outside).await, leads);
        cluster.network.heal();

        let refused = late.await.unwrap().unwrap_err();
        assert!(is_fenced(&refused), "{refused:?}");
    });
}

#[test]
fn a_service_that_is_not_well_is_led_elsewhere() {
    virtually(async {
        let cluster = cluster(3).await;
        let client = cluster.new_client().await;
        let first = leader(&cluster, &client).await;

        CounterClient::new(&client).fall_ill().await.unwrap();

        eventually("another leads", || async {
            (leader(&cluster, &client).await != first).then_some(())
        })
        .await;
    });
}

#[test]
fn a_led_service_needs_a_directory() {
    virtually(async {
        let network = Network::new(1);
        let mut config = Config::default();
        config.node.listen = Address::new("memory:1");
        config.cloud.nodes = vec![Endpoint {
            key: Identity::from_seed(&[9; 32]).public(),
            address: Address::new("memory:2"),
        }];
        let transport = network.transport(Identity::from_seed(&[1; 32]));
        let builder = Node::builder()
            .transport(Arc::new(transport))
            .config(config);

        let refused = counters(builder.without_registry())
            .start()
            .await
            .unwrap_err();

        assert!(matches!(refused, StartError::NeedsDirectory { name } if name == "counter"));
    });
}

#[test]
fn a_caller_that_waits_for_a_leader_in_vain_is_told_that_nothing_was_done() {
    virtually(async {
        let mut cluster = cluster(3).await;
        let client = cluster.new_client().await;
        let leads = leader(&cluster, &client).await;
        // Nobody can be elected any more.
        let quorum: Vec<_> = (0..3).filter(|i| *i != (leads + 1) % 3).collect();
        quorum.into_iter().for_each(|index| cluster.kill(index));
        tokio::time::sleep(LEASE).await;

        let call = CounterClient::new(&client)
            .write(0)
            .timeout(Duration::from_secs(60));
        let refused = call.await.unwrap_err();

        assert_eq!(refused.code(), Code::Unavailable);
    });
}
