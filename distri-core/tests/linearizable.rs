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
//! Everything runs in one thread under a paused clock, so that minutes of faults take about a
//! second. The faults, the delays and what the clients do follow from the seed; sessions, election
//! timeouts and the choice between nodes are rolled by the code under test, so a run that fails may
//! have to be repeated a few times. More seeds than the suite has, the last included:
//!
//! ```text
//! DISTRI_SEEDS=1..100 cargo test -p distri-core --test linearizable
//! ```
//!
//! With `DISTRI_CROWD=2500` each crowd has so many clients.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test drives the world"
)]

extern crate distri_core as distri;

use std::{future::Future, ops::RangeInclusive, time::Duration};

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
#[path = "linearizable/nemesis.rs"]
mod nemesis;
#[path = "linearizable/register.rs"]
mod register;
#[path = "linearizable/replicas.rs"]
mod replicas;
#[path = "linearizable/siege.rs"]
mod siege;

use directory_support::{Cluster, eventually};

#[test]
fn answers_on_three_nodes_are_those_of_one_copy() {
    for_seeds(1..=12, "answers_on_three_nodes", |seed| {
        register::run(seed, 3)
    });
}

#[test]
fn answers_on_five_nodes_are_those_of_one_copy() {
    for_seeds(1..=6, "answers_on_five_nodes", |seed| {
        register::run(seed, 5)
    });
}

#[test]
fn the_ledger_of_three_nodes_adds_up() {
    for_seeds(1..=8, "ledger_of_three_nodes", |seed| ledger::run(seed, 3));
}

#[test]
fn the_ledger_of_five_nodes_adds_up() {
    for_seeds(1..=4, "ledger_of_five_nodes", |seed| ledger::run(seed, 5));
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
        register::create(&cluster).await;
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

/// Runs a scenario for each seed; should one fail, says how to repeat it.
fn for_seeds<F: Future<Output = ()>>(
    suite: RangeInclusive<u64>,
    name: &str,
    scenario: impl Fn(u64) -> F,
) {
    struct Repeat<'a>(&'a str, u64);
    impl Drop for Repeat<'_> {
        fn drop(&mut self) {
            let Self(name, seed) = self;
            if std::thread::panicking() {
                println!(
                    "seed {seed} failed; to repeat it:\n\
                     DISTRI_SEEDS={seed}..{seed} cargo test -p distri-core --test linearizable {name}"
                );
            }
        }
    }
    for seed in seeds().unwrap_or(suite) {
        let _repeat = Repeat(name, seed);
        virtually(scenario(seed));
    }
}

/// `DISTRI_SEEDS`, as `first..last`.
fn seeds() -> Option<RangeInclusive<u64>> {
    let asked = std::env::var("DISTRI_SEEDS").ok()?;
    let (first, last) = asked.split_once("..")?;
    let number = |text: &str| text.parse().expect("DISTRI_SEEDS is FIRST..LAST");
    Some(number(first)..=number(last))
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
