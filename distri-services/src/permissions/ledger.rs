//! The rules of the ledger: what an operation makes of a grant as it stands. Pure; the clock is left to
//! whoever commits, as bounds between which the change may take effect.

use super::{
    audit::{Deed, Entry, Head, TOGETHER},
    bytes::{GrantHash, GrantId, Signature},
    grant::GrantCore,
    operations::{Ack, Grant, Redeem, Rekey, Revoke, SetViews, Signed},
    refusal::LedgerError,
    split::Share,
};

/// More views are not granted at once: each takes a record for as long as the grant is known.
pub const VIEWS_MAX: u32 = 100_000;

/// A view may be asked for again for so long, unless it is acknowledged before.
pub const OPEN_MS: u64 = 15 * 60 * 1000;

/// A grant.
pub(crate) type GrantRecord = Kept<GrantCore>;

/// What changes of a grant, with its core, which never does. In the directory the core stands apart and
/// only the grant's id is here: each view writes this anew, on every node, with its indexes.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept<C> {
    pub(crate) core: C,
    pub(crate) hash: GrantHash,
    /// Of the owner's last operation, and its signature, so that one that is sent again is known.
    pub(crate) seq: u64,
    pub(crate) last: Signature,
    pub(crate) epoch: u32,
    pub(crate) views: u32,
    pub(crate) used: u32,
    /// Views that are neither acknowledged nor known to be too old.
    pub(crate) open: u32,
    pub(crate) expires_ms: u64,
    pub(crate) revoked: bool,
    /// The cloud's half, until the grant ends.
    pub(crate) share: Option<Share>,
    /// As a word to search by: what has to happen to the share some day.
    pub(crate) holds: Holds,
    /// Whose quota it counts against, by a name that only the cloud can make.
    pub(crate) quota: String,
    pub(crate) head: Head,
}

impl<C> Kept<C> {
    /// The same with another form of its core.
    pub(crate) fn with<D>(self, core: D) -> Kept<D> {
        Kept {
            core,
            hash: self.hash,
            seq: self.seq,
            last: self.last,
            epoch: self.epoch,
            views: self.views,
            used: self.used,
            open: self.open,
            expires_ms: self.expires_ms,
            revoked: self.revoked,
            share: self.share,
            holds: self.holds,
            quota: self.quota,
            head: self.head,
        }
    }
}

/// What a grant still has of the key.
#[distri::message]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Holds {
    /// The share, with views left.
    Share,
    /// The share, for views that may be asked for again.
    Spent,
    /// Nothing.
    Nothing,
}

/// A view that was released.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) redeem: Redeem,
    pub(crate) view: u32,
    pub(crate) of: u32,
    /// Its place in the audit.
    pub(crate) index: u64,
}

/// What the ledger keeps of a view so that it is not released as another: the rest is in the audit.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ViewRecord {
    /// Its place in the audit.
    pub(crate) index: u64,
    /// With which halves.
    pub(crate) epoch: u32,
    pub(crate) acknowledged: bool,
}

impl ViewRecord {
    pub(crate) fn of(view: &View) -> Self {
        Self {
            index: view.index,
            epoch: view.redeem.epoch,
            acknowledged: false,
        }
    }

    pub(crate) fn closed(&self) -> Self {
        Self {
            acknowledged: true,
            ..self.clone()
        }
    }
}

/// A change that may be committed, if the clock is within its bounds.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) record: GrantRecord,
    /// What the audit has of it: more than one entry only of views that are released together.
    pub(crate) entries: Vec<Entry>,
    pub(crate) from_ms: Option<u64>,
    pub(crate) until_ms: Option<u64>,
}

/// How a grant stands, for its owner and its viewer.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantStatus {
    /// Its id.
    pub grant: GrantId,
    /// What stays as it is.
    pub core: GrantCore,
    /// How it stands.
    pub state: GrantState,
    /// How often the viewer may look.
    pub views: u32,
    /// How often a view was released.
    pub used: u32,
    /// From then on no view is released; milliseconds since 1970, by the directory's clock.
    pub expires_ms: u64,
    /// Which halves of the key are in use.
    pub epoch: u32,
    /// The number of the owner's last operation.
    pub seq: u64,
    /// The cloud still has its half: more views need no new halves.
    pub has_share: bool,
    /// Where its audit ends.
    pub head: Head,
}

/// How a grant stands.
#[distri::message]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GrantState {
    /// There are views left. Whether its time has come, or is over, is for a clock to say.
    Active,
    /// All views are used.
    Exhausted,
    /// Its time is over, and the cloud's half deleted.
    Expired,
    /// The owner has withdrawn it.
    Revoked,
}

