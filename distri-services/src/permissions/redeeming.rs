//! Spending a view: one call for it, until the view is released or refused.
//!
//! Calls for views of one grant stand in a line, and whoever has their turn releases what stands there
//! together (`releasing`). A view that was released before is released as the same, by the call itself. A
//! grant for which nodes contend is left to the one that leads.

use std::sync::Arc;

use distri::{Context, Error, Result, directory::Document, service::Role};
use tokio::sync::oneshot::error::TryRecvError;

use super::{
    audit::Deed,
    contended,
    ledger::{View, ViewRecord},
    operations::{Redeem, Signed},
    receipt::Released,
    refusal::LedgerError,
    releasing::{Answer, Opened, Releasing},
    service::{Permissions, PermissionsClient, TRIES, too_busy},
    store::{Missed, Store},
};

/// One call for a view.
pub(crate) struct Redeeming<'a> {
    service: &'a Permissions,
    cx: &'a Context,
    store: Store,
    op: Arc<Signed<Redeem>>,
    /// The signature is the viewer's: whose key that is never changes.
    is_verified: bool,
    /// The node that leads was asked.
    is_passed_on: bool,
}

impl<'a> Redeeming<'a> {
    pub(crate) fn new(service: &'a Permissions, cx: &'a Context, op: Signed<Redeem>) -> Self {
        Self {
            service,
            cx,
            store: service.store(cx),
            op: Arc::new(op),
            is_verified: false,
            is_passed_on: false,
        }
    }

    pub(crate) async fn run(mut self) -> Result<Released> {
        let Redeem { grant, redeem, .. } = self.op.body;
        // What this node has at hand is as it is now, mostly. Where it is older, the transaction does not
        // hold, and what would be refused because of it is read again first.
        let mut fresh = false;
        for _ in 0..TRIES {
            if let Some(answered) = self.pass_on().await {
                return answered;
            }
            self.verify().await?;
            match self.store.view(grant, redeem, fresh).await? {
                Some(view) => match self.again(&view, fresh).await {
                    Ok(Some(released)) => return Ok(released),
                    Ok(None) => {}
                    // Perhaps because what was read is old.
                    Err(error) if !fresh && error.details::<LedgerError>().is_some() => {}
                    Err(error) => return Err(error),
                },
                None => match self.in_line().await? {
                    Answer::Released(view, opened) => return Ok(opened.release(&view)?),
                    Answer::Refused(refusal) => {
                        // The same view may have been released meanwhile, by another call.
                        if self.store.view(grant, redeem, true).await?.is_none() {
                            return Err(refusal.into());
                        }
                    }
                    Answer::Again => {}
                },
            }
            fresh = true;
        }
        Err(too_busy())
    }

    /// Asks the node that leads, if it is for it to say. `None` if it is not, or is not to be reached: what
    /// it has done all the same is seen here.
    async fn pass_on(&mut self) -> Option<Result<Released>> {
        if self.is_passed_on {
            return None;
        }
        let grant = self.op.body.grant;
        let leader = self.service.contended().elsewhere(self.cx, grant)?;
        self.is_passed_on = true;
        let ledger = PermissionsClient::new(self.cx);
        let asked = ledger
            .redeem((*self.op).clone())
            .to(leader)
            .timeout(contended::PATIENCE);
        match asked.await {
            Ok(released) => Some(Ok(released)),
            Err(error) if error.details::<LedgerError>().is_some() => Some(Err(error)),
            Err(_) => None,
        }
    }

    /// Refuses what is not signed by the viewer, before anybody else has to do with it.
    async fn verify(&mut self) -> Result<()> {
        if self.is_verified {
            return Ok(());
        }
        let Redeem { grant, core, .. } = self.op.body;
        let viewer = match self.store.known_core(grant, &core) {
            Some(core) => core.viewer,
            None => {
                let found = match self.store.grant(grant, false).await? {
                    Some(found) => Some(found),
                    None => self.store.grant(grant, true).await?,
                };
                let found = found.ok_or(LedgerError::Unknown { grant })?;
                found.value.core.viewer
            }
        };
        self.op
            .verify(viewer)
            .map_err(|error| LedgerError::of_seal(error, 0))?;
        self.is_verified = true;
        Ok(())
    }

    /// A view of which nothing is known: stands in line until it is released or refused, by this call or
    /// by another.
    async fn in_line(&self) -> Result<Answer> {
        let grant = self.op.body.grant;
        let mut place = self.service.lines().join(self.op.clone());
        let _turn = tokio::select! {
            biased;
            answer = &mut place.answer => return Ok(answer.unwrap_or(Answer::Again)),
            turn = self.service.turns().take(grant) => turn,
        };
        loop {
            match place.answer.try_recv() {
                Ok(answer) => return Ok(answer),
                // Whoever had it in hand has given up.
                Err(TryRecvError::Closed) => return Ok(Answer::Again),
                Err(TryRecvError::Empty) => {}
            }
            let may_pass_on = !self.is_passed_on && self.cx.caller().role != Role::Node;
            Releasing::new(self.service, self.cx, grant, may_pass_on)
                .run()
                .await?;
        }
    }

    /// A view that was released before: the same again, if nothing has come to pass since.
    async fn again(&self, view: &Document<ViewRecord>, fresh: bool) -> Result<Option<Released>> {
        let Redeem {
            grant, redeem, epk, ..
        } = self.op.body;
        let Some(found) = self.store.grant(grant, fresh).await? else {
            return Err(LedgerError::Unknown { grant }.into());
        };
        let share = found.value.may_redeem(&self.op.body)?;
        let opened = Opened::of(self.service, self.cx, &found.value, share).await?;
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
        match self.store.confirm(&found, view, redeem).await {
            Ok(()) => {
                let released = View {
                    redeem: signed.body,
                    view: number,
                    of,
                    index,
                };
                Ok(Some(opened.release(&released)?))
            }
            Err(Missed::Early) => {
                let from_ms = found.value.core.not_before_ms;
                Err(LedgerError::NotYet { from_ms }.into())
            }
            Err(Missed::Late) => {
                let at_ms = found.value.expires_ms;
                Err(LedgerError::Expired { at_ms }.into())
            }
            Err(Missed::Raced | Missed::Seen(_) | Missed::Quota) => Ok(None),
            Err(Missed::Failed(error)) => Err(error),
        }
    }
}
