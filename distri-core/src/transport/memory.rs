//! A network inside one process, with faults at will, for tests and simulations.
//!
//! ```
//! # use std::time::Duration;
//! # use distri_core::{identity::Identity, transport::{Address, Endpoint, Transport, memory::Network}};
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let network = Network::new(7);
//! let (a, b) = (Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]));
//! let listener = network.transport(b.clone()).listen(&Address::new("memory:0")).await?;
//! let to = Endpoint { key: b.public(), address: listener.address() };
//!
//! network.delay(Duration::from_millis(5)..=Duration::from_millis(20));
//! let link = network.transport(a.clone()).dial(&to).await?;
//!
//! network.partition([a.public()], [b.public()]); // the link stalls, and a dial would time out
//! network.heal();
//! network.cut(a.public(), b.public());           // both ends see a reset
//! # Ok(())
//! # }
//! ```
//!
//! Links keep every promise of [`Transport`] but encryption: an [`Identity`] is proof enough inside
//! one process. Time is Tokio's, so under a paused clock a minute of partition costs nothing; delays
//! come from the seed, one stream of numbers for each link and direction, and nothing else is random.
//!
//! A driver around three machines: `link` (the bytes), `faults` (what is wrong), `dice` (the seed).

#![expect(
    clippy::disallowed_methods,
    reason = "a driver: timers, on the clock of the test"
)]

use std::{
    fmt, io,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep, timeout},
};

use super::{Address, ByteLink, Endpoint, Listener, Transport, TransportError};
use crate::{id::PublicKey, identity::Identity};

mod dice;
mod faults;
mod link;
mod state;
mod stream;
mod trace;

use dice::Dice;
use link::Side;
use state::{Listening, State};
use stream::MemoryStream;

/// How long a dial may take, as over TCP.
const DIAL_TIME: Duration = Duration::from_secs(5);

/// How many links wait to be accepted before further dials stall, as a kernel's queue would have it.
const BACKLOG: usize = 64;

/// Transports that reach each other, and the faults between them. Cheap to clone.
#[derive(Clone)]
pub struct Network {
    shared: Arc<Shared>,
}

struct Shared {
    seed: u64,
    state: Mutex<State>,
    /// Told of every change of what is blocked.
    changed: Notify,
}

impl Network {
    /// Makes a network without faults. Delays drawn later follow from `seed`.
    pub fn new(seed: u64) -> Self {
        let state = Mutex::new(State::new(seed, Instant::now()));
        Self {
            shared: Arc::new(Shared {
                seed,
                state,
                changed: Notify::new(),
            }),
        }
    }

    /// What to print when a test fails, to run it again.
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// How many deliveries there were so far, and a hash over them with their times: the same in two
    /// runs in which the same happened.
    pub fn trace(&self) -> (u64, u64) {
        self.shared.lock().trace.so_far()
    }

    /// Adds a transport that proves `identity`. Its addresses are `memory:N`; 0 picks a free N.
    pub fn transport(&self, identity: Identity) -> Memory {
        Memory {
            network: self.clone(),
            key: identity.public(),
        }
    }

    /// Lets nothing pass between `left` and `right`, in either direction, until [`heal`](Self::heal).
    ///
    /// Links stall; nothing of theirs is lost. Dials time out. Within each side all is well.
    pub fn partition(
        &self,
        left: impl IntoIterator<Item = PublicKey>,
        right: impl IntoIterator<Item = PublicKey>,
    ) {
        let (left, right): (Vec<_>, Vec<_>) =
            (left.into_iter().collect(), right.into_iter().collect());
        self.block(pairs(&left, &right).chain(pairs(&right, &left)));
    }

    /// Lets nothing pass from any of `from` to any of `to`, until [`heal`](Self::heal); the other way
    /// things still arrive. They go unconfirmed though, so whoever sends them stalls when the buffer
    /// of the link is full.
    pub fn partition_one_way(
        &self,
        from: impl IntoIterator<Item = PublicKey>,
        to: impl IntoIterator<Item = PublicKey>,
    ) {
        let (from, to): (Vec<_>, Vec<_>) = (from.into_iter().collect(), to.into_iter().collect());
        self.block(pairs(&from, &to));
    }

    /// Ends all partitions. What was held up arrives, after a delay.
    pub fn heal(&self) {
        let woken = self.shared.lock().heal(Instant::now());
        woken.wake();
        self.shared.changed.notify_waiters();
    }

    /// Cuts all links between `a` and `b`: both ends see a reset, and what was under way is lost.
    /// New links can be made at once.
    pub fn cut(&self, a: PublicKey, b: PublicKey) {
        let woken = self.shared.lock().cut(a, b);
        woken.wake();
    }

    /// Sets how long bytes take, everywhere. Each write draws its own delay; order is kept. A dial
    /// takes a delay in each direction.
    pub fn delay(&self, range: RangeInclusive<Duration>) {
        self.shared.lock().faults.set_delay(range);
    }

    /// Sets how long bytes take from `from` to `to`; [`delay`](Self::delay) takes it back.
    pub fn delay_one_way(&self, from: PublicKey, to: PublicKey, range: RangeInclusive<Duration>) {
        self.shared.lock().faults.set_delay_of((from, to), range);
    }

    /// Makes `reader` take at most so many bytes a second from each of its links.
    pub fn slow(&self, reader: PublicKey, bytes_per_second: u64) {
        self.shared
            .lock()
            .faults
            .set_rate(reader, Some(bytes_per_second));
    }

