//! The directory on whole nodes over the in-memory network: what is acknowledged is kept, in order,
//! once, whoever stops and starts.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test drives the world"
)]

extern crate distri_core as distri;

use std::time::Duration;

use distri::{
    Client, Code, Config, Node,
    directory::{CollectionSpec, Condition, Event, Filter, Operation, Refusal, Transaction, Who},
    identity::Identity,
    transport::{Address, memory::Network},
};

mod directory_support;
use directory_support::{Cluster, eventually};

#[distri::message]
#[derive(Debug, Clone, PartialEq)]
struct Image {
    title: String,
    bytes: u64,
}

fn image(title: &str, bytes: u64) -> Image {
    Image {
        title: title.to_owned(),
        bytes,
    }
}

#[tokio::test]
async fn a_node_alone_keeps_a_directory_in_memory_without_being_told() {
    let network = Network::new(1);
    let mut config = Config::default();
    config.node.listen = Address::new("memory:1");
    let node = Node::builder()
        .transport(std::sync::Arc::new(network.transport(Identity::generate())))
        .config(config)
        .without_registry()
        .start()
        .await
        .unwrap();
    let directory = node.handle().directory();

    directory
        .create(CollectionSpec::new("images"))
        .await
        .unwrap();
    let images = directory.collection::<Image>("images");
    let revision = images.insert("cat", &image("A cat", 1200)).await.unwrap();

    let found = images.get("cat").await.unwrap().unwrap();
    assert_eq!(found.value, image("A cat", 1200));
    assert_eq!(found.revision, revision);
    assert_eq!(node.handle().leader(), Some(node.key()));
}

