//! Each fault does what it says.

use std::time::Duration;

use distri::{
    directory::{Collection, CollectionSpec, Who},
    testing::{Cluster, Sim, assert_eventually, simulate},
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

async fn things(cluster: &Cluster) -> Collection<Value> {
    let spec = CollectionSpec::new("things");
    cluster
        .collection(spec.read(Who::Public).write(Who::Public))
        .await;
    let client = cluster.client().await;
    let directory = client.directory().timeout(Duration::from_secs(5));
    directory.collection("things")
}

/// Whoever follows, of a cluster of three.
async fn a_follower(cluster: &Cluster) -> usize {
    (cluster.leader().await + 1) % 3
}

#[test]
fn a_call_to_a_node_that_crashed_fails_and_does_not_hang() {
    simulate([1], async |sim: Sim| {
        let cluster = sim.cluster(1).start().await;
        let things = things(&cluster).await;
        let inside = cluster.node(0).client();
        cluster.crash(0);

        let outside = things.put("a", &json!({})).await;
        let own = inside.directory().collections().await;

        assert!(outside.is_err());
        assert!(own.is_err());
        assert_eq!(cluster.down(), [0]);
    });
}

#[test]
fn all_that_was_acknowledged_survives_a_blackout() {
    simulate(1..=5, async |sim: Sim| {
        let cluster = sim.cluster(3).start().await;
        let things = things(&cluster).await;
        things.put("a", &json!(1)).await.unwrap();

        for index in 0..3 {
            cluster.crash(index);
        }
        cluster.mend().await;

        assert_eventually!(
            things.get("a").await.is_ok_and(|found| found.is_some()),
            SOON
        );
        cluster.must_agree().await;
    });
}

#[test]
fn a_crash_in_the_middle_of_a_write_happens_there() {
    simulate(1..=10, async |sim: Sim| {
        let cluster = sim.cluster(3).start().await;
        let things = things(&cluster).await;
        let index = a_follower(&cluster).await;

        cluster.crash_while_writing(index, 3);
        assert_eq!(cluster.up().len(), 3);
        for number in 0..20 {
            things.put(format!("{number}"), &json!({})).await.unwrap();
        }

        assert_eventually!(cluster.down() == [index], SOON);
        cluster.mend().await;
        cluster.must_agree().await;
    });
}

#[test]
fn a_leader_that_hangs_is_replaced_and_follows_when_it_goes_on() {
    simulate(1..=5, async |sim: Sim| {
        let cluster = sim.cluster(3).start().await;
        let things = things(&cluster).await;
        let hung = cluster.leader().await;
        let others: Vec<_> = (0..3).filter(|index| *index != hung).collect();
        let leads = |cluster: &Cluster, key| {
            let mut seen = others.iter().map(|index| cluster.node(*index));
            seen.any(|node| node.handle().leader() == Some(key))
        };

        cluster.hang(hung);
        let replaced = || {
            others
                .iter()
                .any(|other| leads(&cluster, cluster.key(*other)))
        };
        assert_eventually!(replaced(), SOON);
        assert_eventually!(things.put("a", &json!({})).await.is_ok(), SOON);
        assert_eq!(cluster.up().len(), 3, "its process is there");
        cluster.resume(hung);

        cluster.must_agree().await;
        assert_ne!(cluster.leader().await, hung);
    });
}

#[test]
fn a_node_that_is_heard_and_hears_nothing_does_not_lead() {
    simulate(1..=5, async |sim: Sim| {
        let cluster = sim.cluster(3).start().await;
        let things = things(&cluster).await;
        let deaf = cluster.leader().await;
        let others: Vec<_> = (0..3).filter(|index| *index != deaf).collect();

        cluster.partition_one_way(others.clone(), [deaf]);

        let known = |index: usize| cluster.node(index).handle().leader();
        let replaced = || {
            others
                .iter()
                .any(|other| known(*other) == Some(cluster.key(*other)))
        };
        assert_eventually!(replaced(), SOON);
        assert_eventually!(things.put("a", &json!({})).await.is_ok(), SOON);
        cluster.heal();
        cluster.must_agree().await;
    });
}

#[test]
fn a_clock_that_is_put_forward_ends_no_lease_early() {
    simulate(1..=3, async |sim: Sim| {
        let cluster = sim.cluster(3).start().await;
        let things = things(&cluster).await;
        let directory = cluster.client().await.directory();
        let lease = directory.lease(Duration::from_secs(600)).await.unwrap();

        cluster.set_clock_ahead(cluster.leader().await, Duration::from_secs(3600));
        things.put("a", &json!({})).await.unwrap();
        sim.sleep(Duration::from_secs(1)).await;

        assert!(lease.keep_alive().await.is_ok());
    });
}

#[test]
fn a_clock_that_is_behind_makes_no_lease_eternal() {
    simulate(1..=3, async |sim: Sim| {
        let cluster = sim.cluster(3).start().await;
        let directory = cluster.client().await.directory();
        let lease = directory.lease(Duration::from_secs(5)).await.unwrap();

        cluster.set_clock_behind(cluster.leader().await, Duration::from_secs(3600));
        sim.sleep(Duration::from_secs(8)).await;

        assert!(lease.keep_alive().await.is_err());
    });
}

#[test]
fn a_node_joins_and_another_is_removed() {
    simulate(1..=3, async |sim: Sim| {
        let cluster = sim.cluster(3).start().await;
        let things = things(&cluster).await;
        things.put("a", &json!({})).await.unwrap();

        let joined = cluster.join().await;
        cluster.remove(1).await.unwrap();

        assert_eq!((joined, cluster.members()), (3, vec![0, 2, 3]));
        cluster.all_vote().await;
        cluster.must_agree().await;
    });
}

#[test]
fn a_node_that_stops_in_order_hands_over_what_it_leads() {
    simulate(1..=3, async |sim: Sim| {
        let cluster = sim.cluster(3).start().await;
        let things = things(&cluster).await;
        let led = cluster.leader().await;

        cluster.stop(led).await;
        // Another leads by now: nobody has to notice first that the old one is gone.
        let before = sim.elapsed();
        things.put("a", &json!({})).await.unwrap();

        assert!(sim.elapsed() - before < Duration::from_millis(400));
        cluster.restart(led).await;
        cluster.must_agree().await;
    });
}

/// A service with a collection of its own.
#[derive(Default)]
struct Kept;

#[distri::service(register = false, collections = Self::collections)]
impl Kept {
    /// How much there is.
    async fn count(&self, cx: &distri::Context) -> distri::Result<u64> {
        let kept = cx.node().directory().local().collection::<Value>("kept");
        kept.count(distri::directory::Filter::All).await
    }
}

impl Kept {
    fn collections(&self) -> Vec<CollectionSpec> {
        vec![CollectionSpec::new("kept")]
    }
}

#[test]
fn a_node_starts_without_a_majority_if_it_has_what_its_services_declare() {
    simulate(1..=3, async |sim: Sim| {
        let cluster = sim.cluster(3).service(|| Kept).start().await;
        cluster.must_agree().await;
        for index in 0..3 {
            cluster.kill(index);
        }

        cluster.restart(1).await;

        assert_eq!(cluster.up(), [1]);
        let kept = KeptClient::new(cluster.client().await);
        assert_eq!(kept.count().await.unwrap(), 0);
    });
}

#[test]
fn a_task_of_a_service_ends_with_its_node() {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };
    simulate([1], async |sim: Sim| {
        let cluster = sim.cluster(1).start().await;
        let beats = Arc::<AtomicU64>::default();
        let beat = beats.clone();
        cluster.node(0).handle().spawn(async move {
            loop {
                beat.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        sim.sleep(Duration::from_secs(1)).await;

        cluster.stop(0).await;
        let last = beats.load(Ordering::Relaxed);
        sim.sleep(Duration::from_secs(1)).await;

        assert!(last >= 10);
        assert_eq!(beats.load(Ordering::Relaxed), last);
    });
}
