//! Numbers that follow from a seed (SplitMix64: Steele, Lea and Flood, 2014).

use std::{ops::RangeInclusive, time::Duration};

/// A seeded generator.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// A generator of its own for `who`, so that what one draws does not depend on the others.
    pub(crate) fn of(seed: u64, who: u64) -> Self {
        let mut dice = Self(seed ^ who.wrapping_mul(0xd1b5_4a32_d192_ed03));
        Self(dice.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.next() % 100 < chance
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        match of.len() {
            0 => None,
            len => of.get(self.below(len)),
        }
    }

    pub(crate) fn millis(&mut self, range: RangeInclusive<u64>) -> Duration {
        let span = range.end() - range.start() + 1;
        Duration::from_millis(range.start() + self.next() % span)
    }
}
