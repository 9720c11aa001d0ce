//! One colour sample of 8 or 16 bits and the one change that is ever made to it.

/// A number that carries a bit in its parity.
pub(crate) trait Sample: Copy + Default + Ord + Send + 'static {
    /// The bit it carries.
    fn bit(self) -> u8;

    /// The nearest value that carries `bit`: itself, or one step up or down. The step goes `up` or
    /// not as asked, except at the ends of the range, where it goes the only way there is.
    ///
    /// Stepping at random, unlike overwriting the lowest bit, does not pair the values 2k and
    /// 2k + 1, which is the pairing that finds plain replacement at once.
    fn carrying(self, bit: u8, up: bool) -> Self;

    /// The next to lowest bit. A step up flips it or leaves it, a step down does the other.
    fn second_bit(self) -> u8;

    /// True for the ends of the range, from which there is one way only.
    fn is_extreme(self) -> bool;

    /// One step, that flips the next to lowest bit or not, as asked. At the ends of the range it
    /// goes the only way there is, which does not flip it.
    fn stepped(self, flip: bool) -> Self;
}

macro_rules! sample {
    ($($type:ty),*) => {$(
        impl Sample for $type {
            #[inline]
            fn bit(self) -> u8 {
                (self & 1) as u8
            }

            #[inline]
            fn carrying(self, bit: u8, up: bool) -> Self {
                let up = (up | (self == 0)) & (self != Self::MAX);
                let step = if up { 1 } else { Self::MAX };
                let change = Self::from(self.bit() ^ bit);
                self.wrapping_add(step.wrapping_mul(change))
            }

            #[inline]
            fn second_bit(self) -> u8 {
                (self >> 1 & 1) as u8
            }

            #[inline]
            fn is_extreme(self) -> bool {
                self == 0 || self == Self::MAX
            }

            #[inline]
            fn stepped(self, flip: bool) -> Self {
                // Up from an even value leaves the next bit, up from an odd one carries into it.
                let up = (self & 1 == 1) == flip;
                self.carrying(self.bit() ^ 1, up)
            }
        }
    )*};
}

sample!(u8, u16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_carries_either_bit_within_one_step() {
        for value in 0..=255u8 {
            for bit in [0, 1] {
                for up in [false, true] {
                    let carrier = value.carrying(bit, up);

                    assert_eq!(carrier.bit(), bit);
                    assert!(carrier.abs_diff(value) <= 1, "{value} became {carrier}");
                    assert_eq!(carrier == value, value.bit() == bit);
                }
            }
        }
    }

    #[test]
    fn a_step_goes_the_way_it_is_asked_to() {
        assert_eq!(100u8.carrying(1, true), 101);
        assert_eq!(100u8.carrying(1, false), 99);
        assert_eq!(0x01FFu16.carrying(0, true), 0x0200);
        assert_eq!(0x0200u16.carrying(1, false), 0x01FF);
    }

    #[test]
    fn a_step_flips_the_next_bit_or_not_as_asked() {
        for value in 0..=255u8 {
            for flip in [false, true] {
                let stepped = value.stepped(flip);

                assert_eq!(stepped.abs_diff(value), 1);
                let flipped = stepped.second_bit() != value.second_bit();
                assert_eq!(flipped, flip && !value.is_extreme(), "{value} to {stepped}");
            }
        }
    }

    #[test]
    fn a_step_never_leaves_the_range() {
        assert_eq!(0u8.carrying(1, false), 1);
        assert_eq!(255u8.carrying(0, true), 254);
        assert_eq!(0u16.carrying(1, false), 1);
        assert_eq!(65_535u16.carrying(0, true), 65_534);
    }
}