    /// Takes back [`slow`](Self::slow).
    pub fn unslow(&self, reader: PublicKey) {
        self.shared.lock().faults.set_rate(reader, None);
    }

    /// Sets how many bytes each direction of a link made from now on holds between its writer and
    /// its reader. At first 64 KiB.
    pub fn buffer(&self, bytes: usize) {
        self.shared.lock().capacity = bytes;
    }

    fn block(&self, paths: impl Iterator<Item = faults::Path>) {
        self.shared.lock().block(paths, Instant::now());
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("seed", &self.shared.seed)
            .finish_non_exhaustive()
    }
}

fn pairs(from: &[PublicKey], to: &[PublicKey]) -> impl Iterator<Item = faults::Path> {
    from.iter()
        .flat_map(|from| to.iter().map(|to| (*from, *to)))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked elsewhere shows its own message, not ours.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something sent now along `path` would have arrived.
    async fn travel(&self, path: faults::Path, dice: &mut Dice) {
        loop {
            self.unblocked(path).await;
            let delay = dice.within(self.lock().faults.delay_of(path));
            sleep(delay).await;
            if !self.lock().faults.is_blocked(path) {
                return;
            }
        }
    }

    async fn unblocked(&self, path: faults::Path) {
        loop {
            // Made before the look, it misses no change after it.
            let changed = self.changed.notified();
            if !self.lock().faults.is_blocked(path) {
                return;
            }
            changed.await;
        }
    }
}

/// A transport of a [`Network`]. Cheap to clone.
#[derive(Clone)]
pub struct Memory {
    network: Network,
    key: PublicKey,
}

#[async_trait]
impl Transport for Memory {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn key(&self) -> PublicKey {
        self.key
    }

    async fn dial(&self, to: &Endpoint) -> Result<ByteLink, TransportError> {
        let port = port(&to.address)?;
        match timeout(DIAL_TIME, self.dial_untimed(to, port)).await {
            Ok(result) => result,
            Err(_) => Err(TransportError::TimedOut {
                address: to.address.clone(),
                waited: DIAL_TIME,
            }),
        }
    }

    async fn listen(&self, at: &Address) -> Result<Box<dyn Listener>, TransportError> {
        let asked = port(at)?;
        let (ready_tx, ready) = mpsc::channel(BACKLOG);
        let listening = Listening {
            key: self.key,
            ready: ready_tx,
        };
        let port = self
            .network
            .shared
            .lock()
            .listen(asked, listening)
            .ok_or_else(|| TransportError::Bind {
                address: at.clone(),
                source: Arc::new(io::ErrorKind::AddrInUse.into()),
            })?;
        Ok(Box::new(MemoryListener {
            shared: Arc::clone(&self.network.shared),
            port,
            ready: tokio::sync::Mutex::new(ready),
        }))
    }

    fn proving(&self, identity: Identity) -> Option<Arc<dyn Transport>> {
        Some(Arc::new(self.network.transport(identity)))
    }
}

impl Memory {
    async fn dial_untimed(&self, to: &Endpoint, port: u64) -> Result<ByteLink, TransportError> {
        let shared = &self.network.shared;
        let (nr, [mut dice, mut dice_back]) = shared.lock().number_link();
        let listening = shared.lock().listening(port);
        // Where nobody listens, it is the expected one who does not answer.
        let there = listening.map_or(to.key, |listening| listening.key);
        shared.travel((self.key, there), &mut dice).await;

        let listening = shared.lock().listening(port);
        let place = match listening {
            Some(Listening { key, ready }) if key == to.key => ready.reserve_owned().await.ok(),
            Some(Listening { key: found, .. }) => {
                shared.travel((found, self.key), &mut dice_back).await;
                return Err(TransportError::WrongKey {
                    address: to.address.clone(),
                    expected: to.key,
                    found,
                });
            }
            None => None,
        };
        shared.travel((there, self.key), &mut dice_back).await;
        let Some(place) = place else {
            return Err(TransportError::Unreachable {
                address: to.address.clone(),
                source: Arc::new(io::ErrorKind::ConnectionRefused.into()),
            });
        };

        shared
            .lock()
            .connect(nr, [self.key, to.key], [dice, dice_back], Instant::now());
        let end = |side, peer, address| ByteLink {
            peer,
            address,
            bytes: Box::new(MemoryStream::new(Arc::clone(shared), nr, side)),
        };
        let dialed = end(Side::Dialed, to.key, to.address.clone());
        place.send(end(
            Side::Accepted,
            self.key,
            Address::new(format!("memory:dialed-{nr}")),
        ));
        Ok(dialed)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// A listening address of a [`Network`].
struct MemoryListener {
    shared: Arc<Shared>,
    port: u64,
    ready: tokio::sync::Mutex<mpsc::Receiver<ByteLink>>,
}

#[async_trait]
impl Listener for MemoryListener {
    fn address(&self) -> Address {
        Address::new(format!("memory:{}", self.port))
    }

    async fn accept(&self) -> Result<ByteLink, TransportError> {
        self.ready
            .lock()
            .await
            .recv()
            .await
            .ok_or(TransportError::Closed)
    }
}

impl fmt::Debug for MemoryListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryListener")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        self.shared.lock().unlisten(self.port);
    }
}

fn port(address: &Address) -> Result<u64, TransportError> {
    address
        .as_str()
        .strip_prefix("memory:")
        .and_then(|port| port.parse().ok())
        .ok_or_else(|| TransportError::InvalidAddress {
            address: address.clone(),
            expected: "memory:N",
        })
}
