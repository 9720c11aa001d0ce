//! The cheapest path through a syndrome trellis.
//!
//! States are the next bits of the syndrome. Changing an element moves from state s to s ^ column
//! at the element's cost, so states come in pairs that only mix with each other: as every column
//! has its top bit set, one of each pair lies in the lower half of the states and one in the upper.
//! The two halves are two arrays; the upper one is kept in the order of its partners, which for
//! another column differs by an exclusive or of indices: another order of vectors, and a shuffle of
//! lanes that does not depend on the vector.
//!
//! Four things make it fast, and all leave the result what it would be:
//! - It looks for *changes*, not for stego bits. So one of the two edges is always free, an element
//!   that is not worth considering needs no step at all, and the first step of each block has no
//!   choice to make, because half of the states cannot have been reached yet.
//! - Path costs are bytes. Costs come in as bytes in units of the probability of a change (see
//!   `adaptive`), so 255 above the best path means a path that will not win. The price is a
//!   possibility of losing it where it does win; that shows on the way back, which then does not end
//!   where paths begin, and `plain` is there for that.
//! - Which way each state was reached is one bit in a vector of marks: no search, no sort, and the
//!   way back reads one bit for each step.
//! - Nothing branches on columns or costs, which no processor could predict.

use super::{
    Code,
    lanes::{GROUP, Half, Lanes, Portable},
};

/// An element that never changes.
pub(crate) const NEVER: u8 = u8::MAX;

const OUT_OF_REACH: u8 = u8::MAX;

/// Memory of one search after another.
pub(crate) struct Trellis {
    low: Box<Half>,
    high: Box<Half>,
    spare: Box<Half>,
    steps: Vec<Step>,
    /// Steps up to the end of each block.
    ends: Vec<u32>,
    /// Which way each state was reached, for each step that had a choice.
    marks: Vec<u8>,
    vectors: Vectors,
}

/// One element that may change.
#[derive(Clone, Copy, Default)]
struct Step {
    element: u32,
    column: u16,
    cost: u8,
}

/// Which of the processor's vectors may be used, if it has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Vectors {
    /// None at all.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests compare with it"))]
    None,
    /// AVX2.
    Of32,
    /// AVX-512 too.
    Of64,
}

/// Where the marks of a step are.
#[derive(Clone, Copy)]
struct Rows {
    /// Where the first row begins in the memory for marks: vectors lie in one cache line each.
    start: usize,
    /// Marks of half of the states.
    half: usize,
    /// Lanes in a vector, as a power of two.
    lanes: u32,
}

impl Rows {
    fn len(self) -> usize {
        2 * self.half
    }
}

impl Default for Trellis {
    fn default() -> Self {
        Self::with(Vectors::Of64)
    }
}

impl Trellis {
    /// With some of the processor's vectors only.
    pub(super) fn with(vectors: Vectors) -> Self {
        let half = || Box::new(Half([OUT_OF_REACH; _]));
        Self {
            low: half(),
            high: half(),
            spare: half(),
            steps: Vec::new(),
            ends: Vec::new(),
            marks: Vec::new(),
            vectors,
        }
    }

    /// Fills `changes` with ones where elements have to change so that their syndrome becomes
    /// `target`, at least cost. False if they do not: see above.
    ///
    /// At least one element in each block must not be [`NEVER`].
    pub(super) fn search(
        &mut self,
        code: &Code,
        costs: &[u8],
        target: &[u8],
        changes: &mut [u8],
    ) -> bool {
        self.list(code, costs, target.len());
        let search = Search {
            trellis: self,
            half: code.half(),
            target,
        };
        let rows = search.forward();
        self.go_back(code.half(), rows, target, changes)
    }

    /// Lists the steps, so that the search meets no element that it would pass over.
    fn list(&mut self, code: &Code, costs: &[u8], count: usize) {
        let Self { steps, ends, .. } = self;
        ends.clear();
        // One more than there can be, because the next one is written before it is known to count.
        steps.resize(costs.len() + 1, Step::default());
        let mut listed = 0;
        for block in super::blocks(count, costs.len()) {
            let columns = code.columns(block.len());
            let first = block.start as u32;
            let elements = costs[block].iter().zip(columns).zip(first..);
            for ((cost, column), element) in elements {
                steps[listed] = Step {
                    element,
                    column: *column,
                    cost: *cost,
                };
                listed += usize::from(*cost != NEVER);
            }
            ends.push(listed as u32);
        }
        steps.truncate(listed);
    }

