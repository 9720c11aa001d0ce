//! Nodes that stop in an orderly way, and come back as another version, while calls go on.
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
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use distri::{Client, Code, Context, Node, Result, client::NodeState};
use support::{Cloud, builder, endpoint, eventually};
use tokio::sync::Notify;

/// The service as it was first.
mod before {
    use super::*;

    #[distri::message]
    pub(super) struct Greeting {
        pub(super) text: String,
    }

    #[derive(Default)]
    pub(super) struct Greeter;

    #[distri::service(name = "greeter", register = false)]
    impl Greeter {
        #[method(idempotent)]
        pub(super) async fn greet(&self, name: String) -> Result<Greeting> {
            tokio::time::sleep(Duration::from_millis(3)).await;
            let text = format!("hello {name}");
            Ok(Greeting { text })
        }
    }
}

/// The service as it is then: an argument and a field more.
mod after {
    use super::*;

    #[distri::message]
    pub(super) struct Greeting {
        pub(super) text: String,
        #[serde(default)]
        pub(super) words: u32,
    }

    #[derive(Default)]
    pub(super) struct Greeter;

    #[distri::service(name = "greeter", version = 2, register = false)]
    impl Greeter {
        #[method(idempotent)]
        pub(super) async fn greet(&self, name: String, loud: Option<bool>) -> Result<Greeting> {
            tokio::time::sleep(Duration::from_millis(3)).await;
            let mut text = format!("hello {name}");
            if loud.unwrap_or(false) {
                text = text.to_uppercase();
            }
            Ok(Greeting { text, words: 2 })
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_call_fails_while_a_cloud_is_upgraded_node_by_node() {
    let mut cloud = Cloud::of(3, |_, node| node.service(before::Greeter)).await;
    let client = cloud.client().await;
    let stop = Arc::new(AtomicBool::new(false));
    let made = Arc::new(AtomicU32::new(0));
    let callers: Vec<_> = (0..20)
        .map(|number| {
            let (client, stop, made) = (client.clone(), stop.clone(), made.clone());
            tokio::spawn(async move {
                let (old, new) = (
                    before::GreeterClient::new(&client),
                    after::GreeterClient::new(&client),
                );
                while !stop.load(Ordering::SeqCst) {
                    let text = if number % 2 == 0 {
                        old.greet("you".into()).await.unwrap().text
                    } else {
                        new.greet("you".into(), None).await.unwrap().text
                    };
                    assert_eq!(text, "hello you");
                    made.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let goes_on = async |made: &AtomicU32| {
        let before = made.load(Ordering::SeqCst);
        eventually("calls go on", || async {
            made.load(Ordering::SeqCst) > before + 100
        })
        .await;
    };
    goes_on(&made).await;
    let endpoints: Vec<_> = (0..3).map(endpoint).collect();

    for place in 0..3 {
        let old = cloud.nodes[place].clone();
        old.shutdown().await;
        goes_on(&made).await;
        let new = builder(&cloud.network, place, &endpoints).service(after::Greeter);
        cloud.nodes[place] = new.start().await.unwrap();
        drop(old);
        client
            .wait_for_nodes(3, Duration::from_secs(30))
            .await
            .unwrap();
        goes_on(&made).await;
    }

    stop.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await.unwrap();
    }
    let loud = after::GreeterClient::new(&client)
        .greet("you".into(), Some(true))
        .await
        .unwrap();
    assert_eq!((loud.text.as_str(), loud.words), ("HELLO YOU", 2));
}

#[derive(Clone, Default)]
struct Work {
    begun: Arc<AtomicU32>,
    go_on: Arc<Notify>,
}

#[distri::service(register = false)]
impl Work {
    /// Waits, then calls another method, of any node.
    async fn in_two_steps(&self, cx: &Context) -> Result<u32> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.go_on.notified().await;
        WorkClient::new(cx).step().await
    }

    async fn step(&self) -> Result<u32> {
        Ok(7)
    }
}

async fn drains_with_a_call(size: usize) {
    let work = Work::default();
    let cloud = Cloud::of(size, |_, node| node.service(work.clone())).await;
    let client = cloud.client().await;
    let node = cloud.nodes[0].clone();
    let call = tokio::spawn({
        let (client, to) = (WorkClient::new(&client), node.key());
        async move { client.in_two_steps().to(to).await }
    });
    eventually("the call is served", || async {
        work.begun.load(Ordering::SeqCst) == 1
    })
    .await;

    let stopping = tokio::spawn(async move { node.shutdown().await });
    let state = |client: &Client, node: &Node| {
        let nodes = client.nodes();
        nodes.iter().find(|n| n.key == node.key()).unwrap().state
    };
    eventually("the client is told", || async {
        state(&client, &cloud.nodes[0]) == NodeState::Draining
    })
    .await;
    work.go_on.notify_waiters();

    assert_eq!(call.await.unwrap().unwrap(), 7);
    stopping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_finished_while_its_node_drains_may_call_other_nodes() {
    drains_with_a_call(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_finished_while_its_node_drains_may_call_the_node_itself() {
    drains_with_a_call(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_drains_refuses_others_before_links_part() {
    let work = Work::default();
    let cloud = Cloud::of(2, |_, node| node.service(work.clone())).await;
    let client = WorkClient::new(cloud.client().await);
    let node = cloud.nodes[0].clone();
    let to = node.key();
    let held = tokio::spawn({
        let client = client.clone();
        async move { client.in_two_steps().to(to).await }
    });
    eventually("the call is served", || async {
        work.begun.load(Ordering::SeqCst) == 1
    })
    .await;
    let stopping = tokio::spawn(async move { node.shutdown().await });
    tokio::time::sleep(Duration::from_millis(200)).await;

    let refused = client.step().to(to).timeout(Duration::from_millis(100));
    let refused = refused.await.unwrap_err();
    client.step().await.unwrap();

    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    work.go_on.notify_waiters();
    assert_eq!(held.await.unwrap().unwrap(), 7);
    stopping.await.unwrap();
}
