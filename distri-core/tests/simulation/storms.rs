//! Small clusters in storms: what was acknowledged is there once, whatever went wrong.

use std::{
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use distri::{
    directory::{CollectionSpec, Who},
    testing::{Chaos, Sim, assert_eventually, simulate},
};
use serde_json::{Value, json};

use crate::{ledger::Ledger, one_at_a_time};

/// So many things go wrong in a run of the suite.
const DEEDS: usize = 6;

async fn three_nodes(sim: Sim) {
    let cluster = sim.cluster(3).start().await;
    let ledger = Ledger::open(&cluster, 3).await;

    cluster.chaos(Chaos::default().deeds(DEEDS)).pass().await;

    ledger.must_add_up(&cluster).await;
}

async fn five_nodes(sim: Sim) {
    let cluster = sim.cluster(5).start().await;
    let ledger = Ledger::open(&cluster, 3).await;

    cluster.chaos(Chaos::default().deeds(DEEDS)).pass().await;

    ledger.must_add_up(&cluster).await;
}

async fn members_that_come_and_go(sim: Sim) {
    let cluster = sim.cluster(3).start().await;
    let ledger = Ledger::open(&cluster, 3).await;

    let chaos = Chaos {
        members: 16,
        ..Chaos::default()
    };
    cluster.chaos(chaos.deeds(DEEDS)).pass().await;

    ledger.must_add_up(&cluster).await;
}

/// Logs are cut so soon that nodes that were away are sent snapshots.
async fn snapshots(sim: Sim) {
    let cluster = sim
        .cluster(3)
        .config(|config, _| config.directory.snapshot_after = 2048)
        .start()
        .await;
    let ledger = Ledger::open(&cluster, 6).await;
    let away = sim.dice().below(3);
    cluster.crash(away);
    // The log is cut behind as many entries as a node may lack and yet be sent them one by one.
    let within = Duration::from_secs(60);
    assert_eventually!(ledger.size() > 150, within, "too little was written");

    cluster.chaos(Chaos::default().deeds(DEEDS)).pass().await;

    ledger.must_add_up(&cluster).await;
}

/// What is held by a lease is there while somebody holds it, and gone a while after the last did.
async fn leases(sim: Sim) {
    let ttl = Duration::from_secs(4);
    let cluster = sim.cluster(3).start().await;
    let spec = CollectionSpec::new("presence");
    cluster
        .collection(spec.read(Who::Public).write(Who::Public))
        .await;
    let client = cluster.client().await;
    let lease = client.directory().lease(ttl).await.unwrap();
    let presence = client.directory().collection::<Value>("presence");
    let held = presence.with_lease(&lease);
    held.put("me", &json!({})).await.unwrap();

    // Nobody renews it in the storm: it may end there or not.
    let chaos = Chaos {
        // A clock that is ahead may end leases sooner, and one that is behind later.
        clocks: 0,
        ..Chaos::default()
    };
    let storm = cluster.chaos(chaos.deeds(DEEDS));
    storm.pass().await;

    let gone = Duration::from_secs(30);
    assert_eventually!(
        matches!(presence.get("me").await, Ok(None)),
        gone,
        "the lease never ends"
    );
    cluster.must_agree().await;
}

/// Runs a scenario under each seed of the suite, or of `DISTRI_SEED`.
fn storm(seeds: RangeInclusive<u64>, scenario: impl AsyncFn(Sim)) {
    let runs = Arc::<AtomicUsize>::default();
    simulate(seeds, async |sim| {
        scenario(sim).await;
        runs.fetch_add(1, Ordering::Relaxed);
    });
    assert!(runs.load(Ordering::Relaxed) > 0, "no seed was run");
}

#[test]
fn three_nodes_lose_nothing() {
    storm(1..=100, three_nodes);
}

#[test]
fn five_nodes_lose_nothing() {
    storm(1..=20, five_nodes);
}

#[test]
fn nothing_is_lost_while_members_come_and_go() {
    storm(1..=50, members_that_come_and_go);
}

#[test]
fn nothing_is_lost_while_logs_are_cut_and_snapshots_travel() {
    storm(1..=20, snapshots);
}

#[test]
fn leases_end_whatever_happens_to_their_leader() {
    storm(1..=40, leases);
}

#[test]
fn elections_have_one_holder_and_keys_one_owner() {
    storm(1..=30, async |sim| one_at_a_time::at_work(sim, DEEDS).await);
}

#[test]
#[ignore = "takes many minutes: every scenario with a hundred times the seeds"]
fn thousands_of_seeds() {
    storm(1001..=6000, three_nodes);
    storm(1001..=2500, five_nodes);
    storm(1001..=3500, members_that_come_and_go);
    storm(1001..=2500, snapshots);
    storm(1001..=3000, leases);
    storm(1001..=2500, async |sim| {
        one_at_a_time::at_work(sim, DEEDS).await
    });
}
