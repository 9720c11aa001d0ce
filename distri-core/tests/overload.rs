//! More calls than can be served: what is served stays what can be served, and who is refused is told
//! when to come again.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests drive nodes as a program does, and may panic"
)]

extern crate distri_core as distri;

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use distri::{Client, Code, Result, config::Limits, transport::memory::Network};
use support::{Cloud, eventually};
use tokio::sync::Notify;

/// Calls at once, and how long each takes: together, what one node serves a second.
const AT_ONCE: u32 = 10;
const WORK: Duration = Duration::from_millis(10);
const CAPACITY: u32 = 1000;

#[derive(Clone, Default)]
struct Mill {
    served: Arc<AtomicU32>,
    go_on: Arc<Notify>,
}

#[distri::service(register = false)]
impl Mill {
    #[method(idempotent, concurrency = 10)]
    async fn grind(&self) -> Result<()> {
        tokio::time::sleep(WORK).await;
        self.served.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// Goes on when it may.
    async fn wait(&self) -> Result<()> {
        self.served.fetch_add(1, Ordering::SeqCst);
        self.go_on.notified().await;
        Ok(())
    }

    async fn quick(&self) -> Result<()> {
        Ok(())
    }
}

/// What came of calls that were made at a steady rate, whatever became of those before.
#[derive(Debug)]
struct Outcome {
    offered: u32,
    succeeded: u32,
    retried: u32,
}

async fn offer(client: &MillClient, per_second: u32, seconds: u32) -> Outcome {
    let retried = Arc::new(AtomicU32::new(0));
    let mut calls = Vec::new();
    for _ in 0..seconds * 1000 {
        for _ in 0..per_second / 1000 {
            let (client, retried) = (client.clone(), retried.clone());
            calls.push(tokio::spawn(async move {
                let tell = move |_, _: &distri::Error| {
                    retried.fetch_add(1, Ordering::SeqCst);
                };
                client.grind().on_retry(tell).await
            }));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let offered = calls.len() as u32;
    let mut succeeded = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(()) => succeeded += 1,
            Err(error) => assert_eq!(error.code(), Code::Busy, "{error}"),
        }
    }
    Outcome {
        offered,
        succeeded,
        retried: retried.load(Ordering::SeqCst),
    }
}

async fn mill(size: usize) -> (Cloud, MillClient) {
    let cloud = Cloud::of(size, |_, node| node.service(Mill::default())).await;
    let client = MillClient::new(cloud.client().await);
    (cloud, client)
}

#[tokio::test(start_paused = true)]
async fn at_five_times_the_capacity_as_much_is_served_as_at_the_capacity() {
    assert_eq!(Duration::from_secs(1) / CAPACITY, WORK / AT_ONCE);
    let seconds = 2;
    let (_cloud, client) = mill(1).await;
    let at_capacity = offer(&client, CAPACITY, seconds).await;
    let (_cloud, client) = mill(1).await;

    let overloaded = offer(&client, 5 * CAPACITY, seconds).await;

    let most = CAPACITY * seconds;
    println!("at capacity {at_capacity:?}, at five times {overloaded:?}, possible {most}");
    assert!(
        overloaded.succeeded >= at_capacity.succeeded,
        "{overloaded:?}"
    );
    assert!(overloaded.succeeded >= most * 95 / 100, "{overloaded:?}");
    // The overload is not made worse by those who try again.
    assert!(
        overloaded.retried <= overloaded.offered / 10 + 100,
        "{overloaded:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_short_rush_is_ridden_out() {
    let (_cloud, client) = mill(1).await;

    let calls: Vec<_> = (0..30)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.grind().await })
        })
        .collect();

    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_refused_by_a_full_node_goes_to_another_without_waiting() {
    let mills: Vec<_> = (0..2).map(|_| Mill::default()).collect();
    let cloud = Cloud::of(2, |place, node| node.service(mills[place].clone())).await;
    let client = MillClient::new(cloud.client().await);
    let first = cloud.nodes[0].key();
    let held: Vec<_> = (0..AT_ONCE)
        .map(|_| tokio::spawn(client.grind().to(first).into_future()))
        .collect();
    tokio::time::sleep(Duration::from_millis(1)).await;

    client.grind().prefer(first).await.unwrap();

    assert_eq!(mills[1].served.load(Ordering::SeqCst), 1);
    for held in held {
        held.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_serves_no_more_at_once_than_its_bound() {
    let mut limits = Limits::default();
    limits.serving = 3;
    let mill = Mill::default();
    let cloud = Cloud::limited(Network::new(7), 2, limits, |_, node| {
        node.service(mill.clone())
    })
    .await;
    let client = MillClient::new(cloud.client().await);
    let node = cloud.nodes[0].key();
    let held: Vec<_> = (0..3)
        .map(|_| tokio::spawn(client.wait().to(node).into_future()))
        .collect();
    eventually("the node is full", || async {
        mill.served.load(Ordering::SeqCst) == 3
    })
    .await;

    let deadline = Duration::from_millis(100);
    let error = client.quick().to(node).timeout(deadline).await.unwrap_err();

    assert_eq!(error.code(), Code::Busy, "{error}");
    assert!(error.message().contains("node-0 serves 3 calls"), "{error}");
    assert!(error.retry_after().is_some());
    // The other node is free, and what nodes tell each other still gets through.
    client.quick().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let members = cloud.nodes[1].handle().members();
    assert!(
        members
            .iter()
            .all(|member| member.state == distri::membership::MemberState::Alive),
        "{members:?}"
    );
    mill.go_on.notify_waiters();
    for held in held {
        held.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_calls_too_often_is_told_how_long_to_wait() {
    let mut limits = Limits::default();
    (limits.rate, limits.burst) = (10, 5);
    let cloud = Cloud::limited(Network::new(7), 1, limits, |_, node| {
        node.service(Mill::default())
    })
    .await;
    let eager = MillClient::new(cloud.client().await);
    let other = Client::builder()
        .transport(cloud.transport(201))
        .nodes([cloud.nodes[0].endpoint()])
        .connect()
        .await
        .unwrap();
    let at_once = Duration::from_millis(1);
    for _ in 0..5 {
        eager.quick().timeout(at_once).await.unwrap();
    }

    let error = eager.quick().timeout(at_once).await.unwrap_err();

    assert_eq!(error.code(), Code::Busy);
    assert_eq!(error.retry_after(), Some(Duration::from_millis(100)));
    // Another caller, and the node itself, are not concerned.
    MillClient::new(&other).quick().await.unwrap();
    for _ in 0..50 {
        MillClient::new(&cloud.nodes[0]).quick().await.unwrap();
    }
    // Whoever has time waits as told.
    let start = tokio::time::Instant::now();
    for _ in 0..10 {
        eager.quick().await.unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(900));
}
