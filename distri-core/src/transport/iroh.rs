//! Links by public key over QUIC, between peers: direct where that is possible, through NATs or over a
//! relay of the cloud where it is not.
//!
//! A driver around the library `iroh`. A link is one connection with one stream in each direction; the
//! endpoint's id is our key, which QUIC's TLS 1.3 proves both ways. Nothing is asked of servers that the
//! library's authors run: no name service of theirs, no relay of theirs, no port mapping; with neither
//! relays nor addresses to dial it sends nothing.
//!
//! An address is written `KEY/IP:PORT,IP:PORT,…`, with `https://…` for a relay among them. `KEY/` may be
//! left out, at the price that a wrong key is told less clearly: QUIC does not tell who answered instead.
//! One listens at `IP:PORT`; port 0 picks a free one, `0.0.0.0` listens on all interfaces of both
//! families.
//!
//! Child modules: `address` reads and writes these, `port` is a socket and those who use it, `stream` the
//! bytes of a link, `own` a link of a key to itself, which the library does not make.

#![expect(
    clippy::disallowed_methods,
    reason = "a driver: sockets, and time limits on them"
)]

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use async_trait::async_trait;
use iroh::{EndpointAddr, RelayUrl, TransportAddr, Watcher as _};
use tokio::{
    io::AsyncWriteExt,
    sync::mpsc,
    task::AbortHandle,
    time::{Instant, timeout_at},
};

use super::{Address, ByteLink, Endpoint, Listener, Transport, TransportError};
use crate::{id::PublicKey, identity::Identity, world};

mod accept;
mod address;
mod own;
mod port;
mod stream;

use address::Ticket;
use port::Port;
use stream::{Ending, QuicStream};

/// What this transport calls itself.
const KIND: &str = "iroh";

/// The protocol that both ends must speak, in the TLS handshake.
const ALPN: &[u8] = b"distri/link/1";

/// The first byte on the stream of a link: a stream is unseen by the other end until its opener writes.
const HELLO: u8 = b'd';

/// How many links wait to be accepted.
const BACKLOG: usize = 64;

/// Dials and accepts links over QUIC. Cheap to clone.
#[derive(Clone)]
pub struct Iroh {
    inner: Arc<Inner>,
}

struct Inner {
    key: PublicKey,
    identity: Identity,
    options: IrohOptions,
    state: Mutex<State>,
    ending: Arc<Ending>,
    /// Held while an endpoint is being bound for dialling, so that one is.
    binding: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// That of the listener, from which one dials as well: holes in NATs are punched for it.
    listening: Weak<Port>,
    /// Where links of the key to itself go.
    own: Option<mpsc::WeakSender<ByteLink>>,
    /// The one that dials while there is no listener.
    dialing: Option<Arc<Port>>,
}

/// How links over QUIC are made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IrohOptions {
    /// The relays of the cloud, as URLs, through which keys are linked that cannot reach each other
    /// directly. Default: none.
    pub relays: Vec<String>,
    /// Whether to try other ways than the relays. Without, no socket of its own is opened, and nobody
    /// learns this program's addresses but the relays. Default: yes.
    pub direct: bool,
    /// Where to send from when nobody listens. Default: all interfaces.
    pub bind: SocketAddr,
    /// How long a dial may take in all. A restarted peer is found that much later at most. Default 5 s.
    pub dial_time: Duration,
    /// How long a caller may take to prove its key and be taken by [`Listener::accept`]. Default 5 s.
    pub handshake_time: Duration,
    /// How many callers may be in that state at once; more are turned away. Default 512.
    pub handshakes: usize,
    /// After such a silence a link is dead. Shorter notices sooner, longer rides out longer gaps; keep it
    /// three [`IrohOptions::keep_alive`]s long. Default 5 s.
    pub idle: Duration,
    /// How often a quiet link gives a sign of life. Default 1.5 s.
    pub keep_alive: Duration,
}

impl Default for IrohOptions {
    fn default() -> Self {
        Self {
            relays: Vec::new(),
            direct: true,
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            dial_time: Duration::from_secs(5),
            handshake_time: Duration::from_secs(5),
            handshakes: 512,
            idle: Duration::from_secs(5),
            keep_alive: Duration::from_millis(1500),
        }
    }
}

