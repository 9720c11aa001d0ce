//! What a sample costs, and which way those around it have gone, in the 16 bits that the cost alone had.
//!
//! A *cell* is a *level*, which is a cost with six binary digits after the first, and a *way*: the sum of the
//! directions of the changes that the sample sees, up less down. Whoever decides a change tells those
//! who see it; few change, so that is far less work than for each to look around. A sample whose way is
//! not balanced *leans*: a change that goes along costs [`CHEAPER`] times less than one against it.

use super::super::cost::{Cost, value};

pub(super) type Cell = u16;

/// What a change that goes the way of those around it is cheaper by. Nine, as the paper on clustering has it.
pub(super) const CHEAPER: f64 = 9.0;

/// Levels that there are.
pub(super) const LEVELS: usize = 1 << LEVEL_BITS;
const LEVEL_BITS: u32 = 12;

/// The level of what never changes.
pub(super) const STILL: usize = LEVELS - 1;

/// A way that is balanced. Six are seen at most, so no sum leaves four bits.
const BALANCED: u16 = 8;
const ONE: u16 = 1 << LEVEL_BITS;

/// Bits of a cost that a level does without.
const DROPPED: u32 = 2;
/// The least cost with a level of its own, 2^-30: less than that of any texture of 16 bits.
const LEAST: u16 = (127 - 30) << (8 - DROPPED);

/// Which way a sample leans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lean {
    Not,
    Up,
    Down,
}

/// The cell of a sample that has not seen a change.
#[inline]
pub(super) fn balanced(cost: Cost) -> Cell {
    let level = (cost >> DROPPED).saturating_sub(LEAST);
    BALANCED << LEVEL_BITS | level.min(STILL as u16 - 1)
}

/// The cell of a sample that never changes.
pub(super) const FIXED: Cell = BALANCED << LEVEL_BITS | STILL as u16;

/// The cell after a change that it sees.
#[inline]
pub(super) fn seen(cell: Cell, up: bool) -> Cell {
    if up {
        cell.wrapping_add(ONE)
    } else {
        cell.wrapping_sub(ONE)
    }
}

#[inline]
pub(super) fn level(cell: Cell) -> usize {
    usize::from(cell) % LEVELS
}

#[inline]
pub(super) fn lean(cell: Cell) -> Lean {
    match (cell >> LEVEL_BITS).cmp(&BALANCED) {
        std::cmp::Ordering::Equal => Lean::Not,
        std::cmp::Ordering::Greater => Lean::Up,
        std::cmp::Ordering::Less => Lean::Down,
    }
}

/// The cost that a level stands for: the middle of those that have it.
pub(super) fn cost_of(level: usize) -> f64 {
    let low = (level as u16 + LEAST) << DROPPED;
    f64::from(value(low) + value(low + (1 << DROPPED))) / 2.0
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::cost::{WET, nearest},
        *,
    };

    #[test]
    fn levels_are_within_a_hundredth_of_costs() {
        for cost in [1e-7f32, 3.3e-3, 0.5, 1.0, 1.99, 7.0, 8.4e6] {
            let level = level(balanced(nearest(cost)));

            let ratio = cost_of(level) / f64::from(cost);
            assert!((0.99..1.01).contains(&ratio), "{cost}: {ratio}");
        }
        assert!(level(balanced(0)) == 0 && level(balanced(WET)) < STILL);
    }

    #[test]
    fn a_cell_leans_as_most_of_what_it_sees() {
        let mut cell = balanced(nearest(1.0));
        let before = level(cell);
        for (up, leans) in [
            (true, Lean::Up),
            (false, Lean::Not),
            (false, Lean::Down),
            (false, Lean::Down),
            (true, Lean::Down),
            (true, Lean::Not),
        ] {
            cell = seen(cell, up);
            assert_eq!(lean(cell), leans);
            assert_eq!(level(cell), before);
        }
    }
}
