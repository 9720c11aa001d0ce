//! What broken links have left: the calls that are still being finished for callers who may link
//! again, and the replies that may not have arrived.
//!
//! An *estate* is what one link left. It knows every call with an id that came over its link and whose
//! reply the caller may lack; so a call that it does not know has never come, and may be served, while
//! a call of an unknown estate may have taken effect, and must not. That is why nothing is ever dropped
//! from an estate but the whole of it: a reply without room becomes a mark.
//!
//! A plain machine; `L` is what stops the calls of a link, `W` somebody who waits for a reply.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    id::PublicKey,
    rpc::{CallId, KeptReply, Left},
};

/// Estates that one caller may have. A caller who links often enough to need more is hostile, or
/// has no use for the oldest.
const OF_ONE_CALLER: usize = 64;

/// The bounds of what is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// How long.
    pub(super) kept: Duration,
    /// Bytes of all replies.
    pub(super) bytes: usize,
    /// Estates in all.
    pub(super) estates: usize,
    /// Calls of one estate.
    pub(super) calls: usize,
}

/// Who left it, and the number of the link.
type Key = (PublicKey, u64);

/// The estates.
#[derive(Debug)]
pub(super) struct Replies<L, W> {
    bounds: Bounds,
    estates: BTreeMap<Key, Estate<L, W>>,
    /// From the oldest on. An estate that was pushed out for its caller's number still stands here.
    by_age: VecDeque<(Instant, Key)>,
    bytes: usize,
}

#[derive(Debug)]
struct Estate<L, W> {
    /// Stops those that run; `None` if none did.
    link: Option<L>,
    calls: BTreeMap<CallId, Call<W>>,
    bytes: usize,
}

#[derive(Debug)]
enum Call<W> {
    Running(Vec<W>),
    Done(KeptReply),
    Gone,
}

/// What a repeat meets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The call has never come: it runs from now on, and [`Replies::finish`] is to be told.
    Begin,
    /// It runs; the waiter will be given back by [`Replies::finish`].
    Joined,
    /// It has ended so.
    Done(KeptReply),
    /// It has ended, and the reply is not kept.
    Gone,
    /// What became of it is not known.
    Unknown,
}

