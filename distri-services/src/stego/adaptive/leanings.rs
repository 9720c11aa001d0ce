//! How many samples of a turn have each cost and lean or not, and what a λ comes to for them.
//!
//! For a sample that leans, the least distortion has three unequal chances: to go along, to go against,
//! to stay. Neither layer of the code can have that exactly, so such a sample is either *tied*: it goes along
//! if it changes, and its direction carries nothing; or *free*: it goes either way, which carries a
//! bit, at the mean of both costs. Whichever makes a change cheaper counts. Here both are reckoned: what is
//! planned ([`Levels::planned`]), and the least there is ([`Levels::least`]), beside which it is reported.

use super::{
    super::bound::Sums,
    cells::{CHEAPER, Cell, LEVELS, Lean, STILL, cost_of, lean, level},
};

/// What a sample may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Go either way at the same cost.
    Even,
    /// Go along for a ninth.
    Leaning,
    /// Go one way only, as it is at an end of its range.
    OneWay,
    /// The same, for a ninth.
    OneCheapWay,
}
const CLASSES: usize = 4;

impl Class {
    /// Of a sample with a cell. `at_end` is whether it is at an end of its range, `bit` its lowest bit, which
    /// tells the ends apart.
    #[inline]
    pub(super) fn of(cell: Cell, at_end: bool, bit: u8) -> Self {
        match (at_end, lean(cell)) {
            (false, Lean::Not) => Self::Even,
            (false, _) => Self::Leaning,
            (true, Lean::Up) if bit == 0 => Self::OneCheapWay,
            (true, Lean::Down) if bit == 1 => Self::OneCheapWay,
            (true, _) => Self::OneWay,
        }
    }
}

/// Counts of the samples of one turn.
#[derive(Clone)]
pub(super) struct Leanings(Vec<u32>);

impl Default for Leanings {
    fn default() -> Self {
        Self(vec![0; CLASSES * LEVELS])
    }
}

impl Leanings {
    #[inline]
    pub(super) fn add(&mut self, class: Class, cell: Cell) {
        self.0[class as usize * LEVELS + level(cell)] += 1;
    }

    /// One that was counted is now of another class.
    #[inline]
    pub(super) fn reclass(&mut self, cell: Cell, before: Class, after: Class) {
        if before != after && level(cell) != STILL {
            self.0[before as usize * LEVELS + level(cell)] -= 1;
            self.0[after as usize * LEVELS + level(cell)] += 1;
        }
    }

    /// Adds those that were counted elsewhere.
    pub(super) fn join(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            *own += other;
        }
    }

    /// How many of a class there are, by level.
    pub(super) fn of(&self, class: Class) -> &[u32] {
        &self.0[class as usize * LEVELS..][..STILL]
    }

    /// The counts, for reckoning.
    pub(super) fn levels(&self) -> Levels {
        /// Levels that are counted as one, at their mean: 16 to a factor of two.
        const MERGED: usize = 4;
        let mut levels = Vec::new();
        for first in (0..STILL).step_by(MERGED) {
            let mut counts = [0.0; CLASSES];
            let (mut all, mut sum) = (0.0, 0.0);
            for level in first..(first + MERGED).min(STILL) {
                for (class, count) in counts.iter_mut().enumerate() {
                    let more = f64::from(self.0[class * LEVELS + level]);
                    if more > 0.0 {
                        *count += more;
                        all += more;
                        sum += more * cost_of(level);
                    }
                }
            }
            if all > 0.0 {
                levels.push((sum / all, counts));
            }
        }
        Levels(levels)
    }
}

/// Costs that there are, and how many samples of each class have them.
pub(super) struct Levels(Vec<(f64, [f64; CLASSES])>);

/// Whether a sample that leans is tied at λ times its cost: going along alone is likelier than going
/// either way at the mean of both costs, twice.
#[inline]
pub(super) fn is_tied(exponent: f64, directed: bool) -> bool {
    !directed || exponent * (1.0 - 1.0 / CHEAPER) > 2.0 * std::f64::consts::LN_2
}

