//! The contract of transports in memory, and the faults that tests inject there.

#![expect(
    clippy::unwrap_used,
    reason = "in a test a panic is the report, in its helpers too"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests start tasks and read the paused clock"
)]

use std::{io, sync::Arc, time::Duration};

use async_trait::async_trait;
use distri_core::{
    id::PublicKey,
    identity::Identity,
    transport::{
        Address, ByteLink, Endpoint, Listener, Transport, TransportError,
        contract::{self, Fixture, Stalled},
        memory::{Memory, Network},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::{Instant, timeout},
};

struct InMemory(Network);

#[async_trait]
impl Fixture for InMemory {
    fn transport(&self, identity: Identity) -> Arc<dyn Transport> {
        Arc::new(self.0.transport(identity))
    }

    fn somewhere(&self) -> Address {
        Address::new("memory:0")
    }

    fn nowhere(&self) -> Address {
        Address::new("memory:1000000")
    }

    fn nonsense(&self) -> Address {
        Address::new("127.0.0.1:1")
    }

    async fn stall(&self, to: &Endpoint) -> Stalled {
        let caller = self.0.transport(Identity::generate());
        self.0.partition_one_way([to.key], [caller.key()]);
        let to = to.clone();
        let mut dial = JoinSet::new();
        dial.spawn(async move { caller.dial(&to).await });
        tokio::task::yield_now().await;
        Box::new(dial)
    }
}

mod without_delays {
    use super::*;

    contract::suite!(InMemory(Network::new(1)), start_paused = true);
}

mod with_delays {
    use super::*;

    fn far() -> InMemory {
        let network = Network::new(2);
        network.delay(ms(1)..=ms(80));
        InMemory(network)
    }

    contract::suite!(far(), start_paused = true);
}

/// A dialer `a` and a listener `b`.
struct Two {
    network: Network,
    a: Memory,
    b: PublicKey,
    listener: Box<dyn Listener>,
    to: Endpoint,
}

impl Two {
    async fn new(seed: u64) -> Self {
        let network = Network::new(seed);
        let a = network.transport(Identity::from_seed(&[1; 32]));
        let b = network.transport(Identity::from_seed(&[2; 32]));
        let listener = b.listen(&Address::new("memory:0")).await.unwrap();
        let to = Endpoint {
            key: b.key(),
            address: listener.address(),
        };
        Self {
            network,
            a,
            b: b.key(),
            listener,
            to,
        }
    }

    async fn link(&self) -> (ByteLink, ByteLink) {
        let (dialed, accepted) = tokio::join!(self.a.dial(&self.to), self.listener.accept());
        (dialed.unwrap(), accepted.unwrap())
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

async fn quiet(link: &mut ByteLink) -> bool {
    timeout(Duration::from_secs(60), link.bytes.read_u8())
        .await
        .is_err()
}

#[tokio::test(start_paused = true)]
async fn a_partition_stalls_links_and_healing_delivers_what_was_held_up() {
    let two = Two::new(1).await;
    let (mut left, mut right) = two.link().await;

    two.network.partition([two.a.key()], [two.b]);
    left.bytes.write_all(b"x").await.unwrap();
    right.bytes.write_all(b"y").await.unwrap();
    assert!(quiet(&mut left).await && quiet(&mut right).await);

    let start = Instant::now();
    let read = async { (right.bytes.read_u8().await, left.bytes.read_u8().await) };
    let heal = async {
        tokio::time::sleep(ms(70)).await;
        two.network.heal();
    };
    let ((at_right, at_left), ()) = tokio::join!(biased; read, heal);
    assert_eq!((at_right.unwrap(), at_left.unwrap()), (b'x', b'y'));
    assert_eq!(start.elapsed(), ms(70));
}

#[tokio::test(start_paused = true)]
async fn a_one_way_partition_lets_the_other_way_through() {
    let two = Two::new(1).await;
    let (mut left, mut right) = two.link().await;

    two.network.partition_one_way([two.a.key()], [two.b]);
    left.bytes.write_all(b"x").await.unwrap();
    right.bytes.write_all(b"y").await.unwrap();

    assert!(quiet(&mut right).await);
    assert_eq!(left.bytes.read_u8().await.unwrap(), b'y');
}

#[tokio::test(start_paused = true)]
async fn a_partition_spares_those_on_one_side_of_it() {
    let two = Two::new(1).await;
    let c = two.network.transport(Identity::from_seed(&[3; 32]));
    let (mut left, mut right) = two.link().await;

    two.network.partition([c.key()], [two.a.key(), two.b]);

    left.bytes.write_all(b"x").await.unwrap();
    assert_eq!(right.bytes.read_u8().await.unwrap(), b'x');
    assert!(matches!(
        c.dial(&two.to).await,
        Err(TransportError::TimedOut { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_dial_into_a_partition_times_out_unless_it_heals_in_time() {
    let two = Two::new(1).await;
    two.network.partition([two.a.key()], [two.b]);

    let start = Instant::now();
    let error = two.a.dial(&two.to).await.unwrap_err();
    assert!(matches!(error, TransportError::TimedOut { .. }), "{error}");
    assert_eq!(start.elapsed(), Duration::from_secs(5));

    let healed = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        two.network.heal();
    };
    let start = Instant::now();
    let (dialed, accepted, ()) = tokio::join!(two.a.dial(&two.to), two.listener.accept(), healed);
    assert_eq!(start.elapsed(), Duration::from_secs(4));
    assert_eq!(dialed.unwrap().peer, two.b);
    assert_eq!(accepted.unwrap().peer, two.a.key());
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_is_cut_off_half_way_ends_when_it_heals() {
    let two = Two::new(1).await;
    two.network
        .delay(Duration::from_secs(1)..=Duration::from_secs(1));

    let start = Instant::now();
    let faults = async {
        tokio::time::sleep(ms(1500)).await;
        two.network.partition_one_way([two.b], [two.a.key()]);
        tokio::time::sleep(ms(1500)).await;
        two.network.heal();
    };
    let (dialed, accepted, ()) = tokio::join!(two.a.dial(&two.to), two.listener.accept(), faults);

    dialed.and(accepted).unwrap();
    assert_eq!(
        start.elapsed(),
        Duration::from_secs(4),
        "the answer is sent again after the healing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_cut_resets_both_ends_and_a_new_link_can_be_made() {
    let two = Two::new(1).await;
    let (mut left, mut right) = two.link().await;
    left.bytes.write_all(b"lost").await.unwrap();

    let waiting = async {
        (
            left.bytes.read_u8().await,
            right.bytes.read(&mut [0; 9]).await,
        )
    };
    let cut = async { two.network.cut(two.b, two.a.key()) };
    let (ends, ()) = tokio::join!(biased; waiting, cut);

    assert_eq!(ends.0.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(ends.1.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    two.link().await;
}

#[tokio::test(start_paused = true)]
async fn bytes_take_the_delay_of_their_direction() {
    let two = Two::new(1).await;
    let (mut left, mut right) = two.link().await;
    two.network.delay(ms(30)..=ms(30));
    two.network
        .delay_one_way(two.b, two.a.key(), ms(100)..=ms(100));

    let start = Instant::now();
    left.bytes.write_all(b"x").await.unwrap();
    right.bytes.read_u8().await.unwrap();
    assert_eq!(start.elapsed(), ms(30));

    right.bytes.write_all(b"y").await.unwrap();
    left.bytes.read_u8().await.unwrap();
    assert_eq!(start.elapsed(), ms(130));

    two.link().await;
    assert_eq!(start.elapsed(), ms(260));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_takes_its_rate_until_it_is_slow_no_more() {
    let two = Two::new(1).await;
    let (mut left, mut right) = two.link().await;
    two.network.slow(two.b, 10_000);

    let start = Instant::now();
    let read = async { right.bytes.read_exact(&mut [0; 5000]).await.map(drop) };
    let (read, written) = tokio::join!(read, left.bytes.write_all(&[7; 15_000]));
    read.and(written).unwrap();
    assert!(
        (ms(480)..=ms(510)).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );

    two.network.unslow(two.b);
    right.bytes.read_exact(&mut [0; 10_000]).await.unwrap();
    assert!(start.elapsed() <= ms(520), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_link_holds_as_many_bytes_as_its_buffer() {
    let two = Two::new(1).await;
    two.network.buffer(1000);
    let (mut left, mut right) = two.link().await;

    assert_eq!(left.bytes.write(&[7; 5000]).await.unwrap(), 1000);
    assert!(
        timeout(Duration::from_secs(60), left.bytes.write(&[7]))
            .await
            .is_err()
    );
    right.bytes.read_exact(&mut [0; 10]).await.unwrap();
    assert_eq!(left.bytes.write(&[7; 5000]).await.unwrap(), 10);
}

/// When each of 200 small writes arrives on each of three links.
async fn arrivals(seed: u64) -> Vec<Duration> {
    let two = Two::new(seed).await;
    two.network.delay(ms(1)..=ms(50));
    let start = Instant::now();
    let mut all = Vec::new();
    for _ in 0..3 {
        let (mut left, mut right) = two.link().await;
        let write = async {
            for _ in 0..200 {
                left.bytes.write_all(b"x").await.unwrap();
                tokio::time::sleep(ms(7)).await;
            }
        };
        let read = async {
            for _ in 0..200 {
                right.bytes.read_u8().await.unwrap();
                all.push(start.elapsed());
            }
        };
        tokio::join!(write, read);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_times_and_another_does_not() {
    let first = arrivals(7).await;

    assert_eq!(first, arrivals(7).await);
    assert_ne!(first, arrivals(8).await);
}
