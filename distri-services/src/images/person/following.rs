//! What becomes of grants, as the person hears of it: each view that the owner's grants release, and
//! each change that owners make to the viewer's.
//!
//! The ledger's audit is told from a cursor; the profile keeps for each grant what the audit came to
//! so far, and one cursor for all. An entry is told once the signature in it, and that it follows from
//! the one before, were checked; then both are written. So nothing is missed by a program that did not
//! run, and what a node leaves out or makes up is noticed when the next entry comes. A program goes on
//! from what it heard itself, so that two on one profile hear the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::{Pin, pin},
    slice,
    sync::{Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use distri::{Result, identity::Identity};
use tokio::sync::Notify;

use super::{
    GrantSide, Person, PersonEvent, State,
    asking::viewer_of,
    giving::parts,
    is_away,
    kept::{Asked, Given, KeptCursor, Known, Outcome, Reply},
    profile::{Shelf, Written},
};
use crate::permissions::{
    AuditError, Dated, Deed, GrantCore, GrantId, GrantState, LedgerError, RequestId, Tally,
    WATCHED_MAX,
};

/// The pause before a profile that several programs share is looked at again for what others began.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What this program has heard.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// There are other grants to be followed than before.
    begun: Notify,
    state: Mutex<Option<Heard>>,
}

/// As it was in the profile when the program began to follow, and what came since.
#[derive(Debug, Default)]
struct Heard {
    /// Of every grant that was heard of at all, everything up to here.
    cursor: u64,
    grants: BTreeMap<RequestId, Tally>,
    /// Grants of which something false was told, and that are left out until they are told otherwise.
    doubted: BTreeSet<RequestId>,
}

impl Following {
    /// A grant was made.
    pub(super) fn begin(&self) {
        self.begun.notify_waiters();
    }

    /// Does something with what was heard.
    fn with<R>(&self, work: impl FnOnce(&mut Heard) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        work(state.get_or_insert_default())
    }

    fn has_begun(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_some()
    }

    fn is_doubted(&self, request: RequestId) -> bool {
        self.with(|heard| heard.doubted.contains(&request))
    }

    /// What was heard of a grant.
    fn heard(&self, request: RequestId) -> Tally {
        self.with(|heard| heard.grants.get(&request).cloned().unwrap_or(Tally::NONE))
    }
}

/// A grant that is followed.
struct Followed {
    request: RequestId,
    side: GrantSide,
    core: GrantCore,
    /// The person's key of it.
    key: Identity,
}

/// What came of taking entries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// All are taken, or were before.
    All,
    /// Entries before them are missing here.
    Gap,
    /// They are not believed.
    False,
}

/// How far each watch has come.
struct Cursors(Mutex<Vec<u64>>);

impl Cursors {
    /// One has come to `cursor`. How far all have.
    fn come(&self, watch: usize, cursor: u64) -> u64 {
        let mut cursors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cursors[watch] = cursors[watch].max(cursor);
        cursors.iter().min().copied().unwrap_or(cursor)
    }
}

impl Person {
    /// Follows all grants for as long as the ledger tells.
    pub(super) async fn follow_grants(&self) -> Result<()> {
        loop {
            let mut begun = pin!(self.inner.following.begun.notified());
            // Before looking, so that none is overlooked.
            begun.as_mut().enable();
            let written = self.inner.profile.written().await?;
            let mut followed = self.followed().await?;
            for grant in &followed {
                let is_known = self.inner.following.heard(grant.request) != Tally::NONE;
                if !is_known || self.inner.following.is_doubted(grant.request) {
                    self.catch_up(grant).await?;
                }
            }
            followed.retain(|grant| !self.inner.following.is_doubted(grant.request));
            tokio::select! {
                biased;
                () = begun => {}
                others = self.others_begin(&followed, written) => others?,
                ended = self.watch_all(&followed), if !followed.is_empty() => return ended,
            }
        }
    }

