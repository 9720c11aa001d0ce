//! What owners change of grants that they made: the terms, the keys, and that they made them at all.
//!
//! A change is signed and in the profile before the ledger hears of it, and each step can be done again. One
//! change of a grant is under way at a time.

use distri::{Result, identity::Identity};

use super::{
    Person, PersonError, PersonEvent, Terms,
    giving::{parts, unopenable},
    is_away,
    kept::{Allowed, Given, Known, Pending, Reply},
    letters::{letter_id, randomness},
    profile::Shelf,
};
use crate::{
    images::record::{Message, Rekeyed},
    permissions::{
        self, Canonical, CloudKeys, GrantState, GrantStatus, OwnerSecrets, RequestId, SetViews,
        sign,
    },
};

impl Person {
    /// Gives more views or more time, or less; also after all were used: then the key gets new
    /// halves, and the image is not transferred again.
    ///
    /// # Errors
    /// [`PersonError::NoRequest`], [`PersonError::NotApproved`], [`PersonError::Over`] after a
    /// revocation; [`LedgerError`](crate::permissions::LedgerError). If the cloud is away, its error:
    /// the change is made when it is back, and is not in force before.
    pub async fn extend(&self, request: RequestId, terms: Terms) -> Result<()> {
        let _gate = self.inner.gate.lock().await?;
        let mut given = self.approved(request).await?;
        let status = self.status_of(&given).await?;
        let (owner, allowed) = parts(&mut given)?;
        let (grant, core) = (allowed.core().grant, allowed.core().hash());
        let seq = status.seq.max(allowed.seq) + 1;
        allowed.pending = Some(if status.has_share {
            let Terms { views, expires_ms } = terms;
            let op = SetViews {
                grant,
                core,
                seq,
                views,
                expires_ms,
            };
            Pending::SetViews(sign(op, &owner))
        } else {
            let cloud = self.cloud_keys().await?;
            new_keys(&owner, allowed, &status, terms, &cloud)?
        });
        self.inner
            .profile
            .save(Shelf::Given, &request, &given)
            .await?;
        self.carry_out(given).await
    }

    /// Gives a grant new halves of the key and leaves its terms as they are: the half that the cloud had
    /// opens nothing any more, and the image is not transferred again. For when the cluster's secret was
    /// renewed because somebody may know the one before.
    ///
    /// # Errors
    /// As [`Person::extend`]; [`PersonError::Over`] too if the cloud has no half of it, all views being used
    /// or the time being over.
    pub async fn rekey(&self, request: RequestId) -> Result<()> {
        let _gate = self.inner.gate.lock().await?;
        let mut given = self.approved(request).await?;
        let status = self.status_of(&given).await?;
        if !status.has_share {
            let state = status.state;
            return Err(PersonError::Over { request, state }.into());
        }
        let (owner, allowed) = parts(&mut given)?;
        let terms = Terms {
            views: status.views,
            expires_ms: status.expires_ms,
        };
        let cloud = self.cloud_keys().await?;
        allowed.pending = Some(new_keys(&owner, allowed, &status, terms, &cloud)?);
        self.inner
            .profile
            .save(Shelf::Given, &request, &given)
            .await?;
        self.carry_out(given).await
    }

    /// The grants whose half at the cloud is sealed under a secret that the cluster has renewed since:
    /// whoever knows that secret, and has a copy of the half, has the half. [`Person::rekey`] is for these.
    ///
    /// # Errors
    /// As any call; when the profile cannot be read.
    pub async fn older_keys(&self) -> Result<Vec<RequestId>> {
        let newest = self.ledger().cloud().await?.epoch;
        let all: Vec<Given> = self.inner.profile.all(Shelf::Given).await?;
        let mut older = Vec::new();
        for given in all {
            let Some(Reply::Approved(allowed)) = &given.reply else {
                continue;
            };
            if allowed.revoked || !allowed.registered || allowed.share.cloud_epoch >= newest {
                continue;
            }
            if self.status_of(&given).await?.has_share {
                older.push(given.request.request);
            }
        }
        Ok(older)
    }

