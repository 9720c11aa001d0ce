//! Redemptions of one grant that wait to be released together: whoever has their turn takes from the
//! line what stands there, theirs among it, and makes one change of it all.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::{
    bytes::{GrantId, RedeemId},
    operations::{Redeem, Signed},
};

/// Lines by grant. An answer is an `A`; who is told nothing looks for themselves.
pub(crate) struct Lines<A> {
    state: Arc<Mutex<State<A>>>,
}

struct State<A> {
    next: u64,
    lines: BTreeMap<GrantId, VecDeque<Waiting<A>>>,
}

/// One redemption in a line. Its signature was checked.
pub(crate) struct Waiting<A> {
    number: u64,
    pub(crate) op: Arc<Signed<Redeem>>,
    answer: oneshot::Sender<A>,
}

/// A place in a line, which is given up when this is dropped.
pub(crate) struct Place<A> {
    grant: GrantId,
    number: u64,
    state: Arc<Mutex<State<A>>>,
    /// The answer, once whoever had their turn gives it.
    pub(crate) answer: oneshot::Receiver<A>,
}

impl<A> Default for Lines<A> {
    fn default() -> Self {
        let state = State {
            next: 0,
            lines: BTreeMap::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }
}

impl<A> Lines<A> {
    /// Takes the last place in the line of its grant. How many may stand there is bounded by how many
    /// calls a node serves.
    pub(crate) fn join(&self, op: Arc<Signed<Redeem>>) -> Place<A> {
        let grant = op.body.grant;
        let (sender, answer) = oneshot::channel();
        let mut state = locked(&self.state);
        let number = state.next;
        state.next += 1;
        let line = state.lines.entry(grant).or_default();
        line.push_back(Waiting {
            number,
            op,
            answer: sender,
        });
        drop(state);
        Place {
            grant,
            number,
            state: self.state.clone(),
            answer,
        }
    }

    /// The first ones of the line, `most` of them at most, in order and each view once: one that is asked
    /// for twice at a time stays for the next who come.
    pub(crate) fn take(&self, grant: GrantId, most: usize) -> Vec<Waiting<A>> {
        let mut state = locked(&self.state);
        let Some(line) = state.lines.get_mut(&grant) else {
            return Vec::new();
        };
        let mut seen: BTreeSet<RedeemId> = BTreeSet::new();
        let (mut taken, mut left) = (Vec::new(), VecDeque::new());
        for waiting in line.drain(..) {
            if taken.len() < most && seen.insert(waiting.op.body.redeem) {
                taken.push(waiting);
            } else {
                left.push_back(waiting);
            }
        }
        if left.is_empty() {
            state.lines.remove(&grant);
        } else {
            *line = left;
        }
        taken
    }
}

impl<A> Waiting<A> {
    pub(crate) fn tell(self, answer: A) {
        // Whoever has given up asks again some day, and is told the same.
        self.answer.send(answer).ok();
    }
}

impl<A> Drop for Place<A> {
    fn drop(&mut self) {
        let mut state = locked(&self.state);
        if let Some(line) = state.lines.get_mut(&self.grant) {
            line.retain(|waiting| waiting.number != self.number);
            if line.is_empty() {
                state.lines.remove(&self.grant);
            }
        }
    }
}

impl<A> fmt::Debug for Lines<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = locked(&self.state).lines.len();
        f.debug_struct("Lines").field("lines", &lines).finish()
    }
}

fn locked<A>(state: &Mutex<State<A>>) -> MutexGuard<'_, State<A>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permissions::bytes::{GrantHash, SealingKey, Signature};

    fn asked(redeem: u8) -> Arc<Signed<Redeem>> {
        let body = Redeem {
            grant: GrantId::from_array([1; 16]),
            core: GrantHash::from_array([2; 32]),
            epoch: 0,
            redeem: RedeemId::from_array([redeem; 16]),
            epk: SealingKey::from_array([3; 32]),
        };
        let signature = Signature::from_array([4; 64]);
        Arc::new(Signed { body, signature })
    }

    #[test]
    fn who_is_first_is_taken_first_and_no_view_twice_at_once() {
        let lines = Lines::default();
        let grant = asked(1).body.grant;
        let mut places: Vec<Place<u8>> = [1, 2, 1, 3, 4].map(|id| lines.join(asked(id))).into();
        let gone = places.remove(1);
        drop(gone);

        let first = lines.take(grant, 2);
        let ids = |taken: &[Waiting<u8>]| -> Vec<u8> {
            taken
                .iter()
                .map(|one| one.op.body.redeem.as_array()[0])
                .collect()
        };
        assert_eq!(ids(&first), [1, 3]);
        for (waiting, answer) in first.into_iter().zip([10, 30]) {
            waiting.tell(answer);
        }
        let second = lines.take(grant, 9);
        assert_eq!(ids(&second), [1, 4]);
        drop(second);

        assert_eq!(places[0].answer.try_recv(), Ok(10));
        assert_eq!(places[2].answer.try_recv(), Ok(30));
        let untold = oneshot::error::TryRecvError::Closed;
        assert_eq!(places[1].answer.try_recv(), Err(untold));
        assert!(lines.take(grant, 9).is_empty());
        assert!(locked(&lines.state).lines.is_empty());
    }

    #[test]
    fn who_gives_up_leaves_nothing_behind() {
        let lines = Lines::<u8>::default();

        drop(lines.join(asked(1)));

        assert!(locked(&lines.state).lines.is_empty());
    }
}
