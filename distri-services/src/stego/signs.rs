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

/// What samples add to some rows, one bit for each.
pub(crate) struct Rows {
    /// Words of rows before these.
    first: usize,
    words: Vec<u64>,
}

impl Rows {
    /// Adds a part, but for rows beyond the last.
    pub(crate) fn add(&mut self, part: &Self) {
        let own = self.words.iter_mut().skip(part.first - self.first);
        for (own, word) in own.zip(&part.words) {
            *own ^= word;
        }
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

    /// The first sample whose band begins at this row or beyond.
    fn first_at(&self, row: usize) -> usize {
        ((row as u64) << 32).div_ceil(self.slope) as usize
    }

    /// The message that samples carry, of which `bit` tells the bit.
    pub(crate) fn read<T: Copy>(&self, samples: &[T], bit: impl Fn(T) -> u8) -> Vec<u8> {
        let mut rows = self.rows();
        rows.add(&self.part(0, samples, bit));
        self.message(&rows)
    }

    /// Rows with nothing in them, above the first and all.
    pub(crate) fn rows(&self) -> Rows {
        let rows = self.bits + Self::OVERHANG;
        Rows {
            first: 0,
            words: vec![0; rows.div_ceil(WORD)],
        }
    }

    /// What samples add to rows, of which the first has the number `number`. Parts may be made apart and in
    /// any order.
    pub(crate) fn part<T: Copy>(
        &self,
        number: usize,
        mut samples: &[T],
        bit: impl Fn(T) -> u8,
    ) -> Rows {
        let start = self.start(number);
        let last = self.start(number + samples.len().saturating_sub(1));
        let first = start / WORD;
        let mut words = vec![0; (last + BAND).div_ceil(WORD) - first];
        let (mut window, mut begin, mut row) = (0u128, number, start);
        while !samples.is_empty() || window != 0 {
            let count = (self.first_at(row + 1) - begin).min(samples.len());
            let (these, rest) = samples.split_at(count);
            window ^= self.sum(begin, these, &bit);
            (samples, begin) = (rest, begin + count);
            words[row / WORD - first] |= (window as u64 & 1) << (row % WORD);
            window >>= 1;
            row += 1;
        }
        Rows { first, words }
    }

    /// The message that all samples together carry.
    pub(crate) fn message(&self, rows: &Rows) -> Vec<u8> {
        let bit = |row: usize| (rows.words[row / WORD] >> (row % WORD) & 1) as u8;
        let rows = Self::OVERHANG..Self::OVERHANG + self.bits;
        rows.map(bit).collect()
    }

    /// The sum of the bands of samples whose bits are ones, of which the first has this number.
    fn sum<T: Copy>(&self, number: usize, mut samples: &[T], bit: impl Fn(T) -> u8) -> u128 {
        let (mut low, mut high) = (0u64, 0u64);
        let mut bands = &self.bands.0[number % BANDS..];
        loop {
            for (sample, band) in samples.iter().zip(bands) {
                let mask = u64::from(bit(*sample)).wrapping_neg();
                low ^= *band as u64 & mask;
                high ^= (band >> 64) as u64 & mask;
            }
            let Some(rest) = samples.get(bands.len()..) else {
                return u128::from(high) << 64 | u128::from(low);
            };
            (samples, bands) = (rest, &self.bands.0[..]);
        }
    }

    /// Chooses so that what is read changes by `target`, which has a bit for each row. Choices
    /// that are not needed stay as they are. False if they are too few.
    pub(crate) fn solve(&self, choices: &mut [Choice], target: &[u8]) -> bool {
        debug_assert_eq!(target.len(), self.bits);
        let rows = self.bits + Self::OVERHANG;
        let mut basis = Basis::new(rows);
        for (i, choice) in choices.iter().enumerate() {
            basis.take_in(self.column(choice), i as u32);
        }
        if basis.owner[Self::OVERHANG..rows].contains(&NOBODY) {
            return false;
        }
        let mut pivot = vec![NOBODY; choices.len()];
        let owned = basis.owner.iter().enumerate();
        for (row, owner) in owned.filter(|(_, owner)| **owner != NOBODY) {
            pivot[*owner as usize] = row as u32;
        }

        // One bit for each row.
        let mut wanted = vec![0u64; rows / WORD + WORDS];
        for (row, bit) in (Self::OVERHANG..).zip(target) {
            wanted[row / WORD] |= u64::from(*bit) << (row % WORD);
        }
        let add = |wanted: &mut [u64], block: usize, words: &[u64; WORDS]| {
            for (wanted, word) in wanted[block..].iter_mut().zip(words) {
                *wanted ^= word;
            }
        };
        for (choice, pivot) in choices.iter().zip(&pivot) {
            if *pivot == NOBODY && choice.flip {
                let vector = self.column(choice);
                add(&mut wanted, vector.block, &vector.words);
            }
        }
        // Four rows each.
        let mut take = vec![0u8; rows / FEW + 1];
        for row in Self::OVERHANG..rows {
            if wanted[row / WORD] >> (row % WORD) & 1 == 1 {
                take[row / FEW] |= 1 << (row % FEW);
                add(&mut wanted, row / WORD, &basis.vectors[row]);
            }
        }
        // A vector is its choice's column and others that were there before: take them apart.
        for (choice, pivot) in choices.iter_mut().zip(pivot).rev() {
            if pivot == NOBODY {
                continue;
            }
            let pivot = pivot as usize;
            choice.flip = take[pivot / FEW] >> (pivot % FEW) & 1 == 1;
            if choice.flip {
                basis.take_apart(self.column(choice), pivot, &mut take);
            }
        }
        true
    }

    /// The rows that a choice adds to, without those that do not exist.
    fn column(&self, choice: &Choice) -> Vector {
        let start = self.start(choice.sample as usize);
        let mut band = self.band(choice.sample as usize);
        if start < Self::OVERHANG {
            band &= u128::MAX << (Self::OVERHANG - start);
        }
        let left = self.bits + Self::OVERHANG - start;
        if left < BAND {
            band &= (1 << left) - 1;
        }
        Vector::new(start, band)
    }
}

/// Rows in a word of a [`Vector`].
const WORD: usize = u64::BITS as usize;
/// Words that hold a band wherever it begins.
const WORDS: usize = BAND / WORD + 1;
/// Rows that are dealt with in one step.
const FEW: usize = 4;
/// Of a row, that it has no vector yet; of a choice, that none came from it.
const NOBODY: u32 = u32::MAX;

/// Some rows. Its words begin at whole multiples of their length, so that adding shifts nothing.
struct Vector {
    /// The number of its first word.
    block: usize,
    words: [u64; WORDS],
}

impl Vector {
    fn new(start: usize, band: u128) -> Self {
        let shift = (start % WORD) as u32;
        let low = band << shift;
        // All that was shifted out, and nothing if nothing was.
        let high = (band >> 1) >> (u128::BITS - 1 - shift);
        Self {
            block: start / WORD,
            words: [low as u64, (low >> WORD) as u64, high as u64],
        }
    }