/// The mean of what going along and going against cost.
pub(super) const MEAN: f64 = (1.0 + 1.0 / CHEAPER) / 2.0;

impl Levels {
    /// The sums as the code has them. If not `directed`, directions carry nothing.
    pub(super) fn planned(&self, lambda: f64, directed: bool) -> Sums {
        let mut sums = Sums::default();
        for (cost, [even, leaning, one, cheap]) in &self.0 {
            let exponent = lambda * cost;
            if exponent > 80.0 * CHEAPER {
                break;
            }
            let along = exponent / CHEAPER;
            let ways = if directed { 2.0 } else { 1.0 };
            sums.add(*even, exponent, ways, *cost);
            if is_tied(exponent, directed) {
                sums.add(*leaning, along, 1.0, cost / CHEAPER);
            } else {
                sums.add(*leaning, exponent * MEAN, 2.0, cost * MEAN);
            }
            sums.add(*one, exponent, 1.0, *cost);
            sums.add(*cheap, along, 1.0, cost / CHEAPER);
        }
        sums
    }

    /// The sums at the least distortion. All bits count as those of changes.
    pub(super) fn least(&self, lambda: f64) -> Sums {
        let mut sums = self.planned_without_leaning(lambda);
        sums.changing += std::mem::take(&mut sums.ways);
        for (cost, [_, leaning, ..]) in &self.0 {
            let (against, along) = (lambda * cost, lambda * cost / CHEAPER);
            if along > 80.0 {
                break;
            }
            let (x, y) = ((-along).exp(), (-against).exp());
            let all = 1.0 + x + y;
            let bits = (all.ln() + (along * x + against * y) / all) / std::f64::consts::LN_2;
            sums.changing += leaning * bits;
            sums.changes += leaning * (x + y) / all;
            sums.distortion += leaning * cost * (x / CHEAPER + y) / all;
        }
        sums
    }

    fn planned_without_leaning(&self, lambda: f64) -> Sums {
        let others = |(cost, [even, _, one, cheap]): &(f64, [f64; CLASSES])| {
            (*cost, [*even, 0.0, *one, *cheap])
        };
        Self(self.0.iter().map(others).collect()).planned(lambda, true)
    }

    pub(super) fn count(&self) -> f64 {
        self.0.iter().flat_map(|(_, counts)| counts).sum()
    }
}

impl Sums {
    /// Adds samples that change in so many `ways`, each at a chance of e^-exponent to that of staying.
    #[inline]
    fn add(&mut self, count: f64, exponent: f64, ways: f64, cost: f64) {
        if count == 0.0 || exponent > 80.0 {
            return;
        }
        let weight = ways * (-exponent).exp();
        let change = weight / (1.0 + weight);
        let bits = ((1.0 + weight).ln() + exponent * change) / std::f64::consts::LN_2;
        let of_ways = if ways > 1.0 { change } else { 0.0 };
        self.changing += count * (bits - of_ways);
        self.ways += count * of_ways;
        self.changes += count * change;
        self.distortion += count * change * cost;
    }
}

