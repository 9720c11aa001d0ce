//! What every transport promises, as tests that run on each.
//!
//! Each case is one promise: a function over a [`Fixture`], which says how to make transports of one
//! kind. [`suite!`](crate::transport::contract::suite) turns all of them into tests:
//!
//! ```text
//! distri::transport::contract::suite!(OverTcp);
//! distri::transport::contract::suite!(InMemory::new(), start_paused = true);
//! ```
//!
//! Beyond the signatures of [`Transport`], the cases state:
//! - a write is on its way once `flush` has returned; before that it may wait for more;
//! - `shutdown` of one end is end of file at the other, after all bytes, and the direction back
//!   works on (half-close);
//! - an end that is dropped without `shutdown` is an error at the other, never end of file, so what
//!   was cut off cannot pass for whole;
//! - who does not read makes the other's writes wait, after a bounded number of bytes.

use std::{any::Any, collections::BTreeSet, io, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{Address, Endpoint, Transport, TransportError};
use crate::identity::Identity;

mod support;

use support::{Server, all, exchange, pattern, pause, polled, receive, send, within};

#[doc(inline)]
pub use crate::__transport_contract_suite as suite;

/// Makes transports of one kind that can reach each other.
#[async_trait]
pub trait Fixture: Sync {
    /// A transport that proves `identity`.
    fn transport(&self, identity: Identity) -> Arc<dyn Transport>;

    /// Where to listen, at a port that is picked.
    fn somewhere(&self) -> Address;

    /// A well-formed address where nobody listens.
    fn nowhere(&self) -> Address;

    /// A text that is no address of this kind.
    fn nonsense(&self) -> Address;

    /// Begins to dial `to` and never comes to an end, until the result is dropped.
    async fn stall(&self, to: &Endpoint) -> Stalled;
}

/// A half-made link, kept so by [`Fixture::stall`].
pub type Stalled = Box<dyn Any + Send>;

/// How long a write must not move to count as stopped.
const STOPPED: Duration = Duration::from_millis(500);

/// What a writer may have written when it is stopped by a reader that does not read: what the
/// buffers of both systems hold, and nowhere near what a program could.
const BUFFERED_MAX: usize = 64 << 20;

/// Makes one `#[tokio::test]` of each case, on the fixture that the first argument makes; further
/// arguments go to `tokio::test`.
#[doc(hidden)]
#[macro_export]
macro_rules! __transport_contract_suite {
    ($fixture:expr $(, $($options:tt)*)?) => {
        $crate::__transport_contract_suite! {
            @cases ($fixture) ($($($options)*)?)
            keys_are_proven_both_ways
            a_wrong_key_is_refused_naming_both
            a_node_can_dial_itself
            small_messages_go_back_and_forth
            bytes_arrive_in_order_and_whole_both_ways_at_once
            shutting_down_is_end_of_file_and_the_way_back_works_on
            a_dropped_link_is_an_error_at_the_other_end
            a_waiting_writer_learns_that_its_reader_is_gone
            dialing_where_nobody_listens_is_unreachable
            nonsense_is_no_address
            a_used_address_cannot_be_listened_on
            an_address_is_free_again_when_its_listener_is_dropped
            links_outlive_their_listener
            stalled_handshakes_do_not_delay_others
            dropping_an_accept_loses_no_link
            dropping_a_dial_leaves_the_listener_working
            many_dial_at_once_and_each_is_itself
            a_reader_that_does_not_read_stops_the_writer
        }
    };
    (@cases ($fixture:expr) $options:tt $($case:ident)*) => {
        $(
            #[tokio::test $options]
            async fn $case() {
                $crate::transport::contract::$case(&$fixture).await;
            }
        )*
    };
}

/// Both ends know each other's key.
pub async fn keys_are_proven_both_ways(fixture: &impl Fixture) {
    let server = Server::start(fixture).await;
    let client = fixture.transport(Identity::generate());

    let (dialed, accepted) = server.link(&*client).await;

    assert_eq!(dialed.peer, server.transport.key());
    assert_eq!(accepted.peer, client.key());
}

/// Whoever answers with another key than the dialed one gets no link, nor sees one.
pub async fn a_wrong_key_is_refused_naming_both(fixture: &impl Fixture) {
    let server = Server::start(fixture).await;
    let client = fixture.transport(Identity::generate());
    let other = Identity::generate().public();
    let wrong = Endpoint {
        key: other,
        address: server.endpoint.address.clone(),
    };

    let error = within(client.dial(&wrong))
        .await
        .expect_err("the key is wrong");

    match &error {
        TransportError::WrongKey {
            address,
            expected,
            found,
        } => {
            assert_eq!((address, *expected), (&wrong.address, other));
            assert_eq!(*found, server.transport.key());
        }
        other => panic!("expected a wrong key, got {other:?}"),
    }
    let text = error.to_string();
    assert!(text.contains(&other.to_string()), "{text}");
    assert!(text.contains(&server.transport.key().to_string()), "{text}");
    // The next link to come is a good one: nothing of the refused dial was reported.
    let (mut dialed, mut accepted) = server.link(&*client).await;
    send(&mut dialed, b"good").await;
    assert_eq!(receive(&mut accepted, 4).await, b"good");
}

/// A key may link to itself.
pub async fn a_node_can_dial_itself(fixture: &impl Fixture) {
    let server = Server::start(fixture).await;

    let (dialed, accepted) = server.link(&*server.transport).await;

    assert_eq!(dialed.peer, accepted.peer);
}

/// What is flushed arrives, however little it is.
pub async fn small_messages_go_back_and_forth(fixture: &impl Fixture) {
    let (mut left, mut right) = Server::pair(fixture).await;

    for nr in 0..=255 {
        send(&mut left, &[nr]).await;
        assert_eq!(receive(&mut right, 1).await, [nr]);
        send(&mut right, &[nr, nr]).await;
        assert_eq!(receive(&mut left, 2).await, [nr, nr]);
    }
}

/// Bytes arrive in order and whole, in both directions at the same time.
pub async fn bytes_arrive_in_order_and_whole_both_ways_at_once(fixture: &impl Fixture) {
    for size in [1, 2, 4095, 16_384, 16_385, 65_537, 1 << 20, (5 << 20) + 3] {
        let (mut left, mut right) = Server::pair(fixture).await;
        let (there, back) = (pattern(size, 1), pattern(size, 2));

        let (at_left, at_right) = within(async {
            tokio::join!(exchange(&mut left, &there), exchange(&mut right, &back))
        })
        .await;

        assert!(at_left == back && at_right == there, "{size} bytes differ");
    }
}

/// One end shuts down: the other reads all, then end of file, and can still answer.
pub async fn shutting_down_is_end_of_file_and_the_way_back_works_on(fixture: &impl Fixture) {
    let (mut left, mut right) = Server::pair(fixture).await;

    let mut heard = Vec::new();
    let listen = async {
        within(right.bytes.read_to_end(&mut heard))
            .await
            .expect("ends well")
    };
    let speak = async {
        send(&mut left, b"last words").await;
        pause().await;
        within(left.bytes.shutdown()).await.expect("shuts down");
    };
    // The reader first, so that it waits when the words come, and again when the end comes.
    tokio::join!(biased; listen, speak);

    assert_eq!(heard, b"last words");
    send(&mut right, b"answer").await;
    assert_eq!(receive(&mut left, 6).await, b"answer");
    within(right.bytes.shutdown()).await.expect("shuts down");
    assert_eq!(
        within(left.bytes.read(&mut [0])).await.expect("ends well"),
        0
    );
}

/// One end is dropped without a word: the other gets what was flushed, then errors.
pub async fn a_dropped_link_is_an_error_at_the_other_end(fixture: &impl Fixture) {
    let (mut left, mut right) = Server::pair(fixture).await;

    send(&mut left, b"last words").await;
    assert_eq!(receive(&mut right, 10).await, b"last words");

    let read = async {
        within(right.bytes.read(&mut [0]))
            .await
            .expect_err("was cut off")
    };
    let (error, ()) = tokio::join!(biased; read, async { drop(left) });
    assert!(
        matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
        ),
        "{error:?}"
    );
}

