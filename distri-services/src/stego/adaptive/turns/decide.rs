//! One turn after another: what changes, which way, and who is told.

use std::{ops::Range, sync::Mutex};

use super::{
    super::{
        ATTEMPTS, code,
        prices::{Price, Prices},
        split::{BUCKET, Bits, UNITS, UNITS_MAX},
    },
    *,
};
use crate::stego::{
    signs::{Choice, Rows, bits_to_try},
    stc::{Code, NEVER, Trellis, blocks},
};

/// Changes whose directions may carry bits, over those that a perfect code would make: what a code of
/// usual height comes to, until a turn has shown it.
pub(super) const MORE: f64 = 1.07;
/// Changes that show it.
const SHOWN: f64 = 200.0;
/// Fewer bits in directions are not worth a matrix.
const WORTH: f64 = 16.0;

pub(super) struct Writer<'a, S> {
    pub(super) site: &'a Site<'a>,
    pub(super) grid: &'a Grid,
    pub(super) samples: &'a [S],
    pub(super) cells: &'a mut [Cell],
    /// Of each turn.
    pub(super) leanings: Vec<Leanings>,
    pub(super) bands: Bands,
    pub(super) bits: &'a [u8],
    pub(super) height: Height,
    pub(super) go_on: &'a (dyn Fn() -> bool + Sync),
    pub(super) pool: Mutex<Vec<Scratch<S>>>,
    pub(super) ledger: Ledger,
    pub(super) split: Split,
    /// Of the turn before, where the next one's is looked for.
    pub(super) lambda: f64,
    /// See [`MORE`].
    pub(super) more: f64,
    pub(super) changes: Vec<(u32, bool)>,
    pub(super) bound: Sums,
    pub(super) distortion: f64,
}

/// Memory of one segment after another.
#[derive(Default)]
pub(super) struct Scratch<S> {
    trellis: Trellis,
    samples: Vec<S>,
    cells: Vec<Cell>,
    prices: Vec<u8>,
    /// The bits that the carriers have, or flipped where a change is likelier than none; then those
    /// that they get.
    bits: Vec<u8>,
    changes: Vec<u8>,
}

/// A turn before its changes are known.
struct Planned<'a> {
    turn: usize,
    order: &'a Order,
    levels: &'a Levels,
    /// Units of its share that are meant to be in directions. The changes carry the rest, by the bucket.
    units: u16,
    /// Directions carry something.
    directed: bool,
}

/// One change.
#[derive(Clone, Copy)]
struct Change {
    /// The element's number in its segment.
    element: u32,
    /// Whether the next bit flips.
    flip: bool,
    /// Whether that may be chosen.
    free: bool,
}

/// What changes in a segment.
struct Changed {
    segment: usize,
    changes: Vec<Change>,
    /// The next to lowest bits of all its samples, of tied ones as they will be.
    second: Vec<u8>,
}

/// A turn whose directions could be solved for.
struct Directed {
    units: u16,
    bits: Bits,
    segments: Vec<Changed>,
}

