//! Services whose keys belong to one node each (`placement = key(…)`), while nodes come and go.
//!
//! The service itself looks, at each call and as long as it lasts, whether another node serves the same
//! key; what it writes under its fence carries a number that it alone may raise.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use distri::{
    Client, Context, Result,
    directory::{CollectionSpec, Filter},
    id::PublicKey,
    node::NodeBuilder,
    service::Elsewhere,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    LEASE,
    dice::Dice,
    directory_support::{Cluster, eventually},
    for_seeds, is_fenced, virtually,
};

thread_local! {
    /// The nodes that serve each key at this instant. Each test has a thread of its own.
    static INSIDE: RefCell<BTreeMap<u32, Vec<PublicKey>>> = RefCell::default();
    /// What must never be.
    static WRONG: RefCell<Vec<String>> = RefCell::default();
}

/// One that serves a key.
struct Inside(u32, PublicKey);

impl Inside {
    fn enter(user: u32, node: PublicKey) -> Self {
        INSIDE.with_borrow_mut(|inside| {
            let nodes = inside.entry(user).or_default();
            nodes.push(node);
            if nodes.iter().any(|other| *other != node) {
                let wrong = format!("{user} is served by {nodes:?}");
                WRONG.with_borrow_mut(|all| all.push(wrong));
            }
        });
        Self(user, node)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.with_borrow_mut(|inside| {
            let nodes = inside.entry(self.0).or_default();
            if let Some(at) = nodes.iter().position(|node| *node == self.1) {
                nodes.remove(at);
            }
        });
    }
}

fn assert_nothing_was_wrong() {
    WRONG.with_borrow(|wrong| assert!(wrong.is_empty(), "{wrong:?}"));
}

/// Keeps something for each user.
#[derive(Default)]
struct Shelf;

#[distri::service(register = false, placement = key(user))]
impl Shelf {
    /// Who serves, after a while.
    #[method(idempotent)]
    async fn touch(&self, cx: &Context, user: u32, millis: u64) -> Result<PublicKey> {
        let node = cx.node().key();
        let _inside = Inside::enter(user, node);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(node)
    }

    /// Adds to what is kept: reads, takes its time, and writes, which only works alone.
    async fn add(&self, cx: &Context, user: u32, millis: u64) -> Result<u64> {
        let _inside = Inside::enter(user, cx.node().key());
        add(cx, user, millis).await
    }

    /// The same, but goes on when the call has ended.
    async fn leave_behind(&self, cx: &Context, user: u32, millis: u64) -> Result<()> {
        let cx = cx.clone();
        tokio::spawn(async move {
            let added = add(&cx, user, millis).await;
            let refused = added.is_err_and(|error| is_fenced(&error));
            let kept = cx.node().directory().collection::<Value>("late");
            kept.put("late", &json!({"refused": refused}))
                .await
                .unwrap();
        });
        Ok(())
    }
}

async fn add(cx: &Context, user: u32, millis: u64) -> Result<u64> {
    let shelves = cx.directory().collection::<Value>("shelves");
    let found = shelves.get(user.to_string()).await?;
    let count = found.map_or(0, |shelf| shelf.value["count"].as_u64().unwrap());
    tokio::time::sleep(Duration::from_millis(millis)).await;
    shelves
        .put(user.to_string(), &json!({"count": count + 1}))
        .await?;
    Ok(count + 1)
}

fn shelves(builder: NodeBuilder) -> NodeBuilder {
    builder.service(Shelf)
}

async fn cluster(count: usize, seed: u64) -> Cluster {
    let cluster = Cluster::hosting(count, seed, shelves).await;
    cluster.all_vote().await;
    let directory = cluster.client().directory();
    for name in ["shelves", "late"] {
        directory.create(CollectionSpec::new(name)).await.unwrap();
    }
    all_share(&cluster, &cluster.client().clone()).await;
    cluster
}

/// Waits until each running node serves some of the keys.
async fn all_share(cluster: &Cluster, client: &Client) {
    eventually("all nodes share the keys", || async {
        let mut serving = std::collections::BTreeSet::new();
        for user in 0..60 {
            serving.insert(ShelfClient::new(client).touch(user, 0).await.ok()?);
        }
        (serving.len() == cluster.up().count()).then_some(())
    })
    .await;
}

/// A user whose keys this node serves.
async fn user_of(client: &Client, node: PublicKey) -> u32 {
    for user in 0..1000 {
        if ShelfClient::new(client).touch(user, 0).await.unwrap() == node {
            return user;
        }
    }
    panic!("the node serves nobody");
}

