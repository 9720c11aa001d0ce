//! The admin port: what it tells of a node, when, and that it harms none.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests drive nodes as a program does, and may panic"
)]

extern crate distri_core as distri;

#[path = "http/browser.rs"]
mod browser;
mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use distri::{
    Config, Node, Result,
    cluster::NodeRole,
    node::{NodeBuilder, StartError},
    storage::MemoryDisk,
    transport::{Address, memory::Network},
};
use support::{Cloud, identity};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use browser::{ask, get, in_time, try_get, until_closed};

/// Answers when the test lets it.
struct Gated {
    gate: Arc<Semaphore>,
}

#[distri::service(register = false)]
impl Gated {
    async fn wait(&self) -> Result<u32> {
        self.gate.acquire().await.unwrap().forget();
        Ok(7)
    }
}

/// A node alone, with an admin port, and what lets its calls go.
async fn node() -> (Cloud, SocketAddr, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let cloud = Cloud::of(1, |place, builder| {
        let mut config = support::config(place, &[support::endpoint(place)]);
        config.admin.listen = Some(Address::new("127.0.0.1:0"));
        config.limits.drain = Duration::from_secs(120);
        builder.config(config).service(Gated { gate: gate.clone() })
    })
    .await;
    let admin = cloud.nodes[0].admin_address().unwrap();
    (cloud, admin, gate)
}

