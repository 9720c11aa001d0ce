//! What the person's peer delivers: the stego images of grants that the ledger has and that are not
//! over.

use distri::Result;

use super::{
    Profile,
    kept::{Given, KeptParcel, Pending, Reply},
    now_ms,
    profile::{Shelf, load_now},
};
use crate::{
    images::delivery::{self, Over, Parcel},
    permissions::GrantId,
};

/// A profile as what it delivers: `ImageDelivery::new(ProfileShelf::new(profile))`.
#[derive(Clone, Debug)]
pub struct ProfileShelf {
    profile: Profile,
}

impl ProfileShelf {
    /// What `profile` delivers.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self { profile }
    }
}

impl delivery::Shelf for ProfileShelf {
    fn parcel(&self, grant: GrantId) -> Result<Option<Parcel>> {
        let Some(kept) = load_now::<KeptParcel>(&self.profile.path(Shelf::Parcels, &grant))? else {
            return Ok(None);
        };
        let given = load_now::<Given>(&self.profile.path(Shelf::Given, &kept.request))?;
        let Some(Reply::Approved(allowed)) = given.and_then(|given| given.reply) else {
            return Ok(None);
        };
        let revoking = matches!(allowed.pending, Some(Pending::Revoke(_)));
        let over = if allowed.revoked || revoking {
            Some(Over::Revoked)
        } else if allowed.expires_ms <= now_ms() {
            Some(Over::Expired)
        } else {
            None
        };
        Ok(Some(Parcel {
            viewer: kept.viewer,
            file: self.profile.stego(grant),
            manifest: kept.manifest,
            over,
        }))
    }
}
