//! Links over TCP and TLS 1.3, between nodes and from clients.
//!
//! A driver: it owns sockets, tasks and timeouts. Both ends prove an Ed25519 key as a raw public key
//! (child module `tls`); `connect` finds and dials a `host:port`; `accept` holds the callers whose
//! handshake is not done, however many there are; `read_ahead` keeps the number of system calls
//! low. What the bytes mean is for [`crate::rpc`], who is welcome for the node.
//!
//! Of the two ends, the one that dials is done half a round trip before the other has checked its
//! key, as TLS 1.3 has it. Every genuine key passes that check, so nothing waits for it; a caller
//! that is turned away afterwards learns so from its first read.

#![expect(
    clippy::disallowed_methods,
    reason = "a driver: sockets, and time limits on them"
)]

use std::{fmt, io, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::{Address, ByteLink, Endpoint, Listener, Transport, TransportError};
use crate::{id::PublicKey, identity::Identity};

mod accept;
mod complaints;
mod connect;
mod read_ahead;
mod tls;

use accept::TcpAccept;
use read_ahead::{Pool, ReadAhead};
use tls::Tls;

/// Dials and accepts links over TCP and TLS 1.3. Addresses are `host:port`. Cheap to clone.
#[derive(Clone)]
pub struct Tcp {
    inner: Arc<Inner>,
}

struct Inner {
    key: PublicKey,
    limits: TcpLimits,
    tls: Tls,
    buffers: Pool,
}

/// How much a transport spends on those who may never prove a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpLimits {
    /// How long a dial may take in all: name lookup, TCP, TLS. Longer rides out lost packets and
    /// slow name servers, shorter fails over sooner. Default 5 s, four retransmissions of a SYN.
    pub dial_time: Duration,
    /// How long a caller may take to prove its key and be taken by [`Listener::accept`]. Longer
    /// serves worse networks, shorter frees the place of a silent caller sooner. Default 5 s.
    pub handshake_time: Duration,
    /// How many callers may be in that state at once. When one more comes, the one that has been
    /// silent longest makes room, so that connections that send nothing never keep out genuine
    /// ones. Each place costs one file descriptor and 2 to 70 KB. Default 512, half of the 1,024
    /// descriptors that many systems give a process.
    pub handshakes: usize,
}

impl Default for TcpLimits {
    fn default() -> Self {
        Self {
            dial_time: Duration::from_secs(5),
            handshake_time: Duration::from_secs(5),
            handshakes: 512,
        }
    }
}

/// How much of what is written may be encrypted and waiting for the socket. Four records of TLS:
/// enough to fill a system call, little enough to stay in the processor's cache.
const UNSENT_MAX: usize = 64 * 1024;

impl Tcp {
    /// Makes a transport that proves `identity`.
    pub fn new(identity: Identity) -> Self {
        Self::with_limits(identity, TcpLimits::default())
    }

    /// Makes a transport that proves `identity`, within `limits`.
    pub fn with_limits(identity: Identity, limits: TcpLimits) -> Self {
        let inner = Inner {
            key: identity.public(),
            limits,
            tls: Tls::new(&identity),
            buffers: Pool::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }
}

#[async_trait]
impl Transport for Tcp {
    fn kind(&self) -> &'static str {
        "tcp"
    }

    fn key(&self) -> PublicKey {
        self.inner.key
    }

    async fn dial(&self, to: &Endpoint) -> Result<ByteLink, TransportError> {
        let waited = self.inner.limits.dial_time;
        match timeout_at(Instant::now() + waited, self.dial_untimed(to)).await {
            Ok(result) => result,
            Err(_) => Err(TransportError::TimedOut {
                address: to.address.clone(),
                waited,
            }),
        }
    }

    async fn listen(&self, at: &Address) -> Result<Box<dyn Listener>, TransportError> {
        let listener = connect::bind(at).await?;
        Ok(Box::new(TcpAccept::start(listener, self.clone(), at)?))
    }

    fn proving(&self, identity: Identity) -> Option<Arc<dyn Transport>> {
        Some(Arc::new(Self::with_limits(
            identity,
            self.inner.limits.clone(),
        )))
    }
}

impl Tcp {
    async fn dial_untimed(&self, to: &Endpoint) -> Result<ByteLink, TransportError> {
        let (stream, address) = connect::connect(&to.address).await?;
        let (config, verifier) = self.inner.tls.client(to.key);
        let stream = ReadAhead::new(stream, self.inner.buffers.clone());
        let handshake =
            TlsConnector::from(config).connect_with(tls::server_name(), stream, |tls| {
                tls.set_buffer_limit(Some(UNSENT_MAX));
            });

        let failed = |source: io::Error| match verifier.wrong_key() {
            Some(found) => TransportError::WrongKey {
                address: to.address.clone(),
                expected: to.key,
                found,
            },
            None => TransportError::Handshake {
                address: to.address.clone(),
                source: Arc::new(source),
            },
        };
        let stream = handshake.await.map_err(failed)?;
        let peer = tls::proven_key(stream.get_ref().1)
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        Ok(ByteLink {
            peer,
            address,
            bytes: Box::new(stream),
        })
    }
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcp")
            .field("key", &self.inner.key)
            .field("limits", &self.inner.limits)
            .finish_non_exhaustive()
    }
}