/// Asks whether the node is ready until the answer is as wanted.
async fn until_readiness(admin: SocketAddr, is_wanted: impl Fn(u16, &str) -> bool) -> String {
    in_time("another readiness", async {
        loop {
            let answer = get(admin, "/readyz").await;
            if is_wanted(answer.status, &answer.body) {
                return answer.body;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

#[tokio::test]
async fn there_is_no_admin_port_unless_it_is_asked_for() {
    let cloud = Cloud::of(1, |_, builder| builder).await;

    assert_eq!(cloud.nodes[0].admin_address(), None);
}

#[tokio::test]
async fn a_node_tells_that_it_lives_is_ready_and_what_it_counts() {
    let (_cloud, admin, _) = node().await;

    let health = get(admin, "/healthz").await;
    let ready = until_readiness(admin, |status, _| status == 200).await;
    let metrics = get(admin, "/metrics").await;

    assert_eq!((health.status, health.body.as_str()), (200, "alive\n"));
    assert_eq!(ready, "ready\n");
    assert_eq!(metrics.status, 200);
    let kind = metrics.header("content-type");
    assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(metrics.body.contains("\ndistri_draining 0\n"));
    assert!(metrics.body.contains("name=\"node-0\""));
    for answer in [health, metrics] {
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("connection"), Some("close"));
    }
}

#[tokio::test]
async fn the_head_of_each_page_can_be_asked_for() {
    let (_cloud, admin, _) = node().await;

    for path in ["/metrics", "/healthz"] {
        let answer = ask(admin, &format!("HEAD {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{path}");
        assert_ne!(answer.header("content-length"), Some("0"), "{path}");
    }
}

#[tokio::test]
async fn other_methods_and_paths_are_refused_and_bodies_are_not_read() {
    let (_cloud, admin, _) = node().await;

    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        // Of the body that it tells of nothing is sent: whoever waited for it would wait long.
        let head =
            format!("{method} /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n");
        let answer = ask(admin, &head).await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{method}");
    }
    for path in [
        "/",
        "/metrics/",
        "/Metrics",
        "//healthz",
        "/../metrics",
        "/%6detrics",
    ] {
        assert_eq!(get(admin, path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn readiness_is_withdrawn_before_links_part_and_calls_end() {
    let (cloud, admin, gate) = node().await;
    let client = cloud.client().await;
    let node = cloud.nodes[0].clone();
    until_readiness(admin, |status, _| status == 200).await;
    let call = tokio::spawn(GatedClient::new(&client).wait().into_future());
    in_time("a call under way", async {
        while node.status().in_flight == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;

    let stopping = node.clone();
    let shutdown = tokio::spawn(async move { stopping.shutdown().await });
    let why = until_readiness(admin, |status, _| status == 503).await;

    assert!(why.starts_with("draining: "), "{why}");
    assert_eq!(node.links(), 1, "the client's link has parted");
    assert!(!call.is_finished() && !shutdown.is_finished());
    assert_eq!(get(admin, "/healthz").await.status, 200);
    assert_eq!(get(admin, "/metrics").await.status, 200);
    gate.add_permits(1);
    assert_eq!(call.await.unwrap().unwrap(), 7);
    in_time("an end of the drain", shutdown).await.unwrap();
    in_time("an end of the admin port", async {
        while try_get(admin, "/healthz").await.is_some() {}
    })
    .await;
}

#[tokio::test]
async fn callers_who_do_nothing_neither_hold_up_a_drain_nor_keep_others_out_for_long() {
    let (cloud, admin, _) = node().await;
    let mut crowd = Vec::new();
    for place in 0..200 {
        let mut socket = TcpStream::connect(admin).await.unwrap();
        if place % 2 == 0 {
            // Those beyond the bound are closed already.
            let _ = socket.write_all(b"GET /metrics HTTP/1.1\r\nhost:").await;
        }
        crowd.push(socket);
    }

    in_time("room again", async {
        while try_get(admin, "/healthz").await.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    for place in 0..20 {
        let mut socket = TcpStream::connect(admin).await.unwrap();
        let _ = socket.write_all(b"GET /metrics HTT").await;
        crowd.insert(place, socket);
    }
    in_time("an end of the drain", cloud.nodes[0].shutdown()).await;

    for socket in &mut crowd {
        until_closed(socket).await;
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut config = support::config(0, &[support::endpoint(0)]);
    config.admin.listen = Some(Address::new(&address));
    let network = Network::new(7);

    let started = support::builder(&network, 0, &[support::endpoint(0)])
        .config(config)
        .start()
        .await;

    let error = started.unwrap_err();
    assert!(matches!(error, StartError::Admin(_)), "{error}");
    let chain = distri::error::chain(&error);
    assert!(chain.contains(&address), "{chain}");
}

/// A node of a cluster of its own, with an admin port.
async fn member(
    network: &Network,
    place: u8,
    enter: impl FnOnce(NodeBuilder) -> NodeBuilder,
) -> Node {
    let mut config = Config::default();
    config.node.listen = Address::new(format!("memory:{}", 100 + place));
    config.node.name = Some(format!("node-{place}"));
    config.admin.listen = Some(Address::new("127.0.0.1:0"));
    let builder = Node::builder()
        .transport(Arc::new(network.transport(identity(place))))
        .config(config)
        .disk(Arc::new(MemoryDisk::new(u64::from(place))))
        .without_registry();
    enter(builder).start().await.unwrap()
}

#[tokio::test]
async fn a_node_without_a_majority_says_that_it_has_no_directory() {
    let network = Network::new(11);
    let mut nodes = vec![member(&network, 0, NodeBuilder::found).await];
    for place in 1..3 {
        let valid = Duration::from_secs(60);
        let token = nodes[0].client().join_token(valid).await.unwrap();
        nodes.push(member(&network, place, |builder| builder.join(token)).await);
    }
    let admin = |node: &Node| node.admin_address().unwrap();
    for node in &nodes {
        until_readiness(admin(node), |status, _| status == 200).await;
    }
    in_time("three voters", async {
        let votes = |role| matches!(role, NodeRole::Leader | NodeRole::Voter);
        loop {
            let info = nodes[0].client().cluster().await.unwrap();
            if info.nodes.iter().filter(|node| votes(node.role)).count() == 3 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;

    let left = nodes.remove(0);
    nodes.clear();
    let why = until_readiness(admin(&left), |status, _| status == 503).await;

    assert!(why.starts_with("no directory: "), "{why}");
    assert_eq!(get(admin(&left), "/healthz").await.status, 200);
}
