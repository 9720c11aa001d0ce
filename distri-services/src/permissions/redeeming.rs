//! Spending a view, try by try, until it is committed or refused.
//!
//! One proposal to the log does it all: the grant, its entry in the audit and the mark of the view, held
//! against the revision at which the grant was read and against the directory's clock. What is read
//! before asks the log for nothing.

use std::sync::Arc;

use distri::{Context, Error, Result, directory::Document};

use super::{
    audit::Deed,
    cloud::CloudSecret,
    ledger::{GrantRecord, View, ViewRecord},
    operations::{Redeem, Signed},
    receipt::Released,
    refusal::LedgerError,
    service::{Permissions, TRIES, too_busy},
    split::{CloudHalf, Share},
    store::{Held, Missed, Store, ViewChange},
};

/// One call for a view.
pub(crate) struct Redeeming<'a> {
    service: &'a Permissions,
    cx: &'a Context,
    store: Store,
    op: &'a Signed<Redeem>,
    /// The signature is the viewer's: whose key that is never changes.
    is_verified: bool,
    /// The cloud's half of this share, opened by a try before.
    opened: Option<(Share, Opened)>,
}

/// What a release is made of.
#[derive(Clone)]
struct Opened {
    secret: Arc<CloudSecret>,
    half: CloudHalf,
}

impl<'a> Redeeming<'a> {
    pub(crate) fn new(service: &'a Permissions, cx: &'a Context, op: &'a Signed<Redeem>) -> Self {
        Self {
            service,
            cx,
            store: service.store(cx),
            op,
            is_verified: false,
            opened: None,
        }
    }

    pub(crate) async fn run(mut self) -> Result<Released> {
        // What this node has at hand is as it is now, mostly. Where it is older, the transaction does not
        // hold, and what would be refused because of it is read again first.
        let mut fresh = false;
        for _ in 0..TRIES {
            match self.once(fresh).await {
                Ok(Some(released)) => return Ok(released),
                Ok(None) => {}
                // Perhaps because what was read is old.
                Err(error) if !fresh && error.details::<LedgerError>().is_some() => {}
                Err(error) => return Err(error),
            }
            fresh = true;
        }
        Err(too_busy())
    }

    /// `None` if it must be tried again.
    async fn once(&mut self, fresh: bool) -> Result<Option<Released>> {
        let Redeem { grant, redeem, .. } = self.op.body;
        let Some(found) = self.store.grant(grant, fresh).await? else {
            return Err(LedgerError::Unknown { grant }.into());
        };
        if !self.is_verified {
            self.op
                .verify(found.value.core.viewer)
                .map_err(|error| LedgerError::of_seal(error, 0))?;
            self.is_verified = true;
        }
        let share = found.value.may_redeem(&self.op.body)?;
        let opened = self.open(&found.value, share).await?;
        match self.store.view(grant, redeem, fresh).await? {
            Some(view) => self.again(&found, &view, &opened, fresh).await,
            None => self.first(&found, &opened).await,
        }
    }

    async fn open(&mut self, record: &GrantRecord, share: &Share) -> Result<Opened> {
        if let Some((of, opened)) = &self.opened
            && of == share
        {
            return Ok(opened.clone());
        }
        let secrets = self.service.secrets();
        let secret = secrets.of(self.cx.node(), share.cloud_epoch).await?;
        let half = secret
            .open(record, record.epoch, share)
            .map_err(|error| LedgerError::of_seal(error, share.cloud_epoch))?;
        let opened = Opened { secret, half };
        self.opened = Some((share.clone(), opened.clone()));
        Ok(opened)
    }

    /// A view that nobody has asked for yet.
    async fn first(
        &self,
        found: &Held,
        Opened { secret, half }: &Opened,
    ) -> Result<Option<Released>> {
        let (change, view) = found.value.redeem(found.updated_ms, self.op)?;
        let released = ViewChange::Released(&view);
        let max = self.service.grants_max();
        match self.store.commit(Some(found), &change, released, max).await {
            Ok(()) => Ok(Some(secret.release(half, &view)?)),
            Err(Missed::Raced) => Ok(None),
            Err(Missed::Late) => {
                // Nobody waits for it: the leader would see to it too.
                self.service.end(&self.store, found).await.ok();
                Err(late(&found.value))
            }
            Err(missed) => Err(self.service.failed(missed, &change)),
        }
    }

    /// One that was released before: the same again, if nothing has come to pass since.
    async fn again(
        &self,
        found: &Held,
        view: &Document<ViewRecord>,
        Opened { secret, half }: &Opened,
        fresh: bool,
    ) -> Result<Option<Released>> {
        let Redeem {
            grant, redeem, epk, ..
        } = self.op.body;
        let index = view.value.index;
        let Some(entry) = self.store.entry(grant, index, fresh).await? else {
            // It is committed with the view, so what was read is older than that.
            return Ok(None);
        };
        let Deed::Redeemed {
            redeem: signed,
            view: number,
            of,
        } = entry.value.deed
        else {
            let message = format!("entry {index} of the audit of {grant} is not the view it was");
            return Err(Error::internal(
                message,
                LedgerError::UnknownView { redeem },
            ));
        };
        if signed.body.epk != epk {
            return Err(LedgerError::Conflict { redeem }.into());
        }
        if view.value.acknowledged || signed.body != self.op.body {
            return Err(LedgerError::Closed { redeem }.into());
        }
        match self.store.confirm(found, view, redeem).await {
            Ok(()) => {
                let released = View {
                    redeem: signed.body,
                    view: number,
                    of,
                    index,
                };
                Ok(Some(secret.release(half, &released)?))
            }
            Err(Missed::Early) => {
                let from_ms = found.value.core.not_before_ms;
                Err(LedgerError::NotYet { from_ms }.into())
            }
            Err(Missed::Late) => Err(late(&found.value)),
            Err(Missed::Raced | Missed::Quota) => Ok(None),
            Err(Missed::Failed(error)) => Err(error),
        }
    }
}

fn late(record: &GrantRecord) -> Error {
    let at_ms = record.expires_ms;
    LedgerError::Expired { at_ms }.into()
}
