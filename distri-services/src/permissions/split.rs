//! The content key in two halves: one for the viewer, one for the cloud; neither says anything about
//! the key.

use std::fmt;

use aes_gcm::{
    Aes256Gcm, Nonce, Tag,
    aead::{AeadInOut, KeyInit},
};
use zeroize::Zeroizing;

use super::{
    bytes::{GrantHash, GrantId, SealingKey, ShareHash},
    canonical::{Canonical, Malformed, Reader},
    content::{ContentKey, HidingKey, secret_type},
    error::SealError,
    grant::{GrantCore, Suite, epoch_of},
    hash::{self, derive, hash},
    randomness::Randomness,
    sealing::{OVERHEAD, SealingSecret},
};

const WRAP: usize = 32 + 16;
const CONTENTS: usize = 32 + WRAP + 32;
pub(crate) const SEALED_CONTENTS: usize = CONTENTS + OVERHEAD;
pub(crate) const SEALED_HALF: usize = 32 + OVERHEAD;

secret_type!(
    /// The half of a key that the owner gives to the viewer (`s_owner`).
    OwnerHalf
);
secret_type!(
    /// The half of a key that the cloud keeps and releases view by view (`s_cloud`).
    CloudHalf
);

/// What an owner keeps of a grant, to give out new halves later.
#[derive(Clone)]
pub struct OwnerSecrets {
    /// The key of the content.
    pub content_key: ContentKey,
    /// The key by which the content is found.
    pub hiding_key: HidingKey,
}

/// The two halves of one epoch, each sealed to whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// For the viewer.
    pub envelope: Envelope,
    /// For the ledger.
    pub share: Share,
}

/// The viewer's half of one epoch, sealed to the viewer.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The ciphers.
    pub suite: Suite,
    /// Which halves these are: 0, and one more with each re-keying.
    pub epoch: u32,
    /// HPKE: encapsulated key and ciphertext.
    #[serde(with = "crate::text")]
    #[schemars(with = "String")]
    pub sealed: Vec<u8>,
}

/// The cloud's half of one epoch, sealed to the cloud.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The ciphers.
    pub suite: Suite,
    /// Which of the cloud's keys it is sealed to.
    pub cloud_epoch: u32,
    /// HPKE: encapsulated key and ciphertext.
    #[serde(with = "crate::text")]
    #[schemars(with = "String")]
    pub sealed: Vec<u8>,
}

/// What was in an envelope.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The key by which the content is found.
    pub hiding_key: HidingKey,
    owner_half: OwnerHalf,
    wrap: Zeroizing<[u8; WRAP]>,
}

impl OwnerSecrets {
    /// Draws the halves of `epoch` and seals each to whom it is for.
    ///
    /// # Errors
    /// [`SealError::LowOrder`] if the viewer's or the cloud's key is one.
    pub fn split(
        &self,
        core: &GrantCore,
        epoch: u32,
        cloud: (u32, SealingKey),
        randomness: &mut Randomness,
    ) -> Result<Split, SealError> {
        let owner_half = OwnerHalf::from_bytes(randomness.secret());
        let cloud_half = CloudHalf::from_bytes(randomness.secret());
        let bound_to = epoch_of(&core.hash(), epoch);
        let kek = kek(&core.grant, epoch, &owner_half, &cloud_half);

        let mut contents = Zeroizing::new(Vec::with_capacity(CONTENTS));
        contents.extend_from_slice(owner_half.reveal().as_slice());
        contents.extend_from_slice(wrap(&kek, &bound_to, &self.content_key).as_slice());
        contents.extend_from_slice(self.hiding_key.reveal().as_slice());
        let envelope = core
            .viewer_sealing
            .seal(hash::ENVELOPE, &bound_to, &contents, randomness)
            .ok_or(SealError::LowOrder { whose: "viewer's" })?;
        let (cloud_epoch, cloud) = cloud;
        let share = cloud
            .seal(
                hash::SHARE,
                &bound_to,
                cloud_half.reveal().as_slice(),
                randomness,
            )
            .ok_or(SealError::LowOrder { whose: "cloud's" })?;
        Ok(Split {
            envelope: Envelope {
                suite: core.suite,
                epoch,
                sealed: envelope,
            },
            share: Share {
                suite: core.suite,
                cloud_epoch,
                sealed: share,
            },
        })
    }
}

impl Envelope {
    /// Opens it with the viewer's key.
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`].
    pub fn open(&self, grant: &GrantHash, viewer: &SealingSecret) -> Result<Opened, SealError> {
        let closed = || SealError::DoesNotOpen { what: "envelope" };
        if self.sealed.len() != SEALED_CONTENTS {
            return Err(closed());
        }
        let contents = viewer
            .open(hash::ENVELOPE, &epoch_of(grant, self.epoch), &self.sealed)
            .ok_or_else(closed)?;
        let half = contents.get(..32).ok_or_else(closed)?;
        let wrap = contents.get(32..32 + WRAP).ok_or_else(closed)?;
        let hiding = contents.get(32 + WRAP..).ok_or_else(closed)?;
        Ok(Opened {
            hiding_key: HidingKey::from_bytes(secret_of(hiding).ok_or_else(closed)?),
            owner_half: OwnerHalf::from_bytes(secret_of(half).ok_or_else(closed)?),
            wrap: secret_of(wrap).ok_or_else(closed)?,
        })
    }
}

impl Opened {
    /// The content key, out of both halves.
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`] if the halves do not belong together, [`SealError::KeyCommitment`]
    /// if the key is not the one that the owner committed to.
    pub fn content_key(
        &self,
        core: &GrantCore,
        epoch: u32,
        cloud_half: &CloudHalf,
    ) -> Result<ContentKey, SealError> {
        let kek = kek(&core.grant, epoch, &self.owner_half, cloud_half);
        let bound_to = epoch_of(&core.hash(), epoch);
        let key = unwrap(&kek, &bound_to, &self.wrap).ok_or(SealError::DoesNotOpen {
            what: "wrapped content key",
        })?;
        if key.commitment(&core.grant) != core.key_commitment {
            return Err(SealError::KeyCommitment);
        }
        Ok(key)
    }
}

