//! What nobody can guess, handed to pure code.

use std::{convert::Infallible, fmt};

use hkdf::Hkdf;
use hpke::rand_core::{TryCryptoRng, TryRng};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Any number of random bytes out of 32, by HKDF-SHA256.
///
/// What is drawn follows from the seed: the same seed makes the same keys. So a seed is used once,
/// and never kept.
pub struct Randomness {
    seed: Zeroizing<[u8; 32]>,
    drawn: u64,
}

impl Randomness {
    /// Draws from `seed`, which must be random and used for nothing else.
    #[must_use]
    pub fn from_seed(seed: Zeroizing<[u8; 32]>) -> Self {
        Self { seed, drawn: 0 }
    }

    /// Draws from 32 bytes of the operating system.
    ///
    /// # Errors
    /// If it has none to give.
    pub fn of_system() -> Result<Self, getrandom::Error> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice())?;
        Ok(Self::from_seed(seed))
    }

    /// So many bytes, never drawn before.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8160) {
            let info = self.drawn.to_be_bytes();
            self.drawn += 1;
            Hkdf::<Sha256>::new(Some(b"distri/stego/v1/randomness"), self.seed.as_slice())
                .expand(&info, chunk)
                .expect("HKDF-SHA256 gives up to 8160 bytes");
        }
    }

    pub(crate) fn secret(&mut self) -> Zeroizing<[u8; 32]> {
        let mut bytes = Zeroizing::new([0; 32]);
        self.fill(bytes.as_mut_slice());
        bytes
    }

    pub(crate) fn id(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        bytes
    }
}

impl TryRng for Randomness {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Randomness {}

impl fmt::Debug for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Randomness").finish_non_exhaustive()
    }
}
