//! What the trellis is asked for each sample of a turn: its price in a byte, and whether it starts out changed.

use super::{
    super::stc::NEVER,
    CANDIDATES, COST_MAX, RARE, RARE_OF_RATE, STEPS,
    cells::{CHEAPER, Cell, LEVELS, Lean, STILL, cost_of, lean, level},
    leanings::{Class, Leanings, MEAN, is_tied},
};

/// Cells that there could be.
const CELLS: usize = 1 << u16::BITS;

/// A sample as the trellis takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Price {
    pub(super) price: u8,
    /// It changes more often than not: the trellis has it changed to begin with, and decides whether to
    /// change it back.
    pub(super) inverted: bool,
}

const UNPRICED: Price = Price {
    price: NEVER,
    inverted: false,
};

/// The prices of one turn.
pub(super) struct Prices {
    /// Of samples that may go either way, by cell.
    either: Vec<Price>,
    /// Of the others, by class and level.
    one: [Vec<Price>; 2],
    /// The first level whose leaning samples are tied.
    tied_from: usize,
    lambda: f64,
    directed: bool,
}

impl Prices {
    /// At λ, for so many bits in whether `samples` change; directions carry more, or not.
    pub(super) fn new(samples: &Leanings, lambda: f64, bits: usize, directed: bool) -> Self {
        let exponents: Vec<f64> = (0..STILL).map(|level| lambda * cost_of(level)).collect();
        let enough = enough(samples, &exponents, bits, directed);
        let of = |class: Class| {
            let mut prices = vec![UNPRICED; LEVELS];
            for (price, exponent) in prices.iter_mut().zip(&exponents) {
                let odds = odds(class, *exponent, directed);
                if odds > enough {
                    break;
                }
                *price = Price {
                    price: (odds.abs() * STEPS).round().min(COST_MAX) as u8,
                    inverted: odds < 0.0,
                };
            }
            prices
        };
        let (even, leaning) = (of(Class::Even), of(Class::Leaning));
        let mut either = Vec::with_capacity(CELLS);
        for first in (0..CELLS).step_by(LEVELS) {
            either.extend(match lean(first as Cell) {
                Lean::Not => &even,
                Lean::Up | Lean::Down => &leaning,
            });
        }
        let tied = exponents
            .iter()
            .position(|exponent| is_tied(*exponent, directed));
        Self {
            either,
            one: [of(Class::OneWay), of(Class::OneCheapWay)],
            tied_from: tied.unwrap_or(STILL),
            lambda,
            directed,
        }
    }

    #[inline]
    pub(super) fn of(&self, cell: Cell, at_end: bool, bit: u8) -> Price {
        if at_end {
            let cheap = Class::of(cell, true, bit) == Class::OneCheapWay;
            self.one[usize::from(cheap)][level(cell)]
        } else {
            self.either[usize::from(cell)]
        }
    }

    /// What a sample costs that changes too rarely to be considered, but is wanted.
    pub(super) fn of_rare(&self, cell: Cell, at_end: bool, bit: u8) -> u8 {
        let exponent = self.lambda * cost_of(level(cell));
        let odds = odds(Class::of(cell, at_end, bit), exponent, self.directed);
        (odds.abs() * STEPS).round().min(COST_MAX) as u8
    }

    /// Whether a sample that leans, and may go either way, goes along if it changes.
    pub(super) fn ties(&self, cell: Cell) -> bool {
        level(cell) >= self.tied_from
    }
}

/// The logarithm of the odds against a change, if the cost is `exponent` over λ.
fn odds(class: Class, exponent: f64, directed: bool) -> f64 {
    // A change that may go two ways is twice as likely.
    let two = if directed {
        std::f64::consts::LN_2
    } else {
        0.0
    };
    match class {
        Class::Leaning if !is_tied(exponent, directed) => exponent * MEAN - two,
        Class::Leaning | Class::OneCheapWay => exponent / CHEAPER,
        Class::Even => exponent - two,
        Class::OneWay => exponent,
    }
}

/// The odds beyond which samples are not considered: they change too rarely, and there are enough others.
fn enough(samples: &Leanings, exponents: &[f64], bits: usize, directed: bool) -> f64 {
    let mut counts = [0u64; 256];
    let mut all = 0;
    let index = |odds: f64| ((odds * STEPS).max(0.0) as usize).min(255);
    for class in [
        Class::Even,
        Class::Leaning,
        Class::OneWay,
        Class::OneCheapWay,
    ] {
        for (count, exponent) in samples.of(class).iter().zip(exponents) {
            if *count > 0 {
                counts[index(odds(class, *exponent, directed))] += u64::from(*count);
                all += u64::from(*count);
            }
        }
    }
    let rare = RARE.min(RARE_OF_RATE * bits as f64 / all.max(1) as f64);
    let mut sum = 0;
    let cheapest = counts.iter().position(|count| {
        sum += count;
        sum >= CANDIDATES * bits as u64
    });
    let by_count = cheapest.map_or(f64::MAX, |index| (index + 1) as f64 / STEPS);
    by_count.min(-rare.ln())
}
