//! What happened, for a program to show, and the task that hears of it.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use distri::{Result, id::PublicKey};
use tokio::sync::Notify;

use super::{Person, State, is_away};
use crate::permissions::{Redeem, RequestId, Signed};

/// Events that are kept for those who read them late.
const KEPT: usize = 1024;

/// The pause before the cloud is asked again that could not be reached.
const PAUSE: Duration = Duration::from_secs(2);

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PersonEvent {
    /// Somebody asks for views.
    Requested {
        /// The request.
        request: RequestId,
    },
    /// A request of the person was decided.
    Decided {
        /// The request.
        request: RequestId,
    },
    /// A stego image has arrived.
    Delivered {
        /// The request that it answers.
        request: RequestId,
    },
    /// A view was shown here.
    Looked {
        /// The request of the grant.
        request: RequestId,
        /// Which view, from 1.
        view: u32,
        /// Of so many.
        of: u32,
    },
    /// The cloud released a view of a grant: the viewer has looked, or is about to. Told to the owner,
    /// and to the viewer too, who learns so of views that were spent with a copy of the profile. Told
    /// after a pause for whatever was viewed meanwhile, also while the program did not run.
    Viewed {
        /// The request of the grant.
        request: RequestId,
        /// Which view, from 1.
        view: u32,
        /// Of so many.
        of: u32,
        /// When; milliseconds since 1970, by the directory's clock.
        at_ms: u64,
        /// What the viewer signed for it. The signature was checked.
        proof: Box<Signed<Redeem>>,
    },
    /// A grant has other terms, or keys, than before.
    Changed {
        /// The request that it answers.
        request: RequestId,
    },
    /// A grant is over: nothing but the cover is shown from now on, unless the owner extends it.
    Ended {
        /// The request that it answers.
        request: RequestId,
        /// [`State::Exhausted`], [`State::Expired`] or [`State::Revoked`].
        state: State,
    },
    /// The cloud told something of a grant that cannot be what happened; it is not believed, and the
    /// grant not followed until the cloud tells otherwise.
    FalseAudit {
        /// The request that it answers.
        request: RequestId,
        /// What is wrong.
        what: String,
    },
    /// What is offered has changed.
    Catalog,
    /// The cloud will never take a letter that the person wrote.
    LetterRefused {
        /// To whom.
        to: PublicKey,
        /// Why.
        why: String,
    },
    /// A letter was put aside.
    LetterUnread {
        /// Why.
        why: String,
    },
    /// Something that was begun could not be done and was undone.
    Failed {
        /// Why.
        why: String,
    },
    /// An image that is fetched has come further.
    Delivering {
        /// The request that it answers.
        request: RequestId,
    },
    /// No node of the cloud is reached any more.
    CloudLost,
    /// The cloud is reached again.
    CloudBack,
}

/// Events, with the number by which later ones are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// These, in order.
    Events {
        /// The number of the last.
        cursor: u64,
        /// The events.
        events: Vec<PersonEvent>,
    },
    /// The events after the number that was asked for are not known any more: look at everything
    /// again.
    Forgotten {
        /// The number of the last event there was.
        cursor: u64,
    },
}

/// What happened since the program was started.
#[derive(Debug)]
pub struct EventLog {
    state: Mutex<Numbered>,
    told: Notify,
}

#[derive(Debug, Default)]
struct Numbered {
    /// The number of the last event.
    last: u64,
    events: VecDeque<PersonEvent>,
}

impl EventLog {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            told: Notify::new(),
        }
    }

    /// The number of the last event.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.state().last
    }

    /// Waits for events after number `cursor`.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub async fn after(&self, cursor: u64) -> Told {
        loop {
            let mut told = std::pin::pin!(self.told.notified());
            told.as_mut().enable();
            if let Some(events) = self.state().after(cursor) {
                return events;
            }
            told.await;
        }
    }

    pub(super) fn tell(&self, event: PersonEvent) {
        self.state().add(event);
        self.told.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, Numbered> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Numbered {
    fn add(&mut self, event: PersonEvent) {
        self.last += 1;
        self.events.push_back(event);
        if self.events.len() > KEPT {
            self.events.pop_front();
        }
    }

    fn after(&self, cursor: u64) -> Option<Told> {
        let (last, kept) = (self.last, self.events.len() as u64);
        if cursor == last {
            return None;
        }
        if cursor > last || last - cursor > kept {
            return Some(Told::Forgotten { cursor: last });
        }
        let skip = usize::try_from(kept - (last - cursor)).unwrap_or(usize::MAX);
        let events = self.events.iter().skip(skip).cloned().collect();
        Some(Told::Events {
            cursor: last,
            events,
        })
    }
}

impl Person {
    /// Follows the cloud for as long as the future is polled: reads letters as they arrive, goes on
    /// with what was begun whenever the cloud is back, and tells of changes to the catalogue and of
    /// what becomes of grants, from where it was heard of last. Never returns.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn follow(&self) {
        let is_lost = AtomicBool::new(false);
        let letters = async {
            loop {
                if let Err(error) = self.follow_letters(&is_lost).await {
                    self.unless_away(&error);
                    if !self.is_online() && !is_lost.swap(true, Ordering::Relaxed) {
                        self.inner.events.tell(PersonEvent::CloudLost);
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let catalog = async {
            let mut after = None;
            loop {
                if let Err(error) = self.follow_catalog(&mut after).await {
                    self.unless_away(&error);
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let grants = async {
            loop {
                if let Err(error) = self.follow_grants().await {
                    self.unless_away(&error);
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::join!(letters, catalog, grants);
    }

    fn unless_away(&self, error: &distri::Error) {
        if !is_away(error) {
            let why = error.to_string();
            self.inner.events.tell(PersonEvent::Failed { why });
        }
    }

    async fn follow_letters(&self, is_lost: &AtomicBool) -> Result<()> {
        self.settle().await?;
        if is_lost.swap(false, Ordering::Relaxed) {
            self.inner.events.tell(PersonEvent::CloudBack);
        }
        // What arrived before has just been read.
        let mut letters = self.inbox_client().follow(None).await?;
        while let Some(arrived) = letters.next().await {
            arrived?;
            self.settle().await?;
        }
        Ok(())
    }

    async fn follow_catalog(&self, after: &mut Option<u64>) -> Result<()> {
        let mut changes = self.catalog_client().changes(*after).await?;
        while let Some(changed) = changes.next().await {
            *after = Some(changed?.revision);
            self.inner.events.tell(PersonEvent::Catalog);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_after_a_cursor_and_forgotten_ones_are_said_to_be() {
        let log = EventLog::new();
        let state = |cursor| log.state().after(cursor);

        assert_eq!(state(0), None);
        for _ in 0..3 {
            log.tell(PersonEvent::Catalog);
        }
        let events = vec![PersonEvent::Catalog; 2];
        assert_eq!(state(1), Some(Told::Events { cursor: 3, events }));
        assert_eq!(state(3), None);
        assert_eq!(state(9), Some(Told::Forgotten { cursor: 3 }));
        for _ in 0..KEPT {
            log.tell(PersonEvent::Catalog);
        }
        assert_eq!(
            state(2),
            Some(Told::Forgotten {
                cursor: 3 + KEPT as u64
            })
        );
        assert!(matches!(state(3), Some(Told::Events { .. })));
    }
}