#[test]
fn every_client_finds_the_one_node_of_a_key() {
    virtually(async {
        let cluster = cluster(3, 1).await;
        let outside = cluster.new_client().await;

        for user in 0..30 {
            let owner = ShelfClient::new(&outside).touch(user, 0).await.unwrap();
            for index in 0..3 {
                let shelf = ShelfClient::new(cluster.node(index));
                assert_eq!(shelf.touch(user, 0).await.unwrap(), owner);
                // By name a client does not know by what the call is placed; the nodes do.
                let client = cluster.node(index).client();
                let by_name =
                    client.call_json("shelf", "touch", json!({"user": user, "millis": 0}));
                assert_eq!(by_name.await.unwrap().node, owner);
            }
        }
    });
}

#[test]
fn a_node_refuses_keys_of_others_and_says_whose_they_are() {
    virtually(async {
        let cluster = cluster(3, 1).await;
        let client = cluster.new_client().await;
        let user = user_of(&client, cluster.key(0)).await;

        let call = ShelfClient::new(&client).touch(user, 0).to(cluster.key(1));
        let refused = call.await.unwrap_err();

        let elsewhere = Elsewhere::Owned {
            service: "shelf".into(),
            by: Some(cluster.key(0)),
        };
        assert_eq!(refused.details(), Some(elsewhere));
        assert!(refused.is_retryable());
    });
}

#[test]
fn keys_of_a_node_that_dies_go_to_the_others_when_its_lease_is_over() {
    virtually(async {
        let mut cluster = cluster(3, 1).await;
        let client = cluster.new_client().await;
        let dies = cluster.key(2);
        let user = user_of(&client, dies).await;

        let began = Instant::now();
        cluster.kill(2);
        let next = ShelfClient::new(&client).touch(user, 0).await.unwrap();

        assert_ne!(next, dies);
        assert!(
            began.elapsed() < LEASE + Duration::from_secs(3),
            "{:?}",
            began.elapsed()
        );
        assert_nothing_was_wrong();
    });
}