/// Who waits to write learns that the other end is gone.
pub async fn a_waiting_writer_learns_that_its_reader_is_gone(fixture: &impl Fixture) {
    let (mut left, right) = Server::pair(fixture).await;

    let write = async { while left.bytes.write_all(&[7; 64 * 1024]).await.is_ok() {} };
    let leave = async {
        pause().await;
        drop(right);
    };

    within(async { tokio::join!(biased; write, leave) }).await;
}

/// Nobody is there.
pub async fn dialing_where_nobody_listens_is_unreachable(fixture: &impl Fixture) {
    let client = fixture.transport(Identity::generate());
    let to = Endpoint {
        key: Identity::generate().public(),
        address: fixture.nowhere(),
    };

    let error = within(client.dial(&to)).await.expect_err("nobody is there");

    assert!(
        matches!(&error, TransportError::Unreachable { address, .. } if *address == to.address),
        "{error:?}"
    );
}

/// What is no address is refused as such, by both who dials and who listens.
pub async fn nonsense_is_no_address(fixture: &impl Fixture) {
    let transport = fixture.transport(Identity::generate());
    let to = Endpoint {
        key: Identity::generate().public(),
        address: fixture.nonsense(),
    };

    let dialed = within(transport.dial(&to)).await.expect_err("no address");
    let listened = within(transport.listen(&to.address))
        .await
        .expect_err("no address");

    assert!(
        matches!(dialed, TransportError::InvalidAddress { .. }),
        "{dialed:?}"
    );
    assert!(
        matches!(listened, TransportError::InvalidAddress { .. }),
        "{listened:?}"
    );
}

