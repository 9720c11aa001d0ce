//! A body in turns (see `grid`), so that changes go the way of those around them.
//!
//! Each turn is a message of its own in the carriers of one lattice and channel: segments, trellis and
//! directions as in the module above. What costs differ in is which way the changes that a sample sees have
//! gone; readers know nothing of that. When a turn is done, those who see its changes are told, which
//! changes what they cost (`cells`) and how many of each kind there are (`leanings`). A sample that leans is
//! tied to its way or free, as `leanings` has it: of the tied ones the direction is set before the others'
//! are solved for, and is no choice.
//!
//! How many bits the directions of a turn will carry is expected from its counts and from how the turns
//! before came out; what it is off by, the turns after make up for (`split`).

mod decide;

use super::{
    super::{
        bound::Sums,
        cost::Cost,
        grid::Grid,
        ground::{Ground, Order},
        layout::Stream,
        sample::Sample,
        signs::{Bands, Matrix},
        stc::Height,
        workers,
    },
    Changes, Layers, Outcome, Parameters, RATE_MAX, Refusal, Site,
    cells::{self, Cell},
    code,
    leanings::{Class, Leanings, Levels, solve},
    pack,
    split::{EVEN, Ledger, Split},
    unpack,
};

/// Bits of directions that are solved for in one piece. More take memory that is not in the caches; each
/// piece loses a band at its ends.
const GROUP_BITS: usize = 24 * 1024;

/// Bits before the message of a segment that are as the cover has them. A segment's first bit hangs on the samples
/// of one block alone, which may all lie in a flat part, the second on two, and so on; none of the message
/// shall hang on so few. Each takes as much as a bit of the message does.
const LEAD: usize = 4;

/// Bits before a message of `bits` in a segment of so many elements.
fn lead(bits: usize, elements: usize) -> usize {
    match bits {
        0 => 0,
        _ => LEAD.min(elements.saturating_sub(bits)),
    }
}

/// Streams of the order key, beside those of the module above.
const ORDERS: u64 = 1 << 34;
const BANDS: u64 = 1 << 35;

impl Site<'_> {
    fn deal_turn(&self, grid: &Grid, turn: usize, bits: usize) -> Order {
        let stream = Stream::new(self.order, ORDERS + turn as u64);
        self.ground.order_of_turn(grid, turn, bits, stream)
    }

    fn bands_of_turns(&self) -> Bands {
        let mut seed = Box::new([0; super::signs::SEED]);
        Stream::new(self.order, BANDS).fill(seed.as_mut_slice());
        Bands::new(&seed)
    }

    fn carriers_of_turns(&self, grid: &Grid) -> Vec<usize> {
        let turns = 0..grid.turns();
        turns
            .map(|turn| self.ground.body_in_turn(grid, turn))
            .collect()
    }

    /// As [`Site::write`], in turns. `costs` are used up.
    ///
    /// The distortion of the outcome is what the changes cost when they were decided, and its bound the sum
    /// of the least that each turn could have cost at the same costs with as many bits.
    pub(crate) fn write_in_turns<S: Sample + Sync>(
        &self,
        samples: &[S],
        costs: &mut [Cost],
        body: &[u8],
        height: Height,
        random: &mut Stream,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<(Outcome, Changes), Refusal> {
        let grid = self.grid.as_ref().ok_or(Refusal::Stuck)?;
        let bits = unpack(body);
        let leanings = enter(self, grid, samples, costs);
        let carriers = self.carriers_of_turns(grid);
        let (split, lambda) = weigh(grid, &leanings, bits.len());
        let ledger = Ledger::new(grid, bits.len(), &carriers, &split);
        let writer = decide::Writer {
            site: self,
            grid,
            samples,
            cells: costs,
            leanings,
            bands: self.bands_of_turns(),
            bits: &bits,
            height,
            go_on,
            pool: std::sync::Mutex::default(),
            ledger,
            split,
            lambda,
            more: decide::MORE,
            changes: Vec::new(),
            bound: Sums::default(),
            distortion: 0.0,
        };
        writer.write(random)
    }

    pub(super) fn read_in_turns<S: Sample + Sync>(
        &self,
        samples: &[S],
        bits: usize,
        height: Height,
        split: &Split,
    ) -> Option<Vec<u8>> {
        let grid = self.grid.as_ref()?;
        let carriers = self.carriers_of_turns(grid);
        let bands = self.bands_of_turns();
        let mut ledger = Ledger::new(grid, bits, &carriers, split);
        let mut all = Vec::with_capacity(bits);
        for (turn, (units, carriers)) in split.directions.iter().zip(&carriers).enumerate() {
            let here = ledger.bits(*units)?;
            if here.changing > *carriers || here.ways > *carriers {
                return None;
            }
            let order = self.deal_turn(grid, turn, ledger.share());
            let code = code(height, &order, here.changing);
            let groups = Groups::new(&order, here.ways, &bands);
            let segments = (0..order.segments()).collect();
            let parts = workers::map(self.threads, segments, |segment: usize| {
                let mut gathered = Vec::new();
                self.ground.gather(&order, segment, samples, &mut gathered);
                let share = order.share(&(segment..segment + 1), here.changing);
                let lead = lead(share.len(), gathered.len());
                let mut read = vec![0; lead + share.len()];
                code.read(&gathered, S::bit, &mut read);
                read.drain(..lead);
                let part = groups.part(segment, &gathered, S::second_bit);
                (read, part)
            });
            for (read, _) in &parts {
                all.extend_from_slice(read);
            }
            let parts = parts.into_iter().map(|(_, part)| part).collect();
            for message in groups.messages(parts) {
                all.extend(message);
            }
            ledger.take(here);
        }
        (all.len() == bits).then(|| pack(&all))
    }
}