#[tokio::test]
async fn three_nodes_join_by_token_and_all_of_them_vote() {
    let cluster = Cluster::of(3, 2).await;

    let info = cluster.client().cluster().await.unwrap();

    assert_eq!(info.nodes.len(), 3);
    eventually("all three vote", || async {
        let info = cluster.client().cluster().await.ok()?;
        info.nodes
            .iter()
            .all(|node| node.role.to_string() != "learner" && node.role.to_string() != "joining")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_one_node_acknowledges_every_node_reads() {
    let cluster = Cluster::of(3, 3).await;
    let first = cluster.node(0).handle().directory();
    first
        .create(CollectionSpec::new("images").index(["bytes"]))
        .await
        .unwrap();

    for i in 0..30_u64 {
        let images = cluster
            .node(i as usize % 3)
            .handle()
            .directory()
            .collection::<Image>("images");
        images
            .insert(format!("i{i:02}"), &image("x", i))
            .await
            .unwrap();
        let next = cluster
            .node((i as usize + 1) % 3)
            .handle()
            .directory()
            .collection::<Image>("images");
        assert_eq!(
            next.get(format!("i{i:02}"))
                .await
                .unwrap()
                .unwrap()
                .value
                .bytes,
            i
        );
    }

    let images = first.collection::<Image>("images");
    let large = images
        .find(Filter::ge("bytes", 25))
        .sort_descending("bytes")
        .await
        .unwrap();
    let sizes: Vec<u64> = large.documents.iter().map(|d| d.value.bytes).collect();
    assert_eq!(sizes, [29, 28, 27, 26, 25]);
    assert_eq!(images.count(Filter::All).await.unwrap(), 30);
}

#[tokio::test]
async fn refusals_come_back_typed_and_change_nothing() {
    let cluster = Cluster::of(1, 4).await;
    let directory = cluster.node(0).handle().directory();
    directory
        .create(CollectionSpec::new("images"))
        .await
        .unwrap();
    let images = directory.collection::<Image>("images");
    let revision = images.insert("cat", &image("A cat", 1)).await.unwrap();

    let again = images.insert("cat", &image("B", 2)).await.unwrap_err();
    let stale = images
        .replace_if("cat", revision + 7, &image("B", 2))
        .await
        .unwrap_err();
    let nowhere = directory
        .collection::<Image>("nope")
        .get("x")
        .await
        .unwrap_err();

    assert_eq!(again.code(), Code::AlreadyExists);
    assert!(matches!(again.details(), Some(Refusal::Exists { .. })));
    assert!(matches!(stale.details(), Some(Refusal::Revision { .. })));
    assert!(matches!(
        nowhere.details(),
        Some(Refusal::NoCollection { .. })
    ));
    assert_eq!(
        images.get("cat").await.unwrap().unwrap().value,
        image("A cat", 1)
    );
}

#[tokio::test]
async fn a_transaction_takes_effect_wholly_or_not_at_all() {
    let cluster = Cluster::of(3, 5).await;
    let directory = cluster.node(1).handle().directory();
    directory
        .create(CollectionSpec::new("accounts"))
        .await
        .unwrap();
    let accounts = directory.collection::<serde_json::Value>("accounts");
    accounts
        .insert("a", &serde_json::json!({"balance": 10}))
        .await
        .unwrap();
    accounts
        .insert("b", &serde_json::json!({"balance": 0}))
        .await
        .unwrap();
    let transfer = |by: i64| {
        let add = |id: &str, by: i64| Operation::Add {
            collection: "accounts".into(),
            id: id.into(),
            field: "balance".into(),
            by: serde_json::json!(by).into(),
            min: Some(serde_json::json!(0).into()),
            max: None,
        };
        Transaction::new().then(add("a", -by)).then(add("b", by))
    };

    let done = directory.transaction(transfer(7)).await.unwrap();
    let refused = directory.transaction(transfer(7)).await.unwrap_err();
    let unmet = directory
        .transaction(transfer(1).require(Condition::Missing {
            collection: "accounts".into(),
            id: "a".into(),
        }))
        .await
        .unwrap_err();

    assert_eq!(done.documents.len(), 2);
    assert!(
        matches!(refused.details(), Some(Refusal::Bounds { .. })),
        "{refused}"
    );
    assert!(
        matches!(unmet.details(), Some(Refusal::Condition { .. })),
        "{unmet}"
    );
    assert_eq!(
        accounts.get("a").await.unwrap().unwrap().value["balance"],
        3
    );
    assert_eq!(
        accounts.get("b").await.unwrap().unwrap().value["balance"],
        7
    );
}

#[tokio::test]
async fn a_watch_tells_every_change_once_also_when_its_node_stops() {
    let mut cluster = Cluster::of(3, 6).await;
    let directory = cluster.node(0).handle().directory();
    directory
        .create(CollectionSpec::new("images").read(Who::Public))
        .await
        .unwrap();
    let client = cluster.new_client().await;
    let mut watch = client
        .directory()
        .collection::<Image>("images")
        .watch()
        .await
        .unwrap();

    let images = directory.collection::<Image>("images");
    for i in 0..10 {
        images.insert(format!("{i}"), &image("x", i)).await.unwrap();
    }
    cluster.stop(2).await;
    for i in 10..20 {
        images.insert(format!("{i}"), &image("x", i)).await.unwrap();
    }

    let mut seen = Vec::new();
    while seen.len() < 20 {
        let events = tokio::time::timeout(Duration::from_secs(20), watch.next())
            .await
            .unwrap()
            .unwrap();
        for event in events.events {
            match event {
                Event::Put(document) => seen.push(document.value.bytes),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn documents_end_with_their_lease_and_not_before() {
    let cluster = Cluster::of(1, 7).await;
    let directory = cluster.node(0).handle().directory();
    directory
        .create(CollectionSpec::new("presence"))
        .await
        .unwrap();
    let lease = directory.lease(Duration::from_millis(1500)).await.unwrap();
    let presence = directory.collection::<Image>("presence");
    presence
        .with_lease(&lease)
        .put("me", &image("here", 0))
        .await
        .unwrap();
    let mut watch = presence.watch().await.unwrap();

    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        lease.keep_alive().await.unwrap();
        assert!(presence.get("me").await.unwrap().is_some());
    }
    let end = tokio::time::timeout(Duration::from_secs(10), watch.next())
        .await
        .unwrap()
        .unwrap();

    assert!(
        matches!(&end.events[..], [Event::Deleted { expired: true, .. }]),
        "{end:?}"
    );
    assert!(presence.get("me").await.unwrap().is_none());
    assert!(matches!(
        lease.keep_alive().await.unwrap_err().details(),
        Some(Refusal::NoLease { .. })
    ));
}

#[tokio::test]
async fn writes_go_on_when_the_leader_is_gone() {
    let mut cluster = Cluster::of(3, 8).await;
    cluster.all_vote().await;
    cluster
        .node(0)
        .handle()
        .directory()
        .create(CollectionSpec::new("images"))
        .await
        .unwrap();
    let leader = cluster.leader().await;
    let other = (leader + 1) % 3;
    let images = cluster
        .node(other)
        .handle()
        .directory()
        .collection::<Image>("images");
    images.insert("before", &image("x", 1)).await.unwrap();

    cluster.kill(leader);

    images.insert("after", &image("x", 2)).await.unwrap();
    assert!(images.get("before").await.unwrap().is_some());
    assert_ne!(cluster.node(other).handle().leader(), None);
}

#[tokio::test]
async fn leadership_is_handed_over_when_the_leader_stops_in_order() {
    let mut cluster = Cluster::of(3, 9).await;
    cluster.all_vote().await;
    let leader = cluster.leader().await;
    let other = (leader + 1) % 3;
    let was = cluster.node(other).handle().leader();

    cluster.stop(leader).await;

    let now = cluster.node(other).handle().leader();
    assert_ne!(now, was);
    assert!(now.is_some());
}

#[tokio::test]
async fn writes_and_watches_go_on_elsewhere_while_the_leader_stops_in_order() {
    let mut cluster = Cluster::of(3, 19).await;
    cluster.all_vote().await;
    let open = CollectionSpec::new("images")
        .read(Who::Public)
        .write(Who::Public);
    let directory = cluster.node(0).handle().directory();
    directory.create(open).await.unwrap();
    let client = cluster.new_client().await;
    let images = client.directory().collection::<Image>("images");
    let mut watch = images.watch().await.unwrap();
    // Whoever it goes to, it is the leader that these wait for.
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let images = images.clone();
            tokio::spawn(async move {
                for i in 0..100 {
                    let id = format!("{writer}-{i}");
                    images.insert(id, &image("x", i)).await.unwrap();
                    images.get("0-0").await.unwrap();
                }
            })
        })
        .collect();
    let mut seen = watch.next().await.unwrap().events.len();

    let leader = cluster.leader().await;
    tokio::time::timeout(Duration::from_secs(30), cluster.stop(leader))
        .await
        .expect("nothing under way holds the node up until the limit of its drain");

    for writer in writers {
        writer.await.unwrap();
    }
    while seen < 1600 {
        let events = tokio::time::timeout(Duration::from_secs(30), watch.next()).await;
        seen += events.unwrap().unwrap().events.len();
    }
    assert_eq!(seen, 1600);
}

#[tokio::test]
async fn nodes_that_crash_and_restart_on_their_disks_have_everything() {
    let seed = std::env::var("SEED").map_or(10, |s| s.parse().unwrap());
    let mut cluster = Cluster::of(3, seed).await;
    cluster.all_vote().await;
    cluster
        .node(0)
        .handle()
        .directory()
        .create(CollectionSpec::new("images"))
        .await
        .unwrap();
    let images = |cluster: &Cluster, i: usize| {
        cluster
            .node(i)
            .handle()
            .directory()
            .collection::<Image>("images")
    };
    for i in 0..50 {
        images(&cluster, 0)
            .insert(format!("{i}"), &image("x", i))
            .await
            .unwrap();
    }

    for i in 0..3 {
        cluster.kill(i);
    }
    for i in 0..3 {
        cluster.restart(i).await;
    }

    let all = images(&cluster, 1).find(Filter::All).await.unwrap();
    let missing: Vec<_> = (0..50)
        .filter(|i| !all.documents.iter().any(|d| d.id == i.to_string()))
        .collect();
    assert_eq!(missing, Vec::<i32>::new());
    assert_eq!(images(&cluster, 1).count(Filter::All).await.unwrap(), 50);
}

#[tokio::test]
async fn a_token_lets_one_node_in_and_no_second() {
    let mut cluster = Cluster::of(1, 11).await;
    let token = cluster.token().await;
    let text = token.reveal();

    cluster.join(text.parse().unwrap()).await.unwrap();
    let error = cluster.join(text.parse().unwrap()).await.unwrap_err();

    let words = distri::error::chain(&error);
    assert!(words.contains("the token has been used"), "{words}");
}

#[tokio::test]
async fn a_node_that_is_removed_is_told_and_admitted_no_more() {
    let cluster = Cluster::of(4, 12).await;
    cluster.all_vote().await;
    let client: Client = cluster.node(0).client();

    client.remove_node(4).await.unwrap();

    tokio::time::timeout(Duration::from_secs(20), cluster.node(3).removed())
        .await
        .unwrap();
    eventually("a cluster of three", || async {
        let info = client.cluster().await.ok()?;
        (info.nodes.len() == 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_leader_whose_disk_fails_steps_aside_and_nothing_acknowledged_is_lost() {
    for (seed, fault) in [(20, "full"), (21, "read-only"), (22, "sync")] {
        let mut cluster = Cluster::of(3, seed).await;
        cluster.all_vote().await;
        let leader = cluster.leader().await;
        let other = (leader + 1) % 3;
        let directory = cluster.node(other).handle().directory();
        directory
            .create(CollectionSpec::new("images"))
            .await
            .unwrap();
        let images = directory.collection::<Image>("images");
        for i in 0..10 {
            images.insert(format!("{i}"), &image("x", i)).await.unwrap();
        }

        match fault {
            "full" => cluster.disk(leader).fill_after(700),
            "read-only" => cluster.disk(leader).make_read_only(),
            _ => cluster.disk(leader).fail_sync(1),
        }

        for i in 10..30 {
            images.insert(format!("{i}"), &image("x", i)).await.unwrap();
        }
        assert_eq!(images.count(Filter::All).await.unwrap(), 30, "{fault}");
        // With its disk mended and started again, it has all of it.
        cluster.disk(leader).heal();
        cluster.kill(leader);
        cluster.restart(leader).await;
        let again = cluster.node(leader).handle().directory().local();
        eventually("the node has caught up", || async {
            let images = again.collection::<Image>("images");
            (images.count(Filter::All).await.ok()? == 30).then_some(())
        })
        .await;
    }
}