/// An address has one listener.
pub async fn a_used_address_cannot_be_listened_on(fixture: &impl Fixture) {
    let server = Server::start(fixture).await;
    let other = fixture.transport(Identity::generate());

    let error = within(other.listen(&server.endpoint.address))
        .await
        .expect_err("is in use");

    assert!(
        matches!(&error, TransportError::Bind { address, .. } if *address == server.endpoint.address),
        "{error:?}"
    );
}

/// Dropping a listener ends it: dials find nobody, and another may listen there.
pub async fn an_address_is_free_again_when_its_listener_is_dropped(fixture: &impl Fixture) {
    let Server {
        transport,
        listener,
        endpoint,
    } = Server::start(fixture).await;
    let client = fixture.transport(Identity::generate());

    drop(listener);

    let listener = within(async {
        loop {
            match transport.listen(&endpoint.address).await {
                Ok(listener) => return listener,
                // A listener may end a moment after it was dropped.
                Err(TransportError::Bind { .. }) => tokio::task::yield_now().await,
                Err(other) => panic!("{other:?}"),
            }
        }
    })
    .await;
    Server {
        transport,
        listener,
        endpoint,
    }
    .link(&*client)
    .await;
}

/// Links that were accepted do not end with their listener.
pub async fn links_outlive_their_listener(fixture: &impl Fixture) {
    let server = Server::start(fixture).await;
    let client = fixture.transport(Identity::generate());
    let (mut left, mut right) = server.link(&*client).await;

    drop(server);

    send(&mut left, b"still").await;
    assert_eq!(receive(&mut right, 5).await, b"still");
    send(&mut right, b"here").await;
    assert_eq!(receive(&mut left, 4).await, b"here");
}

/// Callers that stall delay nobody and are not reported.
pub async fn stalled_handshakes_do_not_delay_others(fixture: &impl Fixture) {
    let server = Server::start(fixture).await;
    let client = fixture.transport(Identity::generate());
    let mut stalled = Vec::new();
    for _ in 0..20 {
        stalled.push(fixture.stall(&server.endpoint).await);
    }

    let (_, accepted) = timeout(Duration::from_secs(4), server.link(&*client))
        .await
        .expect("others are served well before a stalled handshake times out");

    assert_eq!(accepted.peer, client.key());
    drop(stalled);
}

/// An accept that is dropped at any point leaves its link to the next.
pub async fn dropping_an_accept_loses_no_link(fixture: &impl Fixture) {
    let server = Server::start(fixture).await;
    let clients: Vec<_> = (0..8)
        .map(|_| fixture.transport(Identity::generate()))
        .collect();

    for (nr, client) in clients.iter().enumerate() {
        let dial = within(client.dial(&server.endpoint));
        let accept = within(async {
            loop {
                let dropped = polled(1 + nr % 3, server.listener.accept());
                // The time limit drops it too, and lets a paused clock move on.
                if let Ok(Some(link)) = timeout(Duration::from_millis(1), dropped).await {
                    return link.expect("accepts");
                }
            }
        });
        let (dialed, accepted) = tokio::join!(dial, accept);

        assert_eq!(dialed.expect("dials").peer, server.transport.key());
        assert_eq!(accepted.peer, client.key());
    }
}

