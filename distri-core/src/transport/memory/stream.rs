//! One end of a link, as the bytes of a [`ByteLink`](crate::transport::ByteLink).

#![expect(
    clippy::disallowed_methods,
    reason = "a driver: timers, on the clock of the test"
)]

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::coop::poll_proceed,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    Shared,
    link::{Read, Side, Write},
};

/// What is read at once at most. Room is zeroed before each look, mostly to find nothing; with more
/// of it, tests with many links do little else.
const READ: usize = 4 * 1024;

/// An end of a link in a network.
pub(super) struct MemoryStream {
    shared: Arc<Shared>,
    end: (u64, Side),
    read_timer: Timer,
    write_timer: Timer,
}

impl MemoryStream {
    pub(super) fn new(shared: Arc<Shared>, nr: u64, side: Side) -> Self {
        Self {
            shared,
            end: (nr, side),
            read_timer: Timer(None),
            write_timer: Timer(None),
        }
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Two ends in one task that always find something would never let another task run.
        let coop = ready!(poll_proceed(cx));
        loop {
            let room = buf.remaining().min(READ);
            let (read, woken) = this.shared.lock().read(
                this.end,
                Instant::now(),
                buf.initialize_unfilled_to(room),
                cx.waker(),
            );
            woken.wake();
            match read {
                Read::Took(taken) => buf.advance(taken),
                Read::End => {}
                Read::Reset => {
                    coop.made_progress();
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                Read::Wait(until) => {
                    ready!(this.read_timer.poll(until, cx));
                    continue;
                }
            }
            coop.made_progress();
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let coop = ready!(poll_proceed(cx));
        loop {
            let (write, woken) =
                this.shared
                    .lock()
                    .write(this.end, Instant::now(), bytes, cx.waker());
            woken.wake();
            let result = match write {
                Write::Took(taken) => Ok(taken),
                Write::Broken => Err(io::ErrorKind::BrokenPipe.into()),
                Write::Wait(until) => {
                    ready!(this.write_timer.poll(until, cx));
                    continue;
                }
            };
            coop.made_progress();
            return Poll::Ready(result);
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let woken = self.shared.lock().shut_down(self.end, Instant::now());
        woken.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        let woken = self.shared.lock().drop_end(self.end, Instant::now());
        woken.wake();
    }
}

/// Wakes a waiting end when something arrives by itself.
struct Timer(Option<(Instant, Pin<Box<Sleep>>)>);

impl Timer {
    /// Is ready at `until`; never without one, when only the network wakes.
    fn poll(&mut self, until: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(until) = until else {
            self.0 = None;
            return Poll::Pending;
        };
        if self.0.as_ref().is_none_or(|(set, _)| *set != until) {
            self.0 = Some((until, Box::pin(sleep_until(until))));
        }
        let Some((_, timer)) = &mut self.0 else {
            return Poll::Pending;
        };
        ready!(timer.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(())
    }
}
