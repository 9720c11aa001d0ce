//! The views that stand in line, released together, try by try.
//!
//! One proposal to the log does it all: the grant, and of each view its entry in the audit and the mark that
//! it is used, held against the revision at which the grant was read and against the directory's clock. What
//! is read before asks the log for nothing. Each view has its own number and entry, as if they had been
//! released one after the other.

use std::sync::Arc;

use distri::{Context, Result};
use tokio::time::Instant;

use super::{
    bytes::GrantId,
    cloud::CloudSecret,
    ledger::{GrantRecord, View},
    lines::Waiting,
    receipt::Released,
    refusal::LedgerError,
    service::{Permissions, TRIES, too_busy},
    split::{CloudHalf, Share},
    store::{Held, Missed, Store, ViewChange, view_id},
};

/// Views that are released together at most. More: fewer proposals when many look at once, and more to
/// do again when one of them comes too late. Each is two operations of a transaction, which has 128.
pub(crate) const TOGETHER_MAX: usize = 32;

/// What becomes of a call in line.
pub(crate) enum Answer {
    /// The view is committed, and this is what a release is made of.
    Released(View, Opened),
    /// It is not released, as the grant is now.
    Refused(LedgerError),
    /// Nobody can say here: whoever called looks again.
    Again,
}

/// What a release is made of.
#[derive(Clone)]
pub(crate) struct Opened {
    secret: Arc<CloudSecret>,
    half: Arc<CloudHalf>,
}

impl Opened {
    pub(crate) async fn of(
        service: &Permissions,
        cx: &Context,
        record: &GrantRecord,
        share: &Share,
    ) -> Result<Self> {
        let secret = service.secrets().of(cx.node(), share.cloud_epoch).await?;
        let half = secret
            .open(record, record.epoch, share)
            .map_err(|error| LedgerError::of_seal(error, share.cloud_epoch))?;
        let half = Arc::new(half);
        Ok(Self { secret, half })
    }

    /// What the viewer gets for a view that is committed.
    pub(crate) fn release(&self, view: &View) -> Result<Released, LedgerError> {
        self.secret.release(&self.half, view)
    }
}

/// One turn: what stands in line, and is released or refused.
pub(crate) struct Releasing<'a> {
    service: &'a Permissions,
    cx: &'a Context,
    store: Store,
    grant: GrantId,
    /// Whoever has the turn can still ask the node that leads.
    may_pass_on: bool,
    /// Who still waits.
    waiting: Vec<Waiting<Answer>>,
    /// The cloud's half of this share, opened by a try before.
    opened: Option<(Share, Opened)>,
}

/// What a try came to.
enum Tried {
    /// Everybody was told.
    Done,
    /// Something was read that is older than it should be, or others were faster.
    Again,
}

impl<'a> Releasing<'a> {
    /// Takes the first of the line of `grant`, whose turn it is.
    pub(crate) fn new(
        service: &'a Permissions,
        cx: &'a Context,
        grant: GrantId,
        may_pass_on: bool,
    ) -> Self {
        Self {
            service,
            cx,
            store: service.store(cx),
            grant,
            may_pass_on,
            waiting: service.lines().take(grant, TOGETHER_MAX),
            opened: None,
        }
    }

    /// Tells all whom it took what becomes of them. An error is the caller's own; the others look for
    /// themselves then, and so they do when this is dropped.
    pub(crate) async fn run(mut self) -> Result<()> {
        for nr in 0..TRIES {
            match self.once(nr > 0).await? {
                Tried::Done => return Ok(()),
                Tried::Again => {}
            }
        }
        Err(too_busy())
    }