/// A dial that is dropped at any point is either no link or one that ends.
pub async fn dropping_a_dial_leaves_the_listener_working(fixture: &impl Fixture) {
    let server = Server::start(fixture).await;
    let client = fixture.transport(Identity::generate());
    let last = fixture.transport(Identity::generate());

    for nr in 0..20 {
        let _ = timeout(
            Duration::from_micros(nr * 50),
            client.dial(&server.endpoint),
        )
        .await;
    }

    let dial = within(last.dial(&server.endpoint));
    let accept = within(async {
        loop {
            let mut link = server.listener.accept().await.expect("accepts");
            if link.peer == last.key() {
                return link;
            }
            assert_eq!(link.peer, client.key());
            link.bytes
                .read(&mut [0])
                .await
                .expect_err("its other end is gone");
        }
    });
    let (dialed, _accepted) = tokio::join!(dial, accept);
    dialed.expect("dials");
}

/// Many dials at once come to their own ends.
pub async fn many_dial_at_once_and_each_is_itself(fixture: &impl Fixture) {
    const CLIENTS: usize = 40;
    let server = Server::start(fixture).await;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| fixture.transport(Identity::generate()))
        .collect();
    let keys: BTreeSet<_> = clients.iter().map(|client| client.key()).collect();

    let dials: Vec<_> = clients
        .iter()
        .map(|client| client.dial(&server.endpoint))
        .collect();
    let accept_all = async {
        let mut links = Vec::new();
        while links.len() < CLIENTS {
            links.push(server.listener.accept().await.expect("accepts"));
        }
        links
    };
    let (dialed, accepted) = within(async { tokio::join!(all(dials), accept_all) }).await;

    assert!(dialed.iter().all(|link| {
        link.as_ref()
            .is_ok_and(|l| l.peer == server.transport.key())
    }));
    assert_eq!(
        accepted
            .iter()
            .map(|link| link.peer)
            .collect::<BTreeSet<_>>(),
        keys
    );
}

/// Back-pressure: memory stays bounded, and nothing is lost by waiting.
pub async fn a_reader_that_does_not_read_stops_the_writer(fixture: &impl Fixture) {
    let (mut left, mut right) = Server::pair(fixture).await;
    let block = pattern(64 * 1024, 3);
    let mut written = 0;

    // By single writes, since one that is dropped half way would leave the count unknown.
    while let Ok(result) = timeout(STOPPED, left.bytes.write(&block[written % block.len()..])).await
    {
        written += result.expect("writes");
        assert!(written < BUFFERED_MAX, "{written} bytes and no end");
    }

    // More than any buffer that was emptied holds, so the writer has to be woken again and again.
    let goal = written + (8 << 20);
    let write = async {
        while written < goal {
            written += left
                .bytes
                .write(&block[written % block.len()..])
                .await
                .expect("writes");
        }
        left.bytes.flush().await.expect("flushes");
    };
    let read = async {
        let (mut read, mut buf) = (0, vec![0; 64 * 1024]);
        while read < goal {
            let got = right.bytes.read(&mut buf).await.expect("reads");
            assert_ne!(got, 0, "ended after {read} of {goal} bytes");
            for (nr, byte) in buf[..got].iter().enumerate() {
                assert_eq!(
                    *byte,
                    block[(read + nr) % block.len()],
                    "at byte {}",
                    read + nr
                );
            }
            read += got;
        }
    };
    within(async { tokio::join!(biased; write, read) }).await;
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_case_is_in_the_suite() {
        let source = include_str!("contract.rs");
        let (suite, cases) = source.split_once("(@cases ($fixture:expr)").unwrap();

        for case in cases
            .lines()
            .filter_map(|line| line.strip_prefix("pub async fn "))
        {
            let (name, _) = case.split_once('(').unwrap();
            assert!(
                suite.lines().any(|line| line.trim() == name),
                "`{name}` is not run"
            );
        }
    }
}
