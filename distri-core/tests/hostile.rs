//! What comes from strangers: garbage, lies, silence. The node stays up and serves others.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests drive nodes as a program does, and may panic"
)]

extern crate distri_core as distri;

mod support;

use std::{future::IntoFuture, time::Duration};

use bytes::BytesMut;

use distri::{
    Result,
    transport::{ByteLink, Transport},
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use support::{Cloud, endpoint, eventually, identity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[derive(Default)]
struct Echo;

#[distri::service(register = false)]
impl Echo {
    async fn echo(&self, text: String) -> Result<String> {
        Ok(text)
    }
}

async fn one_node() -> (Cloud, EchoClient) {
    let cloud = Cloud::of(1, |_, node| node.service(Echo)).await;
    let client = EchoClient::new(cloud.client().await);
    (cloud, client)
}

async fn stranger(cloud: &Cloud) -> ByteLink {
    cloud
        .network
        .transport(identity(99))
        .dial(&endpoint(0))
        .await
        .unwrap()
}

/// Writes `bytes`, and reads until the node closes the link.
async fn say(mut link: ByteLink, bytes: &[u8]) -> Vec<u8> {
    // The node may close before all is written.
    let _ = link.bytes.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = link.bytes.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(60), read)
        .await
        .expect("the node closes");
    answer
}

fn frame(kind: u8, id: u32, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_le_bytes();
    [&len[..3], &[kind], &id.to_le_bytes(), body].concat()
}

#[tokio::test(start_paused = true)]
async fn garbage_closes_its_own_link_only() {
    let (cloud, echo) = one_node().await;

    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 4096],
        frame(2, 0, &[0; 40]),
        frame(1, 0, b"distri\x09\x00"),
        frame(1, 0, b"nonsense"),
        frame(99, 0, b""),
    ] {
        say(stranger(&cloud).await, &bytes).await;
    }

    assert_eq!(echo.echo("still here".into()).await.unwrap(), "still here");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_says_nothing_is_closed_in_time() {
    let (cloud, _echo) = one_node().await;
    let start = tokio::time::Instant::now();

    say(stranger(&cloud).await, &[]).await;

    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    eventually("its link is forgotten", || async {
        cloud.nodes[0].links() == 1
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_silent_links_keep_nobody_out() {
    let (cloud, echo) = one_node().await;
    let mut silent = Vec::new();
    for _ in 0..1000 {
        silent.push(stranger(&cloud).await);
    }

    assert_eq!(echo.echo("hello".into()).await.unwrap(), "hello");
    eventually("they are forgotten", || async {
        cloud.nodes[0].links() == 1
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn half_a_frame_and_then_nothing_is_closed_in_time() {
    let (cloud, echo) = one_node().await;

    say(stranger(&cloud).await, &frame(1, 0, &[0; 100])[..40]).await;

    assert_eq!(echo.echo("x".into()).await.unwrap(), "x");
}

#[test]
fn any_bytes_leave_the_node_serving() {
    let mut runner = TestRunner::new(Config {
        cases: 64,
        ..Config::default()
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let (cloud, echo) = runtime.block_on(one_node());
    let frames = prop::collection::vec(
        (
            0_u8..=20,
            any::<u32>(),
            prop::collection::vec(any::<u8>(), 0..200),
        ),
        1..20,
    );
    runner
        .run(
            &(
                prop::collection::vec(any::<u8>(), 0..300),
                frames,
                any::<bool>(),
            ),
            |(raw, frames, greet)| {
                let mut bytes = Vec::new();
                if greet {
                    bytes.extend(cloud_hello());
                }
                for (kind, id, body) in frames {
                    bytes.extend(frame(kind, id % 3, &body));
                }
                bytes.extend(raw);
                runtime.block_on(async {
                    say(stranger(&cloud).await, &bytes).await;
                    assert_eq!(echo.echo("x".into()).await.unwrap(), "x");
                });
                Ok(())
            },
        )
        .unwrap();
}

/// A hello as a client says it: not a node, no name, no services.
fn cloud_hello() -> Vec<u8> {
    let mut hello = b"distri\x01\x00".to_vec();
    // is_node, life, link, name, program, address, four bounds of 100, services, status with five empty fields
    hello.extend([0, 0, 0, 0, 0, 0, 100, 100, 100, 100, 0, 0, 0, 0, 0, 0]);
    frame(1, 0, &hello)
}

#[tokio::test(start_paused = true)]
async fn the_hello_of_these_tests_is_one_that_nodes_take() {
    let (cloud, _echo) = one_node().await;
    let mut link = stranger(&cloud).await;
    link.bytes.write_all(&cloud_hello()).await.unwrap();
    link.bytes.write_all(&frame(11, 0, b"")).await.unwrap();

    let mut answer = Vec::new();
    while !answer.windows(8).any(|window| window == frame(12, 0, b"")) {
        let read = link.bytes.read_buf(&mut answer);
        assert_ne!(
            tokio::time::timeout(Duration::from_secs(9), read)
                .await
                .unwrap()
                .unwrap(),
            0
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_not_listed_is_refused_with_the_reason() {
    let network = distri::transport::memory::Network::new(3);
    let mut config = distri::Config::default();
    config.node.listen = endpoint(0).address;
    config.access.clients = distri::config::ClientAccess::Listed;
    config.access.keys = vec![identity(50).public()];
    let _node = distri::Node::builder()
        .config(config)
        .transport(std::sync::Arc::new(network.transport(identity(0))))
        .without_registry()
        .service(Echo)
        .start()
        .await
        .unwrap();
    let connect = |seed| {
        let transport = std::sync::Arc::new(network.transport(identity(seed)));
        distri::Client::builder()
            .transport(transport)
            .nodes([endpoint(0)])
            .connect()
    };

    let refused = connect(51).await.unwrap_err();
    let admitted = connect(50).await.unwrap();

    assert!(refused.message().contains("not admitted"), "{refused}");
    assert_eq!(
        EchoClient::new(admitted).echo("x".into()).await.unwrap(),
        "x"
    );
}

/// The hello of a node that offers the service of these tests, as `docs/protocol.md` has it.
fn node_hello() -> Vec<u8> {
    let method = &EchoClient::descriptor().methods[0];
    let offer = ("echo", 1_u32, vec![(method.id, method.schema_hash)]);
    let nothing: Vec<u8> = Vec::new();
    let status = (0_u32, false, &nothing, &nothing, &nothing);
    let hello = (
        true,
        [8_u64, 1],
        "liar",
        "test",
        None::<&str>,
        [100_u32; 4],
        vec![offer],
        status,
    );
    let mut body = b"distri\x01\x00".to_vec();
    body.extend(postcard::to_stdvec(&hello).unwrap());
    frame(1, 0, &body)
}

#[tokio::test]
async fn a_reply_that_comes_with_the_end_of_its_link_reaches_its_caller() {
    let network = distri::transport::memory::Network::new(5);
    let liar = network.transport(identity(0));
    let listener = liar.listen(&endpoint(0).address).await.unwrap();
    let node = tokio::spawn(async move {
        let mut link = listener.accept().await.unwrap();
        link.bytes.write_all(&node_hello()).await.unwrap();
        let mut heard = BytesMut::new();
        // Two requests, each with its frame of kind 2.
        let requests = |heard: &[u8]| {
            let (mut at, mut ids) = (0, Vec::new());
            while let Some(head) = heard.get(at..at + 8) {
                if head[3] == 2 {
                    ids.push(head[4]);
                }
                at += 8 + usize::from(head[0]) + usize::from(head[1]) * 256;
            }
            ids
        };
        while requests(&heard).len() < 2 {
            link.bytes.read_buf(&mut heard).await.unwrap();
        }
        let ids = requests(&heard);
        // One reply whole, the end of the link, and nothing for the other call.
        let reply = frame(3, ids[0].into(), &[0, 1, b'x']);
        let end = frame(14, 0, b"that is all");
        link.bytes.write_all(&[reply, end].concat()).await.unwrap();
        link.bytes.flush().await.unwrap();
        link
    });
    let client = distri::Client::builder()
        .transport(std::sync::Arc::new(network.transport(identity(1))))
        .nodes([endpoint(0)])
        .connect()
        .await
        .unwrap();
    let echo = EchoClient::new(client);

    let (one, two) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(9), echo.echo("x".into()).into_future()),
        tokio::time::timeout(Duration::from_secs(9), echo.echo("x".into()).into_future()),
    );

    let answers = [one.expect("it ends"), two.expect("it ends")];
    assert!(
        answers
            .iter()
            .any(|answer| matches!(answer, Ok(text) if text == "x"))
    );
    let lost = answers.into_iter().find_map(Result::err).unwrap();
    assert_eq!(lost.code(), distri::Code::UnknownOutcome);
    drop(node.await.unwrap());
}

/// Keeps its callers waiting.
#[derive(Default)]
struct Waiting {
    called: std::sync::Arc<tokio::sync::Notify>,
}

#[distri::service(register = false)]
impl Waiting {
    /// Gives `text` back when it is called to do so; who has waited longest is first.
    async fn wait(&self, text: String) -> Result<String> {
        self.called.notified().await;
        Ok(text)
    }
}

/// The frames of `heard` that are whole: kind, id, body.
fn frames(heard: &[u8]) -> Vec<(u8, u8, &[u8])> {
    let (mut at, mut frames) = (0, Vec::new());
    while let Some(head) = heard.get(at..at + 8) {
        let length = usize::from(head[0]) + usize::from(head[1]) * 256;
        let Some(body) = heard.get(at + 8..at + 8 + length) else {
            break;
        };
        frames.push((head[3], head[4], body));
        at += 8 + length;
    }
    frames
}

/// Reads until so many replies have come, and gives the last one's body.
async fn reply(link: &mut ByteLink, heard: &mut BytesMut, count: usize) -> Vec<u8> {
    let nth = |heard: &[u8]| {
        let frames = frames(heard);
        let mut replies = frames.into_iter().filter(|(kind, ..)| *kind == 3);
        replies.nth(count - 1).map(|(.., body)| body.to_vec())
    };
    loop {
        if let Some(body) = nth(heard) {
            return body;
        }
        let read = link.bytes.read_buf(heard);
        let read = tokio::time::timeout(Duration::from_secs(9), read).await;
        assert_ne!(read.expect("a reply comes").unwrap(), 0, "the link ended");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_given_up_at_once_never_answers_for_the_next_one_under_its_id() {
    let called = std::sync::Arc::new(tokio::sync::Notify::new());
    let service = || Waiting {
        called: called.clone(),
    };
    let cloud = Cloud::of(1, |_, node| node.service(service())).await;
    let method = WaitingClient::descriptor().methods[0].id;
    let request = |text: &str| {
        // A minute, the compact codec, nothing else.
        let head = (60_000_u32.to_le_bytes(), [0, 0]);
        let text = postcard::to_stdvec(text).unwrap();
        let head = [&method.0.to_le_bytes()[..], &head.0, &head.1].concat();
        frame(2, 0, &[head, text].concat())
    };
    let (mut link, mut heard) = (stranger(&cloud).await, BytesMut::new());
    link.bytes.write_all(&cloud_hello()).await.unwrap();

    // Both are there when the node looks, as when it has hung for a while.
    let both = [request("one"), frame(4, 0, b"")].concat();
    link.bytes.write_all(&both).await.unwrap();
    let given_up = reply(&mut link, &mut heard, 1).await;
    link.bytes.write_all(&request("two")).await.unwrap();
    called.notify_one();
    let answered = reply(&mut link, &mut heard, 2).await;

    assert_eq!(given_up[0], 1, "it failed");
    assert_eq!(answered, b"\x00\x03two");
}