    /// Waits until another program of the person has made or got a grant that is not among `followed`.
    async fn others_begin(&self, followed: &[Followed], written: Option<Written>) -> Result<()> {
        let Some(mut before) = written else {
            // There is no other program.
            return std::future::pending().await;
        };
        let known: BTreeSet<RequestId> = followed.iter().map(|grant| grant.request).collect();
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            let Some(now) = self.inner.profile.written().await? else {
                continue;
            };
            if now == before {
                continue;
            }
            before = now;
            let is_new = |grant: &Followed| {
                !known.contains(&grant.request) && !self.inner.following.is_doubted(grant.request)
            };
            if self.followed().await?.iter().any(is_new) {
                return Ok(());
            }
        }
    }

    /// The grants of which more may be heard.
    async fn followed(&self) -> Result<Vec<Followed>> {
        let _gate = self.inner.gate.lock().await?;
        let profile = &self.inner.profile;
        let mut begun = Heard {
            cursor: profile.heard().await?.cursor,
            ..Heard::default()
        };
        let mut followed = Vec::new();
        for mut given in profile.all::<Given>(Shelf::Given).await? {
            if !matches!(&given.reply, Some(Reply::Approved(allowed)) if allowed.registered) {
                continue;
            }
            let request = given.request.request;
            let (key, allowed) = parts(&mut given)?;
            begun
                .grants
                .extend(allowed.heard.clone().map(|heard| (request, heard)));
            followed.push(Followed {
                request,
                side: GrantSide::Owner,
                core: allowed.core().clone(),
                key,
            });
        }
        for asked in profile.all::<Asked>(Shelf::Asked).await? {
            let Outcome::Approved(approval) = &asked.outcome else {
                continue;
            };
            let heard = asked.heard.clone().map(|heard| (asked.request, heard));
            begun.grants.extend(heard);
            followed.push(Followed {
                request: asked.request,
                side: GrantSide::Viewer,
                core: approval.core.clone(),
                key: viewer_of(&asked)?,
            });
        }
        if !self.inner.following.has_begun() {
            self.inner.following.with(|heard| *heard = begun);
        }
        // Nothing is done any more with what was withdrawn.
        followed.retain(|grant| !self.inner.following.heard(grant.request).revoked);
        Ok(followed)
    }

    /// Watches so many at once as the ledger lets, until the first watch ends.
    async fn watch_all(&self, followed: &[Followed]) -> Result<()> {
        let from = self.inner.following.with(|heard| heard.cursor);
        let parts: Vec<_> = followed.chunks(WATCHED_MAX).collect();
        let cursors = Cursors(Mutex::new(vec![from; parts.len()]));
        let watch = |(nr, grants)| {
            let watch: Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> =
                Box::pin(self.watch_some(nr, grants, from, &cursors));
            watch
        };
        let mut watches: Vec<_> = parts.into_iter().enumerate().map(watch).collect();
        std::future::poll_fn(|cx| {
            let ended = watches.iter_mut().find_map(|watch| {
                let polled = watch.as_mut().poll(cx);
                matches!(polled, Poll::Ready(_)).then_some(polled)
            });
            ended.unwrap_or(Poll::Pending)
        })
        .await
    }

    async fn watch_some(
        &self,
        watch: usize,
        grants: &[Followed],
        from: u64,
        cursors: &Cursors,
    ) -> Result<()> {
        let by_id: BTreeMap<GrantId, &Followed> = grants
            .iter()
            .map(|grant| (grant.core.grant, grant))
            .collect();
        let ask = |grant: &Followed| self.ask(grant.core.grant, &grant.key);
        let asks = grants.iter().map(ask).collect();
        let mut told = match self.ledger().watch(asks, Some(from)).await {
            Ok(told) => told,
            Err(error) => {
                if let Some(LedgerError::Unknown { grant }) = error.details()
                    && let Some(grant) = by_id.get(&grant)
                {
                    self.doubt(grant, distri::error::chain(&error));
                    return Ok(());
                }
                return Err(error);
            }
        };
        while let Some(dated) = told.next().await {
            let dated = dated?;
            if let Some(grant) = by_id.get(&dated.entry.grant) {
                let taken = self.take_entries(grant, slice::from_ref(&dated)).await?;
                if taken == Taken::Gap {
                    self.catch_up(grant).await?;
                }
            }
            let cursor = cursors.come(watch, dated.cursor);
            self.inner.following.with(|heard| heard.cursor = cursor);
            self.inner.profile.save_heard(KeptCursor { cursor }).await?;
        }
        Ok(())
    }

    /// Asks for all that was done with a grant and not heard of yet.
    async fn catch_up(&self, grant: &Followed) -> Result<()> {
        loop {
            let heard = self.inner.following.heard(grant.request);
            let ask = self.ask(grant.core.grant, &grant.key);
            let page = match self.ledger().audit(ask, Some(heard.head.index)).await {
                Ok(page) => page,
                Err(error) if is_away(&error) => return Err(error),
                Err(error) => {
                    self.doubt(grant, distri::error::chain(&error));
                    return Ok(());
                }
            };
            if page.entries.is_empty() {
                let (found, expected) = (heard.head.index, page.head.index);
                // More may have been heard of since.
                if expected > found || (expected == found && page.head != heard.head) {
                    let error = AuditError::End { found, expected };
                    self.doubt(grant, error.to_string());
                } else {
                    let request = grant.request;
                    self.inner
                        .following
                        .with(|heard| heard.doubted.remove(&request));
                }
                return Ok(());
            }
            match self.take_entries(grant, &page.entries).await? {
                Taken::All => {}
                Taken::Gap => {
                    let index = heard.head.index + 1;
                    self.doubt(grant, AuditError::Broken { index }.to_string());
                    return Ok(());
                }
                Taken::False => return Ok(()),
            }
        }
    }

    /// Nothing more of this grant is believed for now. Told once.
    fn doubt(&self, grant: &Followed, what: String) {
        let request = grant.request;
        let is_new = self
            .inner
            .following
            .with(|heard| heard.doubted.insert(request));
        if is_new {
            let event = PersonEvent::FalseAudit { request, what };
            self.inner.events.tell(event);
        }
    }

    /// Checks entries, keeps what they come to, and tells of them.
    async fn take_entries(&self, grant: &Followed, entries: &[Dated]) -> Result<Taken> {
        let _gate = self.inner.gate.lock().await?;
        let (profile, id) = (&self.inner.profile, &grant.request);
        let before = self.inner.following.heard(grant.request);
        let is_newer = |kept: Option<&Tally>, heard: &Tally| {
            kept.is_none_or(|kept| kept.head.index < heard.head.index)
        };
        let mut taking = Taking::default();
        let heard = match grant.side {
            GrantSide::Viewer => {
                let Some(mut asked) = profile.load::<Asked>(Shelf::Asked, id).await? else {
                    return Ok(Taken::All);
                };
                let heard = taking.take(grant, 0, before, entries);
                if is_newer(asked.heard.as_ref(), &heard) {
                    Known::hear(&mut asked.known, &heard);
                    asked.heard = Some(heard.clone());
                    profile.save(Shelf::Asked, id, &asked).await?;
                }
                heard
            }
            GrantSide::Owner => {
                let Some(mut given) = profile.load::<Given>(Shelf::Given, id).await? else {
                    return Ok(Taken::All);
                };
                let Some(Reply::Approved(allowed)) = &mut given.reply else {
                    return Ok(Taken::All);
                };
                let heard = taking.take(grant, allowed.seq, before, entries);
                if is_newer(allowed.heard.as_ref(), &heard) {
                    Known::hear(&mut allowed.known, &heard);
                    allowed.heard = Some(heard.clone());
                    profile.save(Shelf::Given, id, &given).await?;
                }
                heard
            }
        };
        self.inner
            .following
            .with(|all| all.grants.insert(grant.request, heard));
        for event in taking.events {
            self.inner.events.tell(event);
        }
        match taking.stopped {
            None => Ok(Taken::All),
            Some(Stopped::Gap) => Ok(Taken::Gap),
            Some(Stopped::False(what)) => {
                self.doubt(grant, what);
                Ok(Taken::False)
            }
        }
    }
}