impl<S: Sample + Sync> Writer<'_, S> {
    pub(super) fn write(mut self, random: &mut Stream) -> Result<(Outcome, Changes), Refusal> {
        for turn in 0..self.grid.turns() {
            let share = self.ledger.share();
            let order = self.site.deal_turn(self.grid, turn, share);
            self.take_turn(turn, &order, random)?;
        }
        let made = outcome(self.height, self.split, self.bound, self.distortion);
        Ok((made, Changes(self.changes)))
    }

    fn take_turn(
        &mut self,
        turn: usize,
        order: &Order,
        random: &mut Stream,
    ) -> Result<(), Refusal> {
        let levels = self.leanings[turn].levels();
        let (mut units, mut directed) = self.expect(&levels);
        for attempt in 0..ATTEMPTS {
            if attempt == ATTEMPTS - 1 {
                (units, directed) = (0, false);
            }
            let planned = Planned {
                turn,
                order,
                levels: &levels,
                units,
                directed,
            };
            let (lambda, bits) = self.at(&planned)?;
            let changed = self.change(&planned, lambda, &bits, random)?;
            let free = changed.iter().map(Changed::free).sum::<usize>() as f64;
            let expected = levels.planned(lambda, directed).ways;
            if directed && expected > SHOWN {
                self.more = free / expected;
            }
            if let Some(done) = self.direct(&planned, changed)? {
                let all = (done.bits.changing + done.bits.ways) as f64;
                let least = solve(lambda, |lambda| levels.least(lambda).changing - all);
                self.bound = self.bound.plus(&levels.least(least));
                self.lambda = lambda;
                self.split.directions[turn] = done.units;
                self.ledger.take(done.bits);
                self.settle(turn, order, &done);
                return Ok(());
            }
            units = self.fewer(units);
        }
        Err(Refusal::Stuck)
    }

    /// Units of the share that directions are expected to carry, and whether they will carry any.
    fn expect(&self, levels: &Levels) -> (u16, bool) {
        let share = self.ledger.share();
        if share == 0 {
            return (0, false);
        }
        let carried = |ways: f64| bits_to_try((ways * self.more) as usize) as f64;
        let lambda = solve(self.lambda, |lambda| {
            let sums = levels.planned(lambda, true);
            sums.changing + carried(sums.ways) - share as f64
        });
        let bits = carried(levels.planned(lambda, true).ways);
        if bits < WORTH {
            return (0, false);
        }
        let unit = share as f64 / UNITS as f64;
        // Their number is known to about its root, and to a fiftieth.
        let doubt = bits.sqrt() + bits / 50.0;
        let units = |bits: f64| ((bits / unit) as u16).min(UNITS_MAX);
        if self.ledger.is_last() {
            let sure = units((bits - doubt).max(0.0));
            return (sure, sure > 0);
        }
        // Within the bucket there is room for doubt above its end, and none needed where it is the first.
        let sure = units((bits - doubt).max(0.0));
        (sure / BUCKET * BUCKET, true)
    }

    /// Fewer units than those that turned out too many.
    fn fewer(&self, units: u16) -> u16 {
        if self.ledger.is_last() {
            units - units.div_ceil(20)
        } else {
            (units / BUCKET * BUCKET).saturating_sub(BUCKET)
        }
    }

    /// The λ of a turn and the bits of its layers as they are planned.
    fn at(&self, planned: &Planned<'_>) -> Result<(f64, Bits), Refusal> {
        let bits = self.ledger.bits(planned.units).ok_or(Refusal::Stuck)?;
        let changing = (bits.changing + LEAD * planned.order.segments()) as f64;
        let lambda = solve(self.lambda, |lambda| {
            planned.levels.planned(lambda, planned.directed).changing - changing
        });
        Ok((lambda, bits))
    }

    /// What changes in each segment.
    fn change(
        &self,
        planned: &Planned<'_>,
        lambda: f64,
        bits: &Bits,
        random: &mut Stream,
    ) -> Result<Vec<Changed>, Refusal> {
        let leanings = &self.leanings[planned.turn];
        let prices = Prices::new(leanings, lambda, bits.changing, planned.directed);
        let code = code(self.height, planned.order, bits.changing);
        let message = &self.bits[self.ledger.done()..][..bits.changing];
        let segments = 0..planned.order.segments();
        let segments = segments.map(|segment| (segment, random.next_bytes::<32>()));
        let done = workers::map(
            self.site.threads,
            segments.collect(),
            |(segment, seed): (usize, [u8; 32])| {
                if !(self.go_on)() {
                    return Err(Refusal::Stopped);
                }
                let pool = || {
                    self.pool
                        .lock()
                        .unwrap_or_else(|poisoned| poisoned.into_inner())
                };
                let mut scratch = pool().pop().unwrap_or_default();
                let share = planned.order.share(&(segment..segment + 1), bits.changing);
                let random = Stream::new(&seed, 0);
                let work = Work {
                    writer: self,
                    order: planned.order,
                    prices: &prices,
                    code: &code,
                    scratch: &mut scratch,
                };
                let changed = work.change(segment, &message[share], random);
                pool().push(scratch);
                changed.ok_or(Refusal::Stuck)
            },
        );
        done.into_iter().collect()
    }

    /// Decides which way free samples go, with as many bits as they carry. `None` if that is fewer than what
    /// was planned leaves to them.
    fn direct(
        &self,
        planned: &Planned<'_>,
        mut segments: Vec<Changed>,
    ) -> Result<Option<Directed>, Refusal> {
        let (least, most) = self.within(planned);
        let mut units = most;
        loop {
            let Some((fitting, bits)) = self.fitting(planned, &segments, least..=units) else {
                return Ok(None);
            };
            let message = &self.bits[self.ledger.done() + bits.changing..][..bits.ways];
            if self.solve(planned.order, &mut segments, message)? {
                return Ok(Some(Directed {
                    units: fitting,
                    bits,
                    segments,
                }));
            }
            // A little less, until it is solved.
            let Some(next) = fitting.checked_sub(1 + fitting / 64) else {
                return Ok(None);
            };
            units = next;
        }
    }

    /// The units that leave the changes what was planned.
    fn within(&self, planned: &Planned<'_>) -> (u16, u16) {
        if !planned.directed {
            (0, 0)
        } else if self.ledger.is_last() {
            (planned.units, planned.units)
        } else {
            let least = planned.units / BUCKET * BUCKET;
            (least, (least + BUCKET - 1).min(UNITS_MAX))
        }
    }

    /// The most units within bounds that the changes of each group can be expected to carry.
    fn fitting(
        &self,
        planned: &Planned<'_>,
        segments: &[Changed],
        units: std::ops::RangeInclusive<u16>,
    ) -> Option<(u16, Bits)> {
        let order = planned.order;
        let fits = |bits: &Bits| {
            let enough = |group: &Range<usize>| {
                let free: usize = segments[group.clone()].iter().map(Changed::free).sum();
                order.share(group, bits.ways).len() <= bits_to_try(free)
            };
            bits.ways == 0 || groups(order, bits.ways).iter().all(enough)
        };
        // Of the last turn the number is fixed: it is tried even if more was expected to be needed.
        let fixed = self.ledger.is_last();
        units.rev().find_map(|units| {
            let bits = self.ledger.bits(units)?;
            (fixed || fits(&bits)).then_some((units, bits))
        })
    }

    /// Sets the directions of free changes so that all carry `message`. False if they cannot.
    fn solve(
        &self,
        order: &Order,
        segments: &mut [Changed],
        message: &[u8],
    ) -> Result<bool, Refusal> {
        if message.is_empty() {
            return Ok(true);
        }
        let groups = Groups::new(order, message.len(), &self.bands);
        let part = |changed: &Changed| groups.part(changed.segment, &changed.second, |bit| bit);
        let parts: Vec<Option<Rows>> =
            workers::map(self.site.threads, segments.iter().collect(), part);
        let read = groups.messages(parts);
        let mut left = &mut *segments;
        let mut work = Vec::with_capacity(read.len());
        for ((number, group), read) in groups.groups.iter().enumerate().zip(read) {
            let (these, others) = left.split_at_mut(group.len());
            left = others;
            let target = &message[order.share(group, message.len())];
            let target: Vec<u8> = read.iter().zip(target).map(|(a, b)| a ^ b).collect();
            work.push((number, these, target));
        }
        let solved = workers::map(self.site.threads, work, |(number, segments, target)| {
            if !(self.go_on)() {
                return Err(Refusal::Stopped);
            }
            let mut choices = Vec::new();
            for changed in &*segments {
                let first = groups.first(changed.segment) as u32;
                choices.extend(changed.choices().map(|change| Choice {
                    sample: first + change.element,
                    flip: change.flip,
                }));
            }
            if !groups.matrices[number].solve(&mut choices, &target) {
                return Ok(false);
            }
            let free = segments.iter_mut().flat_map(|changed| &mut changed.changes);
            for (change, choice) in free.filter(|change| change.free).zip(choices) {
                change.flip = choice.flip;
            }
            Ok(true)
        });
        solved
            .into_iter()
            .try_fold(true, |all, one| Ok(all && one?))
    }

    /// Counts what was decided, and tells those who see it.
    fn settle(&mut self, turn: usize, order: &Order, done: &Directed) {
        let before = self.changes.len();
        for changed in &done.segments {
            let places = self.site.ground.places(order, changed.segment);
            let changes = changed.changes.iter();
            let placed =
                changes.map(|change| (places.carrier(change.element as usize), change.flip));
            self.changes.extend(placed);
        }
        // Row by row, as memory likes it.
        self.changes[before..].sort_unstable();
        let (cells, leanings, samples) = (&mut *self.cells, &mut self.leanings, self.samples);
        for (carrier, flip) in &self.changes[before..] {
            let carrier = *carrier as usize;
            let (cell, up) = (cells[carrier], goes_up(samples[carrier], *flip));
            let along = match cells::lean(cell) {
                cells::Lean::Not => false,
                cells::Lean::Up => up,
                cells::Lean::Down => !up,
            };
            let cost = cells::cost_of(cells::level(cell));
            self.distortion += if along { cost / cells::CHEAPER } else { cost };
            self.grid.around(carrier, |other, number| {
                if number <= turn {
                    return;
                }
                let (sample, before) = (samples[other], cells[other]);
                let after = cells::seen(before, up);
                let class = |cell| Class::of(cell, sample.is_extreme(), sample.bit());
                leanings[number].reclass(before, class(before), class(after));
                cells[other] = after;
            });
        }
    }
}

