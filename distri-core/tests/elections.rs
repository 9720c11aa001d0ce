//! Elections on clusters of whole nodes over the in-memory network: who holds, for how long, and what
//! becomes of what is done by those who do not hold any more.
//!
//! `siege` lets nodes die, come back and be cut off as the seed says, and looks every few milliseconds
//! of the simulated clock. More seeds than the suite has:
//!
//! ```text
//! DISTRI_SEEDS=1..100 cargo test -p distri-core --test elections siege
//! ```
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test drives the world"
)]

extern crate distri_core as distri;

use std::{future::Future, ops::RangeInclusive, time::Duration};

use distri::{
    Code, Config, Context, Node, Result,
    directory::{CollectionSpec, Refusal},
    election::{Fence, Leadership},
    identity::Identity,
    node::NodeBuilder,
    transport::{Address, memory::Network},
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

mod directory_support;

#[path = "linearizable/dice.rs"]
#[allow(dead_code, reason = "each test file uses a part")]
mod dice;
#[path = "elections/keys.rs"]
mod keys;
#[path = "elections/leading.rs"]
mod leading;
#[path = "elections/siege.rs"]
mod siege;

use directory_support::Cluster;

/// The time to live of a node's lease, where nothing else is configured.
const LEASE: Duration = Duration::from_secs(4);

/// A service that tells and does things under the fence of its caller.
#[derive(Default)]
struct Desk;

#[distri::service(register = false)]
impl Desk {
    async fn fence(&self, cx: &Context) -> Result<Option<(String, u64)>> {
        let fence = cx.fence();
        Ok(fence.map(|fence| (fence.election().to_owned(), fence.number())))
    }

    async fn write(&self, cx: &Context, text: String) -> Result<()> {
        let notes = cx.directory().collection::<Value>("notes");
        notes.put("note", &json!({"text": text})).await.map(drop)
    }
}

fn desks(builder: NodeBuilder) -> NodeBuilder {
    builder.service(Desk)
}

async fn cluster(count: usize) -> Cluster {
    let cluster = Cluster::hosting(count, 1, desks).await;
    cluster.all_vote().await;
    let directory = cluster.client().directory();
    directory
        .create(CollectionSpec::new("notes"))
        .await
        .unwrap();
    cluster
}

async fn campaign(cluster: &Cluster, index: usize) -> Leadership {
    let election = cluster.node(index).handle().election("job").unwrap();
    election.campaign().await.unwrap()
}

/// A campaign that goes on by itself.
fn campaigns(cluster: &Cluster, index: usize) -> tokio::task::JoinHandle<Leadership> {
    let election = cluster.node(index).handle().election("job").unwrap();
    tokio::spawn(async move { election.campaign().await.unwrap() })
}

fn is_fenced(error: &distri::Error) -> bool {
    matches!(error.details(), Some(Refusal::Fenced { .. }))
}

#[test]
fn whoever_resigns_hands_over_at_once_and_to_a_higher_fence() {
    virtually(async {
        let cluster = cluster(3).await;
        let first = campaign(&cluster, 0).await;
        let next = campaigns(&cluster, 1);
        tokio::time::sleep(3 * LEASE).await;
        assert!(first.is_held() && !next.is_finished());

        let (number, began) = (first.fence().number(), Instant::now());
        first.resign().await.unwrap();
        let second = next.await.unwrap();

        assert!(
            began.elapsed() < Duration::from_millis(500),
            "{:?}",
            began.elapsed()
        );
        assert!(second.is_held() && second.fence().number() > number);
    });
}

#[test]
fn a_leadership_that_is_dropped_and_a_campaign_that_is_dropped_hold_nothing() {
    virtually(async {
        let cluster = cluster(3).await;
        drop(campaign(&cluster, 0).await);
        // Dropped at every stage of a campaign.
        for millis in 0..40 {
            let wait = Duration::from_millis(millis);
            let _ = timeout(wait, campaign(&cluster, 1)).await;
        }
        let began = Instant::now();

        let won = campaign(&cluster, 2).await;

        assert!(won.is_held());
        assert!(
            began.elapsed() < Duration::from_millis(500),
            "{:?}",
            began.elapsed()
        );
    });
}

#[test]
fn two_campaigns_of_one_node_are_rivals() {
    virtually(async {
        let cluster = cluster(1).await;
        let first = campaign(&cluster, 0).await;
        let second = campaigns(&cluster, 0);
        tokio::time::sleep(3 * LEASE).await;
        assert!(!second.is_finished());

        drop(first);

        assert!(second.await.unwrap().is_held());
    });
}

#[test]
fn a_holder_that_is_cut_off_knows_of_its_loss_before_another_wins() {
    virtually(async {
        let cluster = cluster(3).await;
        let leader = cluster.leader().await;
        let holder = (leader + 1) % 3;
        let first = campaign(&cluster, holder).await;
        let next = campaigns(&cluster, leader);
        let others = (0..3).filter(|i| *i != holder).map(|i| cluster.key(i));

        cluster.network.partition([cluster.key(holder)], others);
        first.lost().await;
        let lost_at = Instant::now();
        assert!(!first.is_held() && !next.is_finished());
        let second = next.await.unwrap();

        assert!(Instant::now() > lost_at);
        assert!(second.fence().number() > first.fence().number());
        cluster.network.heal();
        tokio::time::sleep(LEASE).await;
        assert!(second.is_held() && !first.is_held());
    });
}

#[test]
fn calls_carry_the_fence_and_what_is_outdated_is_refused_by_callee_and_directory() {
    virtually(async {
        let cluster = cluster(3).await;
        let first = campaign(&cluster, 0).await;
        let old = Fence::from(&first);
        let client = cluster.client().under(&first);
        let desk = DeskClient::new(client.clone());

        let told = desk.fence().await.unwrap();
        desk.write("while held".into()).await.unwrap();
        first.resign().await.unwrap();
        let second = campaign(&cluster, 1).await;

        assert_eq!(told, Some(("job".to_owned(), old.number())));
        // By every callee, also those that have not heard of the second yet by a call.
        for index in 0..3 {
            let refused = desk.fence().to(cluster.key(index)).await.unwrap_err();
            assert!(is_fenced(&refused), "{refused:?}");
            assert_eq!(refused.code(), Code::FailedPrecondition);
        }
        let notes = cluster
            .client()
            .directory()
            .under(old)
            .collection::<Value>("notes");
        let refused = notes
            .put("note", &json!({"text": "late"}))
            .await
            .unwrap_err();
        assert!(is_fenced(&refused), "{refused:?}");
        let desk = DeskClient::new(cluster.client().under(&second));
        desk.write("by the second".into()).await.unwrap();
        let notes = cluster.client().directory().collection::<Value>("notes");
        let note = notes.get("note").await.unwrap().unwrap();
        assert_eq!(note.value["text"], "by the second");
    });
}

#[test]
fn an_observer_is_told_of_each_holder() {
    virtually(async {
        let cluster = cluster(3).await;
        let election = cluster.node(2).handle().election("job").unwrap();
        let mut observer = election.observe();
        assert_eq!(election.holder(), None);

        let first = campaign(&cluster, 0).await;
        let seen = observer.changed().await.unwrap();
        assert_eq!((seen.key, &seen.fence), (cluster.key(0), first.fence()));
        first.resign().await.unwrap();
        assert_eq!(observer.changed().await, None);
        let second = campaign(&cluster, 1).await;
        let seen = observer.changed().await.unwrap();
        assert_eq!((seen.key, &seen.fence), (cluster.key(1), second.fence()));
    });
}

#[test]
fn a_node_that_is_killed_is_followed_when_its_lease_is_over_and_at_once_when_it_is_back() {
    virtually(async {
        let mut cluster = cluster(3).await;
        let leader = cluster.leader().await;
        let (killed, other) = ((leader + 1) % 3, (leader + 2) % 3);
        let first = campaign(&cluster, killed).await;
        let next = campaigns(&cluster, other);

        let began = Instant::now();
        cluster.kill(killed);
        assert!(!first.is_held(), "what a dead node held is held no more");
        let second = next.await.unwrap();
        assert!(
            began.elapsed() < LEASE + Duration::from_secs(1),
            "{:?}",
            began.elapsed()
        );

        cluster.restart(killed).await;
        drop(second);
        let third = campaign(&cluster, killed).await;
        cluster.kill(killed);
        cluster.restart(killed).await;
        let began = Instant::now();
        let fourth = campaign(&cluster, other).await;
        assert!(began.elapsed() < LEASE / 2, "{:?}", began.elapsed());
        assert!(fourth.is_held() && !third.is_held());
    });
}

#[test]
fn a_node_that_stops_hands_over_at_once() {
    virtually(async {
        let mut cluster = cluster(3).await;
        let leader = cluster.leader().await;
        let first = campaign(&cluster, leader).await;
        let next = campaigns(&cluster, (leader + 1) % 3);

        let began = Instant::now();
        let stop = cluster.stop(leader);
        let (second, ()) = tokio::join!(next, stop);

        assert!(began.elapsed() < LEASE / 2, "{:?}", began.elapsed());
        assert!(!first.is_held() && second.unwrap().is_held());
    });
}

#[test]
fn the_directorys_own_leader_may_change_without_anybody_losing_an_election() {
    virtually(async {
        let mut cluster = cluster(3).await;
        let leader = cluster.leader().await;
        let held = campaign(&cluster, (leader + 1) % 3).await;

        cluster.kill(leader);
        tokio::time::sleep(2 * LEASE).await;

        assert!(held.is_held());
    });
}

#[test]
fn nodes_that_hold_nothing_write_nothing() {
    virtually(async {
        let cluster = cluster(3).await;
        let held = campaign(&cluster, 0).await;
        let waiting = campaigns(&cluster, 1);
        held.resign().await.unwrap();
        waiting.await.unwrap().resign().await.unwrap();
        tokio::time::sleep(2 * LEASE).await;
        let before = cluster.disk(0).syncs();

        tokio::time::sleep(10 * LEASE).await;

        assert_eq!(cluster.disk(0).syncs(), before);
    });
}

#[test]
fn elections_need_a_directory_and_a_name() {
    virtually(async {
        let network = Network::new(1);
        let mut config = Config::default();
        let others = Identity::from_seed(&[9; 32]).public();
        config.node.listen = Address::new("memory:1");
        config.cloud.nodes = vec![distri::transport::Endpoint {
            key: others,
            address: Address::new("memory:2"),
        }];
        let node = Node::builder()
            .transport(std::sync::Arc::new(
                network.transport(Identity::from_seed(&[1; 32])),
            ))
            .config(config)
            .without_registry()
            .start()
            .await
            .unwrap();

        let refused = node.handle().election("job").unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        for name in ["", "a\nb", "service/desk", &"x".repeat(201)] {
            let refused = node.handle().election(name).unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{name:?}");
        }
    });
}

#[test]
fn siege_of_three_nodes_has_one_holder_at_a_time_and_fences_that_only_rise() {
    for_seeds(1..=4, "siege_of_three", |seed| siege::run(seed, 3));
}

#[test]
fn siege_of_five_nodes_has_one_holder_at_a_time_and_fences_that_only_rise() {
    for_seeds(1..=2, "siege_of_five", |seed| siege::run(seed, 5));
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
                     DISTRI_SEEDS={seed}..{seed} cargo test -p distri-core --test elections {name}"
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
    let ended = runtime.block_on(async { timeout(LIMIT, scenario).await });
    assert!(ended.is_ok(), "the scenario did not end within {LIMIT:?}");
}