/// The second layer of a turn: its segments in groups, each with a matrix and bits of its own.
struct Groups<'a> {
    order: &'a Order,
    ways: usize,
    groups: Vec<std::ops::Range<usize>>,
    matrices: Vec<Matrix<'a>>,
    /// Of each segment.
    group_of: Vec<usize>,
}

impl<'a> Groups<'a> {
    fn new(order: &'a Order, ways: usize, bands: &'a Bands) -> Self {
        let groups = groups(order, ways);
        let matrix = |group: &std::ops::Range<usize>| {
            let (elements, share) = (order.span(group).len(), order.share(group, ways).len());
            Matrix::new(bands, elements, share)
        };
        let numbered = groups.iter().enumerate();
        Self {
            order,
            ways,
            matrices: groups.iter().map(matrix).collect(),
            group_of: numbered
                .flat_map(|(number, group)| group.clone().map(move |_| number))
                .collect(),
            groups,
        }
    }

    /// The number of a segment's first element in its group.
    fn first(&self, segment: usize) -> usize {
        let group = &self.groups[self.group_of[segment]];
        self.order.span(&(group.start..segment)).len()
    }

    /// What the samples of a segment add to the rows of its group.
    fn part<T: Copy>(
        &self,
        segment: usize,
        samples: &[T],
        bit: impl Fn(T) -> u8,
    ) -> Option<super::signs::Rows> {
        let matrix = &self.matrices[self.group_of[segment]];
        (self.ways > 0 && !samples.is_empty())
            .then(|| matrix.part(self.first(segment), samples, bit))
    }

    /// What each group carries, by the parts of all segments.
    fn messages(&self, parts: Vec<Option<super::signs::Rows>>) -> Vec<Vec<u8>> {
        if self.ways == 0 {
            return vec![Vec::new(); self.groups.len()];
        }
        let mut left = parts.into_iter();
        let groups = self.groups.iter().zip(&self.matrices);
        let message = |(group, matrix): (&std::ops::Range<usize>, &Matrix<'_>)| {
            let mut rows = matrix.rows();
            for part in left.by_ref().take(group.len()).flatten() {
                rows.add(&part);
            }
            matrix.message(&rows)
        };
        groups.map(message).collect()
    }
}

fn groups(order: &Order, ways: usize) -> Vec<std::ops::Range<usize>> {
    order.groups((ways / GROUP_BITS).clamp(1, order.segments()))
}

