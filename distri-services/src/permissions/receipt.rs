//! What a view releases: the cloud's half, sealed to the key of that view, with a receipt signed by
//! the node.

use distri::id::PublicKey;

use super::{
    bytes::{GrantHash, GrantId, RedeemId, SealingKey, Signature},
    canonical::{Canonical, Malformed, Reader},
    error::SealError,
    hash,
    operations::{Number, Operation, Redeem, canonical, verify},
    randomness::Randomness,
    sealing::SealingSecret,
    split::{CloudHalf, SEALED_HALF, secret_of},
};

/// What a node says of a view that it released.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The grant.
    pub grant: GrantId,
    /// The hash of its core.
    pub core: GrantHash,
    /// Which halves of the key.
    pub epoch: u32,
    /// Which view, as the viewer calls it.
    pub redeem: RedeemId,
    /// The key of the view.
    pub epk: SealingKey,
    /// Which view, from 1.
    pub view: u32,
    /// How many there are.
    pub of: u32,
    /// The entry of the grant's audit in which the view stands.
    pub index: u64,
}

canonical!(Receipt, "receipt", hash::RECEIPT, 16 + 32 + 4 + 16 + 32 + 4 + 4 + 8,
    { grant: value, core: value, epoch: number, redeem: value, epk: value, view: number, of: number,
      index: number });

/// The cloud's half, sealed to the key of one view.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// HPKE: encapsulated key and ciphertext.
    #[serde(with = "crate::text")]
    #[schemars(with = "String")]
    pub sealed: Vec<u8>,
}

impl Canonical for Release {
    const LENGTH_MAX: usize = SEALED_HALF;
    const NAME: &'static str = "release";

    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.sealed);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let sealed = from.slice(SEALED_HALF)?.to_vec();
        Ok(Self { sealed })
    }
}

/// What the viewer gets for a [`Redeem`].
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// What was released.
    pub receipt: Receipt,
    /// The key of the cloud's nodes under which it is signed.
    pub node: PublicKey,
    /// Of which epoch of the cluster's secret that key is: the one to which the grant's half is sealed.
    #[serde(default)]
    pub cloud_epoch: u32,
    /// The signature under the receipt.
    pub signature: Signature,
    /// The half.
    pub release: Release,
}

impl Receipt {
    /// Seals `half` to the key of the view.
    ///
    /// # Errors
    /// [`SealError::LowOrder`].
    pub fn release(
        &self,
        half: &CloudHalf,
        randomness: &mut Randomness,
    ) -> Result<Release, SealError> {
        let sealed = self
            .epk
            .seal(
                hash::RELEASE,
                &self.digest(),
                half.reveal().as_slice(),
                randomness,
            )
            .ok_or(SealError::LowOrder { whose: "view's" })?;
        Ok(Release { sealed })
    }
}

impl Released {
    /// The cloud's half, if this is what `redeem` asked for, said by a node of the cloud.
    ///
    /// # Errors
    /// [`SealError::Mismatch`] if it answers something else or is not by a node of the cloud,
    /// [`SealError::Signature`], [`SealError::DoesNotOpen`].
    pub fn open(
        &self,
        redeem: &Redeem,
        secret: &SealingSecret,
        is_node: impl FnOnce(PublicKey) -> bool,
    ) -> Result<CloudHalf, SealError> {
        let receipt = &self.receipt;
        let other = |part| SealError::Mismatch {
            what: "receipt",
            part,
        };
        for (same, part) in [
            (receipt.grant == redeem.grant, "grant"),
            (receipt.core == redeem.core, "core"),
            (receipt.epoch == redeem.epoch, "epoch"),
            (receipt.redeem == redeem.redeem, "view"),
            (receipt.epk == redeem.epk, "key"),
            (is_node(self.node), "cloud"),
        ] {
            if !same {
                return Err(other(part));
            }
        }
        verify(Receipt::NAME, self.node, &receipt.digest(), &self.signature)?;
        let closed = || SealError::DoesNotOpen { what: "release" };
        if self.release.sealed.len() != SEALED_HALF {
            return Err(closed());
        }
        let half = secret
            .open(hash::RELEASE, &receipt.digest(), &self.release.sealed)
            .ok_or_else(closed)?;
        Ok(CloudHalf::from_bytes(secret_of(&half).ok_or_else(closed)?))
    }
}
