//! Nodes that are linked and do not answer: calls that can go elsewhere do not wait for them.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests drive nodes as a program does, and may panic"
)]

extern crate distri_core as distri;

mod support;

use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use distri::{Client, Code, Context, Node, Result};
use support::{Cloud, eventually};
use tokio::time::Instant;

#[derive(Clone, Default)]
struct Who {
    hangs: Arc<AtomicBool>,
    begun: Arc<AtomicU32>,
}

#[distri::service(register = false)]
impl Who {
    #[method(idempotent)]
    async fn serves(&self, cx: &Context) -> Result<String> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(cx.node().name().to_owned())
    }

    async fn once(&self) -> Result<()> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(())
    }
}

async fn three() -> (Cloud, Client, Vec<Who>) {
    let services = vec![Who::default(), Who::default(), Who::default()];
    let cloud = Cloud::of(3, |place, node| node.service(services[place].clone())).await;
    let client = cloud.client().await;
    (cloud, client, services)
}

/// Nothing passes between the node and anybody else, and no link breaks: so it looks when a process
/// is stopped.
fn freeze(cloud: &Cloud, place: usize, client: &Client) {
    let node = cloud.nodes[place].key();
    let others = cloud.nodes.iter().map(Node::key).chain([client.key()]);
    let others = others.filter(|key| *key != node);
    cloud.network.partition([node], others);
}

#[tokio::test(start_paused = true)]
async fn calls_that_can_go_elsewhere_do_not_wait_for_a_frozen_node() {
    let (cloud, client, _) = three().await;
    let who = WhoClient::new(client.clone());
    freeze(&cloud, 0, &client);
    let start = Instant::now();

    for _ in 0..50 {
        assert_ne!(who.serves().await.unwrap(), "node-0");
    }

    // One call may have met the node before anybody knew.
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    let start = Instant::now();
    for _ in 0..50 {
        assert_ne!(who.serves().await.unwrap(), "node-0");
    }
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_thousand_calls_at_once_leave_a_frozen_node() {
    let (cloud, client, _) = three().await;
    let who = WhoClient::new(client.clone());
    freeze(&cloud, 0, &client);
    let start = Instant::now();

    let calls: Vec<_> = (0..1000)
        .map(|_| tokio::spawn(who.serves().into_future()))
        .collect();

    for call in calls {
        assert_ne!(call.await.unwrap().unwrap(), "node-0");
    }
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_must_not_be_repeated_waits_for_the_node_that_has_it() {
    let (cloud, client, services) = three().await;
    let who = WhoClient::new(client.clone());
    let to = cloud.nodes[0].key();
    freeze(&cloud, 0, &client);
    let call = tokio::spawn(who.once().prefer(to).into_future());
    tokio::time::sleep(Duration::from_secs(4)).await;

    cloud.network.heal();

    call.await.unwrap().unwrap();
    let begun = services.iter().map(|who| who.begun.load(Ordering::SeqCst));
    assert_eq!(begun.collect::<Vec<_>>(), [1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_wakes_up_is_called_again() {
    let (cloud, client, services) = three().await;
    let who = WhoClient::new(client.clone());
    freeze(&cloud, 0, &client);
    for _ in 0..50 {
        who.serves().await.unwrap();
    }

    cloud.network.heal();

    let before = services[0].begun.load(Ordering::SeqCst);
    eventually("it serves again", || async {
        who.serves().await.unwrap();
        services[0].begun.load(Ordering::SeqCst) > before + 3
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_answers_no_call_draws_few() {
    let (_cloud, client, services) = three().await;
    services[0].hangs.store(true, Ordering::SeqCst);
    let who = WhoClient::new(client);
    let mut calls = Vec::new();

    for _ in 0..3000 {
        calls.push(tokio::spawn(who.serves().into_future()));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    let stuck = services[0].begun.load(Ordering::SeqCst);
    assert!(stuck < 30, "{stuck} of 3000 calls hang");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let open = calls.iter().filter(|call| !call.is_finished()).count();
    assert_eq!(open, stuck as usize, "those that went elsewhere have ended");
}

#[tokio::test(start_paused = true)]
async fn a_call_of_a_frozen_node_and_no_other_ends_by_its_deadline_and_says_what_it_knows() {
    let (cloud, client, _) = three().await;
    let who = WhoClient::new(client.clone());
    let to = cloud.nodes[0].key();
    freeze(&cloud, 0, &client);
    let began = Instant::now();

    let call = who.serves().to(to).timeout(Duration::from_secs(4));
    let error = call.await.unwrap_err();

    // The others may have given the node up before: then it is not known what became of the call.
    let told = [Code::DeadlineExceeded, Code::UnknownOutcome];
    assert!(told.contains(&error.code()), "{error}");
    assert!(
        began.elapsed() <= Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}
