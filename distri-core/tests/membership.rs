//! Members that come, go, hang and are cut off, as whole nodes and clients see them.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests drive nodes as a program does, and may panic"
)]

extern crate distri_core as distri;

mod directory_support;

use std::{collections::BTreeMap, time::Duration};

use directory_support::{Cluster, eventually};
use distri::{
    config::Limits,
    directory::{CollectionSpec, Who},
    id::PublicKey,
    membership::{Member, MemberState},
};

/// What a node takes the members for.
fn states(members: &[Member]) -> BTreeMap<PublicKey, MemberState> {
    let states = members.iter().map(|member| (member.key, member.state));
    states.collect()
}

/// Waits until the node `of` takes `whom` for `state`.
async fn sees(cluster: &Cluster, of: usize, whom: usize, state: MemberState) {
    let key = cluster.key(whom);
    let seen = cluster
        .node(of)
        .handle()
        .wait_for_members(|members| (states(members).get(&key) == Some(&state)).then_some(()));
    let seen = tokio::time::timeout(Duration::from_secs(60), seen).await;
    assert!(seen.is_ok(), "node {of} does not see node {whom} {state:?}");
}

async fn three(seed: u64) -> Cluster {
    let cluster = Cluster::of(3, seed).await;
    cluster.all_vote().await;
    for of in 0..3 {
        for whom in 0..3 {
            sees(&cluster, of, whom, MemberState::Alive).await;
        }
    }
    cluster
}

#[tokio::test(start_paused = true)]
async fn a_token_can_be_asked_for_as_soon_as_the_first_node_has_started() {
    for seed in 0..10 {
        let cluster = Cluster::of(1, seed).await;

        let token = cluster.node(0).client();
        let token = token.join_token(Duration::from_secs(60)).await;

        assert_eq!(token.err().map(|error| error.to_string()), None);
    }
}

#[tokio::test(start_paused = true)]
async fn each_node_knows_where_the_others_are_and_what_they_offer() {
    let cluster = three(1).await;

    let members = eventually("all have said what they offer", || async {
        let members = cluster.node(2).handle().members();
        let all = members.iter().all(|member| !member.services.is_empty());
        all.then_some(members)
    })
    .await;

    for index in 0..3 {
        let key = cluster.key(index);
        let member = members.iter().find(|member| member.key == key).unwrap();
        assert_eq!(member.address.as_ref(), Some(cluster.node(index).address()));
        let offers = member.services.iter().map(|service| service.name.as_str());
        assert!(offers.collect::<Vec<_>>().contains(&"distri-directory"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_is_told_who_is_there() {
    let mut cluster = three(2).await;
    let client = cluster.new_client().await;
    cluster.kill(1);
    sees(&cluster, 0, 1, MemberState::Down).await;

    let members = client.members(Some(cluster.key(0))).await.unwrap();

    let states = states(&members);
    assert_eq!(states[&cluster.key(0)], MemberState::Alive);
    assert_eq!(states[&cluster.key(1)], MemberState::Down);
    assert_eq!(states[&cluster.key(2)], MemberState::Alive);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_killed_is_down_until_it_is_back() {
    let mut cluster = three(3).await;

    cluster.kill(2);
    sees(&cluster, 0, 2, MemberState::Down).await;
    sees(&cluster, 1, 2, MemberState::Down).await;
    cluster.restart(2).await;

    sees(&cluster, 0, 2, MemberState::Alive).await;
    sees(&cluster, 1, 2, MemberState::Alive).await;
    sees(&cluster, 2, 0, MemberState::Alive).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_in_an_orderly_way_has_left() {
    let mut cluster = three(4).await;

    cluster.stop(2).await;

    sees(&cluster, 0, 2, MemberState::Left).await;
    sees(&cluster, 1, 2, MemberState::Left).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_one_other_still_reaches_is_not_taken_for_dead() {
    let cluster = three(5).await;
    let (one, three) = (cluster.key(0), cluster.key(2));

    // Only these two do not hear each other.
    cluster.network.partition([one], [three]);

    let down = cluster.node(0).handle().wait_for_members(|members| {
        (states(members).get(&three) == Some(&MemberState::Down)).then_some(())
    });
    let waited = tokio::time::timeout(Duration::from_secs(30), down).await;
    assert!(waited.is_err(), "it was taken for dead");
}

#[tokio::test(start_paused = true)]
async fn nodes_that_were_cut_off_are_found_again() {
    let cluster = three(6).await;
    let (rest, alone) = ([cluster.key(0), cluster.key(1)], [cluster.key(2)]);

    cluster.network.partition(rest, alone);
    sees(&cluster, 0, 2, MemberState::Down).await;
    sees(&cluster, 2, 0, MemberState::Down).await;
    sees(&cluster, 0, 1, MemberState::Alive).await;
    cluster.network.heal();

    sees(&cluster, 0, 2, MemberState::Alive).await;
    sees(&cluster, 1, 2, MemberState::Alive).await;
    sees(&cluster, 2, 0, MemberState::Alive).await;
}

#[tokio::test(start_paused = true)]
async fn a_clients_call_to_a_node_that_hangs_ends_when_the_others_have_given_that_node_up() {
    let cluster = three(8).await;
    let client = cluster.new_client().await;
    client
        .wait_for_nodes(3, Duration::from_secs(30))
        .await
        .unwrap();
    let spec = CollectionSpec::new("notes").write(Who::Public);
    cluster
        .node(0)
        .handle()
        .directory()
        .create(spec)
        .await
        .unwrap();
    let notes = client.directory().collection::<u64>("notes");
    notes.insert("before", &1).await.unwrap();
    // From now on writes go to the leader first.
    let leader = client.directory().leader().unwrap();
    let rest = (0..3)
        .map(|index| cluster.key(index))
        .filter(|key| *key != leader);
    let rest: Vec<_> = rest.chain([client.key()]).collect();

    cluster.network.partition([leader], rest);
    let began = tokio::time::Instant::now();
    notes.insert("meanwhile", &2).await.unwrap();

    // The silence itself is noticed after three times `limits.keep_alive`.
    assert!(began.elapsed() < 2 * Limits::default().keep_alive);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_removed_is_not_seen_any_more() {
    let cluster = three(7).await;
    let gone = cluster.key(2);

    cluster.client().remove_node(3).await.unwrap();

    for of in 0..2 {
        let node = cluster.node(of).handle();
        let without =
            node.wait_for_members(|members| (!states(members).contains_key(&gone)).then_some(()));
        let without = tokio::time::timeout(Duration::from_secs(60), without).await;
        assert!(without.is_ok(), "node {of} still sees it");
    }
}
