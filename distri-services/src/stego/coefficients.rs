//! The coefficients of a JPEG as carriers: which they are, in which order, and where salts are read from.
//! Pure arithmetic.
//!
//! Carriers are all coefficients of the first component (luminance, or grey) of all blocks that show
//! something. Most are zero and stay so, because their costs say so; that none is left out by its value
//! means that hiding cannot move one in or out.
//!
//! They are put in an order in which every stretch is a fair sample of the picture and of all frequencies,
//! which is what `ground` and the code ask for: blocks follow each other in strides of about 0.618 of
//! their number, and each begins at another frequency.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::jpeg::{BLOCK, Plane};

use super::{
    error::{Error, Property},
    key::Mark,
    layout::{SLOTS, Stream},
    sample::Sample,
    seal::{Context, Salt},
};

/// Blocks without which two headers crowd out everything else: those of 256 × 256 pixels.
pub(crate) const BLOCKS_MIN: usize = 1024;

/// Coefficients that a slot's salt is read from.
const PUBLIC: usize = 512;
/// They are among those of the lowest frequencies but the mean, in the order of files: most blocks with
/// any detail have some of these.
const LOWEST: usize = 9;
/// Public coefficients that are changed to make a salt fresh, out of so many of the cheapest: 2^75 ways.
const FRESH: usize = 24;
const CANDIDATES: usize = 96;
/// A mark is found after 2^16 tries in the mean, so this many fail once in e^64 images.
const MARK_TRIES: usize = 1 << 22;

/// The order of the carriers of one picture.
#[derive(Clone, Copy)]
pub(crate) struct Order {
    columns: usize,
    blocks: usize,
    stride: usize,
}

impl Order {
    pub(crate) fn of(plane: &Plane) -> Self {
        let blocks = plane.columns * plane.rows;
        let mut stride = (blocks as u64 * 618 / 1000).max(1) as usize;
        while gcd(stride, blocks) > 1 {
            stride += 1;
        }
        Self {
            columns: plane.columns,
            blocks,
            stride,
        }
    }

    pub(crate) fn carriers(self) -> usize {
        self.blocks * BLOCK
    }

    /// The blocks in order, each by its place among those that show something and with the frequency at
    /// which it begins.
    fn blocks(self) -> impl Iterator<Item = (usize, usize)> {
        let mut block = 0;
        (0..self.blocks).map(move |i| {
            let this = block;
            block = (block + self.stride) % self.blocks;
            (this, first(i))
        })
    }

    /// The carriers of all of `plane`, as numbers whose parity is that of the coefficient.
    pub(crate) fn gather(self, plane: &Plane) -> Vec<u16> {
        let mut samples = Vec::with_capacity(self.carriers());
        for (block, first) in self.blocks() {
            let at = plane.at(block % self.columns, block / self.columns);
            let values = plane.coefficients[at].map(|value| value as u16 ^ MIDDLE);
            samples.extend_from_slice(&values[first..]);
            samples.extend_from_slice(&values[..first]);
        }
        samples
    }

    /// Puts carriers back where [`gather`](Self::gather) found them.
    pub(crate) fn scatter(self, samples: &[u16], plane: &mut Plane) {
        for ((block, first), samples) in self.blocks().zip(samples.chunks_exact(BLOCK)) {
            let at = plane.at(block % self.columns, block / self.columns);
            let values = &mut plane.coefficients[at];
            let (head, tail) = samples.split_at(BLOCK - first);
            for (value, sample) in values[first..].iter_mut().zip(head) {
                *value = (sample ^ MIDDLE) as i16;
            }
            for (value, sample) in values.iter_mut().zip(tail) {
                *value = (sample ^ MIDDLE) as i16;
            }
        }
    }

    /// Costs, block after block as the picture has them, in the order of carriers.
    pub(crate) fn costs(self, costs: &[[u16; BLOCK]]) -> Vec<u16> {
        let mut ordered = Vec::with_capacity(self.carriers());
        for (block, first) in self.blocks() {
            ordered.extend_from_slice(&costs[block][first..]);
            ordered.extend_from_slice(&costs[block][..first]);
        }
        ordered
    }

