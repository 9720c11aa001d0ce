//! Numbers that look random and are the same for the same seed.
//!
//! The generator is SplitMix64 (Steele, Lea and Flood, 2014): one addition and a mix, good enough
//! for delays and free of anything the system could change.

#![warn(
    clippy::disallowed_methods,
    reason = "a machine, though inside a driver"
)]

use std::{ops::RangeInclusive, time::Duration};

/// A seeded generator.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    /// The generator of stream `nr` under `seed`. Each link draws from its own, so what one draws
    /// does not depend on which tasks ran before it.
    pub(super) fn new(seed: u64, nr: u64) -> Self {
        let mut dice = Self(seed);
        let first = dice.next();
        Self(first ^ nr.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A duration within `range`; its start if the range is empty.
    pub(super) fn within(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let span = range.end().saturating_sub(*range.start());
        // The top 53 bits, as a fraction of one that a float holds exactly.
        let fraction = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        *range.start() + span.mul_f64(fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_stream_give_the_same_numbers_and_others_do_not() {
        let draw = |seed, nr| {
            let mut dice = Dice::new(seed, nr);
            [dice.next(), dice.next(), dice.next()]
        };

        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }

    #[test]
    fn durations_stay_within_their_range_and_fill_it() {
        let range = Duration::from_millis(10)..=Duration::from_millis(20);
        let mut dice = Dice::new(0, 0);

        let drawn: Vec<_> = (0..1000).map(|_| dice.within(&range)).collect();

        assert!(drawn.iter().all(|delay| range.contains(delay)));
        assert!(drawn.iter().any(|delay| *delay < Duration::from_millis(11)));
        assert!(drawn.iter().any(|delay| *delay > Duration::from_millis(19)));
        assert_eq!(
            dice.within(&(Duration::ZERO..=Duration::ZERO)),
            Duration::ZERO
        );
    }
}
