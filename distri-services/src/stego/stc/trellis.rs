//! The cheapest path through a syndrome trellis.
//!
//! States are the next bits of the syndrome. Changing an element moves from state s to s ^ column
//! at the element's cost, so states come in pairs that only mix with each other: as every column
//! has its top bit set, one of each pair lies in the lower half of the states and one in the upper.
//! The two halves are two arrays; the upper one is kept in the order of its partners, which for
//! another column differs by an exclusive or of indices: one shuffle of lanes.
//!
//! Three things make it fast, and all leave the result what it would be:
//! - It looks for *changes*, not for stego bits. So one of the two edges is always free, an element
//!   that is not worth considering needs no step at all, and the first step of each block has no
//!   choice to make, because half of the states cannot have been reached yet.
//! - Path costs are bytes. Costs come in as bytes in units of the probability of a change (see
//!   `adaptive`), so 255 above the best path means a path that will not win. The price is a
//!   possibility of losing it where it does win; the caller checks the result and has `plain` for that.
//! - Which way each state was reached is one bit in a vector of marks: no search, no sort, and the
//!   way back reads one bit for each step.

use super::{
    Code,
    lanes::{LANES, Lanes, Portable, Vector},
};

/// An element that never changes.
pub(crate) const NEVER: u8 = u8::MAX;

/// Vectors in half of the states of the highest code.
const VECTORS: usize = 1 << (super::HEIGHT_MAX as usize - 1 - LANES.ilog2() as usize);
const OUT_OF_REACH: Vector = Vector([u8::MAX; LANES]);

/// Marks of so many vectors share one.
const GROUP: usize = 8;

type Half = [Vector; VECTORS];

/// Memory of one search after another.
pub(crate) struct Trellis {
    low: Box<Half>,
    high: Box<Half>,
    spare: Box<Half>,
    /// Element and column of each step.
    steps: Vec<(u32, u16)>,
    /// Steps up to the end of each block.
    ends: Vec<u32>,
    /// Which way each state was reached, for each step that had a choice.
    marks: Vec<Vector>,
    /// Whether the processor's vectors may be used; tests say no.
    vectors: bool,
}

impl Default for Trellis {
    fn default() -> Self {
        let half = || Box::new([OUT_OF_REACH; VECTORS]);
        Self {
            low: half(),
            high: half(),
            spare: half(),
            steps: Vec::new(),
            ends: Vec::new(),
            marks: Vec::new(),
            vectors: true,
        }
    }
}

impl Trellis {
    /// Without the processor's vectors.
    #[cfg(test)]
    pub(super) fn portable() -> Self {
        Self {
            vectors: false,
            ..Self::default()
        }
    }

    /// Fills `changes` with ones where elements have to change so that their syndrome becomes
    /// `target`, at least cost.
    ///
    /// At least one element in each block must not be [`NEVER`]. The result is a guess that needs
    /// checking: see above.
    pub(super) fn search(&mut self, code: &Code, costs: &[u8], target: &[u8], changes: &mut [u8]) {
        let search = Search {
            trellis: self,
            code,
            costs,
            target,
        };
        #[cfg(target_arch = "x86_64")]
        if search.trellis.vectors
            && let Some(v3) = pulp::x86::V3::try_new()
        {
            v3.vectorize(Vectorized(v3, search));
            self.go_back(code, target, changes);
            return;
        }
        search.forward(Portable);
        self.go_back(code, target, changes);
    }

