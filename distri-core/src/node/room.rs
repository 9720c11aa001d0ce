//! A bound on what is served at once, and a guess when there is room again.

use std::{
    pin::pin,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use tokio::sync::Notify;

/// What those who are refused are told at least and at most to wait. Less would bring them back before
/// anything has changed, more would keep them away after the rush.
const HINT: std::ops::RangeInclusive<Duration> = Duration::from_millis(5)..=Duration::from_secs(1);

/// Room for so many at once.
#[derive(Debug)]
pub(super) struct Room {
    limit: u32,
    taken: AtomicU32,
    /// How long one stays, in microseconds: a mean in which each counts an eighth.
    stay: AtomicU32,
    /// Somebody waits, or has waited, until nobody is there.
    is_watched: AtomicBool,
    left: Notify,
}

impl Room {
    pub(super) fn new(limit: Option<u32>) -> Self {
        Self {
            limit: limit.unwrap_or(u32::MAX),
            taken: AtomicU32::new(0),
            stay: AtomicU32::new(0),
            is_watched: AtomicBool::new(false),
            left: Notify::new(),
        }
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    /// True if there is a bound, so that it matters how long each stays.
    pub(super) fn is_bounded(&self) -> bool {
        self.limit < u32::MAX
    }

    /// Takes a place, if there is one.
    pub(super) fn enter(&self) -> bool {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        if before >= self.limit {
            self.give_back();
        }
        before < self.limit
    }

    /// Gives a place back, that was taken for so long where that is known.
    pub(super) fn leave(&self, stayed: Option<Duration>) {
        self.give_back();
        if let Some(stayed) = stayed {
            let stayed = u32::try_from(stayed.as_micros()).unwrap_or(u32::MAX);
            // Two at the same moment may lose one of their stays: it is a guess.
            let mean = self.stay.load(Ordering::Relaxed);
            let mean = mean - mean / 8 + stayed / 8;
            self.stay.store(mean, Ordering::Relaxed);
        }
    }

    fn give_back(&self) {
        // In one order with the watcher's: either it sees the place free, or it is seen here.
        self.taken.fetch_sub(1, Ordering::SeqCst);
        if self.is_watched.load(Ordering::SeqCst) {
            self.left.notify_waiters();
        }
    }

    /// Places that are taken.
    pub(super) fn taken(&self) -> u32 {
        self.taken.load(Ordering::SeqCst)
    }

    /// Waits until no place is taken.
    pub(super) async fn emptied(&self) {
        self.is_watched.store(true, Ordering::SeqCst);
        loop {
            let mut left = pin!(self.left.notified());
            left.as_mut().enable();
            if self.taken() == 0 {
                return;
            }
            left.await;
        }
    }

    /// How soon there may be room for one who is refused now: as long as one stays.
    pub(super) fn hint(&self) -> Duration {
        let stay = Duration::from_micros(self.stay.load(Ordering::Relaxed).into());
        stay.clamp(*HINT.start(), *HINT.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_enter_than_there_is_room() {
        let room = Room::new(Some(2));

        assert_eq!([(); 4].map(|()| room.enter()), [true, true, false, false]);
        room.leave(None);
        assert_eq!([(); 2].map(|()| room.enter()), [true, false]);
    }

    #[test]
    fn the_hint_follows_how_long_the_others_stay() {
        let room = Room::new(Some(2));
        assert_eq!(room.hint(), *HINT.start());

        for _ in 0..100 {
            assert!(room.enter());
            room.leave(Some(Duration::from_millis(40)));
        }

        let hint = room.hint();
        assert!(hint > Duration::from_millis(39), "{hint:?}");
        assert!(hint <= Duration::from_millis(40), "{hint:?}");
    }

    #[test]
    fn stays_without_end_do_not_make_a_hint_without_end() {
        let room = Room::new(None);
        for _ in 0..100 {
            assert!(room.enter());
            room.leave(Some(Duration::MAX));
        }

        assert_eq!(room.hint(), *HINT.end());
    }

    #[tokio::test]
    async fn whoever_waits_for_an_empty_room_is_told_when_the_last_has_left() {
        let room = Room::new(Some(2));
        assert!(room.enter() && room.enter() && !room.enter());
        let mut emptied = Box::pin(room.emptied());
        assert!(futures_util::poll!(emptied.as_mut()).is_pending());

        room.leave(None);
        assert!(futures_util::poll!(emptied.as_mut()).is_pending());
        room.leave(None);

        assert!(futures_util::poll!(emptied.as_mut()).is_ready());
    }
}
