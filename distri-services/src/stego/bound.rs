//! The least distortion that a message can cost, and what that asks of each sample.
//!
//! Of all ways to hide so many bits, the one with the least distortion changes each sample with a
//! probability that falls exponentially with its cost (Filler, Fridrich 2010); one number, λ, says
//! how steeply. Here are costs counted by value, which is all that is needed to find it.

use super::cost::{Cost, WET, value};

/// How many samples have each cost.
pub(crate) struct Census {
    /// Of samples that may go up or down.
    free: Vec<u32>,
    /// Of samples at an end of their range.
    extreme: Vec<u32>,
}

/// What a λ comes to, in sums over all samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    /// Bits in which samples change.
    pub(crate) changing: f64,
    /// Bits in which ways they go: changes of samples that may go either way.
    pub(crate) ways: f64,
    /// Samples that change.
    pub(crate) changes: f64,
    /// Their costs.
    pub(crate) distortion: f64,
}

impl Sums {
    /// Both together.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self {
            changing: self.changing + other.changing,
            ways: self.ways + other.ways,
            changes: self.changes + other.changes,
            distortion: self.distortion + other.distortion,
        }
    }
}

impl Default for Census {
    fn default() -> Self {
        let none = || vec![0; usize::from(WET) + 1];
        Self {
            free: none(),
            extreme: none(),
        }
    }
}

impl Census {
    #[inline]
    pub(crate) fn add(&mut self, cost: Cost, extreme: bool) {
        let counts = if extreme {
            &mut self.extreme
        } else {
            &mut self.free
        };
        counts[usize::from(cost)] += 1;
    }

    /// Takes one out again.
    pub(crate) fn remove(&mut self, cost: Cost, extreme: bool) {
        let counts = if extreme {
            &mut self.extreme
        } else {
            &mut self.free
        };
        counts[usize::from(cost)] -= 1;
    }

    fn values(&self) -> Vec<(f64, f64, f64)> {
        let pairs = self.free.iter().zip(&self.extreme).enumerate();
        let there = pairs.filter(|(cost, (a, b))| *cost < usize::from(WET) && **a + **b > 0);
        there
            .map(|(cost, (free, extreme))| {
                let value = f64::from(value(cost as Cost));
                (value, f64::from(*free), f64::from(*extreme))
            })
            .collect()
    }

    /// Samples that may change.
    pub(crate) fn count(&self) -> u64 {
        let all = self.free.iter().chain(&self.extreme);
        all.map(|count| u64::from(*count)).sum()
    }

    /// The highest cost among the `count` cheapest samples.
    pub(crate) fn cheapest(&self, count: u64) -> Cost {
        let mut sum = 0;
        for (cost, (free, extreme)) in self.free.iter().zip(&self.extreme).enumerate() {
            sum += u64::from(*free) + u64::from(*extreme);
            if sum >= count {
                return (cost as Cost).min(WET - 1);
            }
        }
        WET - 1
    }

    /// The λ at which `bits` of the sums are as many as asked.
    pub(crate) fn solve(&self, bits: f64, part: impl Fn(&Sums) -> f64) -> f64 {
        /// Of the logarithm, at which λ counts as found: far below what a cost in 16 bits can tell.
        const NEAR: f64 = 1e-12;
        let values = self.values();
        let excess = |log: f64| part(&sums(&values, log.exp())) - bits;
        // Costs are between 2^-126 and 2^127; so are the λ that could matter.
        let (mut low, mut high) = (-90.0f64, 90.0f64);
        // From afar by halves; then, where the curve is smooth, by chords. An end that stays twice has
        // its excess halved, so that it does not stay for ever (the Illinois method).
        while high - low > 2.0 {
            let middle = (low + high) / 2.0;
            if excess(middle) > 0.0 {
                low = middle;
            } else {
                high = middle;
            }
        }
        let (mut above, mut below) = (excess(low), excess(high));
        let mut last = 0.0;
        for _ in 0..48 {
            let chord = low + (high - low) * above / (above - below);
            let next = if chord > low && chord < high {
                chord
            } else {
                (low + high) / 2.0
            };
            let at_next = excess(next);
            let again = last * at_next > 0.0;
            last = at_next;
            let moved = if at_next > 0.0 {
                below *= if again { 0.5 } else { 1.0 };
                above = at_next;
                next - std::mem::replace(&mut low, next)
            } else {
                above *= if again { 0.5 } else { 1.0 };
                below = at_next;
                std::mem::replace(&mut high, next) - next
            };
            if moved < NEAR || high - low < NEAR || at_next == 0.0 {
                return next.exp();
            }
        }
        ((low + high) / 2.0).exp()
    }

    /// The sums for a λ.
    pub(crate) fn sums(&self, lambda: f64) -> Sums {
        sums(&self.values(), lambda)
    }
}

fn sums(values: &[(f64, f64, f64)], lambda: f64) -> Sums {
    let mut sums = Sums::default();
    for (cost, free, extreme) in values {
        let exponent = lambda * cost;
        if exponent > 80.0 {
            break;
        }
        for (count, ways) in [(*free, 2.0), (*extreme, 1.0)] {
            if count == 0.0 {
                continue;
            }
            let weight = ways * (-exponent).exp();
            let change = weight / (1.0 + weight);
            let bits = ((1.0 + weight).ln() + exponent * change) / std::f64::consts::LN_2;
            let of_ways = if ways > 1.0 { change } else { 0.0 };
            sums.changing += count * (bits - of_ways);
            sums.ways += count * of_ways;
            sums.changes += count * change;
            sums.distortion += count * change * cost;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_costs_give_the_entropy_of_a_die() {
        let mut census = Census::default();
        let one = (1f32.to_bits() >> 15) as Cost;
        for _ in 0..1000 {
            census.add(one, false);
        }

        let lambda = census.solve(1500.0, |sums| sums.changing + sums.ways);
        let sums = census.sums(lambda);

        // Three values with probabilities p/2, 1 - p, p/2 and 1.5 bits: p = 1/2.
        assert!((sums.changes - 500.0).abs() < 0.01, "{sums:?}");
        assert!((sums.changing - 1000.0).abs() < 0.01);
        assert!((sums.distortion - 500.0).abs() < 0.01);
    }

    #[test]
    fn samples_with_one_way_carry_no_direction() {
        let mut census = Census::default();
        for cost in 100..200 {
            census.add(cost * 100, true);
        }

        let sums = census.sums(census.solve(30.0, |sums| sums.changing));

        assert_eq!(sums.ways, 0.0);
        assert!((sums.changing - 30.0).abs() < 0.01);
    }

    #[test]
    fn the_cheapest_are_found() {
        let mut census = Census::default();
        for cost in [5, 9, 9, 30] {
            census.add(cost, cost == 30);
        }

        assert_eq!(
            [1, 2, 3, 4, 9].map(|n| census.cheapest(n)),
            [5, 9, 9, 30, WET - 1]
        );
    }
}
