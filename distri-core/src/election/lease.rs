//! The one lease that a node has for all it holds.
//!
//! Granted when first needed, renewed by one task three times in its time to live while somebody uses
//! it, and let run out when nobody does: a node that holds nothing writes nothing.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    directory::{Command, Refusal, Server},
    error::{Code, Error, Result},
    world,
};

/// The part of a lease's time by which its holder gives up before the directory does: so far may the
/// clocks of two machines differ in speed. Ordinary clocks differ by a hundredth of that.
const MARGIN: u32 = 10;

/// The pause after a renewal that failed at once.
const PAUSE: Duration = Duration::from_millis(50);

/// A node's lease, and the means to get one.
pub(super) struct NodeLease {
    server: Server,
    ttl: Duration,
    current: Mutex<Option<Arc<Grant>>>,
    /// One asks for a lease at a time.
    asking: tokio::sync::Mutex<()>,
    /// There is a new grant to renew.
    granted: Notify,
}

/// One lease, from when it was granted until it is lost; then another takes its place.
pub(crate) struct Grant {
    id: u64,
    term: Mutex<Term>,
    changed: Notify,
}

#[derive(Clone, Copy)]
struct Term {
    /// Before the request for the last renewal was sent.
    renewed: Instant,
    /// Until then it is certainly there.
    until: Instant,
    lost: bool,
}

impl NodeLease {
    pub(super) fn new(server: Server, ttl: Duration) -> Self {
        Self {
            server,
            ttl,
            current: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            granted: Notify::new(),
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<Grant>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> Option<Arc<Grant>> {
        let now = world::now();
        let current = self.current();
        current.as_ref().filter(|grant| grant.is_held(now)).cloned()
    }

    /// The node's lease, granted now if there is none. It is renewed as long as somebody has it.
    pub(super) async fn get(&self) -> Result<Arc<Grant>> {
        let _asking = self.asking.lock().await;
        if let Some(held) = self.held() {
            return Ok(held);
        }
        let asked = world::now();
        let ttl_ms = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        let outcome = self.server.command(Command::GrantLease { ttl_ms }).await?;
        let id = outcome
            .lease
            .ok_or_else(|| Error::new(Code::Internal, "a lease was granted without a number"))?;
        let grant = Arc::new(Grant {
            id,
            term: Mutex::new(Term {
                renewed: asked,
                until: asked + self.certain(),
                lost: false,
            }),
            changed: Notify::new(),
        });
        *self.current() = Some(grant.clone());
        self.granted.notify_one();
        Ok(grant)
    }

    /// How long a lease is certainly there after it was asked for.
    fn certain(&self) -> Duration {
        self.ttl - self.ttl / MARGIN
    }

    /// Gives up the lease at once.
    pub(super) fn abandon(&self) {
        if let Some(grant) = self.current().take() {
            grant.lose();
        }
    }

    /// Renews what is used. Runs until dropped.
    pub(super) async fn run(&self) {
        loop {
            let mut granted = pin!(self.granted.notified());
            granted.as_mut().enable();
            let Some(grant) = self.used() else {
                granted.await;
                continue;
            };
            let due = grant.term().renewed + self.ttl / 3;
            world::pause(due.saturating_duration_since(world::now())).await;
            // Whoever let go of it meanwhile spares the renewal.
            if self.is_used(&grant) {
                self.renew(&grant).await;
            }
        }
    }

    async fn renew(&self, grant: &Arc<Grant>) {
        let Term { until, .. } = grant.term();
        let asked = world::now();
        let renewal = self.server.command(Command::KeepLease { lease: grant.id });
        match tokio::time::timeout_at(until, renewal).await {
            Ok(Ok(_)) => grant.renewed(asked, asked + self.certain()),
            Ok(Err(error)) if error.details::<Refusal>().is_some() => {
                tracing::warn!(%error, "this node's lease has ended");
                grant.lose();
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "this node's lease could not be renewed yet");
                world::pause(PAUSE).await;
            }
            Err(_) => {
                tracing::warn!("this node's lease could not be renewed in time");
                grant.lose();
            }
        }
    }

    /// The grant that is to be renewed, if there is one. One that is lost, or that nobody has any
    /// more, is forgotten.
    fn used(&self) -> Option<Arc<Grant>> {
        let mut current = self.current();
        let grant =
            current.take_if(|grant| Arc::strong_count(grant) == 1 || !grant.is_held(world::now()));
        if let Some(grant) = grant {
            grant.lose();
        }
        current.clone()
    }

    /// True if somebody has the grant besides this and whoever asks.
    fn is_used(&self, grant: &Arc<Grant>) -> bool {
        let _current = self.current();
        Arc::strong_count(grant) > 2
    }
}

impl Grant {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    fn term(&self) -> Term {
        *self.term.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if the directory cannot have let the lease run out by `now`.
    pub(crate) fn is_held(&self, now: Instant) -> bool {
        let term = self.term();
        !term.lost && now < term.until
    }

    fn renewed(&self, asked: Instant, until: Instant) {
        let mut term = self.term.lock().unwrap_or_else(PoisonError::into_inner);
        // What was lost stays lost: somebody may have been told.
        if !term.lost && world::now() < term.until {
            term.renewed = asked;
            term.until = until;
        }
    }

    pub(super) fn lose(&self) {
        let mut term = self.term.lock().unwrap_or_else(PoisonError::into_inner);
        term.lost = true;
        drop(term);
        self.changed.notify_waiters();
    }

    /// Waits until it is lost.
    pub(crate) async fn lost(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let term = self.term();
            let left = term.until.saturating_duration_since(world::now());
            if term.lost || left.is_zero() {
                return;
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = world::pause(left) => {}
            }
        }
    }
}