/// The λ at which `excess`, which falls with it, is nothing; looked for around `near`.
pub(super) fn solve(near: f64, excess: impl Fn(f64) -> f64) -> f64 {
    /// Of the logarithm, at which λ counts as found: a tenth of a thousandth of the bits.
    const NEAR: f64 = 1e-4;
    /// Costs are between 2^-126 and 2^127; so are the λ that could matter.
    const FAR: f64 = 90.0;
    let at = |log: f64| excess(log.exp());
    let mut here = near.ln().clamp(-FAR, FAR);
    let mut value = at(here);
    let mut step = if value > 0.0 { 0.05 } else { -0.05 };
    // Ends on either side of it, each with its excess.
    let (mut low, mut high);
    loop {
        let next = (here + step).clamp(-FAR, FAR);
        let after = at(next);
        if (after > 0.0) != (value > 0.0) {
            let ends = [(here, value), (next, after)];
            (low, high) = if value > 0.0 {
                (ends[0], ends[1])
            } else {
                (ends[1], ends[0])
            };
            break;
        }
        if next.abs() >= FAR {
            return next.exp();
        }
        (here, value, step) = (next, after, step * 3.0);
    }
    // By chords; an end that stays twice has its excess halved (the Illinois method).
    let mut last = 0.0;
    for _ in 0..40 {
        if high.0 - low.0 < NEAR {
            break;
        }
        let chord = low.0 + (high.0 - low.0) * low.1 / (low.1 - high.1);
        let next = if chord > low.0 && chord < high.0 {
            chord
        } else {
            (low.0 + high.0) / 2.0
        };
        let value = at(next);
        let again = last * value > 0.0;
        last = value;
        let moved;
        if value > 0.0 {
            moved = next - low.0;
            low = (next, value);
            high.1 *= if again { 0.5 } else { 1.0 };
        } else {
            moved = high.0 - next;
            high = (next, value);
            low.1 *= if again { 0.5 } else { 1.0 };
        }
        if moved < NEAR / 4.0 {
            return next.exp();
        }
    }
    ((low.0 + high.0) / 2.0).exp()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            super::cost::nearest,
            cells::{balanced, seen},
        },
        *,
    };

    fn levels(cells: &[(Cell, Class)]) -> Levels {
        let mut leanings = Leanings::default();
        for (cell, class) in cells {
            for _ in 0..1000 {
                leanings.add(*class, *cell);
            }
        }
        leanings.levels()
    }

    #[test]
    fn a_class_tells_what_a_sample_may_do() {
        let even = balanced(nearest(1.0));
        let (up, down) = (seen(even, true), seen(even, false));

        assert_eq!(Class::of(even, false, 0), Class::Even);
        assert_eq!(Class::of(up, false, 1), Class::Leaning);
        assert_eq!(Class::of(even, true, 0), Class::OneWay);
        assert_eq!(Class::of(up, true, 0), Class::OneCheapWay);
        assert_eq!(Class::of(up, true, 1), Class::OneWay);
        assert_eq!(Class::of(down, true, 1), Class::OneCheapWay);
    }

    #[test]
    fn what_is_planned_costs_little_more_than_the_least() {
        let cells: Vec<(Cell, Class)> = (0..40)
            .flat_map(|i| {
                let cell = balanced(nearest(0.02 * 1.2f32.powi(i)));
                [(cell, Class::Even), (seen(cell, true), Class::Leaning)]
            })
            .collect();
        let levels = levels(&cells);

        for bits in [2000.0, 10_000.0, 30_000.0] {
            let all = |sums: Sums| sums.changing + sums.ways;
            let planned = solve(1.0, |lambda| all(levels.planned(lambda, true)) - bits);
            let least = solve(1.0, |lambda| levels.least(lambda).changing - bits);
            let ratio = levels.planned(planned, true).distortion / levels.least(least).distortion;

            println!("{bits} bits: {ratio:.4}");
            assert!((1.0..1.08).contains(&ratio), "{ratio}");
        }
    }

    #[test]
    fn the_least_has_three_chances() {
        let cell = seen(balanced(nearest(1.0)), true);
        let levels = levels(&[(cell, Class::Leaning)]);

        let sums = levels.least(1.8);

        let (x, y) = ((-0.2f64).exp(), (-1.8f64).exp());
        let z = 1.0 + x + y;
        let bits: f64 = [1.0 / z, x / z, y / z].iter().map(|p| -p * p.log2()).sum();
        assert!(
            (sums.changing / 1000.0 - bits).abs() < 0.01,
            "{sums:?} {bits}"
        );
        assert!((sums.changes / 1000.0 - (x + y) / z).abs() < 0.01);
    }

    #[test]
    fn a_root_is_found_from_near_and_far() {
        for near in [1e-9, 0.9, 1.0, 1.1, 1e12] {
            let root = solve(near, |lambda| 3.0 - lambda.ln());

            assert!((root.ln() - 3.0).abs() < 1e-3, "{root} from {near}");
        }
        assert!(solve(1.0, |_| -1.0) < 1e-30 && solve(1.0, |_| 1.0) > 1e30);
    }
}
