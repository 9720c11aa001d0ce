//! The image under its key: one message for each key, ever, and a commitment to the key beside it.

use std::fmt;

use aes_gcm::{
    Aes256Gcm, Nonce, Tag,
    aead::{AeadInOut, KeyInit},
};
use zeroize::Zeroizing;

use super::{
    bytes::{FileHash, GrantId, KeyCommitment, ManifestHash},
    error::SealError,
    grant::{GrantCore, Parties, Suite},
    hash::{self, derive, hash},
    randomness::Randomness,
    split::OwnerSecrets,
};

/// The largest image that is sealed: what services take in one piece.
pub(crate) const IMAGE_MAX: usize = 64 << 20;

/// The least that lengths are rounded to.
const BUCKET_LEAST: usize = 256;

const LENGTH: usize = 8;
const TAG: usize = 16;

macro_rules! secret_type {
    ($(#[doc = $doc:literal])* $name:ident) => {
        $(#[doc = $doc])*
        ///
        /// Wiped when dropped, never printed.
        #[derive(Clone)]
        pub struct $name(Zeroizing<[u8; 32]>);

        impl $name {
            /// Takes its bytes.
            #[must_use]
            pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            #[must_use]
            pub fn reveal(&self) -> &Zeroizing<[u8; 32]> {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}
pub(crate) use secret_type;

secret_type!(
    /// The key of an image's content (DEK), which seals one message and no more.
    ContentKey
);
secret_type!(
    /// The key by which the content is found in the stego image.
    HidingKey
);

impl ContentKey {
    pub(crate) fn commitment(&self, grant: &GrantId) -> KeyCommitment {
        KeyCommitment::from_array(*derive(grant.as_array(), self.0.as_slice(), hash::COMMIT))
    }
}

impl HidingKey {
    /// The key for hiding in and revealing from the stego image of `grant`.
    #[must_use]
    pub fn place(&self, grant: &GrantId) -> Zeroizing<[u8; 32]> {
        derive(grant.as_array(), self.0.as_slice(), hash::PLACE)
    }
}

/// A grant about to be made: its secrets are drawn, its image is not sealed yet.
pub struct Draft {
    parties: Parties,
    grant: GrantId,
    content_key: ContentKey,
    hiding_key: HidingKey,
}

/// A grant whose image is sealed, and waits to be hidden in a cover.
pub struct Sealed {
    draft: Draft,
    /// The sealed image, to be hidden.
    pub ciphertext: Vec<u8>,
}

impl Draft {
    /// Draws the secrets of a new grant.
    ///
    /// # Errors
    /// [`SealError::WeakKey`], [`SealError::LowOrder`].
    pub fn new(parties: Parties, randomness: &mut Randomness) -> Result<Self, SealError> {
        parties.check()?;
        Ok(Self {
            parties,
            grant: GrantId::from_array(randomness.id()),
            content_key: ContentKey(randomness.secret()),
            hiding_key: HidingKey(randomness.secret()),
        })
    }

    /// Seals the image. A draft seals one, since its key must never seal two.
    ///
    /// # Errors
    /// [`SealError::TooLarge`].
    pub fn seal(self, image: &[u8]) -> Result<Sealed, SealError> {
        if image.len() > IMAGE_MAX {
            return Err(SealError::TooLarge {
                is: image.len() as u64,
                limit: IMAGE_MAX as u64,
            });
        }
        let mut bytes = padded(image);
        let aad = content_aad(
            &self.grant,
            &self.parties,
            &self.content_key.commitment(&self.grant),
        );
        let tag = Aes256Gcm::new((&*self.content_key.0).into())
            .encrypt_inout_detached(&Nonce::default(), &aad, bytes.as_mut_slice().into())
            .expect("images are far shorter than AES-GCM's bound");
        bytes.extend_from_slice(&tag);
        Ok(Sealed {
            draft: self,
            ciphertext: bytes,
        })
    }
}

impl Sealed {
    /// The grant's id.
    #[must_use]
    pub fn grant(&self) -> GrantId {
        self.draft.grant
    }

    /// The key under which the ciphertext is to be hidden in the cover.
    #[must_use]
    pub fn place(&self) -> Zeroizing<[u8; 32]> {
        self.draft.hiding_key.place(&self.draft.grant)
    }

    /// What was granted, now that the stego image is made, and the owner's secrets of it.
    #[must_use]
    pub fn granted(self, stego_image: &[u8], manifest: ManifestHash) -> (GrantCore, OwnerSecrets) {
        let Draft {
            parties,
            grant,
            content_key,
            hiding_key,
        } = self.draft;
        let core = GrantCore {
            suite: Suite::One,
            grant,
            image: parties.image,
            request: parties.request,
            owner: parties.owner,
            viewer: parties.viewer,
            viewer_sealing: parties.viewer_sealing,
            not_before_ms: parties.not_before_ms,
            file: FileHash::of(stego_image),
            file_length: stego_image.len() as u64,
            manifest,
            key_commitment: content_key.commitment(&grant),
        };
        let secrets = OwnerSecrets {
            content_key,
            hiding_key,
        };
        (core, secrets)
    }
}

/// Opens what was hidden in the stego image of `core`.
///
/// # Errors
/// [`SealError::KeyCommitment`] if the key is not the one that the owner committed to,
/// [`SealError::DoesNotOpen`] if the content was changed or is another's.
pub fn open_content(
    core: &GrantCore,
    key: &ContentKey,
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    if key.commitment(&core.grant) != core.key_commitment {
        return Err(SealError::KeyCommitment);
    }
    let closed = || SealError::DoesNotOpen { what: "content" };
    let at = ciphertext.len().checked_sub(TAG).ok_or_else(closed)?;
    let (body, tag) = ciphertext.split_at(at);
    if body.len() > padded_length(IMAGE_MAX) {
        return Err(closed());
    }
    let tag = Tag::try_from(tag).map_err(|_| closed())?;
    let mut bytes = Zeroizing::new(body.to_vec());
    let aad = content_aad(&core.grant, &core.parties(), &core.key_commitment);
    Aes256Gcm::new((&*key.0).into())
        .decrypt_inout_detached(&Nonce::default(), &aad, bytes.as_mut_slice().into(), &tag)
        .map_err(|_| closed())?;
    unpad(&mut bytes).ok_or_else(closed)?;
    Ok(bytes)
}

fn content_aad(grant: &GrantId, parties: &Parties, commitment: &KeyCommitment) -> [u8; 32] {
    hash(
        hash::CONTENT,
        &[
            grant.as_array(),
            parties.image.as_array(),
            parties.owner.as_bytes(),
            parties.viewer.as_bytes(),
            commitment.as_array(),
        ],
    )
}

/// The image with its length before it and zeros after it, so that its length is known to one part
/// in sixteen only.
fn padded(image: &[u8]) -> Vec<u8> {
    let length = padded_length(image.len());
    let mut bytes = Vec::with_capacity(length + TAG);
    bytes.extend_from_slice(&(image.len() as u64).to_be_bytes());
    bytes.extend_from_slice(image);
    bytes.resize(length, 0);
    bytes
}

fn padded_length(image: usize) -> usize {
    let length = LENGTH + image;
    let bucket = (length.next_power_of_two() / 32).max(BUCKET_LEAST);
    length.next_multiple_of(bucket)
}

/// Takes off what [`padded`] put on, if it is just that.
fn unpad(bytes: &mut Vec<u8>) -> Option<()> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
    let padding = rest.get(length..)?;
    let whole = length <= IMAGE_MAX
        && padded_length(length) == bytes.len()
        && padding.iter().all(|byte| *byte == 0);
    if !whole {
        return None;
    }
    bytes.copy_within(LENGTH..LENGTH + length, 0);
    // Not only cut off: what stays behind in the buffer is wiped with it.
    bytes.truncate(length);
    Some(())
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft")
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("grant", &self.draft.grant)
            .field("bytes", &self.ciphertext.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_hides_the_length_and_comes_off_exactly() {
        for length in [0, 1, 247, 248, 249, 5000, 70_000] {
            let image = vec![7; length];

            let mut bytes = padded(&image);
            let padded = bytes.len();

            assert!(padded.is_multiple_of(256) && padded >= length + LENGTH);
            assert!(
                padded <= length + LENGTH + 256.max(length / 8),
                "{length} {padded}"
            );
            assert_eq!(unpad(&mut bytes), Some(()));
            assert_eq!(bytes, image);
        }
    }

    #[test]
    fn padding_that_was_not_put_on_so_is_refused() {
        let good = padded(b"an image");
        let longer = [good.as_slice(), &[0; 256]].concat();
        let mut marked = good.clone();
        *marked.last_mut().unwrap() = 1;
        let mut endless = good.clone();
        endless[..8].fill(0xff);
        let mut too_long = good.clone();
        too_long[7] = 250;

        for mut bytes in [longer, marked, endless, too_long, Vec::new(), vec![0; 7]] {
            assert_eq!(unpad(&mut bytes), None);
        }
        assert_eq!(unpad(&mut good.clone()), Some(()));
    }
}
