//! What owner and viewer agree on, once a grant: its core, of which neither can change a bit later.

use distri::id::PublicKey;

use super::{
    bytes::{
        FileHash, GrantHash, GrantId, ImageId, KeyCommitment, ManifestHash, RequestId, SealingKey,
    },
    canonical::{Canonical, Malformed, Reader},
    error::SealError,
    hash::{self, hash},
};

/// The format of [`GrantCore`].
pub(crate) const VERSION: u8 = 1;

/// Which ciphers a grant is made with.
#[distri::message]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Suite {
    /// HPKE Base mode with X25519, HKDF-SHA256 and AES-256-GCM; content under AES-256-GCM.
    One,
}

impl Suite {
    pub(crate) fn write(self, to: &mut Vec<u8>) {
        to.push(match self {
            Self::One => 1,
        });
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.first("suite").map(|()| Self::One)
    }
}

/// Who grants what to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parties {
    /// The image.
    pub image: ImageId,
    /// The request that is answered.
    pub request: RequestId,
    /// The key by which the owner changes this grant, and no other: the ledger learns of no grants
    /// that they are one person's.
    pub owner: PublicKey,
    /// The key by which the viewer redeems views of this grant.
    pub viewer: PublicKey,
    /// The key to which the viewer's half is sealed.
    pub viewer_sealing: SealingKey,
    /// Before this no view is released; milliseconds since 1970, by the directory's clock.
    pub not_before_ms: u64,
}

impl Parties {
    /// Refuses keys for which anyone could sign, or read what is sealed.
    ///
    /// # Errors
    /// [`SealError::WeakKey`], [`SealError::LowOrder`].
    pub fn check(&self) -> Result<(), SealError> {
        for (whose, key) in [("owner's", self.owner), ("viewer's", self.viewer)] {
            if key.is_weak() {
                return Err(SealError::WeakKey { whose, key });
            }
        }
        self.viewer_sealing.check("viewer's")
    }
}

/// What of a grant stays as it is for as long as there is a grant. Its hash is what everything else
/// of the grant is bound to.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantCore {
    /// The ciphers.
    pub suite: Suite,
    /// Its id.
    pub grant: GrantId,
    /// The image.
    pub image: ImageId,
    /// The request that is answered.
    pub request: RequestId,
    /// The key by which the owner changes this grant, and no other.
    pub owner: PublicKey,
    /// The key by which the viewer redeems views of this grant.
    pub viewer: PublicKey,
    /// The key to which the viewer's half is sealed.
    pub viewer_sealing: SealingKey,
    /// Before this no view is released; milliseconds since 1970, by the directory's clock.
    pub not_before_ms: u64,
    /// The stego image's file.
    pub file: FileHash,
    /// Its length in bytes.
    pub file_length: u64,
    /// The list of its pieces.
    pub manifest: ManifestHash,
    /// What the content key is checked against.
    pub key_commitment: KeyCommitment,
}

impl GrantCore {
    /// `gh`: the hash that everything of the grant is bound to.
    #[must_use]
    pub fn hash(&self) -> GrantHash {
        GrantHash::from_array(hash(hash::CORE, &[&self.to_bytes()]))
    }

    /// Who grants what to whom.
    #[must_use]
    pub fn parties(&self) -> Parties {
        Parties {
            image: self.image,
            request: self.request,
            owner: self.owner,
            viewer: self.viewer,
            viewer_sealing: self.viewer_sealing,
            not_before_ms: self.not_before_ms,
        }
    }

    /// Refuses keys for which anyone could sign, or read what is sealed.
    ///
    /// # Errors
    /// [`SealError::WeakKey`], [`SealError::LowOrder`].
    pub fn check(&self) -> Result<(), SealError> {
        self.parties().check()
    }

    /// Refuses a file that is not the stego image that was granted.
    ///
    /// # Errors
    /// [`SealError::File`].
    pub fn check_file(&self, file: &[u8]) -> Result<(), SealError> {
        if file.len() as u64 != self.file_length {
            return Err(SealError::File { part: "length" });
        }
        self.check_file_hash(FileHash::of(file))
    }

    /// Refuses the hash of a file that is not the stego image that was granted.
    ///
    /// # Errors
    /// [`SealError::File`].
    pub fn check_file_hash(&self, hash: FileHash) -> Result<(), SealError> {
        if hash != self.file {
            return Err(SealError::File { part: "hash" });
        }
        Ok(())
    }
}

impl Canonical for GrantCore {
    const LENGTH_MAX: usize = 2 + 3 * 16 + 3 * 32 + 8 + 32 + 8 + 32 + 32;
    const NAME: &'static str = "core of a grant";

    fn write(&self, to: &mut Vec<u8>) {
        to.push(VERSION);
        self.suite.write(to);
        self.grant.write(to);
        self.image.write(to);
        self.request.write(to);
        to.extend_from_slice(self.owner.as_bytes());
        to.extend_from_slice(self.viewer.as_bytes());
        self.viewer_sealing.write(to);
        to.extend_from_slice(&self.not_before_ms.to_be_bytes());
        self.file.write(to);
        to.extend_from_slice(&self.file_length.to_be_bytes());
        self.manifest.write(to);
        self.key_commitment.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.first("version")?;
        Ok(Self {
            suite: Suite::read(from)?,
            grant: Canonical::read(from)?,
            image: Canonical::read(from)?,
            request: Canonical::read(from)?,
            owner: from.key()?,
            viewer: from.key()?,
            viewer_sealing: Canonical::read(from)?,
            not_before_ms: from.u64()?,
            file: Canonical::read(from)?,
            file_length: from.u64()?,
            manifest: Canonical::read(from)?,
            key_commitment: Canonical::read(from)?,
        })
    }
}

/// `gh ‖ e`: one epoch of one grant, to which seals are bound.
pub(crate) fn epoch_of(grant: &GrantHash, epoch: u32) -> [u8; 36] {
    let mut bound = [0; 36];
    bound[..32].copy_from_slice(grant.as_array());
    bound[32..].copy_from_slice(&epoch.to_be_bytes());
    bound
}