impl Iroh {
    /// Makes a transport that proves `identity`. It opens no socket before it is used.
    pub fn new(identity: Identity) -> Self {
        Self::with_options(identity, IrohOptions::default())
    }

    /// Makes a transport that proves `identity`, with these options.
    pub fn with_options(identity: Identity, options: IrohOptions) -> Self {
        Self {
            inner: Arc::new(Inner {
                key: identity.public(),
                identity,
                options,
                state: Mutex::default(),
                ending: Arc::default(),
                binding: tokio::sync::Mutex::new(()),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The endpoint to dial from: the one that listens, if there is one.
    async fn dialing(&self) -> Result<Arc<Port>, io::Error> {
        let there = |state: &State| state.listening.upgrade().or_else(|| state.dialing.clone());
        if let Some(port) = there(&self.lock()) {
            return Ok(port);
        }
        let _one = self.inner.binding.lock().await;
        if let Some(port) = there(&self.lock()) {
            return Ok(port);
        }
        let Inner {
            identity, options, ..
        } = &*self.inner;
        let port = Port::bind(identity, options, options.bind).await?;
        self.lock().dialing = Some(port.clone());
        Ok(port)
    }
}

#[async_trait]
impl Transport for Iroh {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn key(&self) -> PublicKey {
        self.inner.key
    }

    async fn dial(&self, to: &Endpoint) -> Result<ByteLink, TransportError> {
        let waited = self.inner.options.dial_time;
        match timeout_at(Instant::now() + waited, self.dial_untimed(to)).await {
            Ok(result) => result,
            // Over UDP a place where nobody listens and one that is slow look alike.
            Err(_) => Err(unreachable(
                &to.address,
                io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("no answer within {waited:?}"),
                ),
            )),
        }
    }

    async fn listen(&self, at: &Address) -> Result<Box<dyn Listener>, TransportError> {
        let place = Ticket::parse(at)?.first_ip().ok_or_else(|| invalid(at))?;
        let Inner {
            identity, options, ..
        } = &*self.inner;
        let bound = Port::bind(identity, options, place).await;
        let port = bound.map_err(|source| TransportError::Bind {
            address: at.clone(),
            source: Arc::new(source),
        })?;
        let (ready_tx, ready) = mpsc::channel(BACKLOG);
        {
            let mut state = self.lock();
            state.listening = Arc::downgrade(&port);
            state.own = Some(ready_tx.downgrade());
            state.dialing = None;
        }
        let ending = self.inner.ending.clone();
        let task = accept::run(port.clone(), ending, options.clone(), ready_tx);
        Ok(Box::new(IrohListener {
            key: self.inner.key,
            port,
            ready: tokio::sync::Mutex::new(ready),
            accepting: world::spawn(task).abort_handle(),
        }))
    }

    fn proving(&self, identity: Identity) -> Option<Arc<dyn Transport>> {
        Some(Arc::new(Self::with_options(
            identity,
            self.inner.options.clone(),
        )))
    }
}

impl Iroh {
    async fn dial_untimed(&self, to: &Endpoint) -> Result<ByteLink, TransportError> {
        let ticket = Ticket::parse(&to.address)?;
        if let Some(found) = ticket.key.filter(|key| *key != to.key) {
            return Err(TransportError::WrongKey {
                address: to.address.clone(),
                expected: to.key,
                found,
            });
        }
        if to.key == self.inner.key {
            return self.dial_own(&to.address).await;
        }
        let no_key = |_| invalid(&to.address);
        let id = iroh::PublicKey::from_bytes(to.key.as_bytes()).map_err(no_key)?;
        let port = self
            .dialing()
            .await
            .map_err(|source| unreachable(&to.address, source))?;
        let place = EndpointAddr::from_parts(id, ticket.places);
        self.inner.ending.give_up(id);
        let connection = port
            .endpoint()
            .connect(place, ALPN)
            .await
            .map_err(|error| failed(&to.address, error))?;
        let broken = |error: io::Error| TransportError::Handshake {
            address: to.address.clone(),
            source: Arc::new(error),
        };
        let streams = connection.open_bi().await;
        let streams = streams.map_err(|error| broken(error.into()))?;
        // From here on a dial that is dropped is a link that is cut off, and never one that ended well.
        let mut bytes = QuicStream::new(port, self.inner.ending.clone(), connection, streams);
        bytes.write_all(&[HELLO]).await.map_err(broken)?;
        Ok(ByteLink {
            peer: to.key,
            address: to.address.clone(),
            bytes: Box::new(bytes),
        })
    }

    /// Makes half a link to `to`: the keys are proven, and then nothing comes, until the result is
    /// dropped. For tests of those who accept.
    ///
    /// # Errors
    /// As [`Transport::dial`].
    #[cfg(feature = "testing")]
    pub async fn dial_half(
        &self,
        to: &Endpoint,
    ) -> Result<Box<dyn std::any::Any + Send>, TransportError> {
        let ticket = Ticket::parse(&to.address)?;
        let id =
            iroh::PublicKey::from_bytes(to.key.as_bytes()).map_err(|_| invalid(&to.address))?;
        let port = self
            .dialing()
            .await
            .map_err(|source| unreachable(&to.address, source))?;
        let place = EndpointAddr::from_parts(id, ticket.places);
        let connected = port.endpoint().connect(place, ALPN).await;
        let connection = connected.map_err(|error| failed(&to.address, error))?;
        Ok(Box::new((connection, port)))
    }

    /// Links the key to itself, if it listens.
    async fn dial_own(&self, address: &Address) -> Result<ByteLink, TransportError> {
        let ready = self.lock().own.as_ref().and_then(mpsc::WeakSender::upgrade);
        let refused = || unreachable(address, io::ErrorKind::ConnectionRefused.into());
        let (dialed, accepted) = own::pair();
        let end = |bytes| ByteLink {
            peer: self.inner.key,
            address: address.clone(),
            bytes: Box::new(bytes),
        };
        let accepted = end(accepted);
        ready
            .ok_or_else(refused)?
            .send(accepted)
            .await
            .map_err(|_| refused())?;
        Ok(end(dialed))
    }
}

impl fmt::Debug for Iroh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iroh")
            .field("key", &self.inner.key)
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}

/// An endpoint that accepts.
struct IrohListener {
    key: PublicKey,
    port: Arc<Port>,
    ready: tokio::sync::Mutex<mpsc::Receiver<ByteLink>>,
    accepting: AbortHandle,
}

#[async_trait]
impl Listener for IrohListener {
    fn address(&self) -> Address {
        Ticket::new(self.key, self.port.places()).to_address()
    }

    fn addresses(&self) -> Vec<Address> {
        // One by one, so that a link is not taken for misplaced when a place comes or goes.
        let ticket = Ticket::new(self.key, self.port.places());
        ticket.each().map(|one| one.to_address()).collect()
    }

    async fn accept(&self) -> Result<ByteLink, TransportError> {
        self.ready
            .lock()
            .await
            .recv()
            .await
            .ok_or(TransportError::Closed)
    }

    async fn moved(&self, from: &[Address]) -> Vec<Address> {
        let mut places = self.port.endpoint().watch_addr();
        loop {
            let addresses = self.addresses();
            if addresses != from {
                return addresses;
            }
            if places.updated().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl fmt::Debug for IrohListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IrohListener")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

impl Drop for IrohListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn invalid(address: &Address) -> TransportError {
    TransportError::InvalidAddress {
        address: address.clone(),
        expected: address::EXPECTED,
    }
}

fn unreachable(address: &Address, source: io::Error) -> TransportError {
    TransportError::Unreachable {
        address: address.clone(),
        source: Arc::new(source),
    }
}

/// What the library says of a dial that failed, in our words.
fn failed(address: &Address, error: iroh::endpoint::ConnectError) -> TransportError {
    use iroh::endpoint::{ConnectError, ConnectWithOptsError, ConnectingError, ConnectionError};

    let is_silence = match &error {
        ConnectError::Connect { source, .. } => {
            matches!(source, ConnectWithOptsError::NoAddress { .. })
        }
        ConnectError::Connecting { source, .. } => matches!(
            source,
            ConnectingError::ConnectionError {
                source: ConnectionError::TimedOut,
                ..
            }
        ),
        ConnectError::Connection { source, .. } => matches!(source, ConnectionError::TimedOut),
        _ => false,
    };
    let source = io::Error::other(format!("{error:#}"));
    if is_silence {
        return unreachable(address, source);
    }
    TransportError::Handshake {
        address: address.clone(),
        source: Arc::new(source),
    }
}
