//! Sealing to a key: HPKE (RFC 9180) in Base mode with X25519, HKDF-SHA256 and AES-256-GCM. Nobody
//! is authenticated by it; who speaks is shown by Ed25519 signatures elsewhere.

use std::fmt;

use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable, aead::AesGcm256, kdf::HkdfSha256,
    kem::X25519HkdfSha256, single_shot_open, single_shot_seal_with_rng,
};
use zeroize::Zeroizing;

use super::{bytes::SealingKey, error::SealError, randomness::Randomness};

type Kem = X25519HkdfSha256;
type Public = <Kem as hpke::Kem>::PublicKey;
type Encapsulated = <Kem as hpke::Kem>::EncappedKey;

/// What sealing adds: an encapsulated key and a tag.
pub(crate) const OVERHEAD: usize = 32 + 16;

/// The secret half of a [`SealingKey`], kept as the 32 bytes from which it is derived. Wiped when
/// dropped, never printed.
#[derive(Clone)]
pub struct SealingSecret {
    seed: Zeroizing<[u8; 32]>,
    public: SealingKey,
}

impl SealingKey {
    /// Refuses a key of low order: what is sealed to one, anyone can open. Sealing refuses it too;
    /// this is for those who must know before they do anything else.
    ///
    /// # Errors
    /// [`SealError::LowOrder`], naming it as `whose`.
    pub fn check(&self, whose: &'static str) -> Result<(), SealError> {
        // With any secret, a point of low order gives the zero that RFC 9180 refuses.
        let mut any = Randomness::from_seed(Zeroizing::new([0; 32]));
        self.seal("distri/stego/v1/check", &[], &[], &mut any)
            .map(drop)
            .ok_or(SealError::LowOrder { whose })
    }

    /// Seals `message`; `None` if the key is of low order.
    pub(crate) fn seal(
        &self,
        tag: &str,
        bound_to: &[u8],
        message: &[u8],
        randomness: &mut Randomness,
    ) -> Option<Vec<u8>> {
        let key = Public::from_bytes(self.as_array()).ok()?;
        let (encapsulated, ciphertext) = single_shot_seal_with_rng::<AesGcm256, HkdfSha256, Kem>(
            &OpModeS::Base,
            &key,
            tag.as_bytes(),
            message,
            bound_to,
            randomness,
        )
        .ok()?;
        let mut sealed = encapsulated.to_bytes().to_vec();
        sealed.extend_from_slice(&ciphertext);
        Some(sealed)
    }
}

impl SealingSecret {
    /// Derives a key pair from 32 secret bytes (RFC 9180, `DeriveKeyPair`).
    #[must_use]
    pub fn from_seed(seed: Zeroizing<[u8; 32]>) -> Self {
        let (_, public) = Kem::derive_keypair(seed.as_slice());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(&public.to_bytes());
        Self {
            seed,
            public: SealingKey::from_array(bytes),
        }
    }

    /// A new key pair.
    #[must_use]
    pub fn random(randomness: &mut Randomness) -> Self {
        Self::from_seed(randomness.secret())
    }

    /// The key to which others seal.
    #[must_use]
    pub fn public(&self) -> SealingKey {
        self.public
    }

    /// The bytes from which it is derived, to be kept where nobody else reads.
    #[must_use]
    pub fn seed(&self) -> &Zeroizing<[u8; 32]> {
        &self.seed
    }

    /// Opens what was sealed under the same tag and bound to the same.
    pub(crate) fn open(
        &self,
        tag: &str,
        bound_to: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (encapsulated, ciphertext) = sealed.split_at_checked(32)?;
        let encapsulated = Encapsulated::from_bytes(encapsulated).ok()?;
        let (secret, _) = Kem::derive_keypair(self.seed.as_slice());
        single_shot_open::<AesGcm256, HkdfSha256, Kem>(
            &OpModeR::Base,
            &secret,
            &encapsulated,
            tag.as_bytes(),
            ciphertext,
            bound_to,
        )
        .ok()
        .map(Zeroizing::new)
    }
}

impl fmt::Debug for SealingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingSecret")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}
