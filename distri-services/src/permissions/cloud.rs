//! The cloud's keys of one epoch, derived from the secret that the nodes of a cluster share: with one
//! it opens its halves, with the other it signs receipts.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use distri::{NodeHandle, Result, id::PublicKey, identity::Identity};
use zeroize::Zeroizing;

use super::{
    bytes::{SealingKey, to_text},
    error::SealError,
    hash::{derive, hash},
    ledger::{GrantRecord, View},
    operations::sign,
    randomness::Randomness,
    receipt::{Receipt, Released},
    refusal::LedgerError,
    sealing::SealingSecret,
    split::{CloudHalf, Share},
};

/// What the secret is derived for.
const LABEL: &str = "distri/permissions/v1";

/// More epochs than a cluster keeps are not asked for.
const EPOCHS_MAX: usize = 64;

/// The cloud's keys, as owners and viewers need them.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudKeys {
    /// Of which epoch of the cluster's secret.
    pub epoch: u32,
    /// The key to which the cloud's half is sealed.
    pub sealing: SealingKey,
    /// The key under which the nodes sign receipts.
    pub receipts: PublicKey,
}

/// The secret halves.
pub(crate) struct CloudSecret {
    epoch: u32,
    sealing: SealingSecret,
    receipts: Identity,
    releases: Zeroizing<[u8; 32]>,
    callers: Zeroizing<[u8; 32]>,
}

impl CloudSecret {
    fn new(epoch: u32, secret: &[u8; 32]) -> Self {
        let derive = |info| derive(LABEL.as_bytes(), secret, info);
        Self {
            epoch,
            sealing: SealingSecret::from_seed(derive("sealing")),
            receipts: Identity::from_seed(&derive("receipts")),
            releases: derive("releases"),
            callers: derive("callers"),
        }
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(crate) fn keys(&self) -> CloudKeys {
        CloudKeys {
            epoch: self.epoch,
            sealing: self.sealing.public(),
            receipts: self.receipts.public(),
        }
    }

    /// A caller's name in quotas, which tells whoever reads the directory nothing.
    pub(crate) fn name_of(&self, caller: PublicKey) -> String {
        let name = hash(
            "distri/permissions/v1/caller",
            &[self.callers.as_slice(), caller.as_bytes()],
        );
        format!("{}-{}", self.epoch, to_text(&name[..16]))
    }

    pub(crate) fn open(
        &self,
        grant: &GrantRecord,
        epoch: u32,
        share: &Share,
    ) -> Result<CloudHalf, SealError> {
        share.open(&grant.hash, epoch, &self.sealing)
    }

    /// What a viewer gets. Asked again, it is the same to the last bit, whichever node answers: no
    /// randomness is drawn, it is derived from what no one else knows and from the whole receipt.
    pub(crate) fn release(&self, half: &CloudHalf, view: &View) -> Result<Released, LedgerError> {
        let redeem = &view.redeem;
        let receipt = Receipt {
            grant: redeem.grant,
            core: redeem.core,
            epoch: redeem.epoch,
            redeem: redeem.redeem,
            epk: redeem.epk,
            view: view.view,
            of: view.of,
            index: view.index,
        };
        let signed = sign(receipt, &self.receipts);
        let seed = derive(
            signed.signature.as_array(),
            self.releases.as_slice(),
            "release",
        );
        let release = signed
            .body
            .release(half, &mut Randomness::from_seed(seed))
            .map_err(|error| LedgerError::of_seal(error, self.epoch))?;
        Ok(Released {
            receipt: signed.body,
            node: self.receipts.public(),
            cloud_epoch: self.epoch,
            signature: signed.signature,
            release,
        })
    }
}

impl fmt::Debug for CloudSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CloudSecret").field(&self.keys()).finish()
    }
}

/// The secrets of the epochs that were used so far.
#[derive(Debug, Default)]
pub(crate) struct CloudSecrets {
    known: Mutex<BTreeMap<u32, Arc<CloudSecret>>>,
}

impl CloudSecrets {
    /// Of the newest epoch.
    pub(crate) async fn newest(&self, node: &NodeHandle) -> Result<Arc<CloudSecret>> {
        let secret = node.secret(LABEL).await?;
        Ok(self.keep(secret.epoch(), secret.bytes()))
    }

    /// Of this epoch.
    pub(crate) async fn of(&self, node: &NodeHandle, epoch: u32) -> Result<Arc<CloudSecret>> {
        let known = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&epoch).cloned()
        };
        match known {
            Some(secret) => Ok(secret),
            None => {
                let secret = node.secret_of(epoch, LABEL).await?;
                Ok(self.keep(epoch, secret.bytes()))
            }
        }
    }

    /// Of the epoch to which a new share is sealed: the newest, or one that another node knew first.
    pub(crate) async fn for_new(
        &self,
        node: &NodeHandle,
        cloud_epoch: u32,
    ) -> Result<Arc<CloudSecret>> {
        let newest = self.newest(node).await?;
        if newest.epoch == cloud_epoch {
            return Ok(newest);
        }
        if newest.epoch.checked_add(1) != Some(cloud_epoch) {
            return Err(LedgerError::ShareUnusable { cloud_epoch }.into());
        }
        self.of(node, cloud_epoch).await
    }

    fn keep(&self, epoch: u32, secret: &[u8; 32]) -> Arc<CloudSecret> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = known.get(&epoch) {
            return secret.clone();
        }
        if known.len() >= EPOCHS_MAX {
            known.pop_first();
        }
        let secret = Arc::new(CloudSecret::new(epoch, secret));
        known.insert(epoch, secret.clone());
        secret
    }
}
