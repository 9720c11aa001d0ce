//! The second layer: which way each change goes.
//!
//! The trellis decides which samples change. Whether such a sample goes up or down makes no
//! difference to anybody who looks, so it is free to carry a further bit: the next to lowest one is
//! kept or flipped by the choice. The receiver does not know which samples changed; so, again, he
//! reads a banded matrix times the bits of *all* samples, and the sender solves for the choices
//! (wet paper codes: Fridrich, Goljan, Lisoněk, Soukal, *Writing on Wet Paper*, IEEE TSP 53, 2005).
//!
//! The matrix has a random band of [`BAND`] bits for each sample, moving down steadily, which makes
//! elimination cost a few steps a sample, as in a ribbon filter (Dillinger, Walzer 2021), and solves
//! with 3 to 5 % more choices than bits. Doing it in this order (changes first, directions after)
//! instead of by two trellises costs one trellis instead of two, and loses less.

/// Bits of the message that one sample adds to.
pub(crate) const BAND: usize = 128;

/// Bands in use. A sample's is that of its number modulo this; two that share one lie far apart.
const BANDS: usize = 1024;

/// Bytes from which a matrix is made.
pub(crate) const SEED: usize = BANDS * BAND / 8;

/// The matrix for so many samples and bits.
pub(crate) struct Matrix<'a> {
    bands: &'a Bands,
    bits: usize,
    /// Rows from one sample to the next, in 2^-32.
    slope: u64,
}

/// What makes a matrix random.
pub(crate) struct Bands(Box<[u128; BANDS]>);

impl Bands {
    pub(crate) fn new(seed: &[u8; SEED]) -> Self {
        let mut bands = Box::new([0; BANDS]);
        for (band, bytes) in bands.iter_mut().zip(seed.as_chunks::<{ BAND / 8 }>().0) {
            *band = u128::from_le_bytes(*bytes);
        }
        Self(bands)
    }
}

/// A sample whose direction may be chosen, and the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The sample's number.
    pub(crate) sample: u32,
    /// Whether its bit flips; random before solving.
    pub(crate) flip: bool,
}

impl<'a> Matrix<'a> {
    /// Rows above the first that bands begin at, so that the first rows have as many samples as
    /// all others.
    const OVERHANG: usize = BAND - 1;

    pub(crate) fn new(bands: &'a Bands, samples: usize, bits: usize) -> Self {
        let slope = (((bits + Self::OVERHANG) as u64) << 32) / (samples as u64).max(1);
        Self { bands, bits, slope }
    }

    fn start(&self, sample: usize) -> usize {
        ((sample as u64 * self.slope) >> 32) as usize
    }

    fn band(&self, sample: usize) -> u128 {
        self.bands.0[sample % BANDS]
    }

    /// The message that samples carry, of which `bits` tells one bit a byte.
    pub(crate) fn read(&self, bits: &[u8]) -> Vec<u8> {
        let mut read = Vec::with_capacity(self.bits + Self::OVERHANG);
        let mut window = 0u128;
        for (sample, bit) in bits.iter().enumerate() {
            let start = self.start(sample);
            while read.len() < start {
                read.push((window & 1) as u8);
                window >>= 1;
            }
            window ^= self.band(sample) & u128::from(*bit).wrapping_neg();
        }
        while read.len() < self.bits + Self::OVERHANG {
            read.push((window & 1) as u8);
            window >>= 1;
        }
        read.drain(..Self::OVERHANG);
        read
    }