/// Makes cells of costs, where nothing has changed yet, and counts those of each turn.
fn enter<S: Sample + Sync>(
    site: &Site<'_>,
    grid: &Grid,
    samples: &[S],
    costs: &mut [Cost],
) -> Vec<Leanings> {
    /// Rows that one thread enters at a time, at least: as much as makes clearing counts no matter.
    const ROWS: usize = 256;
    let row = grid.row();
    let rows = samples.len() / row;
    let each = rows.div_ceil(site.threads.max(1)).max(ROWS);
    let bands: Vec<_> = costs
        .chunks_mut(each * row)
        .zip(samples.chunks(each * row))
        .enumerate()
        .collect();
    let counted = workers::map(site.threads, bands, |(band, (costs, samples))| {
        let mut counts = vec![Leanings::default(); grid.turns()];
        let rows = costs.chunks_exact_mut(row).zip(samples.chunks_exact(row));
        for ((costs, samples), y) in rows.zip(band * each..) {
            enter_row(site.ground, grid, y, samples, costs, &mut counts);
        }
        counts
    });
    let mut all = vec![Leanings::default(); grid.turns()];
    for counts in counted {
        for (all, counts) in all.iter_mut().zip(&counts) {
            all.join(counts);
        }
    }
    all
}

fn enter_row<S: Sample>(
    ground: &Ground,
    grid: &Grid,
    y: usize,
    samples: &[S],
    costs: &mut [Cost],
    counts: &mut [Leanings],
) {
    let start = y * grid.row();
    let free = ground.is_free(&(start..start + grid.row()));
    let channels = grid.channels();
    let turns: Vec<usize> = (0..2 * channels)
        .map(|i| grid.number(y, i / channels, i % channels))
        .collect();
    // One turn after the other: a row is in the nearest cache.
    for (i, turn) in turns.iter().enumerate() {
        let counts = &mut counts[*turn];
        let costs = costs[i..].iter_mut().step_by(turns.len());
        let samples = samples[i..].iter().step_by(turns.len());
        for ((cost, sample), carrier) in costs.zip(samples).zip((start + i..).step_by(turns.len()))
        {
            if !free && !ground.is_in_body(carrier) {
                *cost = cells::FIXED;
                continue;
            }
            let class = if sample.is_extreme() {
                Class::OneWay
            } else {
                Class::Even
            };
            *cost = cells::balanced(*cost);
            counts.add(class, *cost);
        }
    }
}

/// The weights of channels: by what each carries at the least distortion that all together could cost before
/// anything has changed; and the λ of that.
fn weigh(grid: &Grid, leanings: &[Leanings], bits: usize) -> (Split, f64) {
    let channels = grid.channels();
    let of = |channel: usize| {
        let mut all = Leanings::default();
        for turn in (channel..leanings.len()).step_by(channels) {
            all.join(&leanings[turn]);
        }
        all.levels()
    };
    // In the order of turns.
    let levels: Vec<Levels> = (0..channels).map(of).collect();
    let carries = |levels: &Levels, lambda: f64| {
        let sums = levels.planned(lambda, true);
        sums.changing + sums.ways
    };
    let all = |lambda: f64| {
        levels
            .iter()
            .map(|levels| carries(levels, lambda))
            .sum::<f64>()
    };
    let lambda = solve(1.0, |lambda| all(lambda) - bits as f64);
    let rates: Vec<f64> = levels
        .iter()
        .map(|levels| carries(levels, lambda) / levels.count().max(1.0))
        .collect();
    let mut split = Split::even();
    if channels == 3 {
        let weights = weights(
            &rates,
            bits as f64 / levels.iter().map(Levels::count).sum::<f64>(),
        );
        split.weights = [weights[1], weights[2]].map(|weight| (weight - 1) as u8);
    }
    (split, lambda)
}

/// Weights by rates, as far as no channel gets more than fits whatever it costs.
fn weights(rates: &[f64], mean: f64) -> Vec<u64> {
    let most = rates.iter().copied().fold(mean, f64::max);
    let even = if most > RATE_MAX {
        ((most - RATE_MAX) / (most - mean).max(f64::MIN_POSITIVE)).min(1.0)
    } else {
        0.0
    };
    let evened = |rate: f64| (1.0 - even) * rate + even * mean;
    let first = evened(rates[0]).max(f64::MIN_POSITIVE);
    let weight = |rate: &f64| (evened(*rate) / first * EVEN as f64).round();
    rates
        .iter()
        .map(|rate| weight(rate).clamp(1.0, 256.0) as u64)
        .collect()
}

fn outcome(height: Height, split: Split, bound: Sums, distortion: f64) -> Outcome {
    Outcome {
        parameters: Parameters {
            height,
            layers: Layers::InTurns(split),
        },
        bound,
        distortion,
    }
}

#[cfg(test)]
mod tests;
