//! What nodes tell of themselves, frame by frame: each link once at first, all when it changes.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests drive nodes as a program does, and may panic"
)]

extern crate distri_core as distri;

mod support;

use std::time::Duration;

use bytes::{Buf, BytesMut};
use distri::{
    Result,
    transport::{ByteLink, Transport},
};
use support::{Cloud, endpoint, identity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Kinds of frames, as `docs/protocol.md` has them.
const REQUEST: u8 = 2;
const PING: u8 = 11;
const PONG: u8 = 12;
const STATUS: u8 = 13;

/// Waits for as long as it is told to.
#[derive(Default)]
struct Sleeper;

#[distri::service(register = false)]
impl Sleeper {
    async fn sleep(&self) -> Result<()> {
        std::future::pending().await
    }
}

/// A client that sees each frame.
struct Watcher {
    link: ByteLink,
    heard: BytesMut,
}

impl Watcher {
    async fn link(cloud: &Cloud, seed: u8) -> Self {
        let transport = cloud.network.transport(identity(seed));
        let mut watcher = Self {
            link: transport.dial(&endpoint(0)).await.unwrap(),
            heard: BytesMut::new(),
        };
        // Not a node, no life, link, name, program, address; four bounds of 100; no services, an empty status.
        let hello = b"distri\x01\x00\x00\x00\x00\x00\x00\x00dddd\x00\x00\x00\x00\x00\x00";
        watcher.say(1, hello).await;
        watcher
    }

    async fn say(&mut self, kind: u8, body: &[u8]) {
        let length = u8::try_from(body.len()).unwrap();
        let frame = [&[length, 0, 0, kind, 0, 0, 0, 0], body].concat();
        self.link.bytes.write_all(&frame).await.unwrap();
        self.link.bytes.flush().await.unwrap();
    }

    /// The kind of the next frame.
    async fn next(&mut self) -> u8 {
        loop {
            if let Some(&[a, b, c, kind, ..]) = self.heard.get(..8) {
                let length = u32::from_le_bytes([a, b, c, 0]) as usize;
                if self.heard.len() >= 8 + length {
                    self.heard.advance(8 + length);
                    return kind;
                }
            }
            let read = self.link.bytes.read_buf(&mut self.heard);
            let read = tokio::time::timeout(Duration::from_secs(30), read).await;
            assert_ne!(read.unwrap().unwrap(), 0, "the node closed the link");
        }
    }

    async fn until(&mut self, kind: u8) {
        while self.next().await != kind {}
    }

    /// How often it has been told how the node stands, since it last looked.
    async fn told(&mut self) -> usize {
        // Frames keep their order: what the node had sent before is before its answer.
        self.say(PING, b"").await;
        let mut told = 0;
        loop {
            match self.next().await {
                PONG => return told,
                STATUS => told += 1,
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn those_who_are_linked_are_not_told_again_for_each_that_comes() {
    let cloud = Cloud::of(1, |_, node| node).await;
    let mut first = Watcher::link(&cloud, 100).await;
    first.until(STATUS).await;
    first.told().await;

    let mut others = Vec::new();
    for seed in 101..151 {
        let mut other = Watcher::link(&cloud, seed).await;
        other.until(STATUS).await;
        others.push(other);
    }

    let told = first.told().await;
    assert!(told <= 1, "told {told} times of nothing new");
}

#[tokio::test]
async fn all_are_told_when_the_load_changes() {
    let cloud = Cloud::of(1, |_, node| node.service(Sleeper)).await;
    let mut first = Watcher::link(&cloud, 100).await;
    let mut other = Watcher::link(&cloud, 101).await;
    first.until(STATUS).await;
    other.until(STATUS).await;

    let sleep = SleeperClient::descriptor().methods[0].id;
    let head = [&sleep.0.to_le_bytes()[..], &[0, 0, 0, 0, 0, 0]].concat();
    other.say(REQUEST, &head).await;

    first.until(STATUS).await;
}
