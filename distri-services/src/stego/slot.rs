//! One of the two places where a message starts: its salt, its sealed header, and the mark.
//!
//! A salt must be readable before any key is known, so it lies where everyone can look, and that
//! is where a suspicious person looks first: a few known samples of which half were changed stand
//! out in a smooth picture, however gently the rest was treated. So the salt is not written but
//! *read*: it is the hash of the lowest bits of 256 samples as they are in the picture, made fresh
//! by changing 24 of them. Which 24 is more than 2^111 ways, so no salt comes twice, even from one
//! cover; and a change rate of 9 % in 256 samples is within the noise of a photograph.
//!
//! The mark costs no change at all: the 24 samples are chosen, again and again, until a keyed hash
//! of the bits begins with sixteen zeros, which only those who know the mark can see.

use sha2::{Digest, Sha256};

use super::{
    error::{Error, Property},
    key::Mark,
    layout::{HEADER, PUBLIC, Stream},
    sample::Sample,
    seal::{HEADER_SEALED, Salt},
};

/// Public samples that are changed to make a salt fresh.
const FRESH: usize = 24;

/// A mark is found after 2^16 tries in the mean, so this many fail once in e^64 images.
const MARK_TRIES: usize = 1 << 22;

/// The lowest bits of a slot's public samples.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PublicBits([u8; PUBLIC / 8]);

impl PublicBits {
    pub(crate) fn read<S: Sample>(tile: &[S], positions: &[u16]) -> Self {
        let mut bits = Self([0; PUBLIC / 8]);
        for (i, position) in positions.iter().enumerate() {
            bits.0[i / 8] |= tile[usize::from(*position)].bit() << (i % 8);
        }
        bits
    }

    pub(crate) fn salt(&self, slot: usize) -> Salt {
        Sha256::new_with_prefix("distri stego 1 salt")
            .chain_update([slot as u8])
            .chain_update(self.0)
            .finalize()
            .into()
    }

    /// True if these bits were made by someone who knows `mark`, and once in 65,536 times if not.
    pub(crate) fn bear(&self, mark: &Mark, slot: usize) -> bool {
        let hash = Sha256::new_with_prefix(mark.0.as_slice())
            .chain_update([slot as u8])
            .chain_update(self.0)
            .finalize();
        hash[..2] == [0, 0]
    }

    fn flip(&mut self, i: u8) {
        self.0[usize::from(i / 8)] ^= 1 << (i % 8);
    }
}

/// So few public samples are enough to choose from: 24 of 96 can be chosen in 2^75 ways.
pub(crate) const CANDIDATES: usize = 96;

/// All public samples, by number.
pub(crate) fn any_candidate() -> Vec<u8> {
    (0..=u8::MAX).collect()
}

/// Changes [`FRESH`] of the public samples that `order` numbers, so that the slot has a salt that no image had before,
/// and bears `mark` if there is one.
///
/// # Errors
///
/// [`Error::SelfCheck`] if no choice bears the mark, which does not happen.
pub(crate) fn refresh<S: Sample>(
    tile: &mut [S],
    positions: &[u16],
    slot: usize,
    mark: Option<&Mark>,
    random: &mut Stream,
    mut order: Vec<u8>,
) -> Result<(), Error> {
    debug_assert!(order.len() >= CANDIDATES);
    let found = PublicBits::read(tile, positions);
    for _ in 0..MARK_TRIES {
        let mut fresh = found;
        for i in 0..FRESH {
            let left = (order.len() - i) as u64;
            order.swap(
                i,
                i + ((u64::from(random.next_word()) * left) >> 32) as usize,
            );
            fresh.flip(order[i]);
        }
        if mark.is_none_or(|mark| fresh.bear(mark, slot)) {
            for i in &order[..FRESH] {
                let sample = &mut tile[usize::from(positions[usize::from(*i)])];
                *sample = sample.carrying(1 - sample.bit(), random.next_word() & 1 == 1);
            }
            return Ok(());
        }
    }
    Err(Error::SelfCheck {
        what: Property::Marked,
    })
}

/// Writes a sealed header to its positions.
pub(crate) fn write_header<S: Sample>(
    tile: &mut [S],
    positions: &[(usize, bool)],
    header: &[u8; HEADER_SEALED],
) {
    for (i, (position, up)) in positions.iter().enumerate() {
        let sample = &mut tile[*position];
        let bit = header[i / 8] >> (i % 8) & 1;
        *sample = sample.carrying(bit, *up);
    }
}

/// Reads what may be a sealed header from its positions.
pub(crate) fn read_header<S: Sample>(
    tile: &[S],
    positions: &[(usize, bool)],
) -> [u8; HEADER_SEALED] {
    debug_assert_eq!(positions.len(), HEADER, "one position for each bit");
    let mut header = [0; HEADER_SEALED];
    for (i, (position, _)) in positions.iter().enumerate() {
        header[i / 8] |= tile[*position].bit() << (i % 8);
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITIONS: [u16; PUBLIC] = {
        let mut positions = [0; PUBLIC];
        let mut i = 0;
        while i < PUBLIC {
            positions[i] = (i * 3) as u16;
            i += 1;
        }
        positions
    };

    fn tile() -> Vec<u8> {
        (0..800u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect()
    }

    #[test]
    fn one_cover_never_gives_the_same_salt_twice() {
        let mut salts = std::collections::HashSet::new();

        for seed in 0..200 {
            let mut tile = tile();
            refresh(
                &mut tile,
                &POSITIONS,
                0,
                None,
                &mut Stream::new(&[1; 32], seed),
                any_candidate(),
            )
            .unwrap();
            salts.insert(PublicBits::read(&tile, &POSITIONS).salt(0));
        }

        assert_eq!(salts.len(), 200);
    }

    #[test]
    fn a_fresh_salt_changes_few_samples_each_by_one() {
        let (before, mut after) = (tile(), tile());

        refresh(
            &mut after,
            &POSITIONS,
            0,
            None,
            &mut Stream::new(&[1; 32], 0),
            any_candidate(),
        )
        .unwrap();

        let steps: Vec<u8> = before
            .iter()
            .zip(&after)
            .map(|(a, b)| a.abs_diff(*b))
            .filter(|d| *d > 0)
            .collect();
        assert_eq!(steps, [1; FRESH]);
    }

    #[test]
    fn a_mark_shows_to_those_who_know_it_and_only_in_its_slot() {
        let mark = Mark::from_bytes([1; 32]);
        let mut tile = tile();

        refresh(
            &mut tile,
            &POSITIONS,
            1,
            Some(&mark),
            &mut Stream::new(&[1; 32], 0),
            any_candidate(),
        )
        .unwrap();

        let bits = PublicBits::read(&tile, &POSITIONS);
        assert!(bits.bear(&mark, 1));
        assert!(!bits.bear(&mark, 0));
        assert!(!bits.bear(&Mark::from_bytes([2; 32]), 1));
    }
}