#[test]
fn no_call_fails_while_nodes_stop_and_come_back_and_what_stays_is_not_interrupted() {
    virtually(async {
        let mut cluster = cluster(3, 1).await;
        let client = cluster.new_client().await;
        let done = std::rc::Rc::new(std::cell::Cell::new(false));
        let local = tokio::task::LocalSet::new();
        let callers: Vec<_> = (0..12_u32)
            .map(|user| {
                let (client, done) = (client.clone(), done.clone());
                local.spawn_local(async move {
                    let mut last = 0;
                    while !done.get() {
                        let count = ShelfClient::new(&client).add(user, 5).await.unwrap();
                        assert_eq!(count, last + 1, "user {user}");
                        last = count;
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                })
            })
            .collect();

        local
            .run_until(async {
                for index in [1, 2, 0] {
                    cluster.stop(index).await;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    cluster.restart(index).await;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                done.set(true);
                for caller in callers {
                    caller.await.unwrap();
                }
            })
            .await;
        assert_nothing_was_wrong();
    });
}

#[test]
fn what_a_node_still_writes_for_a_key_that_has_moved_is_refused() {
    virtually(async {
        let mut cluster = cluster(2, 1).await;
        let client = cluster.new_client().await;
        // A key that a third node will take from the first.
        let mut moved = Vec::new();
        let before: Vec<_> = {
            let mut owners = Vec::new();
            for user in 0..40 {
                let owner = ShelfClient::new(&client).touch(user, 0).await.unwrap();
                ShelfClient::new(&client)
                    .leave_behind(user, 8000)
                    .await
                    .unwrap();
                owners.push(owner);
            }
            owners
        };
        let token = cluster.token().await;
        cluster.join(token).await.unwrap();
        all_share(&cluster, &client).await;
        for (user, owner) in before.iter().enumerate() {
            let user = u32::try_from(user).unwrap();
            if ShelfClient::new(&client).touch(user, 0).await.unwrap() != *owner {
                moved.push(user);
            }
        }
        let user = *moved.first().expect("some key moves");
        let by_the_new_owner = ShelfClient::new(&client).add(user, 0).await.unwrap();

        tokio::time::sleep(Duration::from_secs(10)).await;

        let kept = cluster.client().directory().collection::<Value>("shelves");
        let shelf = kept.get(user.to_string()).await.unwrap().unwrap();
        assert_eq!(
            shelf.value["count"], by_the_new_owner,
            "written over by the former owner"
        );
        let written = kept.count(Filter::All).await.unwrap();
        assert_eq!(
            written,
            40 - moved.len() as u64 + 1,
            "what stayed was written, and no more"
        );
    });
}

#[test]
fn a_call_that_takes_longer_than_a_move_is_cut_off_and_its_caller_told() {
    virtually(async {
        let mut cluster = cluster(3, 1).await;
        let client = cluster.new_client().await;
        let user = user_of(&client, cluster.key(1)).await;
        let long = {
            let client = client.clone();
            tokio::spawn(async move {
                let call = ShelfClient::new(&client).add(user, 60_000);
                call.timeout(Duration::from_secs(120)).await
            })
        };
        tokio::time::sleep(Duration::from_millis(100)).await;

        let began = Instant::now();
        cluster.stop(1).await;
        let ended = long.await.unwrap().unwrap_err();

        assert!(ended.is_unknown_outcome(), "{ended:?}");
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{:?}",
            began.elapsed()
        );
        let next = ShelfClient::new(&client).add(user, 0).await.unwrap();
        assert_eq!(next, 1, "the one that was cut off wrote nothing");
        assert_nothing_was_wrong();
    });
}

#[test]
fn siege_of_keys_has_one_owner_at_a_time() {
    for_seeds(1..=3, "siege_of_keys", siege);
}

async fn siege(seed: u64) {
    let mut cluster = cluster(3, seed).await;
    let mut clients = Vec::new();
    for number in 0..4_u64 {
        let client = cluster.new_client().await;
        let mut dice = Dice::of(seed, number);
        clients.push(client.key());
        tokio::spawn(async move {
            loop {
                let user = u32::try_from(dice.below(12)).unwrap();
                let millis = dice.below(400) as u64;
                let patience = dice.millis(500..=4000);
                let call = ShelfClient::new(&client)
                    .touch(user, millis)
                    .timeout(patience);
                // It may well fail; what matters is who served it meanwhile.
                let _ = call.await;
                tokio::time::sleep(dice.millis(0..=40)).await;
            }
        });
    }
    let mut dice = Dice::of(seed, 0x6b65_7973);
    for _ in 0..14 {
        tokio::time::sleep(dice.millis(100..=4000)).await;
        let deed = deed(&mut dice, &mut cluster).await;
        println!("{deed}");
        assert_nothing_was_wrong();
    }
    cluster.network.heal();
    cluster.network.delay(Duration::ZERO..=Duration::ZERO);
    for index in cluster.down() {
        cluster.restart(index).await;
    }
    let client = cluster.new_client().await;
    all_share(&cluster, &client).await;
    assert_nothing_was_wrong();
}

async fn deed(dice: &mut Dice, cluster: &mut Cluster) -> String {
    let down = cluster.down();
    if dice.percent(120 * down.len() as u64 / cluster.size() as u64) {
        let index = *dice.pick(&down).unwrap();
        cluster.restart(index).await;
        return format!("restart {index}");
    }
    let up: Vec<_> = cluster.up().collect();
    let any = *dice.pick(&up).unwrap();
    match dice.below(9) {
        0 | 1 => {
            cluster.kill(any);
            format!("kill {any}")
        }
        2 => {
            cluster.stop(any).await;
            format!("stop {any}")
        }
        3 if cluster.size() < 5 && down.is_empty() => {
            let patience = Duration::from_secs(20);
            let joined = tokio::time::timeout(patience, async {
                let token = cluster.token().await;
                cluster.join(token).await
            });
            match joined.await {
                Ok(Ok(())) => "one joins".to_owned(),
                Ok(Err(_)) | Err(_) => "one fails to join".to_owned(),
            }
        }
        4 | 5 => {
            let one = [cluster.key(any)];
            let others: Vec<_> = (0..cluster.size())
                .filter(|i| *i != any)
                .map(|i| cluster.key(i))
                .collect();
            match dice.below(3) {
                0 => cluster.network.partition_one_way(one, others),
                1 => cluster.network.partition_one_way(others, one),
                _ => cluster.network.partition(one, others),
            }
            format!("cut off {any}")
        }
        6 => {
            let most = [1, 30, 150, 400][dice.below(4)];
            cluster
                .network
                .delay(Duration::ZERO..=Duration::from_millis(most));
            format!("delays of up to {most} ms")
        }
        _ => {
            cluster.network.heal();
            "heal".to_owned()
        }
    }
}
