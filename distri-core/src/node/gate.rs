//! What stands before services that not every node may serve.

use std::{
    any::Any,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{sync::Notify, time::Instant};

use crate::{error::Result, fence::Fence, message::BoxFuture};

/// Says whether this node may serve a call now.
pub(crate) trait Gate: Send + Sync + 'static {
    /// Lets a call in, or says where it belongs.
    ///
    /// # Errors
    /// [`crate::service::Elsewhere`], with which nothing has been done.
    fn admit(&self) -> Result<Admitted>;

    /// The number of the fence, if this node leads the service.
    fn leads(&self) -> Option<u64>;
}

/// A call that was let in.
pub(crate) struct Admitted {
    /// Under which it is served.
    pub(crate) fence: Fence,
    /// Held while the call is served.
    pub(crate) pass: Pass,
}

/// Held while a call is served; what the gate counts by.
pub(crate) type Pass = Arc<dyn Any + Send + Sync>;

/// Says whether this node may serve a call by its key.
pub(crate) trait OwnsKeys: Send + Sync + 'static {
    /// Lets a call in, or says where it belongs.
    ///
    /// # Errors
    /// [`crate::service::Elsewhere`], with which nothing has been done.
    fn admit(self: Arc<Self>, key: u64) -> Result<KeyPass>;
}

/// A call whose key is this node's.
pub(crate) struct KeyPass {
    /// Under which it is served.
    pub(crate) fence: Fence,
    /// Ends when the key is this node's no more.
    pub(crate) over: BoxFuture<'static, ()>,
    /// Held while the call is served.
    pub(crate) pass: Pass,
}

/// Whether a call is to be cut off, and when.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    by: Mutex<Option<Instant>>,
    is: AtomicBool,
    changed: Notify,
}

impl Cut {
    /// The call may go on until then, or until it was told first.
    pub(crate) fn by(&self, until: Instant) -> Instant {
        *self
            .by
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(until)
    }

    /// Cuts the call off.
    pub(crate) fn cut(&self) {
        self.is.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Waits until the call is cut off.
    pub(crate) async fn wait(&self) {
        let mut changed = std::pin::pin!(self.changed.notified());
        changed.as_mut().enable();
        if !self.is.load(Ordering::Acquire) {
            changed.await;
        }
    }
}