    fn go_back(&self, code: &Code, target: &[u8], changes: &mut [u8]) {
        let half = code.half();
        let vectors = half / LANES;
        let groups = vectors.div_ceil(GROUP);
        let ends = self.low[..vectors].as_flattened_lanes();
        let best = (0..half).min_by_key(|state| ends(*state)).unwrap_or(0);
        changes.fill(0);
        let (mut state, mut row) = (best, self.rows(groups));
        for (block, bit) in target.iter().enumerate().rev() {
            state = (2 * state + usize::from(*bit)) & (2 * half - 1);
            let begin = block.checked_sub(1).map_or(0, |before| self.ends[before]) as usize;
            let steps = &self.steps[begin..self.ends[block] as usize];
            for (i, (element, column)) in steps.iter().enumerate().rev() {
                let column = usize::from(*column);
                let upper = usize::from(state >= half);
                let change = if i == 0 {
                    upper as u8
                } else {
                    row -= 2 * groups;
                    let partner = (state ^ (column * upper)) & (half - 1);
                    let (vector, lane) = (partner / LANES, partner % LANES);
                    let marks = &self.marks[row + upper * groups + vector / GROUP];
                    marks.0[lane] >> (vector % GROUP) & 1
                };
                changes[*element as usize] = change;
                state ^= column * usize::from(change);
            }
        }
    }

    /// Vectors of marks that the search left.
    fn rows(&self, groups: usize) -> usize {
        let mut before = 0;
        let choices = self.ends.iter().map(|end| {
            let steps = end - before;
            before = *end;
            steps.saturating_sub(1) as usize
        });
        choices.sum::<usize>() * 2 * groups
    }
}

/// Looks up single lanes in a row of vectors.
trait AsLanes {
    fn as_flattened_lanes(&self) -> impl Fn(usize) -> u8 + '_;
}

impl AsLanes for [Vector] {
    fn as_flattened_lanes(&self) -> impl Fn(usize) -> u8 + '_ {
        |i| self[i / LANES].0[i % LANES]
    }
}

struct Search<'a> {
    trellis: &'a mut Trellis,
    code: &'a Code,
    costs: &'a [u8],
    target: &'a [u8],
}

#[cfg(target_arch = "x86_64")]
struct Vectorized<'a>(pulp::x86::V3, Search<'a>);

#[cfg(target_arch = "x86_64")]
impl pulp::NullaryFnOnce for Vectorized<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.1.forward(self.0);
    }
}

/// Calls a function with a constant that is known only now.
macro_rules! with_lanes {
    ($x:expr, $call:ident $arguments:tt, $($constant:literal)*) => {
        match $x {
            $($constant => $call::<$constant, S> $arguments,)*
            other => unreachable!("lanes are fewer than {LANES}, not {other}"),
        }
    };
}

impl Search<'_> {
    #[inline(always)]
    fn forward<S: Lanes>(self, s: S) {
        let Trellis {
            low,
            high,
            spare,
            steps,
            ends,
            marks,
            ..
        } = self.trellis;
        let half = self.code.half();
        let vectors = half / LANES;
        let row = 2 * vectors.div_ceil(GROUP);
        let needed = row * self.costs.iter().filter(|cost| **cost != NEVER).count();
        if marks.len() < needed {
            marks.resize(needed, Vector([0; LANES]));
        }
        steps.clear();
        ends.clear();
        low[..vectors].fill(OUT_OF_REACH);
        low[0].0[0] = 0;
        let (mut rows, mut least) = (0, 0);
        let blocks = super::blocks(self.target.len(), self.costs.len());
        for (block, bit) in blocks.zip(self.target) {
            let mut label = None;
            let columns = self.code.columns(block.len());
            for (element, column) in block.zip(columns) {
                let cost = self.costs[element];
                if cost == NEVER {
                    continue;
                }
                steps.push((element as u32, *column));
                let column = usize::from(*column) & (half - 1);
                match label {
                    None => first(s, low, high, vectors, least, cost),
                    Some(label) => {
                        let x = label ^ column;
                        let marks = &mut marks[rows..rows + row];
                        rows += row;
                        with_lanes!(x % LANES,
                            step(s, low, high, spare, vectors, x / LANES, cost, marks),
                            0 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30);
                        std::mem::swap(high, spare);
                    }
                }
                label = Some(column);
            }
            let label = label.unwrap_or_else(|| {
                first(s, low, high, vectors, least, u8::MAX);
                1
            });
            ends.push(steps.len() as u32);
            let odd = *bit == 1;
            let of_low = shift_low(s, low, vectors, odd);
            let x = label / 2;
            // Every column's lowest bit is set, so in the order of partners parities are swapped.
            let of_high = with_lanes!(x % LANES,
                shift_high(s, low, high, vectors, x / LANES, !odd),
                0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
                16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
            let all = s.store(s.min(of_low, of_high)).0;
            least = all.into_iter().fold(u8::MAX, u8::min);
        }
    }
}