impl Share {
    /// What the owner signs in its place.
    #[must_use]
    pub fn hash(&self) -> ShareHash {
        ShareHash::from_array(hash(hash::SHARE_HASH, &[&self.to_bytes()]))
    }

    /// Opens it with the cloud's key.
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`].
    pub fn open(
        &self,
        grant: &GrantHash,
        epoch: u32,
        cloud: &SealingSecret,
    ) -> Result<CloudHalf, SealError> {
        let closed = || SealError::DoesNotOpen { what: "share" };
        if self.sealed.len() != SEALED_HALF {
            return Err(closed());
        }
        let half = cloud
            .open(hash::SHARE, &epoch_of(grant, epoch), &self.sealed)
            .ok_or_else(closed)?;
        Ok(CloudHalf::from_bytes(secret_of(&half).ok_or_else(closed)?))
    }
}

fn kek(grant: &GrantId, epoch: u32, owner: &OwnerHalf, cloud: &CloudHalf) -> Zeroizing<[u8; 32]> {
    let salt = hash(hash::KEK, &[grant.as_array(), &epoch.to_be_bytes()]);
    let mut both = Zeroizing::new([0; 64]);
    both[..32].copy_from_slice(owner.reveal().as_slice());
    both[32..].copy_from_slice(cloud.reveal().as_slice());
    derive(&salt, both.as_slice(), "kek")
}

fn wrap(kek: &[u8; 32], bound_to: &[u8], key: &ContentKey) -> Zeroizing<[u8; WRAP]> {
    let mut wrap = Zeroizing::new([0; WRAP]);
    let (body, tag) = wrap.split_at_mut(32);
    body.copy_from_slice(key.reveal().as_slice());
    let made = Aes256Gcm::new(kek.into())
        .encrypt_inout_detached(&Nonce::default(), bound_to, body.into())
        .expect("32 bytes are far shorter than AES-GCM's bound");
    tag.copy_from_slice(&made);
    wrap
}

fn unwrap(kek: &[u8; 32], bound_to: &[u8], wrap: &[u8; WRAP]) -> Option<ContentKey> {
    let (body, tag) = wrap.split_at(32);
    let tag = Tag::try_from(tag).ok()?;
    let mut key = secret_of(body)?;
    Aes256Gcm::new(kek.into())
        .decrypt_inout_detached(&Nonce::default(), bound_to, key.as_mut_slice().into(), &tag)
        .ok()?;
    Some(ContentKey::from_bytes(key))
}

/// `bytes` as a secret of just that length.
pub(crate) fn secret_of<const N: usize>(bytes: &[u8]) -> Option<Zeroizing<[u8; N]>> {
    if bytes.len() != N {
        return None;
    }
    let mut secret = Zeroizing::new([0; N]);
    secret.copy_from_slice(bytes);
    Some(secret)
}

impl Canonical for Envelope {
    const LENGTH_MAX: usize = 1 + 4 + SEALED_CONTENTS;
    const NAME: &'static str = "envelope";

    fn write(&self, to: &mut Vec<u8>) {
        self.suite.write(to);
        to.extend_from_slice(&self.epoch.to_be_bytes());
        to.extend_from_slice(&self.sealed);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            suite: Suite::read(from)?,
            epoch: from.u32()?,
            sealed: from.slice(SEALED_CONTENTS)?.to_vec(),
        })
    }
}

impl Canonical for Share {
    const LENGTH_MAX: usize = 1 + 4 + SEALED_HALF;
    const NAME: &'static str = "share";

    fn write(&self, to: &mut Vec<u8>) {
        self.suite.write(to);
        to.extend_from_slice(&self.cloud_epoch.to_be_bytes());
        to.extend_from_slice(&self.sealed);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            suite: Suite::read(from)?,
            cloud_epoch: from.u32()?,
            sealed: from.slice(SEALED_HALF)?.to_vec(),
        })
    }
}

/// What the owner writes to its own disk. It is a secret.
impl Canonical for OwnerSecrets {
    const LENGTH_MAX: usize = 1 + 64;
    const NAME: &'static str = "owner's secrets of a grant";

    fn write(&self, to: &mut Vec<u8>) {
        to.push(1);
        to.extend_from_slice(self.content_key.reveal().as_slice());
        to.extend_from_slice(self.hiding_key.reveal().as_slice());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.first("version")?;
        let mut secret = || {
            let bytes = from.slice(32)?;
            secret_of(bytes).ok_or_else(|| from.malformed("32 bytes"))
        };
        let content_key = ContentKey::from_bytes(secret()?);
        let hiding_key = HidingKey::from_bytes(secret()?);
        Ok(Self {
            content_key,
            hiding_key,
        })
    }
}

impl fmt::Debug for OwnerSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnerSecrets").finish_non_exhaustive()
    }
}
