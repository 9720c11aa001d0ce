//! Larger reads from a socket than TLS asks for.
//!
//! rustls reads 4 KiB at a time, which makes five system calls of one full record. While bytes come
//! in bulk, [`ReadAhead`] takes up to [`AHEAD`] of them with one call and hands them on from there;
//! a link that is idle, or whose messages are small, holds no such buffer, so ten thousand of them
//! cost nothing. Writes pass through.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// How much is read at once. Less costs more system calls; more leaves the processor's cache before
/// it is decrypted.
const AHEAD: usize = 64 * 1024;

/// How many buffers wait for their next use, over all links of a transport: 2 MiB. Beyond that they
/// are freed, and made again when needed.
const POOLED_MAX: usize = 32;

/// A TCP stream that reads ahead.
pub(super) struct ReadAhead {
    stream: TcpStream,
    pool: Pool,
    ahead: Option<Ahead>,
    /// The last read filled all that it was given, so more is probably waiting.
    bulk: bool,
}

struct Ahead {
    buffer: Box<[u8]>,
    /// `start..end` is read but not yet handed on.
    start: usize,
    end: usize,
}

/// Buffers between uses.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Vec<Box<[u8]>>>>);

impl ReadAhead {
    pub(super) fn new(stream: TcpStream, pool: Pool) -> Self {
        Self {
            stream,
            pool,
            ahead: None,
            bulk: false,
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ahead = self.ahead.get_or_insert_with(|| self.pool.take());
        let mut buf = ReadBuf::new(&mut ahead.buffer);
        let result = Pin::new(&mut self.stream).poll_read(cx, &mut buf);
        let filled = buf.filled().len();
        (ahead.start, ahead.end) = (0, filled);
        if filled == 0 {
            // Nothing more for now, or for good: wait without a buffer.
            self.bulk = false;
            self.give_back();
        }
        result
    }

    fn give_back(&mut self) {
        if let Some(ahead) = self.ahead.take() {
            self.pool.give(ahead.buffer);
        }
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let empty = this
            .ahead
            .as_ref()
            .is_none_or(|ahead| ahead.start == ahead.end);
        if empty && !this.bulk {
            let before = buf.remaining();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            this.bulk = before > 0 && buf.remaining() == 0;
            return Poll::Ready(Ok(()));
        }
        if empty {
            ready!(this.poll_fill(cx))?;
        }
        if let Some(ahead) = &mut this.ahead {
            let taken = buf.remaining().min(ahead.end - ahead.start);
            buf.put_slice(&ahead.buffer[ahead.start..ahead.start + taken]);
            ahead.start += taken;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Pool {
    fn take(&self) -> Ahead {
        let pooled = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = pooled.unwrap_or_else(|| vec![0; AHEAD].into());
        Ahead {
            buffer,
            start: 0,
            end: 0,
        }
    }

    fn give(&self, buffer: Box<[u8]>) {
        let mut pooled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pooled.len() < POOLED_MAX {
            pooled.push(buffer);
        }
    }
}