/// Whether a step with or without a flip of the next bit goes up.
#[inline]
fn goes_up<S: Sample>(sample: S, flip: bool) -> bool {
    // At the ends of the range there is one way, and no flip.
    if sample.is_extreme() {
        sample.bit() == 0
    } else {
        (sample.bit() == 1) == flip
    }
}

impl Changed {
    fn choices(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.free)
    }

    fn free(&self) -> usize {
        self.choices().count()
    }
}

/// The trellis of one segment.
struct Work<'a, S> {
    writer: &'a Writer<'a, S>,
    order: &'a Order,
    prices: &'a Prices,
    code: &'a Code,
    scratch: &'a mut Scratch<S>,
}

impl<S: Sample + Sync> Work<'_, S> {
    fn change(self, segment: usize, message: &[u8], mut random: Stream) -> Option<Changed> {
        let ground = self.writer.site.ground;
        let Scratch {
            trellis,
            samples,
            cells,
            prices,
            bits,
            changes,
        } = self.scratch;
        samples.clear();
        cells.clear();
        ground.gather(self.order, segment, self.writer.samples, samples);
        let mut changed = Changed {
            segment,
            changes: Vec::new(),
            second: samples.iter().map(|sample| sample.second_bit()).collect(),
        };
        if message.is_empty() {
            return Some(changed);
        }
        ground.gather(self.order, segment, &*self.writer.cells, cells);
        for lane in [&mut *prices, &mut *bits, &mut *changes] {
            lane.clear();
            lane.resize(samples.len(), 0);
        }
        // Slices of one length, so that the loop checks no bounds.
        let lanes = prices.iter_mut().zip(&mut *bits);
        for ((sample, cell), (to, bit)) in samples.iter().zip(&*cells).zip(lanes) {
            let Price { price, inverted } =
                self.prices.of(*cell, sample.is_extreme(), sample.bit());
            *to = price;
            *bit = sample.bit() ^ u8::from(inverted);
        }
        let lead = lead(message.len(), samples.len());
        // Each block needs one that may change: the cheapest.
        for block in blocks(lead + message.len(), samples.len()) {
            if prices[block.clone()].iter().all(|price| *price == NEVER) {
                let price = |i: usize| {
                    let sample = samples[i];
                    self.prices
                        .of_rare(cells[i], sample.is_extreme(), sample.bit())
                };
                let (price, cheapest) = block.map(|i| (price(i), i)).min()?;
                prices[cheapest] = price;
            }
        }
        let code = self.code;
        if !code.write_after(lead, trellis, prices, bits, message, changes) {
            return None;
        }
        for (i, (sample, after)) in samples.iter().zip(&*bits).enumerate() {
            if sample.bit() == *after {
                continue;
            }
            let cell = cells[i];
            let along = |up: bool| (sample.bit() == 1) == up;
            let (flip, free) = match cells::lean(cell) {
                _ if sample.is_extreme() => (false, false),
                cells::Lean::Not => (random.next_word() & 1 == 1, true),
                // What is not needed to carry bits goes along too.
                cells::Lean::Up => (along(true), !self.prices.ties(cell)),
                cells::Lean::Down => (along(false), !self.prices.ties(cell)),
            };
            if !free {
                changed.second[i] ^= u8::from(flip);
            }
            changed.changes.push(Change {
                element: i as u32,
                flip,
                free,
            });
        }
        Some(changed)
    }
}
