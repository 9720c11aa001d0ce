//! What the cases of the contract have in common: a listening transport, links, patience.

#![expect(
    clippy::disallowed_methods,
    reason = "a driver of tests: a clock and timers"
)]

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep, timeout},
};

use super::{Fixture, STOPPED};
use crate::{
    identity::Identity,
    transport::{ByteLink, Endpoint, Listener, Transport},
};

/// How long anything in a case may take before the case fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A transport that listens.
pub(super) struct Server {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) listener: Box<dyn Listener>,
    pub(super) endpoint: Endpoint,
}

impl Server {
    pub(super) async fn start(fixture: &impl Fixture) -> Self {
        let transport = fixture.transport(Identity::generate());
        let listener = within(transport.listen(&fixture.somewhere()))
            .await
            .expect("listens");
        let endpoint = Endpoint {
            key: transport.key(),
            address: listener.address(),
        };
        Self {
            transport,
            listener,
            endpoint,
        }
    }

    /// Links `client` to this server: the end that dialed, and the end that accepted.
    pub(super) async fn link(&self, client: &dyn Transport) -> (ByteLink, ByteLink) {
        let (dialed, accepted) =
            within(async { tokio::join!(client.dial(&self.endpoint), self.listener.accept()) })
                .await;
        (dialed.expect("dials"), accepted.expect("accepts"))
    }

    /// The two ends of a link between fresh keys.
    pub(super) async fn pair(fixture: &impl Fixture) -> (ByteLink, ByteLink) {
        let client = fixture.transport(Identity::generate());
        Self::start(fixture).await.link(&*client).await
    }
}

/// Long enough for the other end to do all it can and wait.
pub(super) async fn pause() {
    sleep(STOPPED).await;
}

pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let result = timeout(PATIENCE, future).await.expect("ends in time");
    // A missing wake-up shows only here: the time limit itself wakes the future once more, and a
    // paused clock comes to it at once.
    assert!(
        start.elapsed() < PATIENCE,
        "ended only when woken by the time limit"
    );
    result
}

/// Polls `future` so many times at most, and drops it when it would be polled once more: woken, but
/// not asked why.
pub(super) async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut left = times;
    poll_fn(|cx| {
        let Some(next) = left.checked_sub(1) else {
            return Poll::Ready(None);
        };
        left = next;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

pub(super) async fn send(link: &mut ByteLink, bytes: &[u8]) {
    within(async {
        link.bytes.write_all(bytes).await.expect("writes");
        link.bytes.flush().await.expect("flushes");
    })
    .await;
}

pub(super) async fn receive(link: &mut ByteLink, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    within(link.bytes.read_exact(&mut bytes))
        .await
        .expect("reads");
    bytes
}

/// Writes `mine` and at the same time reads as much.
pub(super) async fn exchange(link: &mut ByteLink, mine: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(&mut link.bytes);
    let write = async {
        writer.write_all(mine).await.expect("writes");
        writer.flush().await.expect("flushes");
    };
    let mut theirs = vec![0; mine.len()];
    let read = async { reader.read_exact(&mut theirs).await.expect("reads") };
    tokio::join!(write, read);
    theirs
}

/// Bytes that differ from their neighbours, from other sizes' and from other salts'.
pub(super) fn pattern(size: usize, salt: u8) -> Vec<u8> {
    (0..size)
        .map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8 ^ salt)
        .collect()
}

/// Waits for all of them at once.
pub(super) async fn all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures
        .into_iter()
        .map(|one| (Box::pin(one), None))
        .collect();
    poll_fn(|cx| {
        let mut pending = false;
        for (future, result) in &mut futures {
            if result.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(value) => *result = Some(value),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    futures
        .into_iter()
        .filter_map(|(_, result)| result)
        .collect()
}
