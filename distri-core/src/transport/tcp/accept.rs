//! Accepting callers: one task a listener, which owns one task for each unfinished handshake.
//!
//! Anyone may connect to a port and then do nothing, or nonsense. So the kernel's queue is always
//! emptied, unfinished handshakes are bounded in number (child module `waiting` says who makes room)
//! and in time, TLS state is made only once a caller has sent something, and complaints are bounded
//! too. Dropping the listener ends its task and every unfinished handshake.

#![expect(
    clippy::disallowed_methods,
    reason = "a driver: sockets, tasks and timers"
)]

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex, mpsc},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout_at},
};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use super::{ReadAhead, Tcp, UNSENT_MAX, complaints::Complaints, tls};
use crate::transport::{Address, ByteLink, Listener, TransportError};

mod waiting;

use waiting::{Spoke, Waiting};

/// How many finished handshakes wait for [`Listener::accept`]. Enough for a burst; what does not fit
/// waits in its place among the unfinished, within their limits of number and time.
const READY_MAX: usize = 64;

/// How long nobody is accepted when the system has no descriptors or memory left: at first, and at
/// most. Shorter burns the processor, longer delays recovery.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How many unfinished handshakes are given up when that happens. More than one, so that a system
/// short of descriptors serves more than one caller a pause.
const RELIEF: usize = 16;

/// A listening TCP port.
pub(super) struct TcpAccept {
    address: Address,
    ready: Mutex<mpsc::Receiver<ByteLink>>,
    task: AbortHandle,
}

impl TcpAccept {
    pub(super) fn start(
        listener: TcpListener,
        tcp: Tcp,
        asked: &Address,
    ) -> Result<Self, TransportError> {
        let local = listener
            .local_addr()
            .map_err(|source| TransportError::Bind {
                address: asked.clone(),
                source: Arc::new(source),
            })?;
        let (ready_tx, ready) = mpsc::channel(READY_MAX);
        let acceptor = Acceptor {
            local,
            waiting: Waiting::new(tcp.inner.limits.handshakes),
            tcp,
            ready: ready_tx,
            handshakes: JoinSet::new(),
            paused: None,
            complaints: Complaints::default(),
            evictions: Complaints::default(),
            shortages: Complaints::default(),
        };
        let task = tokio::spawn(acceptor.run(listener)).abort_handle();
        Ok(Self {
            address: local.into(),
            ready: Mutex::new(ready),
            task,
        })
    }
}

#[async_trait]
impl Listener for TcpAccept {
    fn address(&self) -> Address {
        self.address.clone()
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

impl fmt::Debug for TcpAccept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpAccept")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Drop for TcpAccept {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task of a listener.
struct Acceptor {
    local: SocketAddr,
    tcp: Tcp,
    ready: mpsc::Sender<ByteLink>,
    waiting: Waiting<AbortHandle>,
    handshakes: JoinSet<Ended>,
    paused: Option<Pause>,
    complaints: Complaints,
    evictions: Complaints,
    shortages: Complaints,
}

/// A handshake that came to its end, and how.
struct Ended {
    nr: u64,
    from: SocketAddr,
    result: io::Result<()>,
}

#[derive(Clone, Copy)]
struct Pause {
    until: Instant,
    length: Duration,
}

impl Acceptor {
    async fn run(mut self, listener: TcpListener) {
        loop {
            let paused = self.paused.map(|pause| pause.until);
            let next = async {
                if let Some(until) = paused {
                    sleep_until(until).await;
                }
                listener.accept().await
            };
            tokio::select! {
                biased;
                Some(ended) = self.handshakes.join_next() => self.end(ended.ok()),
                accepted = next => match accepted {
                    Ok((stream, from)) => self.start(stream, from),
                    Err(error) => self.fail(&error),
                },
            }
        }
    }

    fn start(&mut self, stream: TcpStream, from: SocketAddr) {
        self.paused = None;
        if let Some(evicted) = self.waiting.make_room() {
            evicted.abort();
            if let Some(unsaid) = self.evictions.admit(Instant::now()) {
                warn!(
                    local = %self.local, handshakes = self.tcp.inner.limits.handshakes, unsaid,
                    "too many callers at once have not finished their handshake: the longest silent are dropped"
                );
            }
        }
        let Self {
            waiting,
            handshakes,
            tcp,
            ready,
            ..
        } = self;
        waiting.add(|nr, spoke| {
            let until = Instant::now() + tcp.inner.limits.handshake_time;
            let caller = Caller {
                stream,
                from,
                spoke,
            };
            let (tcp, ready) = (tcp.clone(), ready.clone());
            handshakes.spawn(async move {
                let result = match timeout_at(until, caller.serve(tcp, ready)).await {
                    Ok(result) => result,
                    Err(_) => Err(io::ErrorKind::TimedOut.into()),
                };
                Ended { nr, from, result }
            })
        });
    }

    /// `None` is a handshake that was evicted.
    fn end(&mut self, ended: Option<Ended>) {
        let Some(Ended { nr, from, result }) = ended else {
            return;
        };
        self.waiting.remove(nr);
        let Err(error) = result else { return };
        debug!(local = %self.local, %from, %error, "a handshake failed");
        if let Some(unsaid) = self.complaints.admit(Instant::now()) {
            info!(local = %self.local, %from, %error, unsaid, "turned away a caller");
        }
    }

    fn fail(&mut self, error: &io::Error) {
        // The caller has left before we came to it: its loss.
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::Interrupted
        ) {
            return;
        }
        debug!(local = %self.local, %error, "an accept failed");
        // No descriptors or no memory. Both come back when somebody leaves, so some do.
        for _ in 0..RELIEF {
            let Some(evicted) = self.waiting.evict() else {
                break;
            };
            evicted.abort();
        }
        let now = Instant::now();
        if let Some(unsaid) = self.shortages.admit(now) {
            warn!(local = %self.local, %error, unsaid, "nobody can be accepted; trying again");
        }
        let length = self
            .paused
            .map_or(PAUSE_MIN, |pause| (pause.length * 2).min(PAUSE_MAX));
        self.paused = Some(Pause {
            until: now + length,
            length,
        });
    }
}

/// Somebody who has connected and proved nothing yet.
struct Caller {
    stream: TcpStream,
    from: SocketAddr,
    spoke: Spoke,
}

impl Caller {
    async fn serve(self, tcp: Tcp, ready: mpsc::Sender<ByteLink>) -> io::Result<()> {
        let Self {
            stream,
            from,
            spoke,
        } = self;
        // Looks rather than asks for readiness, which is at times reported for silent streams too.
        if stream.peek(&mut [0]).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        spoke.set();
        stream.set_nodelay(true)?;

        let stream = ReadAhead::new(stream, tcp.inner.buffers.clone());
        let stream = TlsAcceptor::from(tcp.inner.tls.server())
            .accept_with(stream, |tls| tls.set_buffer_limit(Some(UNSENT_MAX)))
            .await?;
        let peer = tls::proven_key(stream.get_ref().1)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let link = ByteLink {
            peer,
            address: from.into(),
            bytes: Box::new(stream),
        };
        // If the listener is gone, so is the wish for links.
        let _ = ready.send(link).await;
        Ok(())
    }
}
