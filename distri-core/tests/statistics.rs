//! What nodes and programs count of their calls is exact.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests drive nodes as a program does, and may panic"
)]

extern crate distri_core as distri;

mod support;

use std::sync::Arc;

use distri::{
    Blob, Client, Code, Error, Result, Stream,
    stats::{MethodStats, NodeStats},
};
use support::{Cloud, eventually};
use tokio::sync::Semaphore;

/// Answers, fails, or waits until the test lets it go.
struct Worker {
    gate: Arc<Semaphore>,
}

#[distri::service(register = false)]
impl Worker {
    async fn answer(&self) -> Result<u32> {
        Ok(7)
    }

    async fn fail(&self, number: u32) -> Result<()> {
        let code = if number.is_multiple_of(2) {
            Code::NotFound
        } else {
            Code::FailedPrecondition
        };
        Err(Error::new(code, "as it was told"))
    }

    #[method(concurrency = 2)]
    async fn wait(&self) -> Result<()> {
        self.gate.acquire().await.unwrap().forget();
        Ok(())
    }

    #[method(access = role("nobody"))]
    async fn secret(&self) -> Result<()> {
        Ok(())
    }

    async fn turn(&self, picture: Blob) -> Result<Blob> {
        let mut bytes = picture.bytes(16 << 20).await?.to_vec();
        bytes.reverse();
        Ok(Blob::from(bytes))
    }

    async fn count_to(&self, end: u32) -> Result<Stream<u32>> {
        Ok(Stream::from_items(0..end))
    }
}

async fn with_worker() -> (Cloud, Client, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let worker = || Worker { gate: gate.clone() };
    let cloud = Cloud::of(1, |_, node| node.service(worker())).await;
    let client = cloud.client().await;
    (cloud, client, gate)
}

fn of(stats: &[MethodStats], method: &str) -> MethodStats {
    let found = stats
        .iter()
        .find(|one| one.service == "worker" && one.method == method);
    found.cloned().unwrap_or_default()
}

async fn served(client: &Client, method: &str) -> MethodStats {
    let stats: NodeStats = client.node_stats(None).await.unwrap();
    of(&stats.served, method)
}

#[tokio::test]
async fn failures_are_counted_by_their_code_at_both_ends() {
    let (_cloud, client, _) = with_worker().await;
    let worker = WorkerClient::new(&client);

    for number in 0..5 {
        worker.fail(number).await.unwrap_err();
    }

    let theirs = served(&client, "fail").await;
    let ours = of(&client.stats(), "fail");
    for stats in [&theirs, &ours] {
        assert_eq!((stats.calls(), stats.failures()), (5, 5));
        assert_eq!(stats.failed["not-found"], 3);
        assert_eq!(stats.failed["failed-precondition"], 2);
    }
    assert!(ours.latency.max() >= theirs.latency.max());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counts_are_exact_when_many_call_at_once() {
    let (_cloud, client, _) = with_worker().await;

    let callers: Vec<_> = (0..20)
        .map(|_| {
            let worker = WorkerClient::new(&client);
            tokio::spawn(async move {
                for _ in 0..100 {
                    worker.answer().await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }

    let theirs = served(&client, "answer").await;
    let ours = of(&client.stats(), "answer");
    assert_eq!((theirs.calls(), theirs.failures()), (2000, 0));
    assert_eq!((ours.calls(), ours.failures()), (2000, 0));
    assert_eq!((theirs.in_flight, ours.in_flight), (0, 0));
}

#[tokio::test]
async fn what_is_refused_is_not_among_the_calls() {
    let (_cloud, client, gate) = with_worker().await;
    let worker = WorkerClient::new(&client);
    let waiting: Vec<_> = (0..2)
        .map(|_| tokio::spawn(worker.wait().into_future()))
        .collect();
    eventually("both wait", || async {
        served(&client, "wait").await.in_flight == 2
    })
    .await;

    let third = worker.wait().await;
    let secret = worker.secret().await;
    gate.add_permits(2);
    for one in waiting {
        one.await.unwrap().unwrap();
    }

    assert_eq!(third.unwrap_err().code(), Code::Busy);
    assert_eq!(secret.unwrap_err().code(), Code::Denied);
    let wait = served(&client, "wait").await;
    assert_eq!((wait.calls(), wait.failures(), wait.in_flight), (2, 0, 0));
    assert!(wait.busy() >= 1, "{wait:?}");
    // Each refusal but the last was followed by another try.
    assert_eq!(of(&client.stats(), "wait").retries, wait.busy() - 1);
    let secret = served(&client, "secret").await;
    assert_eq!((secret.calls(), secret.refused["denied"]), (0, 1));
}

#[tokio::test]
async fn a_call_that_is_given_up_has_failed() {
    let (_cloud, client, _gate) = with_worker().await;
    let worker = WorkerClient::new(&client);

    let call = tokio::spawn(worker.wait().into_future());
    eventually("it waits", || async {
        served(&client, "wait").await.in_flight == 1
    })
    .await;
    call.abort();

    eventually("it is counted out", || async {
        let wait = served(&client, "wait").await;
        wait.in_flight == 0 && wait.failed.get("cancelled") == Some(&1)
    })
    .await;
    assert_eq!(of(&client.stats(), "wait").failed["cancelled"], 1);
}

#[tokio::test]
async fn bytes_of_blobs_and_streams_are_counted_with_their_method() {
    let (_cloud, client, _) = with_worker().await;
    let worker = WorkerClient::new(&client);
    let size = 1 << 20;

    let turned = worker.turn(Blob::from(vec![7; size])).await.unwrap();
    turned.bytes(2 * size as u64).await.unwrap();
    let mut numbers = worker.count_to(1000).await.unwrap();
    while let Some(number) = numbers.next().await {
        number.unwrap();
    }

    let (size, turn) = (size as u64, served(&client, "turn").await);
    assert!((size..size + 1000).contains(&turn.bytes_in), "{turn:?}");
    assert!((size..size + 1000).contains(&turn.bytes_out), "{turn:?}");
    let count = served(&client, "count_to").await;
    assert!((1000..5000).contains(&count.bytes_out), "{count:?}");
}

#[tokio::test]
async fn calls_within_a_node_are_counted_as_those_over_links() {
    let (cloud, client, _) = with_worker().await;
    let worker = WorkerClient::new(cloud.nodes[0].client());

    worker.answer().await.unwrap();
    worker.fail(1).await.unwrap_err();

    let stats: NodeStats = client.node_stats(None).await.unwrap();
    assert_eq!(of(&stats.served, "answer").calls(), 1);
    assert_eq!(of(&stats.made, "answer").calls(), 1);
    assert_eq!(of(&stats.served, "fail").failures(), 1);
    assert_eq!(of(&stats.made, "fail").failures(), 1);
}

#[tokio::test]
async fn a_node_tells_what_it_costs_and_who_is_there() {
    let (_cloud, client, _) = with_worker().await;

    let stats = client.node_stats(None).await.unwrap();

    assert_eq!(stats.name, "node-0");
    assert_eq!((stats.links.open, stats.links.accepted), (1, 1));
    assert!(stats.links.bytes_in > 0 && stats.links.bytes_out > 0);
    assert_eq!((stats.members.alive, stats.members.down), (1, 0));
    #[cfg(target_os = "linux")]
    assert!(stats.process.unwrap().resident > 1 << 20);
}
