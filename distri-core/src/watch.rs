//! The latest value of something, and word whenever there is a newer one.
//!
//! As `tokio::sync::watch`, of which this has the part that the core uses. That one wakes those who
//! wait in an order drawn by dice that nobody else can roll; here they are woken in the order in
//! which they began to wait, so that a simulation can be repeated.

use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

/// Makes a value and the first who watches it.
pub(crate) fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

/// Changes the value. Clones change the same.
pub(crate) struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Watches the value.
pub(crate) struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version that was seen last.
    seen: u64,
}

/// There will be no newer value: all senders are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// The value, locked: not to be held for long, and never across an `await`.
pub(crate) struct Ref<'a, T>(RwLockReadGuard<'a, T>);

struct Shared<T> {
    value: RwLock<T>,
    /// Changes only while `value` is locked for writing.
    version: AtomicU64,
    closed: AtomicBool,
    senders: AtomicUsize,
    receivers: AtomicUsize,
    changed: Notify,
}

impl<T> Shared<T> {
    fn read(&self) -> RwLockReadGuard<'_, T> {
        self.value.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

impl<T> Sender<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            shared: Arc::new(Shared {
                value: RwLock::new(value),
                version: AtomicU64::new(0),
                closed: AtomicBool::new(false),
                senders: AtomicUsize::new(1),
                receivers: AtomicUsize::new(0),
                changed: Notify::new(),
            }),
        }
    }

    /// One more who watches, to whom the present value is not news.
    pub(crate) fn subscribe(&self) -> Receiver<T> {
        self.shared.receivers.fetch_add(1, Ordering::AcqRel);
        // Locked, so that the version is that of a whole change.
        let value = self.shared.read();
        let seen = self.shared.version();
        drop(value);
        Receiver {
            shared: self.shared.clone(),
            seen,
        }
    }

    /// How many watch.
    pub(crate) fn receiver_count(&self) -> usize {
        self.shared.receivers.load(Ordering::Acquire)
    }

    pub(crate) fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.read())
    }

    /// Sets the value, and gives the former one.
    pub(crate) fn send_replace(&self, value: T) -> T {
        let mut former = None;
        self.send_if_modified(|held| {
            former = Some(std::mem::replace(held, value));
            true
        });
        former.expect("the change was made in the line above")
    }

    /// Changes the value; tells of it, and returns true, only if `change` does.
    pub(crate) fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        {
            let value = self.shared.value.write();
            let mut value = value.unwrap_or_else(PoisonError::into_inner);
            if !change(&mut value) {
                return false;
            }
            self.shared.version.fetch_add(1, Ordering::Release);
        }
        self.shared.changed.notify_waiters();
        true
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.senders.fetch_add(1, Ordering::AcqRel);
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.closed.store(true, Ordering::Release);
            self.shared.changed.notify_waiters();
        }
    }
}

impl<T> Receiver<T> {
    /// The value, which stays news.
    pub(crate) fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.read())
    }

    /// The value, which is not news any more.
    pub(crate) fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let value = self.shared.read();
        self.seen = self.shared.version();
        Ref(value)
    }

    /// Waits until the value is news, and takes it for seen.
    ///
    /// # Errors
    /// [`Closed`], once the last value has been seen.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub(crate) async fn changed(&mut self) -> Result<(), Closed> {
        loop {
            // Made before the look, it misses no change after it.
            let changed = self.shared.changed.notified();
            let closed = self.shared.closed.load(Ordering::Acquire);
            let version = self.shared.version();
            if version != self.seen {
                self.seen = version;
                return Ok(());
            }
            if closed {
                return Err(Closed);
            }
            changed.await;
        }
    }

    /// Waits until the value is as wanted.
    ///
    /// # Errors
    /// [`Closed`] if it will never be.
    pub(crate) async fn wait_for(&mut self, wanted: impl Fn(&T) -> bool) -> Result<(), Closed> {
        loop {
            if wanted(&self.borrow_and_update()) {
                return Ok(());
            }
            self.changed().await?;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.receivers.fetch_add(1, Ordering::AcqRel);
        Self {
            shared: self.shared.clone(),
            seen: self.seen,
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.receivers.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&*self.borrow()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        sync::Mutex,
        task::{Context, Poll, Wake, Waker},
    };

    use super::*;

    /// Notes that it was woken, and when.
    struct Noted(usize, Arc<Mutex<Vec<usize>>>);

    impl Wake for Noted {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    fn poll<F: Future>(future: std::pin::Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(waker))
    }

    #[test]
    fn those_who_wait_are_woken_in_the_order_in_which_they_began_to() {
        let (sender, first) = channel(0);
        let woken = Arc::<Mutex<Vec<usize>>>::default();
        let mut receivers = vec![first; 20];
        let mut waits: Vec<_> = receivers
            .iter_mut()
            .map(|receiver| Box::pin(receiver.changed()))
            .collect();
        for (nr, wait) in waits.iter_mut().enumerate() {
            let waker = Waker::from(Arc::new(Noted(nr, woken.clone())));
            assert!(poll(wait.as_mut(), &waker).is_pending());
        }

        sender.send_replace(1);

        assert_eq!(*woken.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_change_between_looking_and_waiting_is_not_missed() {
        let (sender, mut receiver) = channel(0);
        assert_eq!(*receiver.borrow_and_update(), 0);
        sender.send_replace(1);

        let changed = poll(pin!(receiver.changed()), Waker::noop());

        assert_eq!(changed, Poll::Ready(Ok(())));
        assert!(poll(pin!(receiver.changed()), Waker::noop()).is_pending());
    }

    #[test]
    fn what_changes_nothing_is_no_news() {
        let (sender, mut receiver) = channel(0);

        assert!(!sender.send_if_modified(|_| false));

        assert!(poll(pin!(receiver.changed()), Waker::noop()).is_pending());
    }

    #[test]
    fn the_last_value_is_seen_before_the_end() {
        let (sender, mut receiver) = channel(0);
        let other = sender.clone();
        drop(sender);
        assert!(poll(pin!(receiver.changed()), Waker::noop()).is_pending());
        other.send_replace(7);
        drop(other);

        let last = poll(pin!(receiver.changed()), Waker::noop());

        assert_eq!(last, Poll::Ready(Ok(())));
        assert_eq!(*receiver.borrow(), 7);
        let end = poll(pin!(receiver.changed()), Waker::noop());
        assert_eq!(end, Poll::Ready(Err(Closed)));
        let never = poll(pin!(receiver.wait_for(|value| *value == 8)), Waker::noop());
        assert_eq!(never, Poll::Ready(Err(Closed)));
    }

    #[test]
    fn those_who_watch_are_counted() {
        let (sender, receiver) = channel(0);
        let other = receiver.clone();
        assert_eq!(sender.receiver_count(), 2);

        drop((receiver, other));

        assert_eq!(sender.receiver_count(), 0);
    }
}
