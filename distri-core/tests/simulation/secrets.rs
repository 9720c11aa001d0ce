//! The secret that the members of a cluster share: all know it, whoever comes and goes, and nobody else
//! knows the next one.

use std::{collections::BTreeSet, time::Duration};

use distri::{
    Code, NodeHandle,
    testing::{Chaos, Cluster, assert_eventually, simulate},
};
use serde_json::Value;

const LABEL: &str = "a-service/v1";

/// Longer than it takes members to agree.
const PATIENCE: Duration = Duration::from_secs(60);

async fn derived(node: &NodeHandle) -> Option<(u32, [u8; 32])> {
    let secret = node.secret(LABEL).await.ok()?;
    Some((secret.epoch(), **secret.bytes()))
}

/// What all members derive, if that is the same.
async fn agreed(cluster: &Cluster) -> Option<(u32, [u8; 32])> {
    let mut all = BTreeSet::new();
    for index in cluster.members() {
        all.insert(derived(cluster.try_node(index)?.handle()).await?);
    }
    let one = all.pop_first();
    one.filter(|_| all.is_empty())
}

#[test]
fn all_members_derive_the_same_from_the_start_and_after_a_blackout() {
    simulate(1..=5, async |sim| {
        let cluster = sim.cluster(3).start().await;
        let first = agreed(&cluster).await.expect("members do not agree");
        assert_eq!(first.0, 1);
        let node = cluster.node(0).handle().clone();
        let other = node.secret("another-label").await.unwrap();
        assert_ne!(**other.bytes(), first.1);

        let joined = cluster.join().await;
        let new = cluster.node(joined).handle().clone();
        assert_eq!(derived(&new).await, Some(first));

        for index in cluster.up() {
            cluster.crash(index);
        }
        cluster.mend().await;
        assert_eventually!(agreed(&cluster).await == Some(first), PATIENCE);
    });
}

#[test]
fn when_a_member_is_removed_the_others_have_a_secret_that_it_does_not_know() {
    simulate(1..=5, async |sim| {
        let cluster = sim.cluster(4).start().await;
        let first = agreed(&cluster).await.unwrap();
        let gone = cluster.node(3).handle().clone();

        cluster.remove(3).await.unwrap();

        let all_renewed = async || agreed(&cluster).await.filter(|(epoch, _)| *epoch == 2);
        assert_eventually!(all_renewed().await.is_some(), PATIENCE);
        let second = agreed(&cluster).await.unwrap();
        assert_ne!(second.1, first.1);
        // What was sealed before still opens.
        let before = cluster.node(0).handle().secret_of(1, LABEL).await.unwrap();
        assert_eq!(**before.bytes(), first.1);
        let known = gone.secret_of(2, LABEL).await;
        assert!(known.is_err(), "a removed member knows the new secret");
    });
}

#[test]
fn a_cluster_from_before_there_were_secrets_comes_to_one() {
    simulate(1..=5, async |sim| {
        let cluster = sim.cluster(3).start().await;
        let leader = cluster.leader().await;
        // As the directory of such a cluster is.
        let directory = cluster.node(leader).handle().directory();
        let known = directory.collection::<Value>("_cluster");
        known.delete("secrets").await.unwrap();

        assert_eventually!(
            known
                .get("secrets")
                .await
                .is_ok_and(|found| found.is_some()),
            PATIENCE
        );
        assert_eventually!(agreed(&cluster).await.is_some(), PATIENCE);
    });
}

#[test]
fn an_admin_renews_the_secret_and_nobody_else_does() {
    simulate(1..=3, async |sim| {
        let cluster = sim.cluster(3).start().await;
        let stranger = cluster.client().await;

        let refused = stranger.renew_secret().await.unwrap_err();
        // Nodes may what admins may.
        cluster.node(1).client().renew_secret().await.unwrap();

        assert_eq!(refused.code(), Code::Denied);
        let renewed = async || agreed(&cluster).await.is_some_and(|(epoch, _)| epoch == 2);
        assert_eventually!(renewed().await, PATIENCE);
    });
}

#[test]
fn members_agree_on_the_newest_secret_after_any_storm() {
    simulate(1..=15, async |sim| {
        let cluster = sim.cluster(4).start().await;
        let chaos = Chaos {
            members: 6,
            ..Chaos::default()
        };

        cluster.chaos(chaos.deeds(8)).pass().await;

        assert_eventually!(agreed(&cluster).await.is_some(), PATIENCE);
    });
}

#[test]
fn the_secret_is_neither_in_the_directory_nor_printed() {
    simulate(1..=1, async |sim| {
        let cluster = sim.cluster(2).start().await;
        let (_, bytes) = agreed(&cluster).await.unwrap();
        let node = cluster.node(0).handle().clone();
        let secret = node.secret(LABEL).await.unwrap();

        let printed = format!("{secret:?} {node:?}");

        assert!(!printed.contains(&format!("{}, {}", bytes[0], bytes[1])));
        let known = node.directory().collection::<Value>("_cluster");
        let record = known.get("secrets").await.unwrap().unwrap().value;
        let marks = record["agreed"].as_object().unwrap();
        assert_eq!(marks.len(), 1, "{record}");
        assert_eq!(marks["1"].as_str().unwrap().len(), 32, "{record}");
    });
}