    async fn once(&mut self, fresh: bool) -> Result<Tried> {
        let Some(found) = self.store.grant(self.grant, fresh).await? else {
            return Ok(self.refuse(fresh, &LedgerError::Unknown { grant: self.grant }));
        };
        let ops = self.waiting.iter().map(|waiting| &*waiting.op);
        let (change, views) = found.value.redeem_all(found.updated_ms, ops);
        let (Some(change), Some(share)) = (change, &found.value.share) else {
            // Nothing is refused because of what may be old.
            if fresh {
                self.tell(views, None);
            }
            return Ok(self.left());
        };
        let opened = match self.open(&found.value, share).await {
            Ok(opened) => opened,
            Err(error) => match error.details() {
                Some(refusal) => return Ok(self.refuse(fresh, &refusal)),
                None => return Err(error),
            },
        };
        let released: Vec<&View> = views.iter().flatten().collect();
        let released = ViewChange::Released(&released);
        let max = self.service.grants_max();
        match self
            .store
            .commit(Some(&found), &change, released, max)
            .await
        {
            Ok(()) => {
                // What was read was as it is, so that what is refused is refused as the grant is now.
                self.tell(views, Some(&opened));
                Ok(Tried::Done)
            }
            Err(Missed::Raced) => Ok(self.too_late()),
            Err(Missed::Seen(id)) => {
                let seen =
                    |waiting: &Waiting<Answer>| view_id(self.grant, waiting.op.body.redeem) == id;
                if let Some(at) = self.waiting.iter().position(seen) {
                    self.waiting.remove(at).tell(Answer::Again);
                }
                Ok(self.left())
            }
            Err(missed @ (Missed::Early | Missed::Late)) if fresh => {
                if matches!(missed, Missed::Late) {
                    // Nobody waits for it: the leader would see to it too.
                    self.service.end(&self.store, &found).await.ok();
                }
                let refusal = out_of_time(&missed, &found);
                let views = views
                    .into_iter()
                    .map(|view| Err(view.err().unwrap_or(refusal.clone())));
                self.tell(views.collect(), None);
                Ok(Tried::Done)
            }
            Err(Missed::Early | Missed::Late) => Ok(Tried::Again),
            Err(missed @ (Missed::Quota | Missed::Failed(_))) => {
                Err(self.service.failed(missed, &change))
            }
        }
    }

    /// Others were faster. Where another node leads, they may be on and on: it is left to that one.
    fn too_late(&mut self) -> Tried {
        let here = self.cx.node();
        if here.leader().is_none_or(|leader| leader == here.key()) {
            return Tried::Again;
        }
        self.service.contended().add(Instant::now(), self.grant);
        if !self.may_pass_on {
            return Tried::Again;
        }
        for waiting in self.waiting.drain(..) {
            waiting.tell(Answer::Again);
        }
        Tried::Done
    }

    fn left(&self) -> Tried {
        if self.waiting.is_empty() {
            Tried::Done
        } else {
            Tried::Again
        }
    }

    /// The same for all.
    fn refuse(&mut self, fresh: bool, refusal: &LedgerError) -> Tried {
        if fresh {
            for waiting in self.waiting.drain(..) {
                waiting.tell(Answer::Refused(refusal.clone()));
            }
        }
        self.left()
    }

    /// To each what becomes of it.
    fn tell(&mut self, views: Vec<Result<View, LedgerError>>, opened: Option<&Opened>) {
        for (waiting, view) in self.waiting.drain(..).zip(views) {
            waiting.tell(match (view, opened) {
                (Ok(view), Some(opened)) => Answer::Released(view, opened.clone()),
                (Ok(_), None) => Answer::Again,
                (Err(refusal), _) => Answer::Refused(refusal),
            });
        }
    }

    async fn open(&mut self, record: &GrantRecord, share: &Share) -> Result<Opened> {
        if let Some((of, opened)) = &self.opened
            && of == share
        {
            return Ok(opened.clone());
        }
        let opened = Opened::of(self.service, self.cx, record, share).await?;
        self.opened = Some((share.clone(), opened.clone()));
        Ok(opened)
    }
}

fn out_of_time(missed: &Missed, found: &Held) -> LedgerError {
    match missed {
        Missed::Early => LedgerError::NotYet {
            from_ms: found.value.core.not_before_ms,
        },
        _ => LedgerError::Expired {
            at_ms: found.value.expires_ms,
        },
    }
}
