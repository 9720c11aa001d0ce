//! [`Dice`]: chance that follows from the seed.

use std::{ops::RangeInclusive, time::Duration};

use crate::world;

/// Numbers that look random and follow from a seed.
///
/// [`Sim::dice`](super::Sim::dice) gives each who asks one of their own, so that what one draws
/// does not depend on the others.
#[derive(Clone, Debug)]
pub struct Dice(world::Dice);

impl Dice {
    /// The generator `who` under `seed`.
    pub fn of(seed: u64, who: u64) -> Self {
        let mut dice = world::Dice::new(seed ^ who.wrapping_mul(0xd1b5_4a32_d192_ed03));
        Self(world::Dice::new(dice.roll()))
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0.roll()
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.roll() % 100 < chance
    }

    /// One of several; `None` of none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        match of.len() {
            0 => None,
            len => of.get(self.below(len)),
        }
    }

    /// A time within `range`, in whole milliseconds.
    pub fn within(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let span = range.end().saturating_sub(*range.start()).as_millis() as u64 + 1;
        *range.start() + Duration::from_millis(self.roll() % span)
    }

    /// Puts items into another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}
