//! [`Stop`]: the signals by which a program that stays is asked to stop.

#[cfg(unix)]
use super::Exit;
use super::Failure;

/// The signals by which a program is asked to stop: SIGINT (Ctrl-C) and SIGTERM; elsewhere Ctrl-C. From
/// [`Stop::listen`] on they end the program no longer by themselves.
#[derive(Debug)]
pub struct Stop {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Stop {
    /// Listens from now on, so that none is missed however early it comes.
    ///
    /// # Errors
    /// If the system has no room for that.
    pub fn listen() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};

        let listen = |kind| signal(kind).map_err(|error| Failure::new(Exit::Failed, error));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits until somebody asks, from the last time on.
    ///
    /// # Cancel safety
    /// Dropping the future loses no signal.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Stop {
    /// Listens from now on.
    ///
    /// # Errors
    /// None here.
    pub fn listen() -> Result<Self, Failure> {
        Ok(Self {})
    }

    /// Waits until somebody asks.
    pub async fn asked(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without signals it serves until it is ended from outside.
            std::future::pending::<()>().await;
        }
    }
}
