//! Byte links between keys: dial an address, prove who one is, exchange ordered bytes.
//!
//! A [`Transport`] gives ordered, reliable, encrypted links whose two ends have proved possession
//! of an Ed25519 key to each other. It knows nothing of calls or services (see [`crate::rpc`]), and
//! does not decide who is welcome: it reports the proven key, and the node admits or refuses it.
//!
//! Implementations: [`tcp`] (TCP and TLS 1.3, between nodes and from clients), `memory` (feature
//! `testing`; a network with injected faults inside one process). Each passes the suite in
//! `contract` (feature `testing`), which states what every transport promises.
//!
//! There is room for iroh (QUIC by public key, between peers), which fits as it is: one connection
//! with one bidirectional stream is a link, the id of an endpoint is our key, and an address is
//! its ticket, relay or `host:port`, or nothing where the directory knows it. Three things to mind:
//! a QUIC stream is unseen by the other end until its opener writes (the rpc handshake does, first
//! of all); an old connection to a moved peer has to be dropped before it is dialed anew; and a
//! transport that can tell the path of a link (direct or relayed) would add that to [`ByteLink`].

use std::{fmt, io, str::FromStr, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::id::PublicKey;

mod choice;
#[cfg(feature = "testing")]
pub mod contract;
#[cfg(feature = "testing")]
pub mod memory;
pub mod tcp;

pub(crate) use choice::TransportChoice;

/// Where a transport listens or dials; each transport has its own form (`host:port` for TCP).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    /// Takes any text; whether it is an address is for the transport to say.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<std::net::SocketAddr> for Address {
    fn from(addr: std::net::SocketAddr) -> Self {
        Self(addr.to_string())
    }
}

/// A key at an address: all that is needed to dial somebody. Written `KEY@ADDRESS`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Endpoint {
    /// Who must answer; a link to anyone else is refused.
    pub key: PublicKey,
    /// Where to dial.
    pub address: Address,
}

/// A text that is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not an endpoint: expected KEY@HOST:PORT, where KEY is what `id` prints on that node"
)]
pub struct InvalidEndpoint {
    text: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.key, self.address)
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let invalid = || InvalidEndpoint {
            text: text.chars().take(120).collect(),
        };
        let (key, address) = text.split_once('@').ok_or_else(invalid)?;
        if address.is_empty() {
            return Err(invalid());
        }
        Ok(Self {
            key: key.parse().map_err(|_| invalid())?,
            address: Address::new(address),
        })
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// An ordered stream of bytes in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for T {}

/// An established link: the bytes, and the key that the other end has proved to hold.
pub struct ByteLink {
    /// The proven key of the other end.
    pub peer: PublicKey,
    /// Where the other end is, for logs; not proof of anything.
    pub address: Address,
    /// The encrypted bytes. What is written is on its way for certain only after `flush`. Closing
    /// the write half (`shutdown`) is seen as end of file at the other end, and the way back works
    /// on; dropping the link without it is seen as an error, and may take back what was flushed but
    /// not yet read. So whoever wants all to be read shuts down, and drops the link when its own
    /// reads have come to their end.
    pub bytes: Box<dyn ByteStream>,
}

impl fmt::Debug for ByteLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteLink")
            .field("peer", &self.peer)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A way to link keys. Object-safe; a node holds it as `Arc<dyn Transport>`.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// What the transport is called where addresses of several are told apart, such as `tcp`.
    fn kind(&self) -> &'static str;

    /// The key that this end proves.
    fn key(&self) -> PublicKey;

    /// Dials `to` and proves both keys.
    ///
    /// The other end may come to know of the link a moment later; if it turns us away, the first
    /// read fails.
    ///
    /// # Errors
    /// See [`TransportError`]; the dial ends with [`TransportError::TimedOut`] by itself.
    ///
    /// # Cancel safety
    /// Dropping the future closes the half-made link.
    async fn dial(&self, to: &Endpoint) -> Result<ByteLink, TransportError>;

    /// Starts to accept links at `at` (port 0 picks a free one).
    ///
    /// # Errors
    /// [`TransportError::Bind`] if the address cannot be listened on.
    async fn listen(&self, at: &Address) -> Result<Box<dyn Listener>, TransportError>;

    /// A transport of the same kind that proves `identity` instead. A node that joins with a token
    /// needs one; `None`, the default, means that nodes on this transport cannot.
    fn proving(&self, identity: crate::identity::Identity) -> Option<Arc<dyn Transport>> {
        let _ = identity;
        None
    }
}

/// Accepts links. Dropping it stops listening; accepted links live on.
#[async_trait]
pub trait Listener: fmt::Debug + Send + Sync + 'static {
    /// Where it listens, with the port that was picked.
    fn address(&self) -> Address;

    /// The next link whose other end has proved its key.
    ///
    /// A caller that stalls or fails in its handshake neither delays others nor is reported here
    /// (it is logged): unfinished handshakes are bounded in number and time.
    ///
    /// # Errors
    /// [`TransportError::Closed`] when no link can come any more.
    ///
    /// # Cancel safety
    /// Dropping the future loses no link.
    async fn accept(&self) -> Result<ByteLink, TransportError>;
}

/// Why a link could not be made.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The text is not an address of this transport. Correct it; trying again is no use.
    #[error("`{address}` is not an address: expected {expected}")]
    InvalidAddress {
        /// What was given.
        address: Address,
        /// The form that this transport takes.
        expected: &'static str,
    },
    /// Nothing answers there now; trying again later may help.
    #[error("could not connect to {address}")]
    Unreachable {
        /// Where.
        address: Address,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// No complete handshake within the time allowed.
    #[error("no answer from {address} within {waited:?}")]
    TimedOut {
        /// Where.
        address: Address,
        /// How long.
        waited: Duration,
    },
    /// Somebody answers there, but with another key than expected. Correct the key or the address.
    #[error("{address} answers as {found}, expected {expected}")]
    WrongKey {
        /// Where.
        address: Address,
        /// Who was to answer.
        expected: PublicKey,
        /// Who did.
        found: PublicKey,
    },
    /// The handshake failed: the other end speaks something else, or refused.
    #[error("the handshake with {address} failed")]
    Handshake {
        /// Where.
        address: Address,
        /// What went wrong.
        source: Arc<io::Error>,
    },
    /// The address cannot be listened on.
    #[error("could not listen on {address}")]
    Bind {
        /// Where.
        address: Address,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The listener, or the network it belongs to, is closed.
    #[error("the listener is closed")]
    Closed,
}

impl TransportError {
    /// Says whether the same attempt may succeed later, with nothing corrected here.
    pub fn is_retryable(&self) -> bool {
        match self {
            // A node that starts, is overloaded or goes away breaks off handshakes too.
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Handshake { .. } => true,
            Self::InvalidAddress { .. }
            | Self::WrongKey { .. }
            | Self::Bind { .. }
            | Self::Closed => false,
        }
    }
}
