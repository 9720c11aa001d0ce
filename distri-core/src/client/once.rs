//! Numbers for calls with `once`, by which the directory knows their writes again.
//!
//! What the directory remembers of a session it forgets up to the oldest call that has not ended, and
//! it remembers a bounded number of writes. So that one call which hangs does not make it forget what
//! others, or that call itself, may have to ask again, a session's numbers never run further ahead of
//! its oldest open call than [`AHEAD`]. Calls that would are numbered in another session: there are as
//! many as calls are open at once, and not one for each call.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{directory::once::AHEAD, wire::frame::OnceHead, world};

/// Sessions without open calls that are kept to be used again. More spares the directory new ones
/// after each rush, fewer is less to look through.
const IDLE: usize = 8;

/// The numbering of a program's calls with `once`.
#[derive(Debug, Default)]
pub(crate) struct OnceCalls {
    sessions: Mutex<Vec<Session>>,
}

#[derive(Debug)]
struct Session {
    id: u128,
    next: u64,
    open: BTreeSet<u64>,
}

/// A call that has not ended.
#[derive(Debug)]
pub(super) struct OpenCall<'a> {
    calls: &'a OnceCalls,
    head: OnceHead,
}

impl OnceCalls {
    /// Numbers a call, which is open until what this gives is dropped.
    pub(super) fn begin(&self) -> OpenCall<'_> {
        let mut sessions = self.sessions();
        let place = sessions.iter().position(Session::has_room);
        let place = place.unwrap_or_else(|| {
            sessions.push(Session::new());
            sessions.len() - 1
        });
        OpenCall {
            calls: self,
            head: sessions[place].begin(),
        }
    }

    fn end(&self, call: &OnceHead) {
        let mut sessions = self.sessions();
        if let Some(session) = sessions.iter_mut().find(|found| found.id == call.session) {
            session.open.remove(&call.number);
        }
        let mut idle = 0;
        sessions.retain(|session| {
            idle += usize::from(session.open.is_empty());
            !session.open.is_empty() || idle <= IDLE
        });
    }

    fn sessions(&self) -> MutexGuard<'_, Vec<Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn new() -> Self {
        Self {
            id: u128::from(world::dice()) << 64 | u128::from(world::dice()),
            next: 1,
            open: BTreeSet::new(),
        }
    }

    fn has_room(&self) -> bool {
        self.open
            .first()
            .is_none_or(|first| self.next - first < AHEAD)
    }

    fn begin(&mut self) -> OnceHead {
        let number = self.next;
        self.next += 1;
        self.open.insert(number);
        OnceHead {
            session: self.id,
            number,
            acknowledged: self.open.first().copied().unwrap_or(number),
        }
    }
}

impl OpenCall<'_> {
    /// What its tries say of it: each the same.
    pub(super) fn head(&self) -> OnceHead {
        self.head
    }
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        self.calls.end(&self.head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_one_after_the_other_share_a_session_and_acknowledge_each_other() {
        let calls = OnceCalls::default();

        let heads: Vec<_> = (0..1000).map(|_| calls.begin().head()).collect();

        for (place, head) in heads.iter().enumerate() {
            assert_eq!(head.session, heads[0].session);
            assert_eq!(head.number, place as u64 + 1);
            assert_eq!(head.acknowledged, head.number);
        }
    }

    #[test]
    fn no_call_runs_far_ahead_of_one_that_hangs() {
        let calls = OnceCalls::default();
        let hanging = calls.begin();

        let others: Vec<_> = (0..1000).map(|_| calls.begin().head()).collect();

        let beside = |head: &&OnceHead| head.session == hanging.head().session;
        let beside: Vec<_> = others.iter().filter(beside).collect();
        assert_eq!(beside.len() as u64, AHEAD - 1);
        assert!(
            beside
                .iter()
                .all(|head| head.acknowledged == hanging.head().number)
        );
        assert_eq!(calls.sessions().len(), 2);
    }

    #[test]
    fn there_are_as_many_sessions_as_calls_need_that_are_open_at_once() {
        let calls = OnceCalls::default();
        let open: Vec<_> = (0..100 * AHEAD).map(|_| calls.begin()).collect();
        assert_eq!(calls.sessions().len(), 100);

        drop(open);

        assert_eq!(calls.sessions().len(), IDLE);
    }

    #[test]
    fn a_session_is_used_again_when_its_oldest_call_has_ended() {
        let calls = OnceCalls::default();
        let mut open: Vec<_> = (0..AHEAD).map(|_| calls.begin()).collect();
        let first = open.remove(0);
        let session = first.head().session;

        drop(first);

        let next = calls.begin().head();
        assert_eq!((next.session, next.acknowledged), (session, 2));
    }
}