fn check_views(views: u32, least: u32) -> Result<(), LedgerError> {
    if (least..=VIEWS_MAX).contains(&views) {
        return Ok(());
    }
    Err(LedgerError::Views {
        asked: views,
        least,
        most: VIEWS_MAX,
    })
}

impl GrantRecord {
    /// What a new grant begins with.
    pub(crate) fn begin(
        op: &Signed<Grant>,
        share: Share,
        quota: String,
    ) -> Result<Change, LedgerError> {
        let Signed { body, signature } = op;
        check_views(body.views, 1)?;
        let grant = body.core.grant;
        let (entry, head) = Head::NONE.then(grant, 0, Deed::Granted(Box::new(op.clone())));
        let record = Self {
            core: body.core.clone(),
            hash: body.core.hash(),
            seq: body.seq,
            last: *signature,
            epoch: body.epoch,
            views: body.views,
            used: 0,
            open: 0,
            expires_ms: body.expires_ms,
            revoked: false,
            share: Some(share),
            holds: Holds::Share,
            quota,
            head,
        };
        Ok(Change {
            until_ms: Some(body.expires_ms),
            from_ms: None,
            record,
            entries: vec![entry],
        })
    }

    /// True if the owner's operation is the last one, sent again.
    pub(crate) fn has_done(&self, seq: u64, signature: &Signature) -> bool {
        self.seq == seq && self.last == *signature
    }

    pub(crate) fn status(&self) -> GrantStatus {
        let state = if self.revoked {
            GrantState::Revoked
        } else if self.used >= self.views {
            GrantState::Exhausted
        } else if self.share.is_none() {
            GrantState::Expired
        } else {
            GrantState::Active
        };
        GrantStatus {
            grant: self.core.grant,
            core: self.core.clone(),
            state,
            views: self.views,
            used: self.used,
            expires_ms: self.expires_ms,
            epoch: self.epoch,
            seq: self.seq,
            has_share: self.share.is_some(),
            head: self.head,
        }
    }

    fn owners(&self, core: GrantHash, seq: u64) -> Result<(), LedgerError> {
        self.same(core)?;
        if seq <= self.seq {
            return Err(LedgerError::Seq {
                is: self.seq,
                asked: seq,
            });
        }
        self.not_revoked()
    }

    fn same(&self, core: GrantHash) -> Result<(), LedgerError> {
        if core == self.hash {
            return Ok(());
        }
        let grant = self.core.grant;
        Err(LedgerError::OtherCore { grant })
    }

    fn not_revoked(&self) -> Result<(), LedgerError> {
        if self.revoked {
            let grant = self.core.grant;
            return Err(LedgerError::Revoked { grant });
        }
        Ok(())
    }

    fn become_of(mut self, at_ms: u64, deed: Deed) -> Change {
        self.holds = match (&self.share, self.used < self.views) {
            (None, _) => Holds::Nothing,
            (Some(_), true) => Holds::Share,
            (Some(_), false) => Holds::Spent,
        };
        let (entry, head) = self.head.then(self.core.grant, at_ms, deed);
        self.head = head;
        Change {
            record: self,
            entries: vec![entry],
            from_ms: None,
            until_ms: None,
        }
    }

    /// The owner changes how often, and until when. `at_ms` is when the grant was last changed.
    pub(crate) fn set_views(
        &self,
        at_ms: u64,
        op: &Signed<SetViews>,
    ) -> Result<Change, LedgerError> {
        let SetViews {
            core,
            seq,
            views,
            expires_ms,
            ..
        } = op.body;
        self.owners(core, seq)?;
        check_views(views, 1)?;
        if self.share.is_none() {
            return Err(LedgerError::ShareGone { epoch: self.epoch });
        }
        let next = Self {
            seq,
            last: op.signature,
            views,
            expires_ms,
            ..self.clone()
        };
        Ok(next.become_of(at_ms, Deed::ViewsSet(op.clone())))
    }

    pub(crate) fn revoke(&self, at_ms: u64, op: &Signed<Revoke>) -> Result<Change, LedgerError> {
        self.owners(op.body.core, op.body.seq)?;
        let next = Self {
            seq: op.body.seq,
            last: op.signature,
            revoked: true,
            share: None,
            ..self.clone()
        };
        Ok(next.become_of(at_ms, Deed::Revoked(op.clone())))
    }

