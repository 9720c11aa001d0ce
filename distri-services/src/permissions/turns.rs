//! One at a time for each grant, in the order of asking: on one node, so that calls about one grant do
//! not spoil each other's transactions. Between nodes the transactions alone decide.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

use super::bytes::GrantId;

#[derive(Debug, Default)]
pub(crate) struct Turns {
    waiting: Arc<Mutex<BTreeMap<GrantId, Arc<tokio::sync::Mutex<()>>>>>,
}

/// Somebody's turn, until dropped.
pub(crate) struct Turn {
    grant: GrantId,
    waiting: Arc<Mutex<BTreeMap<GrantId, Arc<tokio::sync::Mutex<()>>>>>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for one's turn. How many may wait is bounded by how many calls a node serves.
    pub(crate) async fn take(&self, grant: GrantId) -> Turn {
        let lock = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.entry(grant).or_default().clone()
        };
        // Made before waiting, so that one who gives up cleans up as well.
        let mut turn = Turn {
            grant,
            waiting: self.waiting.clone(),
            guard: None,
        };
        turn.guard = Some(lock.lock_owned().await);
        turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.guard = None;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits holds a clone; new ones come only under this lock.
        let is_last = waiting
            .get(&self.grant)
            .is_some_and(|lock| Arc::strong_count(lock) == 1);
        if is_last {
            waiting.remove(&self.grant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_of_one_grant_come_one_after_the_other_and_leave_nothing_behind() {
        let turns = Turns::default();
        let (one, other) = (GrantId::from_array([1; 16]), GrantId::from_array([2; 16]));

        let first = turns.take(one).await;
        let _elsewhere = turns.take(other).await;
        let mut second = Box::pin(turns.take(one));
        assert!(
            poll_once(second.as_mut()).is_none(),
            "two have their turn at once"
        );
        drop(first);
        let second = second.await;
        let mut given_up = Box::pin(turns.take(one));
        assert!(poll_once(given_up.as_mut()).is_none());
        drop(given_up);
        drop(second);

        assert_eq!(turns.waiting.lock().unwrap().len(), 1);
    }

    fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
