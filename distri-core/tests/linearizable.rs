//! The directory's promises under faults: clusters of whole nodes over the in-memory network, with
//! clients at work while nodes die and come back on their disks and links stall, slow and break.
//!
//! - `register`: every answer about single documents, put together, is that of one copy
//!   (linearizable; `checker` decides, and proves by its own tests that it can say no).
//! - `ledger`: what was acknowledged is there, exactly once, what was refused is not, transactions
//!   are whole, and who watches is told each change once and in order.
//! - `crowd`: many clients that add, read, update and read, without faults, without a failure.
//!
//! After each run all nodes hold the same documents at the same revisions.
//!
//! The first two run in the simulation ([`distri::testing`]), under whose storms nodes lose power in the
//! middle of writes, die, hang and come back, clocks go wrong, and links stall, slow and break; a run that
//! fails says how it is repeated exactly. More seeds than the suite has, the last included:
//!
//! ```text
//! DISTRI_SEED=1..100 cargo test -p distri-core --test linearizable of_
//! ```
//!
//! With `DISTRI_CROWD=2500` each crowd has so many clients.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test drives the world"
)]

extern crate distri_core as distri;

use std::{future::Future, time::Duration};

use distri::testing::simulate;

mod directory_support;

#[path = "linearizable/acts.rs"]
mod acts;
#[path = "linearizable/checker.rs"]
mod checker;
#[path = "linearizable/clerk.rs"]
mod clerk;
#[path = "linearizable/crowd.rs"]
mod crowd;
#[path = "linearizable/dice.rs"]
mod dice;
#[path = "linearizable/held.rs"]
mod held;
#[path = "linearizable/history.rs"]
mod history;
#[path = "linearizable/ledger.rs"]
mod ledger;
#[path = "linearizable/register.rs"]
mod register;
#[path = "linearizable/replicas.rs"]
mod replicas;
#[path = "linearizable/siege.rs"]
mod siege;

use directory_support::{Cluster, eventually};

#[test]
fn answers_on_three_nodes_are_those_of_one_copy() {
    simulate(1..=12, async |sim| register::run(sim, 3).await);
}

#[test]
fn answers_on_five_nodes_are_those_of_one_copy() {
    simulate(1..=6, async |sim| register::run(sim, 5).await);
}

#[test]
fn the_ledger_of_three_nodes_adds_up() {
    simulate(1..=8, async |sim| ledger::run(sim, 3).await);
}

#[test]
fn the_ledger_of_five_nodes_adds_up() {
    simulate(1..=4, async |sim| ledger::run(sim, 5).await);
}

#[test]
fn every_client_of_a_crowd_finds_its_own_last_write_on_one_node() {
    for_crowds(1, &[5, 50, 500]);
}

#[test]
fn every_client_of_a_crowd_finds_its_own_last_write_on_two_nodes() {
    for_crowds(2, &[5, 50, 500]);
}

#[test]
fn every_client_of_a_crowd_finds_its_own_last_write_on_three_nodes() {
    for_crowds(3, &[5, 50, 500]);
}

#[test]
fn every_client_of_a_crowd_finds_its_own_last_write_on_five_nodes() {
    // 500 take half a minute; `DISTRI_CROWD=500` has them.
    for_crowds(5, &[5, 50]);
}

#[test]
fn a_write_that_may_have_taken_effect_never_ends_as_one_that_has_not() {
    virtually(async {
        let mut cluster = Cluster::of(1, 1).await;
        register::create(&cluster.node(0).handle().directory()).await;
        let node = cluster.key(0);
        let client = cluster.new_client().await;
        cluster.network.partition_one_way([node], [client.key()]);
        let write = tokio::spawn(register::put(client.clone(), 7));
        eventually("the write is made", || async {
            let made = register::get(cluster.node(0).client()).await;
            (made == Some(7)).then_some(())
        })
        .await;

        cluster.kill(0);
        cluster.network.cut(node, client.key());

        // It tries again, and finds no node.
        let error = write.await.unwrap().unwrap_err();
        assert!(error.is_unknown_outcome(), "{error:?}");
    });
}

fn for_crowds(nodes: usize, suite: &[usize]) {
    let crowds = match std::env::var("DISTRI_CROWD") {
        Ok(clients) => vec![clients.parse().expect("DISTRI_CROWD is a number")],
        Err(_) => suite.to_vec(),
    };
    for clients in crowds {
        println!("{clients} clients on {nodes} nodes");
        virtually(crowd::run(nodes, clients));
    }
}

/// Runs a scenario on a clock that jumps over every wait.
fn virtually(scenario: impl Future<Output = ()>) {
    /// Of virtual time, far more than any scenario takes.
    const LIMIT: Duration = Duration::from_secs(3600);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let ended = runtime.block_on(async { tokio::time::timeout(LIMIT, scenario).await });
    assert!(ended.is_ok(), "the scenario did not end within {LIMIT:?}");
}