    /// Takes a grant back: no view is released after this, and nothing is delivered.
    ///
    /// # Errors
    /// As [`Person::extend`]. If the cloud is away, its error: the grant is revoked when it is back,
    /// and not before.
    pub async fn revoke(&self, request: RequestId) -> Result<()> {
        let _gate = self.inner.gate.lock().await?;
        let mut given = self.approved(request).await?;
        let seq = match self.status_of(&given).await {
            Ok(status) => status.seq,
            Err(error) if is_away(&error) => 0,
            Err(error) => return Err(error),
        };
        let (owner, allowed) = parts(&mut given)?;
        let op = permissions::Revoke {
            grant: allowed.core().grant,
            core: allowed.core().hash(),
            seq: seq.max(allowed.seq) + 1,
        };
        allowed.pending = Some(Pending::Revoke(sign(op, &owner)));
        self.inner
            .profile
            .save(Shelf::Given, &request, &given)
            .await?;
        self.carry_out(given).await
    }

    /// A request that was approved and whose grant the ledger has, with no change under way.
    async fn approved(&self, request: RequestId) -> Result<Given> {
        let load = || self.inner.profile.load::<Given>(Shelf::Given, &request);
        let given = load().await?.ok_or(PersonError::NoRequest { request })?;
        self.carry_out(given).await?;
        let given = load().await?.ok_or(PersonError::NoRequest { request })?;
        match &given.reply {
            Some(Reply::Approved(allowed)) if allowed.revoked => {
                let state = GrantState::Revoked;
                Err(PersonError::Over { request, state }.into())
            }
            Some(Reply::Approved(_)) => Ok(given),
            Some(Reply::Rejected { why, .. }) => {
                let why = Some(why.clone());
                Err(PersonError::NotApproved { request, why }.into())
            }
            None => Err(PersonError::NotApproved { request, why: None }.into()),
        }
    }

    /// Has the ledger do the change that was signed and perhaps not done.
    pub(super) async fn carry_change(&self, mut given: Given) -> Result<()> {
        let profile = &self.inner.profile;
        let request = given.request.request;
        let Some(Reply::Approved(allowed)) = &mut given.reply else {
            return Ok(());
        };
        let Some(pending) = allowed.pending.clone() else {
            return Ok(());
        };
        let done = match &pending {
            Pending::SetViews(op) => self.ledger().set_views(op.clone()).await,
            Pending::Revoke(op) => self.ledger().revoke(op.clone()).await,
            Pending::Rekey { op, share, .. } => {
                self.ledger().rekey(op.clone(), share.clone()).await
            }
        };
        let status = match done {
            Ok(status) => status,
            Err(error) if is_away(&error) => return Err(error),
            Err(error) => {
                allowed.pending = None;
                profile.save(Shelf::Given, &request, &given).await?;
                return Err(error);
            }
        };
        let letter = match pending {
            Pending::Rekey {
                envelope, share, ..
            } => {
                let epoch = u64::from(envelope.epoch);
                allowed.epoch = envelope.epoch;
                allowed.share = share;
                allowed.envelope = envelope.clone();
                let rekeyed = Message::Rekeyed(Rekeyed { request, envelope });
                Some((letter_id("rekeyed", request, epoch), rekeyed))
            }
            Pending::SetViews(_) => None,
            Pending::Revoke(_) => {
                allowed.revoked = true;
                None
            }
        };
        if let Some((id, message)) = letter {
            self.post(id, given.from, message).await?;
        }
        let Some(Reply::Approved(allowed)) = &mut given.reply else {
            return Ok(());
        };
        allowed.seq = status.seq;
        allowed.views = status.views;
        allowed.expires_ms = status.expires_ms;
        allowed.known = Some(Known::from(&status));
        allowed.pending = None;
        profile.save(Shelf::Given, &request, &given).await?;
        self.inner.events.tell(PersonEvent::Changed { request });
        self.flush().await
    }
}

/// New halves for a grant that stands as `status` says, with these terms.
fn new_keys(
    owner: &Identity,
    allowed: &Allowed,
    status: &GrantStatus,
    Terms { views, expires_ms }: Terms,
    cloud: &CloudKeys,
) -> Result<Pending> {
    let core = allowed.core();
    let epoch = status.epoch + 1;
    let failed = |error: &dyn std::error::Error| unopenable(core.request, error);
    let secrets = OwnerSecrets::from_bytes(&allowed.secrets).map_err(|error| failed(&error))?;
    let split = secrets
        .split(
            core,
            epoch,
            (cloud.epoch, cloud.sealing),
            &mut randomness()?,
        )
        .map_err(|error| failed(&error))?;
    let op = permissions::Rekey {
        grant: core.grant,
        core: core.hash(),
        seq: status.seq.max(allowed.seq) + 1,
        epoch,
        views,
        expires_ms,
        share: split.share.hash(),
    };
    Ok(Pending::Rekey {
        op: sign(op, owner),
        share: split.share,
        envelope: split.envelope,
    })
}