/// The first step of a block: the upper half has not been reached, so nothing is chosen. Path
/// costs go down by `least`, which they all have in common.
#[inline(always)]
fn first<S: Lanes>(s: S, low: &mut Half, high: &mut Half, vectors: usize, least: u8, cost: u8) {
    let (least, cost) = (s.splat(least), s.splat(cost));
    for k in 0..vectors {
        let k = k % VECTORS;
        let stay = s.lower(s.load(&low[k]), least);
        low[k] = s.store(stay);
        high[k] = s.store(s.add(stay, cost));
    }
}

/// Any other step: each state keeps the cheaper of staying and of coming from its partner.
#[inline(always)]
#[allow(
    clippy::too_many_arguments,
    reason = "the innermost loop; a struct would only name them twice"
)]
fn step<const X: usize, S: Lanes>(
    s: S,
    low: &mut Half,
    high: &Half,
    next: &mut Half,
    vectors: usize,
    swap: usize,
    cost: u8,
    marks: &mut [Vector],
) {
    let cost = s.splat(cost);
    let (low_marks, high_marks) = marks.split_at_mut(marks.len() / 2);
    for (group, (low_marks, high_marks)) in low_marks.iter_mut().zip(high_marks).enumerate() {
        let (mut of_low, mut of_high, mut bit) = (s.splat(0), s.splat(0), s.splat(1));
        for k in group * GROUP..vectors.min((group + 1) * GROUP) {
            let k = k % VECTORS;
            let l = s.load(&low[k]);
            let h = s.permute::<X>(s.load(&high[(k ^ swap) % VECTORS]));
            let new_l = s.min(l, s.add(h, cost));
            let new_h = s.min(h, s.add(l, cost));
            of_low = s.mark(of_low, new_l, l, bit);
            of_high = s.mark(of_high, new_h, h, bit);
            low[k] = s.store(new_l);
            next[k] = s.store(new_h);
            bit = s.double(bit);
        }
        *low_marks = s.store(of_low);
        *high_marks = s.store(of_high);
    }
}

/// The end of a block: states whose lowest bit is the message's go on, without that bit. Here
/// those of the lower half; gives their least costs.
#[inline(always)]
fn shift_low<S: Lanes>(s: S, low: &mut Half, vectors: usize, odd: bool) -> S::V {
    let mut least = s.splat(u8::MAX);
    for k in 0..vectors / 2 {
        let pair = |i: usize| s.load(&low[(2 * k + i) % VECTORS]);
        let kept = s.alternate(pair(0), pair(1), odd);
        least = s.min(least, kept);
        low[k % VECTORS] = s.store(kept);
    }
    least
}

/// As [`shift_low`], of the upper half, which leaves the order of its partners.
#[inline(always)]
fn shift_high<const X: usize, S: Lanes>(
    s: S,
    low: &mut Half,
    high: &Half,
    vectors: usize,
    swap: usize,
    odd: bool,
) -> S::V {
    let mut least = s.splat(u8::MAX);
    for k in 0..vectors / 2 {
        let pair = |i: usize| s.load(&high[(2 * k + i) % VECTORS]);
        let kept = s.permute::<X>(s.alternate(pair(0), pair(1), odd));
        least = s.min(least, kept);
        low[(vectors / 2 + (k ^ swap)) % VECTORS] = s.store(kept);
    }
    least
}