impl<L, W> Replies<L, W> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            estates: BTreeMap::new(),
            by_age: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Takes over what a link has left. Gives back what stops the calls of estates that had to make
    /// room.
    #[must_use]
    pub(super) fn leave(
        &mut self,
        now: Instant,
        key: Key,
        link: L,
        left: Vec<(CallId, Left)>,
    ) -> Vec<L> {
        let any_runs = left.iter().any(|(_, left)| *left == Left::Running);
        let mut estate = Estate {
            link: any_runs.then_some(link),
            calls: BTreeMap::new(),
            bytes: 0,
        };
        for (call, left) in left {
            let call_state = match left {
                Left::Running => Call::Running(Vec::new()),
                Left::Done(reply) => {
                    estate.bytes += reply.body.len();
                    Call::Done(reply)
                }
                Left::Gone => Call::Gone,
            };
            estate.calls.insert(call, call_state);
        }
        self.bytes += estate.bytes;
        self.by_age.push_back((now + self.bounds.kept, key));
        let mut ended = self.remove(key);
        self.estates.insert(key, estate);
        let (caller, _) = key;
        let own = || (caller, 0)..=(caller, u64::MAX);
        if self.estates.range(own()).count() > OF_ONE_CALLER {
            let oldest = self.estates.range(own()).next().map(|(key, _)| *key);
            ended.extend(oldest.map(|oldest| self.remove(oldest)).unwrap_or_default());
        }
        ended.extend(self.expire(now));
        if self.by_age.len() > 2 * self.bounds.estates {
            let estates = &self.estates;
            self.by_age.retain(|(_, key)| estates.contains_key(key));
        }
        ended
    }

    /// Somebody repeats a call that was begun on the link of `key`. `waiter` is only taken if it runs.
    pub(super) fn ask(&mut self, key: Key, call: CallId, waiter: impl FnOnce() -> W) -> Asked {
        let calls_max = self.bounds.calls;
        let Some(estate) = self.estates.get_mut(&key) else {
            return Asked::Unknown;
        };
        let calls = estate.calls.len();
        match estate.calls.entry(call) {
            Entry::Vacant(_) if calls >= calls_max => Asked::Unknown,
            Entry::Vacant(vacant) => {
                vacant.insert(Call::Running(Vec::new()));
                Asked::Begin
            }
            Entry::Occupied(mut occupied) => match occupied.get_mut() {
                Call::Running(waiting) => {
                    waiting.push(waiter());
                    Asked::Joined
                }
                Call::Done(reply) => Asked::Done(reply.clone()),
                Call::Gone => Asked::Gone,
            },
        }
    }

    /// A call has ended, with this reply if it can be kept. Gives those who wait for it.
    pub(super) fn finish(&mut self, key: Key, call: CallId, reply: Option<&KeptReply>) -> Vec<W> {
        let reply_max = self.bounds.bytes / 64 / 4;
        let room = self.bounds.bytes.saturating_sub(self.bytes).min(reply_max);
        let Some(estate) = self.estates.get_mut(&key) else {
            return Vec::new();
        };
        let Some(state) = estate.calls.get_mut(&call) else {
            return Vec::new();
        };
        if !matches!(state, Call::Running(_)) {
            return Vec::new();
        }
        let ended = match reply.filter(|reply| reply.body.len() <= room) {
            Some(reply) => {
                estate.bytes += reply.body.len();
                self.bytes += reply.body.len();
                Call::Done(reply.clone())
            }
            None => Call::Gone,
        };
        match std::mem::replace(state, ended) {
            Call::Running(waiting) => waiting,
            Call::Done(_) | Call::Gone => Vec::new(),
        }
    }

    /// Forgets what is too old or too much. Gives back what stops the calls of it.
    #[must_use]
    pub(super) fn expire(&mut self, now: Instant) -> Vec<L> {
        let mut ended = Vec::new();
        while let Some((until, key)) = self.by_age.front().copied() {
            let is_held = self.estates.contains_key(&key);
            let is_too_much =
                self.bytes > self.bounds.bytes || self.estates.len() > self.bounds.estates;
            if is_held && until > now && !is_too_much {
                break;
            }
            self.by_age.pop_front();
            ended.extend(self.remove(key));
        }
        ended
    }

    /// Forgets everything.
    #[must_use]
    pub(super) fn clear(&mut self) -> Vec<L> {
        self.by_age.clear();
        self.bytes = 0;
        let estates = std::mem::take(&mut self.estates);
        estates
            .into_values()
            .filter_map(|estate| estate.link)
            .collect()
    }

    fn remove(&mut self, key: Key) -> Vec<L> {
        let Some(estate) = self.estates.remove(&key) else {
            return Vec::new();
        };
        self.bytes -= estate.bytes;
        estate.link.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::identity::Identity;

    type Estates = Replies<&'static str, u32>;

    const X: CallId = CallId([1; 16]);
    const Y: CallId = CallId([2; 16]);
    const KEPT: Duration = Duration::from_secs(60);

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where these tests get an instant"
    )]
    fn epoch() -> Instant {
        Instant::now()
    }

    fn caller(seed: u8) -> PublicKey {
        Identity::from_seed(&[seed; 32]).public()
    }

    fn key(number: u64) -> Key {
        (caller(1), number)
    }

    fn estates() -> Estates {
        Replies::new(Bounds {
            kept: KEPT,
            bytes: 64 * 100,
            estates: 100,
            calls: 10,
        })
    }

    fn reply(len: usize) -> KeptReply {
        KeptReply {
            failed: false,
            body: Bytes::from(vec![7; len]),
        }
    }

    fn unwanted() -> u32 {
        unreachable!("nobody is to wait")
    }

    #[test]
    fn a_reply_that_did_not_arrive_is_given_again() {
        let mut estates = estates();
        let done = vec![(X, Left::Done(reply(3)))];
        assert!(estates.leave(epoch(), key(1), "link", done).is_empty());

        for _ in 0..3 {
            assert_eq!(estates.ask(key(1), X, unwanted), Asked::Done(reply(3)));
        }
    }

    #[test]
    fn a_call_that_never_came_is_begun_once() {
        let mut estates = estates();
        assert!(estates.leave(epoch(), key(1), "link", vec![]).is_empty());

        assert_eq!(estates.ask(key(1), X, unwanted), Asked::Begin);
        assert_eq!(estates.ask(key(1), X, || 7), Asked::Joined);
        assert_eq!(estates.finish(key(1), X, Some(&reply(1))), [7]);
        assert_eq!(estates.ask(key(1), X, unwanted), Asked::Done(reply(1)));
    }

    #[test]
    fn a_call_that_runs_is_joined_by_all_who_ask() {
        let mut estates = estates();
        let running = vec![(X, Left::Running)];
        assert!(estates.leave(epoch(), key(1), "link", running).is_empty());

        assert_eq!(estates.ask(key(1), X, || 1), Asked::Joined);
        assert_eq!(estates.ask(key(1), X, || 2), Asked::Joined);

        assert_eq!(estates.finish(key(1), X, Some(&reply(1))), [1, 2]);
        assert!(estates.finish(key(1), X, Some(&reply(2))).is_empty());
        assert_eq!(estates.ask(key(1), X, unwanted), Asked::Done(reply(1)));
    }

    #[test]
    fn what_is_forgotten_is_never_begun_again() {
        let start = epoch();
        let mut estates = estates();
        let left = vec![(X, Left::Running), (Y, Left::Gone)];
        assert!(estates.leave(start, key(1), "link", left).is_empty());
        assert_eq!(estates.ask(key(1), Y, unwanted), Asked::Gone);
        assert!(
            estates
                .expire(start + KEPT - Duration::from_secs(1))
                .is_empty()
        );

        assert_eq!(estates.expire(start + KEPT), ["link"]);

        assert_eq!(estates.ask(key(1), X, unwanted), Asked::Unknown);
        assert!(estates.finish(key(1), X, Some(&reply(1))).is_empty());
        assert_eq!(estates.bytes, 0);
    }

    #[test]
    fn a_link_of_somebody_else_is_not_known() {
        let mut estates = estates();
        let done = vec![(X, Left::Done(reply(3)))];
        assert!(estates.leave(epoch(), key(1), "link", done).is_empty());

        assert_eq!(estates.ask((caller(2), 1), X, unwanted), Asked::Unknown);
    }

    #[test]
    fn a_reply_without_room_leaves_a_mark() {
        let mut estates = estates();
        let running = vec![(X, Left::Running)];
        assert!(estates.leave(epoch(), key(1), "link", running).is_empty());

        estates.finish(key(1), X, Some(&reply(26)));

        assert_eq!(estates.ask(key(1), X, unwanted), Asked::Gone);
    }

    #[test]
    fn however_many_replies_are_left_they_take_a_bounded_room() {
        let mut estates = estates();
        for number in 0..1000 {
            let left = vec![(X, Left::Done(reply(500)))];
            let from = (caller((number % 7) as u8), number);
            let _ = estates.leave(epoch(), from, "link", left);
            assert!(estates.bytes <= 64 * 100, "{}", estates.bytes);
        }

        assert_eq!(estates.ask((caller(0), 0), X, unwanted), Asked::Unknown);
        let last = (caller((999 % 7) as u8), 999);
        assert_eq!(estates.ask(last, X, unwanted), Asked::Done(reply(500)));
    }

    #[test]
    fn a_caller_who_links_without_end_pushes_out_only_his_own() {
        let mut estates = estates();
        let _ = estates.leave(epoch(), (caller(2), 0), "other", vec![]);
        for number in 1..=1000 {
            let _ = estates.leave(epoch(), key(number), "link", vec![]);
        }

        assert_eq!(estates.estates.len(), OF_ONE_CALLER + 1);
        assert!(estates.by_age.len() <= 201);
        assert_eq!(estates.ask((caller(2), 0), X, unwanted), Asked::Begin);
    }

    #[test]
    fn a_caller_who_invents_calls_is_soon_told_that_nothing_is_known() {
        let mut estates = estates();
        let _ = estates.leave(epoch(), key(1), "link", vec![]);

        let asked = (0..200_u8).map(|n| estates.ask(key(1), CallId([n; 16]), unwanted));

        let begun = asked.filter(|asked| *asked == Asked::Begin).count();
        assert_eq!(begun, 10);
    }
}