    /// For each slot the carriers that its salt is read from, the same for everyone.
    pub(crate) fn public(self, context: Context) -> [Vec<u32>; SLOTS] {
        let seed = Sha256::digest(context.bytes("public coefficients"));
        let mut order = Stream::new(&seed.into(), 0);
        let choices = (self.blocks * LOWEST) as u64;
        let mut taken = BTreeSet::new();
        std::array::from_fn(|_| {
            let mut slot = Vec::with_capacity(PUBLIC);
            while slot.len() < PUBLIC {
                let choice = ((u64::from(order.next_word()) * choices) >> 32) as usize;
                let (block, frequency) = (choice / LOWEST, 1 + choice % LOWEST);
                let carrier = block * BLOCK + (BLOCK + frequency - first(block)) % BLOCK;
                if taken.insert(carrier) {
                    slot.push(carrier as u32);
                }
            }
            slot
        })
    }
}

/// What makes a number without sign of one with, keeping the two lowest bits and the order.
const MIDDLE: u16 = 1 << 15;

/// The frequency at which a block begins, by its place in the order.
fn first(i: usize) -> usize {
    i * 37 % BLOCK
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The lowest bits of a slot's public carriers. See `slot`, which has fewer of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublicBits([u8; PUBLIC / 8]);

impl PublicBits {
    pub(crate) fn read(samples: &[u16], public: &[u32]) -> Self {
        let mut bits = Self([0; PUBLIC / 8]);
        for (i, carrier) in public.iter().enumerate() {
            bits.0[i / 8] |= samples[*carrier as usize].bit() << (i % 8);
        }
        bits
    }

    fn hash(&self, prefix: &[u8], slot: usize) -> Salt {
        Sha256::new_with_prefix(prefix)
            .chain_update([slot as u8])
            .chain_update(self.0)
            .finalize()
            .into()
    }

    pub(crate) fn salt(&self, slot: usize) -> Salt {
        self.hash(b"distri stego 3 salt", slot)
    }

    /// True if these bits were made by someone who knows `mark`, and once in 65,536 times if not.
    pub(crate) fn bear(&self, mark: &Mark, slot: usize) -> bool {
        self.hash(mark.0.as_slice(), slot)[..2] == [0, 0]
    }

    fn flip(&mut self, i: usize) {
        self.0[i / 8] ^= 1 << (i % 8);
    }
}

/// Changes [`FRESH`] of the cheapest public carriers of `slot`, so that it has a salt that no image had
/// before, and bears `mark` if there is one.
///
/// # Errors
///
/// [`Error::SelfCheck`] if no choice bears the mark, which does not happen.
pub(crate) fn refresh(
    samples: &mut [u16],
    costs: &[u16],
    public: &[u32],
    slot: usize,
    mark: Option<&Mark>,
    random: &mut Stream,
) -> Result<(), Error> {
    let mut cheapest: Vec<usize> = (0..public.len()).collect();
    cheapest.sort_by_key(|i| costs[public[*i] as usize]);
    cheapest.truncate(CANDIDATES);
    let found = PublicBits::read(samples, public);
    for _ in 0..MARK_TRIES {
        let mut fresh = found;
        for i in 0..FRESH {
            let left = (cheapest.len() - i) as u64;
            let choice = i + ((u64::from(random.next_word()) * left) >> 32) as usize;
            cheapest.swap(i, choice);
            fresh.flip(cheapest[i]);
        }
        if mark.is_none_or(|mark| fresh.bear(mark, slot)) {
            for i in &cheapest[..FRESH] {
                let sample = &mut samples[public[*i] as usize];
                *sample = sample.stepped(random.next_word() & 1 == 1);
            }
            return Ok(());
        }
    }
    Err(Error::SelfCheck {
        what: Property::Marked,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(columns: usize, rows: usize) -> Plane {
        let stride = columns + 1;
        let block = |i: usize| std::array::from_fn(|k| (i * 31 + k * 7) as i16 % 2047 - 1023);
        Plane {
            columns,
            rows,
            stride,
            steps: [1; BLOCK],
            coefficients: (0..stride * rows).map(block).collect(),
        }
    }

    const CONTEXT: Context = Context {
        width: 8,
        height: 8,
        colours: 1,
        depth: 8,
    };

    #[test]
    fn carriers_go_back_where_they_came_from() {
        for (columns, rows) in [(1, 1), (2, 1), (7, 5), (32, 32)] {
            let plane = plane(columns, rows);
            let order = Order::of(&plane);
            let mut samples = order.gather(&plane);
            let mut same = plane.clone();
            order.scatter(&samples, &mut same);
            assert!(same == plane);

            samples[BLOCK / 2] += 1;
            order.scatter(&samples, &mut same);

            let differ = plane
                .coefficients
                .iter()
                .flatten()
                .zip(same.coefficients.iter().flatten());
            assert_eq!(
                differ
                    .filter(|(a, b)| a != b)
                    .map(|(a, b)| b - a)
                    .sum::<i16>(),
                1
            );
        }
    }

    #[test]
    fn parity_and_steps_are_those_of_the_coefficient() {
        for value in [-1023i16, -2, -1, 0, 1, 2, 1023] {
            let sample = value as u16 ^ MIDDLE;

            assert_eq!(i32::from(sample.bit()), i32::from(value).rem_euclid(2));
            assert!(!sample.is_extreme());
            for flip in [false, true] {
                let stepped = (sample.stepped(flip) ^ MIDDLE) as i16;
                assert_eq!((stepped - value).abs(), 1);
            }
        }
    }

    #[test]
    fn costs_stay_with_their_coefficients() {
        let plane = plane(7, 5);
        let order = Order::of(&plane);
        let costs: Vec<_> = (0..35)
            .map(|i| plane.coefficients[plane.at(i % 7, i / 7)].map(|value| value as u16 ^ MIDDLE))
            .collect();

        assert!(order.costs(&costs) == order.gather(&plane));
    }

    #[test]
    fn public_carriers_are_low_frequencies_and_none_is_in_both_slots() {
        let plane = plane(32, 32);
        let order = Order::of(&plane);

        let [first, second] = order.public(CONTEXT);

        let all: BTreeSet<_> = first.iter().chain(&second).collect();
        assert_eq!(all.len(), 2 * PUBLIC);
        let mut frequencies = plane.clone();
        for block in &mut frequencies.coefficients {
            *block = std::array::from_fn(|k| k as i16);
        }
        let samples = order.gather(&frequencies);
        assert!(
            all.iter()
                .all(|c| (1..=9).contains(&(samples[**c as usize] ^ MIDDLE)))
        );
    }

    #[test]
    fn one_cover_never_gives_the_same_salt_twice_and_a_mark_shows() {
        let plane = plane(32, 32);
        let order = Order::of(&plane);
        let [public, _] = order.public(CONTEXT);
        let cover = order.gather(&plane);
        let costs: Vec<u16> = (0..cover.len()).map(|i| (i % 1000) as u16).collect();
        let mark = Mark::from_bytes([1; 32]);
        let mut salts = BTreeSet::new();

        for seed in 0..100 {
            let mut samples = cover.clone();
            let mut random = Stream::new(&[1; 32], seed);
            let marked = (seed < 2).then_some(&mark);
            refresh(&mut samples, &costs, &public, 0, marked, &mut random).unwrap();

            let bits = PublicBits::read(&samples, &public);
            salts.insert(bits.salt(0));
            assert_eq!(bits.bear(&mark, 0), seed < 2);
            let changed = cover.iter().zip(&samples).filter(|(a, b)| a != b);
            assert_eq!(changed.count(), FRESH);
        }

        assert_eq!(salts.len(), 100);
    }
}
