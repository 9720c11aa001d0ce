//! How a body is split between turns, and each turn's part between whether samples change and which way
//! they go: what a reader has to be told, in 16 bytes of the header, and how it counts from there.
//!
//! A turn's *share* is its part of all bits that are left, by its carriers and the weight of its channel. How
//! many bits its directions will carry shows only when the changes are known. So the header has them in
//! [`UNITS`] of the share, and the changes carry the share less that number *rounded* to [`BUCKET`] of them:
//! the writer fixes the bucket, changes samples, and then uses as many directions as there are within the
//! bucket. What is over or missing is the next turns' business; the last one's counts are exact.

use super::super::grid::{Grid, TURNS_MAX};

/// Units in a share.
pub(super) const UNITS: usize = 1024;

/// Units in a bucket. Fewer are missed more often, more unbalance the turns.
pub(super) const BUCKET: u16 = 32;

/// The most units: half of a share but one.
pub(super) const UNITS_MAX: u16 = 511;
const UNIT_BITS: u32 = UNITS_MAX.ilog2() + 1;

/// The weight of the first channel, of the others' 1 to 256.
pub(super) const EVEN: u64 = 64;

/// What the header says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// Of the channels that are not first, less one.
    pub(super) weights: [u8; 2],
    /// Units of its share that each turn has in directions.
    pub(super) directions: [u16; TURNS_MAX],
}

/// Bits of one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bits {
    /// In whether samples change.
    pub(super) changing: usize,
    /// In which way they go.
    pub(super) ways: usize,
}

impl Split {
    pub(crate) const BYTES: usize = 16;

    /// All channels alike, no directions yet.
    pub(super) fn even() -> Self {
        Self {
            weights: [EVEN as u8 - 1; 2],
            directions: [0; TURNS_MAX],
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bits = u128::from(self.weights[0]) | u128::from(self.weights[1]) << 8;
        for (i, units) in self.directions.iter().enumerate() {
            bits |= u128::from(*units) << (16 + i as u32 * UNIT_BITS);
        }
        bits.to_be_bytes()
    }

    /// `None` if these are none.
    pub(crate) fn from_bytes(bytes: [u8; Self::BYTES]) -> Option<Self> {
        let bits = u128::from_be_bytes(bytes);
        let units = |i: usize| (bits >> (16 + i as u32 * UNIT_BITS)) as u16 & UNITS_MAX;
        let split = Self {
            weights: [bits as u8, (bits >> 8) as u8],
            directions: std::array::from_fn(units),
        };
        (split.to_bytes() == bytes).then_some(split)
    }

    fn weight(&self, channel: usize) -> u64 {
        match channel {
            0 => u64::from(self.weights[0]) + 1,
            2 => u64::from(self.weights[1]) + 1,
            _ => EVEN,
        }
    }
}

/// Bits that are left for the turns that are.
pub(super) struct Ledger {
    bits: usize,
    left: usize,
    /// Of each turn.
    weights: Vec<u128>,
    turn: usize,
}

impl Ledger {
    /// Of so many bits, with so many carriers in each turn of `grid`.
    pub(super) fn new(grid: &Grid, bits: usize, carriers: &[usize], split: &Split) -> Self {
        let weight = |(turn, carriers): (usize, &usize)| {
            let weight = match grid.channels() {
                1 => EVEN,
                _ => split.weight(grid.turn(turn).channel),
            };
            *carriers as u128 * u128::from(weight)
        };
        Self {
            bits,
            left: bits,
            weights: carriers.iter().enumerate().map(weight).collect(),
            turn: 0,
        }
    }

    pub(super) fn is_last(&self) -> bool {
        self.turn + 1 >= self.weights.len()
    }

    /// Bits before this turn.
    pub(super) fn done(&self) -> usize {
        self.bits - self.left
    }

    /// This turn's share.
    pub(super) fn share(&self) -> usize {
        if self.is_last() {
            return self.left;
        }
        let all: u128 = self.weights[self.turn..].iter().sum();
        let share = (self.left as u128 * self.weights[self.turn]).checked_div(all);
        share.unwrap_or(0) as usize
    }

    /// This turn's bits, if it has so many units in directions. `None` if there are not so many left.
    pub(super) fn bits(&self, units: u16) -> Option<Bits> {
        let share = self.share();
        let of = |units: u16| (share as u128 * u128::from(units) / UNITS as u128) as usize;
        let ways = of(units);
        let counted = if self.is_last() {
            ways
        } else if units < BUCKET {
            0
        } else {
            of(units / BUCKET * BUCKET + BUCKET / 2)
        };
        let changing = share.checked_sub(counted)?;
        (changing + ways <= self.left).then_some(Bits { changing, ways })
    }

    /// Goes on to the next turn.
    pub(super) fn take(&mut self, bits: Bits) {
        self.left -= bits.changing + bits.ways;
        self.turn += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_comes_back_from_its_bytes() {
        let split = Split {
            weights: [17, 255],
            directions: std::array::from_fn(|i| (i as u16 * 97 + 3) % 512),
        };

        assert_eq!(Split::from_bytes(split.to_bytes()), Some(split));
        let mut strange = split.to_bytes();
        strange[0] |= 0x80;
        assert_eq!(Split::from_bytes(strange), None);
    }

    #[test]
    fn turns_take_all_bits_whatever_their_directions_turn_out_to_carry() {
        let grid = Grid::new(200, 200, 3);
        for units in [0, 5, 31, 32, 200, 511] {
            for bits in [0, 7, 1000, 80_000] {
                let split = Split {
                    weights: [20, 200],
                    ..Split::even()
                };
                let mut ledger = Ledger::new(&grid, bits, &[9000; 12], &split);
                for turn in 0..12 {
                    assert_eq!(ledger.is_last(), turn == 11);
                    let bits = ledger.bits(units).unwrap();
                    assert!(bits.ways <= ledger.share() / 2);
                    ledger.take(bits);
                }

                assert_eq!(ledger.done(), bits, "{units} units");
            }
        }
    }

    #[test]
    fn shares_follow_weights() {
        let grid = Grid::new(200, 200, 3);
        let split = Split {
            weights: [31, 127],
            ..Split::even()
        };

        let mut ledger = Ledger::new(&grid, 12_000, &[9000; 12], &split);
        let shares = [(); 3].map(|()| {
            let share = ledger.share();
            ledger.take(ledger.bits(0).unwrap());
            share
        });

        // Green, red, blue.
        let expected = [64, 32, 128].map(|weight| 12_000 * weight / (4 * 224));
        for (share, expected) in shares.into_iter().zip(expected) {
            assert!(share.abs_diff(expected) <= 2, "{shares:?}");
        }
    }
}