/// Why not all entries were taken.
enum Stopped {
    Gap,
    False(String),
}

/// Entries on their way into the profile.
#[derive(Default)]
struct Taking {
    events: Vec<PersonEvent>,
    stopped: Option<Stopped>,
}

impl Taking {
    /// What the audit comes to with `entries`, up to the first that does not fit. Operations of the
    /// owner up to `own` were made here.
    fn take(&mut self, grant: &Followed, own: u64, mut heard: Tally, entries: &[Dated]) -> Tally {
        for dated in entries {
            let index = dated.entry.index;
            if index <= heard.head.index {
                continue;
            }
            if index > heard.head.index + 1 {
                self.stopped = Some(Stopped::Gap);
                break;
            }
            let before = heard.state();
            if let Err(error) = heard.take(&grant.core, dated) {
                let what = distri::error::chain(&error);
                self.stopped = Some(Stopped::False(what));
                break;
            }
            self.events.extend(news(grant, own, dated));
            let after = heard.state();
            if let Some(state) = over(after)
                && before != after
            {
                let request = grant.request;
                self.events.push(PersonEvent::Ended { request, state });
            }
        }
        heard
    }
}

/// What an entry tells a person that they do not know from their own side.
fn news(grant: &Followed, own: u64, dated: &Dated) -> Option<PersonEvent> {
    let request = grant.request;
    match &dated.entry.deed {
        Deed::Redeemed { redeem, view, of } => Some(PersonEvent::Viewed {
            request,
            view: *view,
            of: *of,
            at_ms: dated.at_ms,
            proof: Box::new(redeem.clone()),
        }),
        Deed::ViewsSet(op) if op.body.seq > own => Some(PersonEvent::Changed { request }),
        // The viewer is told when the letter with the new keys is here.
        Deed::Rekeyed(op) if grant.side == GrantSide::Owner && op.body.seq > own => {
            Some(PersonEvent::Changed { request })
        }
        Deed::ViewsSet(_)
        | Deed::Rekeyed(_)
        | Deed::Granted(_)
        | Deed::Revoked(_)
        | Deed::Acknowledged(_)
        | Deed::Exhausted
        | Deed::Expired => None,
    }
}

fn over(state: GrantState) -> Option<State> {
    match state {
        GrantState::Active => None,
        GrantState::Exhausted => Some(State::Exhausted),
        GrantState::Expired => Some(State::Expired),
        GrantState::Revoked => Some(State::Revoked),
    }
}
