//! [`QuicStream`]: the bytes of a link.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use iroh::endpoint::{Connection, RecvStream, SendStream, VarInt};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};

use super::port::Port;

/// How long what was written before a link was shut down may take to arrive once the link is dropped.
const LINGER: Duration = Duration::from_secs(5);

/// With what a connection is closed: all was said, or not.
const DONE: VarInt = VarInt::from_u32(0);
const DROPPED: VarInt = VarInt::from_u32(1);

/// The bytes of a link: one connection with its one stream.
pub(super) struct QuicStream {
    connection: Connection,
    /// Taken when the link is dropped, to wait for what is under way.
    send: Option<SendStream>,
    recv: RecvStream,
    /// This end has said that no more comes.
    finished: bool,
    /// The links that are ending.
    ending: Arc<Ending>,
    /// Keeps the socket open.
    port: Arc<Port>,
}

/// Links whose end this program has said, and whose last bytes may be under way still.
///
/// The library dials a key where it has a connection to it, however dead, and nowhere else. So whoever
/// dials a key anew gives up what is under way to it.
#[derive(Default)]
pub(super) struct Ending {
    links: Mutex<Vec<Connection>>,
}

impl Ending {
    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, connection: &Connection) {
        self.lock().push(connection.clone());
    }

    fn remove(&self, connection: &Connection) {
        let id = connection.stable_id();
        self.lock().retain(|held| held.stable_id() != id);
    }

    /// Closes those to `key`.
    pub(super) fn give_up(&self, key: iroh::PublicKey) {
        let given_up: Vec<_> = self
            .lock()
            .extract_if(.., |link| link.remote_id() == key)
            .collect();
        for link in given_up {
            link.close(DROPPED, b"dialled anew");
        }
    }
}

impl QuicStream {
    pub(super) fn new(
        port: Arc<Port>,
        ending: Arc<Ending>,
        connection: Connection,
        (send, recv): (SendStream, RecvStream),
    ) -> Self {
        Self {
            connection,
            send: Some(send),
            recv,
            finished: false,
            ending,
            port,
        }
    }

    fn send(&mut self) -> io::Result<Pin<&mut SendStream>> {
        let send = self.send.as_mut().map(Pin::new);
        send.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

/// A connection that ended reads as one over TCP would.
fn as_reset(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotConnected => io::Error::new(io::ErrorKind::ConnectionReset, error),
        _ => error,
    }
}

impl AsyncRead for QuicStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        AsyncRead::poll_read(Pin::new(&mut self.recv), cx, buf).map_err(as_reset)
    }
}

impl AsyncWrite for QuicStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(self.send()?, cx, buf).map_err(as_reset)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(self.send()?, cx).map_err(as_reset)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.finished {
            return Poll::Ready(Ok(()));
        }
        let shut = AsyncWrite::poll_shutdown(self.send()?, cx).map_err(as_reset);
        if matches!(shut, Poll::Ready(Ok(()))) {
            self.finished = true;
            self.ending.add(&self.connection);
        }
        shut
    }
}

impl Drop for QuicStream {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Handle::try_current();
        if !self.finished
            && let Some(send) = &mut self.send
        {
            // A stream that is merely dropped ends well, which what was cut off must not.
            let _ = send.reset(DROPPED);
        }
        let send = self.send.take();
        let (true, Some(send), Ok(runtime)) = (self.finished, send, runtime) else {
            self.ending.remove(&self.connection);
            self.connection.close(DROPPED, b"dropped");
            return;
        };
        // Closing now would take back what has not arrived.
        let (connection, port) = (self.connection.clone(), self.port.clone());
        let ending = self.ending.clone();
        runtime.spawn(async move {
            let _ = timeout(LINGER, send.stopped()).await;
            ending.remove(&connection);
            connection.close(DONE, b"done");
            drop(port);
        });
    }
}