    /// Follows the cheapest path back. False if it did not begin where all paths begin, which is
    /// so when and only when the changes along it do not have the syndrome `target`.
    fn go_back(&self, half: usize, rows: Rows, target: &[u8], changes: &mut [u8]) -> bool {
        let ends = &self.low.0[..half];
        let best = (0..half).min_by_key(|state| ends[*state]).unwrap_or(0);
        changes.fill(0);
        let mut state = best;
        let mut marks = &self.marks[rows.start..];
        marks = &marks[..rows.len() * self.choices()];
        let within = (1 << rows.lanes) - 1;
        for (block, bit) in target.iter().enumerate().rev() {
            if state >= half {
                return false;
            }
            state = 2 * state + usize::from(*bit);
            let begin = block.checked_sub(1).map_or(0, |before| self.ends[before]) as usize;
            let Some((first, steps)) = self.steps[begin..self.ends[block] as usize].split_first()
            else {
                continue;
            };
            for step in steps.iter().rev() {
                let (rest, row) = marks.split_at(marks.len() - rows.len());
                marks = rest;
                // Every column has its top bit set, so that one of the two is in the lower half.
                let partner = state ^ usize::from(step.column);
                let (pair, upper) = (state.min(partner), usize::from(state >= half));
                let vector = pair >> rows.lanes;
                let group = (vector / GROUP) << rows.lanes;
                let mark = row[upper * rows.half + group + (pair & within)];
                let change = mark >> (vector % GROUP) & 1;
                changes[step.element as usize] = change;
                state = if change == 1 { partner } else { state };
            }
            if state >= half {
                changes[first.element as usize] = 1;
                state ^= usize::from(first.column);
            }
        }
        state == 0
    }

    /// Steps that had a choice.
    fn choices(&self) -> usize {
        let mut before = 0;
        let choices = self.ends.iter().map(|end| {
            let steps = end - before;
            before = *end;
            steps.saturating_sub(1) as usize
        });
        choices.sum()
    }
}

struct Search<'a> {
    trellis: &'a mut Trellis,
    half: usize,
    target: &'a [u8],
}

#[cfg(target_arch = "x86_64")]
struct Vectorized<'a, S>(S, Search<'a>);

#[cfg(target_arch = "x86_64")]
impl<S: Lanes> pulp::NullaryFnOnce for Vectorized<'_, S> {
    type Output = Rows;

    #[inline(always)]
    fn call(self) -> Rows {
        self.1.forward_with(self.0)
    }
}

impl Search<'_> {
    fn forward(self) -> Rows {
        #[cfg(target_arch = "x86_64")]
        {
            let allowed = self.trellis.vectors;
            // Blocks end by joining vectors, of which there must be two.
            if allowed >= Vectors::Of64
                && self.half >= 2 * pulp::x86::V4::LANES
                && let Some(v4) = pulp::x86::V4::try_new()
            {
                return v4.vectorize(Vectorized(v4, self));
            }
            if allowed >= Vectors::Of32
                && let Some(v3) = pulp::x86::V3::try_new()
            {
                return v3.vectorize(Vectorized(v3, self));
            }
        }
        self.forward_with(Portable)
    }

    #[inline(always)]
    fn forward_with<S: Lanes>(self, s: S) -> Rows {
        // With their number known, loops over vectors are none.
        match self.half / S::LANES {
            2 => self.forward_by::<S, 2>(s),
            4 => self.forward_by::<S, 4>(s),
            8 => self.forward_by::<S, 8>(s),
            16 => self.forward_by::<S, 16>(s),
            32 => self.forward_by::<S, 32>(s),
            _ => self.forward_by::<S, 64>(s),
        }
    }

    #[inline(always)]
    fn forward_by<S: Lanes, const N: usize>(self, s: S) -> Rows {
        let choices = self.trellis.choices();
        let Trellis {
            low,
            high,
            spare,
            steps,
            ends,
            marks,
            ..
        } = self.trellis;
        let half = N.div_ceil(GROUP) * S::LANES;
        let needed = 2 * half * choices + size_of::<Half>();
        if marks.len() < needed {
            marks.resize(needed, 0);
        }
        let rows = Rows {
            start: marks.as_ptr().align_offset(align_of::<Half>()),
            half,
            lanes: S::LANES.ilog2(),
        };
        let mut marks = &mut marks[rows.start..];
        low.0[..self.half].fill(OUT_OF_REACH);
        low.0[0] = 0;
        let (mut begin, mut least) = (0, 0);
        for (end, bit) in ends.iter().zip(self.target) {
            let steps = &steps[begin..*end as usize];
            begin = *end as usize;
            let (reach, later) = match steps.split_first() {
                Some((first, later)) => (*first, later),
                None => (
                    Step {
                        column: 1,
                        cost: OUT_OF_REACH,
                        ..Step::default()
                    },
                    steps,
                ),
            };
            first::<S, N>(s, low, high, least, reach.cost);
            let mut label = usize::from(reach.column);
            for step in later {
                let column = usize::from(step.column);
                let row;
                (row, marks) = marks.split_at_mut(rows.len());
                swap_and_choose::<S, N>(s, low, high, spare, label ^ column, step.cost, row);
                std::mem::swap(high, spare);
                label = column;
            }
            let odd = *bit == 1;
            let of_low = shift_low::<S, N>(s, low, odd);
            // Every column's lowest bit is set, so in the order of partners parities are swapped.
            let of_high = shift_high::<S, N>(s, low, high, label & (self.half - 1), !odd);
            least = s.least(s.min(of_low, of_high));
        }
        rows
    }
}