    /// Adds a vector whose words begin where its own do.
    #[inline]
    fn add(&mut self, other: &[u64; WORDS]) {
        for (word, other) in self.words.iter_mut().zip(other) {
            *word ^= other;
        }
    }

    /// Goes on to the next word, because the first is empty. False if there is nothing left.
    #[inline]
    fn advance(&mut self) -> bool {
        let [_, second, third] = self.words;
        self.words = [second, third, 0];
        self.block += 1;
        second | third != 0
    }
}

/// A vector for each row, of which that row is the first, and whose choice it came from.
///
/// A new vector passes some sixty rows with vectors of their own before it finds one that has none.
/// So, of each four rows that all have one, the sums of those are kept, one for each way in which
/// they may be needed: there is one look-up for four rows, and nothing to predict.
struct Basis {
    vectors: Vec<[u64; WORDS]>,
    owner: Vec<u32>,
    sums: Vec<Sums>,
}

/// Sums of the vectors of four rows: for each state of those rows, the one that clears them.
#[derive(Clone, Copy)]
struct Sums {
    /// Rows that have a vector.
    there: u8,
    sums: [[u64; WORDS]; 1 << FEW],
    /// Whose vectors are in each sum.
    rows: [u8; 1 << FEW],
}

impl Basis {
    fn new(rows: usize) -> Self {
        // A few more, for words of which not all rows exist.
        let rows = rows.next_multiple_of(WORD);
        let nothing = Sums {
            there: 0,
            sums: [[0; WORDS]; 1 << FEW],
            rows: [0; 1 << FEW],
        };
        Self {
            vectors: vec![[0; WORDS]; rows],
            owner: vec![NOBODY; rows],
            sums: vec![nothing; rows / FEW],
        }
    }

