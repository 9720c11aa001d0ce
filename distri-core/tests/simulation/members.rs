//! Members that were away while others took the places of those they knew.

use std::time::Duration;

use distri::{
    directory::{CollectionSpec, Who},
    testing::{Cluster, Sim, assert_eventually, simulate},
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);

/// Five nodes, of which the last is away while others take the places of the first `replaced`, one
/// at a time.
async fn replaced_meanwhile(sim: &Sim, replaced: usize) -> Cluster {
    let cluster = sim.cluster(5).start().await;
    let spec = CollectionSpec::new("things");
    cluster
        .collection(spec.read(Who::Public).write(Who::Public))
        .await;
    cluster.crash(4);
    for index in 0..replaced {
        cluster.join().await;
        cluster.remove(index).await.unwrap();
        cluster.all_vote().await;
    }
    let things = cluster.client().await.directory().collection("things");
    things.put("news", &json!({})).await.unwrap();
    cluster
}

async fn has_the_news(cluster: &Cluster, index: usize) -> bool {
    let client = cluster.node(index).client();
    let things = client.directory().local().collection::<Value>("things");
    matches!(things.get("news").await, Ok(Some(_)))
}

#[test]
fn a_node_catches_up_that_knows_one_member_which_does_not_lead() {
    simulate(1..=5, async |sim: Sim| {
        let cluster = replaced_meanwhile(&sim, 3).await;
        // The only one that it knows follows, and those that it does not know lead.
        if cluster.leader().await == 3 {
            cluster.stop(3).await;
            cluster.restart(3).await;
        }
        assert_ne!(cluster.leader().await, 3);

        cluster.restart(4).await;

        assert_eventually!(has_the_news(&cluster, 4).await, SOON);
        cluster.must_agree().await;
        assert_eq!(cluster.node(4).handle().trouble(), None);
    });
}

#[test]
fn a_node_that_knows_no_member_any_more_says_so_and_what_to_do() {
    simulate(1..=3, async |sim: Sim| {
        let cluster = replaced_meanwhile(&sim, 4).await;

        cluster.restart(4).await;

        let trouble = || cluster.node(4).handle().trouble().unwrap_or_default();
        assert_eventually!(!trouble().is_empty(), Duration::from_secs(60));
        let said = trouble();
        for part in ["none of the members", "`distri remove`", "`distri join`"] {
            assert!(said.contains(part), "{said}");
        }
        let status = cluster.node(4).client();
        let status = status.status(Some(cluster.key(4))).await.unwrap();
        assert_eq!(status.trouble, Some(said));

        // What it says to do helps.
        cluster.remove(4).await.unwrap();
        cluster.stop(4).await;
        let anew = cluster.join().await;
        assert_eventually!(has_the_news(&cluster, anew).await, SOON);
    });
}

#[test]
fn a_node_that_only_sees_all_others_down_does_not_speak_of_joining_anew() {
    simulate(1..=2, async |sim: Sim| {
        let cluster = sim.cluster(3).start().await;
        cluster.crash(0);
        cluster.crash(1);

        sim.sleep(Duration::from_secs(60)).await;

        assert_eq!(cluster.node(2).handle().trouble(), None);
    });
}