/// The first step of a block: the upper half has not been reached, so nothing is chosen. Path
/// costs go down by `least`, which they all have in common.
#[inline(always)]
fn first<S: Lanes, const N: usize>(s: S, low: &mut Half, high: &mut Half, least: u8, cost: u8) {
    let (least, cost) = (s.splat(least), s.splat(cost));
    for k in 0..N {
        let stay = s.lower(s.load(low, k), least);
        s.store(low, k, stay);
        s.store(high, k, s.add(stay, cost));
    }
}

/// Any other step: each state keeps the cheaper of staying and of coming from its partner, which is
/// found at the exclusive or with `x`.
#[inline(always)]
fn swap_and_choose<S: Lanes, const N: usize>(
    s: S,
    low: &mut Half,
    high: &Half,
    next: &mut Half,
    x: usize,
    cost: u8,
    marks: &mut [u8],
) {
    let (swap, distance, cost) = (s.swap(x % S::LANES), x / S::LANES, s.splat(cost));
    let groups = N.div_ceil(GROUP);
    for group in 0..groups {
        let (mut of_low, mut of_high, mut bit) = (s.splat(0), s.splat(0), s.splat(1));
        for k in group * GROUP..N.min((group + 1) * GROUP) {
            let l = s.load(low, k);
            let h = s.permute(swap, s.load(high, (k ^ distance) % N));
            let new_l = s.min(l, s.add(h, cost));
            let new_h = s.min(h, s.add(l, cost));
            of_low = s.mark(of_low, new_l, l, bit);
            of_high = s.mark(of_high, new_h, h, bit);
            s.store(low, k, new_l);
            s.store(next, k, new_h);
            bit = s.double(bit);
        }
        s.save(marks, group, of_low);
        s.save(marks, groups + group, of_high);
    }
}

/// The end of a block: states whose lowest bit is the message's go on, without that bit. Here
/// those of the lower half; gives their least costs.
#[inline(always)]
fn shift_low<S: Lanes, const N: usize>(s: S, low: &mut Half, odd: bool) -> S::V {
    let mut least = s.splat(u8::MAX);
    for k in 0..N / 2 {
        let kept = s.alternate(s.load(low, 2 * k), s.load(low, 2 * k + 1), odd);
        least = s.min(least, kept);
        s.store(low, k, kept);
    }
    least
}

/// As [`shift_low`], of the upper half, which leaves the order of the partners by `label`.
#[inline(always)]
fn shift_high<S: Lanes, const N: usize>(
    s: S,
    low: &mut Half,
    high: &Half,
    label: usize,
    odd: bool,
) -> S::V {
    let mut least = s.splat(u8::MAX);
    let x = label / 2;
    let (swap, distance) = (s.swap(x % S::LANES), x / S::LANES);
    for k in 0..N / 2 {
        let kept = s.alternate(s.load(high, 2 * k), s.load(high, 2 * k + 1), odd);
        let kept = s.permute(swap, kept);
        least = s.min(least, kept);
        s.store(low, N / 2 + (k ^ distance) % (N / 2), kept);
    }
    least
}
