//! [`Server`]: accepts connections and serves them, within bounds.
//!
//! Its tasks: one that accepts, and one for each connection. All end with the server.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: it owns the server's tasks"
)]

use std::{
    convert::Infallible,
    fmt, io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

use super::{
    Limits, Request, Response, Site,
    stream::{Stream, Timer},
};
use crate::{
    transport::{Address, TransportError},
    world,
};

/// The least that hyper takes for its buffers, and as much as a connection needs.
const BUFFER_MIN: usize = 8 << 10;

/// How long nobody is accepted when the system has no descriptors or memory left. Both come back
/// when somebody leaves.
const PAUSE: Duration = Duration::from_millis(50);

/// Listens at `at`, `HOST:PORT`; port 0 picks a free one.
///
/// # Errors
/// [`TransportError::Bind`].
pub async fn bind(at: &Address) -> Result<TcpListener, TransportError> {
    TcpListener::bind(at.as_str())
        .await
        .map_err(|source| refused(at, source))
}

fn refused(at: &Address, source: io::Error) -> TransportError {
    TransportError::Bind {
        address: at.clone(),
        source: Arc::new(source),
    }
}

/// A site that is served, until it is closed or dropped.
pub struct Server {
    address: SocketAddr,
    task: AbortHandle,
}

impl Server {
    /// Serves `site` to those who come to `listener`.
    ///
    /// # Errors
    /// [`TransportError::Bind`] if the listener has no address.
    pub fn start(
        listener: TcpListener,
        limits: Limits,
        site: Arc<impl Site>,
    ) -> Result<Self, TransportError> {
        let address = listener
            .local_addr()
            .map_err(|source| refused(&Address::new("its port"), source))?;
        let task = world::spawn(accept(listener, limits, site)).abort_handle();
        Ok(Self { address, task })
    }

    /// Where it listens, with the port that was picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the port and every connection at once.
    pub fn close(&self) {
        self.task.abort();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, limits: Limits, site: Arc<impl Site>) {
    let mut connections = JoinSet::new();
    let mut turned_away = 0_u64;
    loop {
        let accepted = tokio::select! {
            biased;
            // How it ended is nobody's business: a caller may do as it likes.
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, from)) if connections.len() >= limits.connections => {
                drop(socket);
                turned_away += 1;
                // Anyone can make it say so: seldom is enough.
                if turned_away.is_power_of_two() {
                    tracing::warn!(
                        %from, turned_away, connections = limits.connections,
                        "too many connections at once: another was closed"
                    );
                }
            }
            Ok((socket, _)) => {
                world::spawn_in(
                    &mut connections,
                    serve(socket, limits.clone(), site.clone()),
                );
            }
            Err(error) if has_left(&error) => {}
            Err(error) => {
                tracing::debug!(%error, "nobody can be accepted; trying again");
                sleep(PAUSE).await;
            }
        }
    }
}

/// The caller has left before we came to it: its loss.
fn has_left(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Serves one connection until either end closes it or its time is over.
async fn serve(socket: TcpStream, limits: Limits, site: Arc<impl Site>) {
    // Answers go out at once, or a probe waits for them; without it they go out later.
    let _ = socket.set_nodelay(true);
    let begun = AtomicU32::new(0);
    let answer = service_fn(|request: hyper::Request<Incoming>| {
        let is_last = begun.fetch_add(1, Ordering::Relaxed) + 1 >= limits.requests;
        let (site, stall) = (site.clone(), limits.stall);
        async move {
            let response = if is_for_a_site(&request) {
                site.answer(Request::new(request, stall)).await
            } else {
                Response::text(
                    400,
                    "the first line asks for a path, as in GET / HTTP/1.1\n",
                )
            };
            let response = if is_last {
                response.with("connection", "close")
            } else {
                response
            };
            Ok::<_, Infallible>(response.into_hyper())
        }
    });
    let mut http = http1::Builder::new();
    http.timer(Timer)
        .header_read_timeout(limits.head_time)
        .max_header_size(limits.head)
        .max_buf_size(limits.head.max(BUFFER_MIN));
    let mut connection = pin!(http.serve_connection(Stream::new(socket, limits.stall), answer));
    let ended = match timeout(limits.life, connection.as_mut()).await {
        Ok(ended) => ended,
        Err(_) => {
            connection.as_mut().graceful_shutdown();
            timeout(limits.stall, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::trace!(error = crate::error::chain(&error), "a connection broke");
    }
}

/// Proxies are asked for whole addresses, and tunnels for hosts. A site is neither.
fn is_for_a_site(request: &hyper::Request<Incoming>) -> bool {
    request.uri().authority().is_none() && request.uri().path().starts_with('/')
}