    pub(crate) fn rekey(
        &self,
        at_ms: u64,
        op: &Signed<Rekey>,
        share: Share,
    ) -> Result<Change, LedgerError> {
        let body = &op.body;
        self.owners(body.core, body.seq)?;
        check_views(body.views, 1)?;
        if self.epoch.checked_add(1) != Some(body.epoch) {
            return Err(LedgerError::Epoch {
                is: self.epoch,
                asked: body.epoch,
            });
        }
        let next = Self {
            seq: body.seq,
            last: op.signature,
            epoch: body.epoch,
            views: body.views,
            expires_ms: body.expires_ms,
            // Views of the old halves cannot be asked for any more.
            open: 0,
            share: Some(share),
            ..self.clone()
        };
        Ok(next.become_of(at_ms, Deed::Rekeyed(op.clone())))
    }

    /// What must hold for a view to be released at all, be it a new one or the same again.
    pub(crate) fn may_redeem(&self, op: &Redeem) -> Result<&Share, LedgerError> {
        self.same(op.core)?;
        self.not_revoked()?;
        if op.epoch != self.epoch {
            return Err(LedgerError::Epoch {
                is: self.epoch,
                asked: op.epoch,
            });
        }
        match &self.share {
            Some(share) => Ok(share),
            None if self.used >= self.views => Err(LedgerError::Exhausted { views: self.views }),
            None => Err(LedgerError::Expired {
                at_ms: self.expires_ms,
            }),
        }
    }

    /// A new view.
    fn redeem(&self, at_ms: u64, op: &Signed<Redeem>) -> Result<(Change, View), LedgerError> {
        self.may_redeem(&op.body)?;
        if self.used >= self.views {
            return Err(LedgerError::Exhausted { views: self.views });
        }
        let (view, of) = (self.used + 1, self.views);
        let next = Self {
            used: view,
            open: self.open + 1,
            ..self.clone()
        };
        let redeem = op.clone();
        let change = next.become_of(at_ms, Deed::Redeemed { redeem, view, of });
        let released = View {
            redeem: op.body.clone(),
            view,
            of,
            index: change.record.head.index,
        };
        Ok((change, released))
    }

    /// New views, one after the other, which are released together or not at all: the change, if
    /// any of them may be, and of each in its order the view or why not.
    pub(crate) fn redeem_all<'a>(
        &self,
        at_ms: u64,
        ops: impl IntoIterator<Item = &'a Signed<Redeem>>,
    ) -> (Option<Change>, Vec<Result<View, LedgerError>>) {
        let (mut record, mut entries) = (self.clone(), Vec::new());
        let mut views = Vec::new();
        for op in ops {
            let at_ms = if entries.is_empty() { at_ms } else { TOGETHER };
            views.push(record.redeem(at_ms, op).map(|(change, view)| {
                entries.extend(change.entries);
                record = change.record;
                view
            }));
        }
        let change = (!entries.is_empty()).then_some(Change {
            from_ms: Some(self.core.not_before_ms),
            until_ms: Some(self.expires_ms),
            record,
            entries,
        });
        (change, views)
    }

    /// The viewer has looked. `None` if that is known.
    pub(crate) fn acknowledge(
        &self,
        at_ms: u64,
        op: &Signed<Ack>,
        view: &ViewRecord,
    ) -> Result<Option<Change>, LedgerError> {
        self.same(op.body.core)?;
        if view.acknowledged {
            return Ok(None);
        }
        let open = if view.epoch == self.epoch {
            self.open.saturating_sub(1)
        } else {
            self.open
        };
        let is_over = open == 0 && self.used >= self.views;
        let next = Self {
            open,
            share: self.share.clone().filter(|_| !is_over),
            ..self.clone()
        };
        Ok(Some(next.become_of(at_ms, Deed::Acknowledged(op.clone()))))
    }

    /// What is to be done when nobody asks any more: the share is deleted when the time is over, or
    /// when no used view can be asked for again. `None` if there is no share.
    pub(crate) fn end(&self, at_ms: u64) -> Option<Change> {
        self.share.as_ref()?;
        let closed_ms = at_ms.saturating_add(OPEN_MS);
        let spent = self.used >= self.views && closed_ms < self.expires_ms;
        let (deed, from_ms) = if spent {
            (Deed::Exhausted, closed_ms)
        } else {
            (Deed::Expired, self.expires_ms)
        };
        let next = Self {
            share: None,
            open: 0,
            ..self.clone()
        };
        let change = next.become_of(at_ms, deed);
        Some(Change {
            from_ms: Some(from_ms),
            ..change
        })
    }
}
