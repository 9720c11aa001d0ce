//! Fetching all that was granted, by itself and for as long as it takes: owners come and go.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use distri::{Error, Result};
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

use super::{
    GrantSide, Person, PersonEvent, State, Told,
    asking::viewer_of,
    kept::{Asked, Known, Outcome},
    profile::Shelf,
};
use crate::{
    images::delivery::{DeliveryRefusal, Progress},
    permissions::RequestId,
};

/// The pauses before an owner that was away is asked again: from the first, doubled each time, to the
/// last.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Images that are fetched at once, at most.
const AT_ONCE: usize = 4;

/// How often it is told how far a transfer is.
const TOLD_EVERY: Duration = Duration::from_millis(200);

/// The transfers that are under way.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    under_way: Mutex<BTreeMap<RequestId, Transfer>>,
}

#[derive(Clone, Copy, Debug)]
struct Transfer {
    progress: Progress,
    told: Instant,
}

impl Transfers {
    /// How far the image of `request` is, if it is on its way.
    pub(super) fn progress(&self, request: RequestId) -> Option<Progress> {
        let under_way = self.lock();
        under_way.get(&request).map(|transfer| transfer.progress)
    }

    /// Notes how far it is. True if it is time to tell.
    pub(super) fn note(&self, request: RequestId, progress: Progress) -> bool {
        let now = Instant::now();
        let mut under_way = self.lock();
        let transfer = under_way.entry(request);
        let mut is_new = false;
        let transfer = transfer.or_insert_with(|| {
            is_new = true;
            Transfer {
                progress,
                told: now,
            }
        });
        transfer.progress = progress;
        let is_time = is_new || now.duration_since(transfer.told) >= TOLD_EVERY;
        if is_time {
            transfer.told = now;
        }
        is_time
    }

    pub(super) fn forget(&self, request: RequestId) {
        self.lock().remove(&request);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RequestId, Transfer>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Person {
    /// Fetches what was granted and is not here, now and whenever something is granted, for as long as
    /// the future is polled. An owner that is away is asked again, until it is there. Never returns.
    ///
    /// [`super::Grant::delivery`] says how far each is, [`PersonEvent::Delivering`] that it went on.
    ///
    /// # Cancel safety
    /// Dropping the future keeps what has arrived.
    pub async fn fetch_all(&self) {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut fetching = JoinSet::new();
        let mut under_way = BTreeSet::new();
        loop {
            // Before it is looked what there is, so that nothing is missed in between.
            let cursor = self.inner.events.cursor();
            match self.due().await {
                Ok(due) => {
                    for request in due {
                        if under_way.insert(request) {
                            let (person, places) = (self.clone(), places.clone());
                            fetching.spawn(async move {
                                person.fetch_at_last(request, &places).await;
                                request
                            });
                        }
                    }
                }
                Err(error) => {
                    let why = error.to_string();
                    self.inner.events.tell(PersonEvent::Failed { why });
                }
            }
            self.decided_after(cursor, &mut fetching, &mut under_way)
                .await;
        }
    }

    /// Waits until something may have to be fetched that had not at event `cursor`.
    async fn decided_after(
        &self,
        mut cursor: u64,
        fetching: &mut JoinSet<RequestId>,
        under_way: &mut BTreeSet<RequestId>,
    ) {
        loop {
            tokio::select! {
                Some(done) = fetching.join_next() => {
                    if let Ok(request) = done {
                        under_way.remove(&request);
                    }
                }
                told = self.inner.events.after(cursor) => match told {
                    Told::Forgotten { .. } => return,
                    Told::Events { cursor: last, events } => {
                        cursor = last;
                        let decides = |event: &PersonEvent| {
                            matches!(event, PersonEvent::Decided { .. } | PersonEvent::Changed { .. })
                        };
                        if events.iter().any(decides) {
                            return;
                        }
                    }
                },
            }
        }
    }

    /// What was granted, is not over as far as is known, and is not here.
    async fn due(&self) -> Result<Vec<RequestId>> {
        let grants = self.known_grants().await?;
        let due = grants
            .into_iter()
            .filter(|grant| grant.side == GrantSide::Viewer && grant.state == State::Approved);
        Ok(due.map(|grant| grant.request).collect())
    }

    /// Fetches one, and tries until it is here or never will be.
    async fn fetch_at_last(&self, request: RequestId, places: &Semaphore) {
        let mut pause = PAUSE;
        loop {
            let fetched = {
                // Never closed.
                let _place = places.acquire().await;
                let mut tell = |progress| {
                    if self.inner.transfers.note(request, progress) {
                        self.inner.events.tell(PersonEvent::Delivering { request });
                    }
                };
                self.fetch(request, &mut tell).await
            };
            let Err(error) = fetched else {
                self.inner.transfers.forget(request);
                return;
            };
            if self.is_pointless(request, &error).await {
                self.inner.transfers.forget(request);
                self.inner.events.tell(PersonEvent::Changed { request });
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// True if the image of `request` will not come: the ledger knows why.
    async fn is_pointless(&self, request: RequestId, error: &Error) -> bool {
        if !matches!(error.details(), Some(DeliveryRefusal::Over { .. })) {
            return false;
        }
        // Only the ledger's word counts: an owner's peer may say what it likes.
        matches!(self.ask_how_it_stands(request).await, Ok(state) if state != State::Active)
    }

    async fn ask_how_it_stands(&self, request: RequestId) -> Result<State> {
        let _gate = self.inner.gate.lock().await?;
        let mut asked: Asked = self.asked(request).await?;
        let Outcome::Approved(approval) = &asked.outcome else {
            return Ok(State::Requested);
        };
        let viewer = viewer_of(&asked)?;
        let ask = self.ask(approval.core.grant, &viewer);
        let status = self.ledger().status(ask).await?;
        asked.known = Some(Known::from(&status));
        let profile = &self.inner.profile;
        profile.save(Shelf::Asked, &request, &asked).await?;
        Ok(super::asking::state_of(asked.known))
    }
}