    /// Chooses so that what is read changes by `target`, which has a bit for each row. Choices
    /// that are not needed stay as they are. False if they are too few.
    pub(crate) fn solve(&self, choices: &mut [Choice], target: &[u8]) -> bool {
        debug_assert_eq!(target.len(), self.bits);
        let rows = self.bits + Self::OVERHANG;
        // A vector for each row, with its lowest bit at that row, and whose choice it came from.
        let mut basis = vec![0u128; rows];
        let mut owner = vec![u32::MAX; rows];
        for (i, choice) in choices.iter().enumerate() {
            let (mut row, mut vector) = self.column(choice);
            while vector != 0 {
                let skip = vector.trailing_zeros();
                vector >>= skip;
                row += skip as usize;
                if basis[row] == 0 {
                    basis[row] = vector;
                    owner[row] = i as u32;
                    break;
                }
                vector ^= basis[row];
            }
        }
        if owner[Self::OVERHANG..].contains(&u32::MAX) {
            return false;
        }
        let mut pivot = vec![u32::MAX; choices.len()];
        for (row, owner) in owner
            .iter()
            .enumerate()
            .filter(|(_, owner)| **owner != u32::MAX)
        {
            pivot[*owner as usize] = row as u32;
        }

        let mut wanted = vec![0; Self::OVERHANG];
        wanted.extend_from_slice(target);
        wanted.resize(rows + BAND, 0);
        let add = |wanted: &mut [u8], row: usize, vector: u128| {
            for (i, wanted) in wanted[row..row + BAND].iter_mut().enumerate() {
                *wanted ^= (vector >> i & 1) as u8;
            }
        };
        for (choice, pivot) in choices.iter().zip(&pivot) {
            if *pivot == u32::MAX && choice.flip {
                let (row, vector) = self.column(choice);
                add(&mut wanted, row, vector);
            }
        }
        let mut take = vec![false; rows];
        for row in Self::OVERHANG..rows {
            if wanted[row] == 1 {
                take[row] = true;
                add(&mut wanted, row, basis[row]);
            }
        }
        // A vector is its choice's column and others that were there before: take them apart.
        for (choice, pivot) in choices.iter_mut().zip(pivot).rev() {
            if pivot == u32::MAX {
                continue;
            }
            choice.flip = take[pivot as usize];
            if choice.flip {
                let (mut row, mut vector) = self.column(choice);
                loop {
                    let skip = vector.trailing_zeros();
                    vector >>= skip;
                    row += skip as usize;
                    if row == pivot as usize {
                        break;
                    }
                    vector ^= basis[row];
                    take[row] ^= true;
                }
            }
        }
        true
    }

    /// The rows that a choice adds to: the first, and which from there on. Without those that do
    /// not exist.
    fn column(&self, choice: &Choice) -> (usize, u128) {
        let start = self.start(choice.sample as usize);
        let mut vector = self.band(choice.sample as usize);
        if start < Self::OVERHANG {
            vector &= u128::MAX << (Self::OVERHANG - start);
        }
        let left = self.bits + Self::OVERHANG - start;
        if left < BAND {
            vector &= (1 << left) - 1;
        }
        (start, vector)
    }
}

/// Bits that a number of choices can carry, all but certainly.
pub(crate) fn bits_for(choices: usize) -> usize {
    (choices * 94 / 100).saturating_sub(BAND + 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bands(seed: u64) -> Bands {
        let mut state = seed | 1;
        let mut bytes = [0; SEED];
        for byte in &mut bytes {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = (state >> 56) as u8;
        }
        Bands::new(&bytes)
    }

    /// Samples of which one in `every` changed, and a message as long as that allows.
    fn trial(samples: usize, every: u64, seed: u64) -> bool {
        let mut state = seed;
        let mut random = move |bound: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(99);
            (state >> 33) % bound
        };
        let before: Vec<u8> = (0..samples).map(|_| random(2) as u8).collect();
        let mut choices = Vec::new();
        for sample in 0..samples as u32 {
            if random(every) == 0 {
                let flip = random(2) == 1;
                choices.push(Choice { sample, flip });
            }
        }
        let message: Vec<u8> = (0..bits_for(choices.len()))
            .map(|_| random(2) as u8)
            .collect();
        let bands = bands(seed);
        let matrix = Matrix::new(&bands, samples, message.len());
        let read = matrix.read(&before);
        let target: Vec<u8> = read.iter().zip(&message).map(|(a, b)| a ^ b).collect();

        if !matrix.solve(&mut choices, &target) {
            return false;
        }

        let mut after = before;
        for choice in &choices {
            after[choice.sample as usize] ^= u8::from(choice.flip);
        }
        assert!(matrix.read(&after) == message);
        let flips = choices.iter().filter(|choice| choice.flip).count();
        assert!((flips * 10 / choices.len()).abs_diff(5) <= 1, "{flips}");
        true
    }

    #[test]
    fn directions_carry_nearly_a_bit_each() {
        for (samples, every) in [(20_000, 30), (100_000, 10), (200_000, 3), (400_000, 60)] {
            let solved = (0..8)
                .filter(|seed| trial(samples, every, 31 * seed + 7))
                .count();

            assert!(solved >= 7, "{solved} of 8 for 1 in {every} of {samples}");
        }
    }

    #[test]
    fn too_few_directions_are_noticed() {
        let bands = bands(5);
        let matrix = Matrix::new(&bands, 10_000, 500);
        let mut choices: Vec<Choice> = (0..400u32)
            .map(|i| Choice {
                sample: i * 25,
                flip: i % 2 == 0,
            })
            .collect();

        assert!(!matrix.solve(&mut choices, &[1; 500]));
    }

    #[test]
    fn no_samples_carry_nothing() {
        let bands = bands(5);

        assert_eq!(Matrix::new(&bands, 0, 0).read(&[]), Vec::<u8>::new());
    }
}
