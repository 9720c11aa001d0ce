//! A socket and a timer as hyper wants them.
//!
//! [`Stream`] ends a connection whose other end reads nothing: hyper itself would wait for ever.
#![expect(clippy::disallowed_methods, reason = "a driver: sockets and timers")]

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep, sleep_until},
};

/// A socket that does not wait longer than `patience` to be read from at the other end.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    patience: Duration,
    /// When the wait for the other end is over, while there is one.
    wait: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    pub(super) fn new(socket: TcpStream, patience: Duration) -> Self {
        Self {
            socket,
            patience,
            wait: None,
        }
    }

    fn patiently<R>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        let done = write(Pin::new(&mut self.socket), cx);
        if done.is_ready() {
            self.wait = None;
            return done;
        }
        let patience = self.patience;
        let wait = self.wait.get_or_insert_with(|| Box::pin(sleep(patience)));
        match wait.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl rt::Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // Its own buffer, since to say that part of `into` was filled in place takes unsafe code.
        let mut bytes = [0; 8 << 10];
        let room = into.remaining().min(bytes.len());
        let mut read = ReadBuf::new(&mut bytes[..room]);
        let done = Pin::new(&mut self.get_mut().socket).poll_read(cx, &mut read);
        done.map_ok(|()| into.put_slice(read.filled()))
    }
}

impl rt::Write for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .patiently(cx, |socket, cx| socket.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .patiently(cx, |socket, cx| socket.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut()
            .patiently(cx, |socket, cx| socket.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut()
            .patiently(cx, |socket, cx| socket.poll_shutdown(cx))
    }
}

/// tokio's timer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer;

impl rt::Timer for Timer {
    fn sleep(&self, wait: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Nap(Box::pin(sleep(wait))))
    }

    fn sleep_until(&self, until: std::time::Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Nap(Box::pin(sleep_until(until.into()))))
    }

    fn now(&self) -> std::time::Instant {
        // tokio's, so that both agree where time is paused.
        Instant::now().into_std()
    }
}

struct Nap(Pin<Box<Sleep>>);

impl Future for Nap {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl rt::Sleep for Nap {}
