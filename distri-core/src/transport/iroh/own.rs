//! A link of a key to itself, within the process.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// Bytes under way in each direction.
const BUFFER: usize = 256 * 1024;

/// The two ends of a link.
pub(super) fn pair() -> (OwnStream, OwnStream) {
    let (one, other) = tokio::io::duplex(BUFFER);
    let cut = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let [mine, theirs] = cut;
    let end = |bytes, mine: &Arc<AtomicBool>, theirs: &Arc<AtomicBool>| OwnStream {
        bytes,
        finished: false,
        mine: mine.clone(),
        theirs: theirs.clone(),
    };
    (end(one, &mine, &theirs), end(other, &theirs, &mine))
}

/// One end.
pub(super) struct OwnStream {
    bytes: DuplexStream,
    /// This end has said that no more comes.
    finished: bool,
    /// This end was dropped without having said so.
    mine: Arc<AtomicBool>,
    /// The other end was.
    theirs: Arc<AtomicBool>,
}

impl AsyncRead for OwnStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        ready!(Pin::new(&mut self.bytes).poll_read(cx, buf))?;
        let is_end = buf.filled().len() == before && room > 0;
        if is_end && self.theirs.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for OwnStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.bytes).poll_shutdown(cx))?;
        self.finished = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for OwnStream {
    fn drop(&mut self) {
        // Before the bytes end, so that the other end sees it with the end.
        if !self.finished {
            self.mine.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn an_end_that_was_cut_off_does_not_pass_for_whole() {
        let (mut one, mut other) = pair();
        one.write_all(b"half").await.unwrap();
        drop(one);

        let mut heard = Vec::new();
        let error = other.read_to_end(&mut heard).await.unwrap_err();

        assert_eq!(heard, b"half");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn an_end_that_was_shut_down_is_whole() {
        let (mut one, mut other) = pair();
        one.write_all(b"whole").await.unwrap();
        one.shutdown().await.unwrap();
        drop(one);

        let mut heard = Vec::new();
        other.read_to_end(&mut heard).await.unwrap();

        assert_eq!(heard, b"whole");
    }
}
