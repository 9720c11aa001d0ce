//! Who somebody is.

use distri::{
    id::PublicKey,
    signed::{Signable, Signed},
};

use super::{Handle, Unfit};
use crate::permissions::SealingKey;

/// Devices of one user, at most.
pub const DEVICES_MAX: usize = 8;

/// A user: signed by the Ed25519 key that *is* the user.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// How others call them.
    pub handle: Handle,
    /// The keys of their programs, as links prove them: there others fetch what they were granted.
    pub devices: Vec<PublicKey>,
    /// To this, letters are sealed.
    pub sealing: SealingKey,
}

impl Signable for User {
    const TAG: &'static str = "distri/images/user/v1";
}

impl User {
    /// Refuses what no honest program signs.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn check(&self) -> Result<(), Unfit> {
        if self.devices.is_empty() || self.devices.len() > DEVICES_MAX {
            let problem = format!("are {}: expected 1 to {DEVICES_MAX}", self.devices.len());
            return Err(Unfit::new("the devices", problem));
        }
        for (n, device) in self.devices.iter().enumerate() {
            if device.is_weak() {
                return Err(Unfit::new("a device", "has a weak key"));
            }
            if self.devices[..n].contains(device) {
                return Err(Unfit::new("a device", "is listed twice"));
            }
        }
        self.sealing
            .check("user's")
            .map_err(|_| Unfit::new("the key for letters", "is of low order"))
    }

    /// The body of `record`, if it is the user `key`'s and fit.
    ///
    /// # Errors
    /// [`distri::signed::RecordError`] or [`Unfit`], as an error of a service.
    pub fn of(record: &Signed<Self>, key: PublicKey) -> distri::Result<&Self> {
        let user = record.check_by(key).map_err(distri::Error::from)?;
        user.check()?;
        Ok(user)
    }
}
