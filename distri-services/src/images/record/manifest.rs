//! The pieces of a file, each with its hash, so that each is checked on arrival.

use super::Unfit;
use crate::{
    images::media::FILE_MAX,
    permissions::{FileHash, ManifestHash},
};

/// Bytes of a piece; the last may be shorter. Larger: more is fetched again after a fault. Smaller:
/// longer manifests. That of the largest file has 8 KiB.
pub const CHUNK: usize = 256 * 1024;

/// The pieces of a file.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    length: u64,
    chunks: Vec<FileHash>,
}

impl Manifest {
    /// That of `file`.
    ///
    /// # Errors
    /// [`Unfit`] if the file is larger than any that is delivered.
    pub fn of(file: &[u8]) -> Result<Self, Unfit> {
        let manifest = Self {
            length: file.len() as u64,
            chunks: file.chunks(CHUNK).map(FileHash::of).collect(),
        };
        manifest.check()?;
        Ok(manifest)
    }

    /// Refuses one that describes no file that could be delivered.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn check(&self) -> Result<(), Unfit> {
        if self.length > FILE_MAX as u64 {
            let problem = format!("has {} bytes, more than {FILE_MAX}", self.length);
            return Err(Unfit::new("the file", problem));
        }
        if self.chunks.len() as u64 != self.length.div_ceil(CHUNK as u64) {
            let problem = format!("has {} pieces for {} bytes", self.chunks.len(), self.length);
            return Err(Unfit::new("the manifest", problem));
        }
        Ok(())
    }

    /// By which a grant names it.
    #[must_use]
    pub fn hash(&self) -> ManifestHash {
        let mut hasher = blake3::Hasher::new_derive_key("distri/images/manifest/v1");
        hasher.update(&self.length.to_be_bytes());
        for chunk in &self.chunks {
            hasher.update(chunk.as_array());
        }
        ManifestHash::from_array(*hasher.finalize().as_bytes())
    }

    /// Bytes of the file.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// How many pieces there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.chunks.len()).unwrap_or(u32::MAX)
    }

    /// Bytes of the piece `index`, 0 if there is none.
    #[must_use]
    pub fn chunk_length(&self, index: u32) -> usize {
        let start = u64::from(index) * CHUNK as u64;
        let left = self.length.saturating_sub(start);
        usize::try_from(left.min(CHUNK as u64)).unwrap_or(CHUNK)
    }

    /// Says whether `bytes` are the piece `index`.
    #[must_use]
    pub fn is_chunk(&self, index: u32, bytes: &[u8]) -> bool {
        let hash = self.chunks.get(index as usize);
        bytes.len() == self.chunk_length(index) && hash == Some(&FileHash::of(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_known_by_their_place_and_content() {
        let file: Vec<u8> = (0..CHUNK * 2 + 5).map(|n| (n / 999) as u8).collect();

        let manifest = Manifest::of(&file).unwrap();

        assert_eq!((manifest.count(), manifest.chunk_length(2)), (3, 5));
        let piece = |n: usize| file.chunks(CHUNK).nth(n).unwrap();
        assert!(manifest.is_chunk(0, piece(0)) && manifest.is_chunk(2, piece(2)));
        assert!(!manifest.is_chunk(1, piece(0)) && !manifest.is_chunk(3, &[]));
        let mut flipped = piece(1).to_vec();
        flipped[77] ^= 1;
        assert!(!manifest.is_chunk(1, &flipped));
    }

    #[test]
    fn no_two_manifests_have_one_hash_and_misshapen_ones_are_refused() {
        let one = Manifest::of(&[7; 10]).unwrap();
        let other = Manifest {
            length: 11,
            ..one.clone()
        };
        let short = Manifest {
            chunks: Vec::new(),
            ..one.clone()
        };
        let large = Manifest {
            length: u64::MAX,
            ..one.clone()
        };

        assert_ne!(one.hash(), other.hash());
        assert!(short.check().is_err() && large.check().is_err());
        assert!(Manifest::of(&[]).unwrap().check().is_ok());
    }
}