    /// Takes in what is left of `vector` when all rows that have vectors are cleared, if anything is.
    fn take_in(&mut self, mut vector: Vector, owner: u32) {
        loop {
            let mut at = vector.words[0].trailing_zeros() as usize / FEW * FEW;
            while at < WORD {
                let few = (vector.block * WORD + at) / FEW;
                let state = (vector.words[0] >> at) as usize % (1 << FEW);
                let sums = &self.sums[few];
                if sums.there == (1 << FEW) - 1 {
                    vector.add(&sums.sums[state]);
                    at += FEW;
                    continue;
                }
                if state == 0 {
                    at += FEW;
                    continue;
                }
                let row = few * FEW + state.trailing_zeros() as usize;
                if self.owner[row] == NOBODY {
                    self.vectors[row] = vector.words;
                    self.owner[row] = owner;
                    self.fill(row);
                    return;
                }
                vector.add(&self.vectors[row]);
            }
            if !vector.advance() {
                return;
            }
        }
    }

    /// Notes that `row` has a vector, and sums up if its neighbours have.
    fn fill(&mut self, row: usize) {
        let few = row / FEW;
        let sums = &mut self.sums[few];
        sums.there |= 1 << (row % FEW);
        if sums.there != (1 << FEW) - 1 {
            return;
        }
        // A state's lowest row is cleared by that row's vector, which leaves a state without it.
        let states = (0..FEW).rev().flat_map(|lowest| {
            let above = 0..1usize << (FEW - 1 - lowest);
            above.map(move |above| (lowest, (2 * above + 1) << lowest))
        });
        for (lowest, state) in states {
            let own = self.vectors[few * FEW + lowest];
            let cleared = (own[0] >> (few * FEW % WORD)) as usize % (1 << FEW);
            let after = state ^ cleared;
            let (mut sum, rows) = (sums.sums[after], sums.rows[after]);
            for (sum, own) in sum.iter_mut().zip(own) {
                *sum ^= own;
            }
            sums.sums[state] = sum;
            sums.rows[state] = rows | 1 << lowest;
        }
    }

    /// Takes in `take` those rows the other way whose vectors are in the one of row `pivot`, which
    /// came from the column `vector`.
    fn take_apart(&self, mut vector: Vector, pivot: usize, take: &mut [u8]) {
        loop {
            let mut at = vector.words[0].trailing_zeros() as usize / FEW * FEW;
            while at < WORD {
                let few = (vector.block * WORD + at) / FEW;
                let state = (vector.words[0] >> at) as usize % (1 << FEW);
                if few == pivot / FEW {
                    let below = state % (1 << (pivot % FEW));
                    if below == 0 {
                        return;
                    }
                    let row = below.trailing_zeros() as usize;
                    take[few] ^= 1 << row;
                    vector.add(&self.vectors[few * FEW + row]);
                    continue;
                }
                let sums = &self.sums[few];
                if sums.there == (1 << FEW) - 1 {
                    take[few] ^= sums.rows[state];
                    vector.add(&sums.sums[state]);
                    at += FEW;
                    continue;
                }
                if state == 0 {
                    at += FEW;
                    continue;
                }
                let row = state.trailing_zeros() as usize;
                take[few] ^= 1 << row;
                vector.add(&self.vectors[few * FEW + row]);
            }
            if !vector.advance() {
                return;
            }
        }
    }
}

/// Bits that a number of choices carry four times in five. Half of the time they carry nearly one in a
/// hundred more, at whatever number; and one in fifty fewer nearly always.
pub(crate) fn bits_to_try(choices: usize) -> usize {
    choices.saturating_sub(choices / 45 + 3)
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
        let read = matrix.read(&before, |bit| bit);
        let target: Vec<u8> = read.iter().zip(&message).map(|(a, b)| a ^ b).collect();

        if !matrix.solve(&mut choices, &target) {
            return false;
        }

        let mut after = before;
        for choice in &choices {
            after[choice.sample as usize] ^= u8::from(choice.flip);
        }
        assert!(matrix.read(&after, |bit| bit) == message);
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

        assert_eq!(
            Matrix::new(&bands, 0, 0).read(&[0u8; 0], |bit| bit),
            Vec::<u8>::new()
        );
    }
}
