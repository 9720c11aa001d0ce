//! Adaptive embedding: changes go where they are hardest to notice, and are as few and as cheap as
//! is nearly the least that theory allows.
//!
//! A message's bits are in two layers. The first is carried by *whether* samples change: a
//! syndrome-trellis code over lowest bits (`stc`) finds the cheapest changes. The second is carried
//! by *which way* the changed ones go (`signs`). How many bits each gets follows from the entropy of
//! either choice at the least possible distortion (`bound`), corrected by a trial on a few segments,
//! and is written in the sealed header.
//!
//! Where all samples of a picture may carry, they are decided in turns instead (`turns`), so that changes go
//! the way of those around them. Then each turn has both layers, and costs that depend on the turns before.
//!
//! The trellis gets costs in bytes: the logarithm of the odds against a change, in twelfths. In
//! that measure precision is spent where it matters, and a path that is 255 dearer than the best is
//! e^21 times less likely.

mod cells;
mod leanings;
mod plainly;
mod prices;
mod split;
mod turns;

use std::sync::Mutex;

pub(crate) use self::{
    plainly::{CostsOf, read_plainly, write_plainly},
    split::Split,
};

use super::{
    bound::{Census, Sums},
    cost::{Cost, WET, value},
    grid::Grid,
    ground::{Ground, Order},
    layout::Stream,
    sample::Sample,
    signs::{self, Bands, Choice, Matrix},
    stc::{Code, Height, NEVER, Trellis, blocks},
    workers,
};

/// Bits of a body for each carrier of the body, at most. Up to here every message fits, whatever
/// the costs; beyond it, there is little choice left to adapt with.
pub(crate) const RATE_MAX: f64 = 0.9;

/// Steps of a cost in a byte for each factor of e in the odds against a change.
const STEPS: f64 = 12.0;
/// The highest cost that still counts: beyond it a change is as good as impossible anyway.
const COST_MAX: f64 = 200.0;
/// Samples that change less often than this are not considered. Lower takes longer and gains a few
/// thousandths of the distortion.
const RARE: f64 = 1e-3;
/// With little to hide, nor those that change less often than so, for each bit a sample.
const RARE_OF_RATE: f64 = 0.01;
/// But at least so many are, for each bit.
const CANDIDATES: u64 = 128;

/// Bits of the second layer that are read and solved for in one piece.
const GROUP_BITS: usize = 8192;
/// Segments on which the split between layers is tried, at least, and changes that they should have:
/// their number is then known to 1.5 %.
const TRIALS: usize = 4;
const TRIED: f64 = 5000.0;
/// Matrices and splits that are tried before directions are left unused. One is nearly always
/// enough.
const ATTEMPTS: u8 = 8;

/// What a reader has to know, beside the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) height: Height,
    pub(crate) layers: Layers,
}

/// How bits are split between whether samples change and which way they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layers {
    /// All samples are decided at once.
    AtOnce {
        /// Bits in the second layer.
        signs: u32,
        /// Which of the key's matrices the second layer is written with.
        matrix: u8,
    },
    /// In turns, see `turns`.
    InTurns(Split),
}

/// The height of the code for so many bits in so many carriers. Where there is little to hide, few
/// carriers are worth considering: a high code then takes no longer, for each carrier of the picture,
/// than a lower one with more to hide.
pub(crate) fn height_for(bits: usize, carriers: usize) -> Height {
    /// Up to so many bits a carrier, this height.
    const HEIGHTS: [(f64, u8); 2] = [(0.03, 12), (0.12, 11)];
    /// Beyond them.
    const LEAST: u8 = 10;
    /// In no more carriers than these, the highest takes some hundredths of a second.
    const FEW: usize = 1 << 20;
    if carriers <= FEW {
        return Height::new(super::stc::HEIGHT_MAX).expect("a height that there is");
    }
    let rate = bits as f64 / carriers.max(1) as f64;
    let suits = HEIGHTS.iter().find(|(most, _)| rate <= *most);
    let height = suits.map_or(LEAST, |(_, height)| *height);
    Height::new(height).expect("a height that there is")
}

/// Where a body goes and under which keys.
pub(crate) struct Site<'a> {
    pub(crate) ground: &'a Ground,
    /// Where there may be turns.
    pub(crate) grid: Option<Grid>,
    pub(crate) order: &'a [u8; 32],
    pub(crate) threads: usize,
}

/// What came of writing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) parameters: Parameters,
    /// The least that theory allows for as many bits.
    pub(crate) bound: Sums,
    /// What the changes cost.
    pub(crate) distortion: f64,
}

/// Each carrier that changes, with whether its next bit flips.
pub(crate) struct Changes(Vec<(u32, bool)>);

impl Changes {
    /// Makes them.
    pub(crate) fn apply<S: Sample>(self, samples: &mut [S]) {
        for (carrier, flip) in self.0 {
            let sample = &mut samples[carrier as usize];
            *sample = sample.stepped(flip);
        }
    }
}

/// Why a body was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Whoever asked gave up.
    Stopped,
    /// A segment could not be written, which does not happen below [`RATE_MAX`].
    Stuck,
}

/// Streams of the order key: what each is for.
const ORDER: u64 = 1 << 32;
const MATRICES: u64 = 1 << 33;

impl Site<'_> {
    fn deal(&self, bits: usize) -> Order {
        self.ground.order(bits, Stream::new(self.order, ORDER))
    }

    fn bands(&self, matrix: u8) -> Bands {
        let mut seed = Box::new([0; signs::SEED]);
        Stream::new(self.order, MATRICES + u64::from(matrix)).fill(seed.as_mut_slice());
        Bands::new(&seed)
    }

    /// Bits that always fit.
    pub(crate) fn capacity(ground: &Ground) -> usize {
        (ground.body() as f64 * RATE_MAX) as usize
    }

    /// What makes `samples`, each of which costs what `costs` says, carry `body`. Nothing is changed
    /// yet, so that no copy of the picture has to be there meanwhile: see [`Changes::apply`].
    pub(crate) fn write<S: Sample + Sync>(
        &self,
        samples: &[S],
        costs: &[Cost],
        body: &[u8],
        height: Height,
        random: &mut Stream,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<(Outcome, Changes), Refusal> {
        let bits = unpack(body);
        let census = self.census(samples, costs);
        let order = self.deal(bits.len());
        let writer = Writer {
            site: self,
            order: &order,
            samples,
            costs,
            census: &census,
            bits: &bits,
            height,
            go_on,
            pool: Mutex::default(),
        };
        let (layers, changes) = writer.write(random)?;
        let distortion = changes
            .iter()
            .map(|(carrier, _)| f64::from(value(costs[*carrier as usize])));
        let outcome = Outcome {
            parameters: Parameters { height, layers },
            bound: bound(&census, bits.len()),
            distortion: distortion.sum(),
        };
        Ok((outcome, Changes(changes)))
    }

    /// Reads a body of `length` bytes. `None` if the parameters make no sense for it.
    pub(crate) fn read<S: Sample + Sync>(
        &self,
        samples: &[S],
        length: usize,
        parameters: &Parameters,
    ) -> Option<Vec<u8>> {
        let bits = length
            .checked_mul(8)
            .filter(|bits| *bits <= Self::capacity(self.ground))?;
        match parameters.layers {
            Layers::AtOnce { signs, matrix } => {
                self.read_at_once(samples, bits, parameters.height, signs as usize, matrix)
            }
            Layers::InTurns(split) => self.read_in_turns(samples, bits, parameters.height, &split),
        }
    }

    fn read_at_once<S: Sample + Sync>(
        &self,
        samples: &[S],
        bits: usize,
        height: Height,
        signs: usize,
        matrix: u8,
    ) -> Option<Vec<u8>> {
        let changing = bits.checked_sub(signs)?;
        let order = self.deal(bits);
        let code = code(height, &order, changing);
        let bands = self.bands(matrix);
        let groups = order.groups(groups(&order, signs));
        let parts = workers::map(self.threads, groups, |group| {
            let mut gathered = Vec::new();
            let mut first_layer = vec![0; order.share(&group, changing).len()];
            let mut rest = first_layer.as_mut_slice();
            for segment in group.clone() {
                if signs == 0 {
                    gathered.clear();
                }
                let before = gathered.len();
                self.ground.gather(&order, segment, samples, &mut gathered);
                let share = order.share(&(segment..segment + 1), changing).len();
                let (read, left) = rest.split_at_mut(share);
                code.read(&gathered[before..], S::bit, read);
                rest = left;
            }
            let share = order.share(&group, signs).len();
            let second_layer = match signs {
                0 => Vec::new(),
                _ => Matrix::new(&bands, gathered.len(), share).read(&gathered, S::second_bit),
            };
            (first_layer, second_layer)
        });
        let mut all = Vec::with_capacity(bits);
        for (first, _) in &parts {
            all.extend_from_slice(first);
        }
        for (_, second) in &parts {
            all.extend_from_slice(second);
        }
        Some(pack(&all))
    }

    fn census<S: Sample>(&self, samples: &[S], costs: &[Cost]) -> Census {
        let mut census = Census::default();
        for part in self.ground.body_parts() {
            for (sample, cost) in samples[part.clone()].iter().zip(&costs[part]) {
                census.add(*cost, sample.is_extreme());
            }
        }
        let slots = |carrier: &&u32| {
            let parts = self.ground.body_parts();
            parts
                .iter()
                .any(|part| part.contains(&(**carrier as usize)))
        };
        for carrier in self.ground.public().iter().filter(slots) {
            let carrier = *carrier as usize;
            census.remove(costs[carrier], samples[carrier].is_extreme());
        }
        census
    }
}

/// The sums at the least distortion for so many bits.
pub(crate) fn bound(census: &Census, bits: usize) -> Sums {
    let all = |sums: &Sums| sums.changing + sums.ways;
    census.sums(census.solve(bits as f64, all))
}

fn groups(order: &Order, signs: usize) -> usize {
    (signs / GROUP_BITS).clamp(1, order.segments())
}

fn code(height: Height, order: &Order, bits: usize) -> Code {
    // Rounding may make a block of one segment a little wider than the mean.
    let mut widest = 0;
    for segment in 0..order.segments() {
        let segment = segment..segment + 1;
        let share = order.share(&segment, bits).len().max(1);
        widest = widest.max(order.span(&segment).len().div_ceil(share));
    }
    Code::new(height, widest)
}

struct Writer<'a, S> {
    site: &'a Site<'a>,
    order: &'a Order,
    samples: &'a [S],
    costs: &'a [Cost],
    census: &'a Census,
    bits: &'a [u8],
    height: Height,
    go_on: &'a (dyn Fn() -> bool + Sync),
    pool: Mutex<Vec<Scratch<S>>>,
}

/// What changes in a segment. Its carriers are computed anew where they are needed: kept for a whole
/// picture they would take four times the picture.
struct Changed {
    segment: usize,
    /// Elements that change, by their number in the order of the code.
    elements: Vec<u32>,
    /// How many of them may go either way.
    free: usize,
}

/// Memory of one segment after another.
#[derive(Default)]
struct Scratch<S> {
    trellis: Trellis,
    samples: Vec<S>,
    costs: Vec<Cost>,
    prices: Vec<u8>,
    /// The bits that the carriers have, or flipped where a change is likelier than none; then those
    /// that they get.
    bits: Vec<u8>,
    changes: Vec<u8>,
}

impl<S: Sample + Sync> Writer<'_, S> {
    /// The layers, and each carrier that changes with whether its next bit flips.
    fn write(&self, random: &mut Stream) -> Result<(Layers, Vec<(u32, bool)>), Refusal> {
        let mut signs = self.expect_signs()?;
        for matrix in 0..ATTEMPTS {
            if matrix == ATTEMPTS - 1 {
                signs = 0;
            }
            let changed = self.change((0..self.order.segments()).collect(), signs)?;
            if let Some(changes) = self.direct(changed, signs, matrix, random)? {
                let signs = signs as u32;
                return Ok((Layers::AtOnce { signs, matrix }, changes));
            }
            signs = signs * 95 / 100;
        }
        Err(Refusal::Stuck)
    }

    /// How many bits the directions of changes will carry.
    fn expect_signs(&self) -> Result<usize, Refusal> {
        let total = self.bits.len();
        let first = signs::bits_for(bound(self.census, total).ways as usize);
        if first == 0 {
            return Ok(0);
        }
        // A real code changes somewhat more than the bound has it: try how much.
        let at_bound = |signs: usize| {
            let bits = (total - signs) as f64;
            let lambda = self.census.solve(bits, |sums| sums.changing);
            self.census.sums(lambda).ways.max(1.0)
        };
        let segments = self.order.segments();
        let wanted = (TRIED * segments as f64 / at_bound(first)).ceil() as usize;
        let step = (segments / wanted.max(TRIALS)).max(1);
        let trials: Vec<usize> = (0..segments).step_by(step).collect();
        let elements: usize = trials
            .iter()
            .map(|i| self.order.span(&(*i..i + 1)).len())
            .sum();
        let changed = self.change(trials, first)?;
        let count: usize = changed.iter().map(|changed| changed.free).sum();
        let all = count as f64 * self.order.elements() as f64 / elements as f64;
        let more = all / at_bound(first);
        let mut signs = first;
        for _ in 0..2 {
            // Each group of segments loses a band at its ends.
            let groups = groups(self.order, signs);
            let each = signs::bits_for((more * at_bound(signs) / groups as f64) as usize);
            signs = (each * groups * 99 / 100).min(total / 2);
        }
        Ok(signs)
    }

    /// What changes in each of `segments`.
    fn change(&self, segments: Vec<usize>, signs: usize) -> Result<Vec<Changed>, Refusal> {
        let changing = self.bits.len() - signs;
        let code = code(self.height, self.order, changing);
        let prices = Prices::new(self.census, changing, signs > 0);
        let done = workers::map(self.site.threads, segments, |segment| {
            if !(self.go_on)() {
                return Err(Refusal::Stopped);
            }
            let pool = || {
                self.pool
                    .lock()
                    .unwrap_or_else(|poisoned| poisoned.into_inner())
            };
            let mut scratch = pool().pop().unwrap_or_default();
            let share = self.order.share(&(segment..segment + 1), changing);
            let message = &self.bits[share];
            let changed = self.change_segment(segment, message, &code, &prices, &mut scratch);
            pool().push(scratch);
            changed.ok_or(Refusal::Stuck)
        });
        done.into_iter().collect()
    }

    fn change_segment(
        &self,
        segment: usize,
        message: &[u8],
        code: &Code,
        prices: &Prices,
        scratch: &mut Scratch<S>,
    ) -> Option<Changed> {
        let Scratch {
            trellis,
            samples,
            costs,
            prices: of_segment,
            bits,
            changes,
        } = scratch;
        let mut changed = Changed {
            segment,
            elements: Vec::new(),
            free: 0,
        };
        if message.is_empty() {
            return Some(changed);
        }
        let ground = self.site.ground;
        samples.clear();
        costs.clear();
        ground.gather(self.order, segment, self.samples, samples);
        ground.gather(self.order, segment, self.costs, costs);
        for lane in [&mut *of_segment, &mut *bits, &mut *changes] {
            lane.clear();
            lane.resize(samples.len(), 0);
        }
        // Slices of one length, so that the loop checks no bounds.
        let lanes = of_segment.iter_mut().zip(&mut *bits);
        for ((sample, cost), (price, bit)) in samples.iter().zip(&*costs).zip(lanes) {
            let (of_cost, invert) = prices.of(*cost, sample.is_extreme());
            *price = of_cost;
            *bit = sample.bit() ^ u8::from(invert);
        }
        // Each block needs one that may change: the cheapest.
        for block in blocks(message.len(), samples.len()) {
            if of_segment[block.clone()]
                .iter()
                .all(|price| *price == NEVER)
            {
                let cheapest = block.min_by_key(|i| costs[*i])?;
                of_segment[cheapest] = COST_MAX as u8;
            }
        }
        if !code.write(trellis, of_segment, bits, message, changes) {
            return None;
        }
        for (i, (sample, after)) in samples.iter().zip(&*bits).enumerate() {
            if sample.bit() != *after {
                changed.elements.push(i as u32);
                changed.free += usize::from(!sample.is_extreme());
            }
        }
        Some(changed)
    }

    /// Decides which way changed samples go. `None` if they cannot carry what they should.
    fn direct(
        &self,
        changed: Vec<Changed>,
        signs: usize,
        matrix: u8,
        random: &mut Stream,
    ) -> Result<Option<Vec<(u32, bool)>>, Refusal> {
        let message = &self.bits[self.bits.len() - signs..];
        let bands = self.site.bands(matrix);
        let mut left = changed.into_iter();
        let groups: Vec<_> = self
            .order
            .groups(groups(self.order, signs))
            .into_iter()
            .map(|group| {
                let segments: Vec<_> = left.by_ref().take(group.len()).collect();
                (group, segments, random.next_bytes::<32>())
            })
            .collect();
        let directed = workers::map(self.site.threads, groups, |(group, segments, seed)| {
            if !(self.go_on)() {
                return Err(Refusal::Stopped);
            }
            let mut random = Stream::new(&seed, 0);
            let (mut samples, mut choices, mut carriers) = (Vec::new(), Vec::new(), Vec::new());
            let mut changes = Vec::new();
            let ground = self.site.ground;
            for changed in &segments {
                let before = samples.len() as u32;
                if signs > 0 {
                    ground.gather(self.order, changed.segment, self.samples, &mut samples);
                }
                let places = ground.places(self.order, changed.segment);
                for i in &changed.elements {
                    let carrier = places.carrier(*i as usize);
                    if self.samples[carrier as usize].is_extreme() {
                        changes.push((carrier, false));
                        continue;
                    }
                    let flip = random.next_word() & 1 == 1;
                    choices.push(Choice {
                        sample: before + i,
                        flip,
                    });
                    carriers.push(carrier);
                }
            }
            if signs > 0 {
                let share = self.order.share(&group, signs);
                let matrix = Matrix::new(&bands, samples.len(), share.len());
                let read = matrix.read(&samples, S::second_bit);
                let target = read.iter().zip(&message[share]).map(|(a, b)| a ^ b);
                if !matrix.solve(&mut choices, &target.collect::<Vec<u8>>()) {
                    return Ok(None);
                }
            }
            changes.extend(
                carriers
                    .into_iter()
                    .zip(choices.iter().map(|choice| choice.flip)),
            );
            Ok(Some(changes))
        });
        let mut all = Vec::new();
        for group in directed {
            match group? {
                Some(changes) => all.extend(changes),
                None => return Ok(None),
            }
        }
        Ok(Some(all))
    }
}

/// Costs as the trellis takes them.
pub(crate) struct Prices {
    free: Vec<u8>,
    extreme: Vec<u8>,
    /// Free samples below this change more often than not: the trellis has them changed to begin
    /// with, and decides which to change back.
    inverted_below: Cost,
}

impl Prices {
    /// For so many bits carried by changes, whose directions carry more, or not.
    pub(crate) fn new(census: &Census, bits: usize, directed: bool) -> Self {
        let lambda = census.solve(bits as f64, |sums| sums.changing);
        // A change that may go two ways is twice as likely.
        let ways = if directed {
            std::f64::consts::LN_2
        } else {
            0.0
        };
        let enough = census.cheapest(CANDIDATES * bits as u64);
        let rate = bits as f64 / census.count().max(1) as f64;
        let rare = RARE.min(RARE_OF_RATE * rate);
        let table = |ways: f64| {
            let mut table = vec![NEVER; usize::from(WET) + 1];
            for (cost, price) in table.iter_mut().enumerate().take(usize::from(WET)) {
                let odds = lambda * f64::from(value(cost as Cost)) - ways;
                if odds > -rare.ln() || cost > usize::from(enough) {
                    break;
                }
                *price = (odds.abs() * STEPS).round().min(COST_MAX) as u8;
            }
            table
        };
        let (free, extreme) = (table(ways), table(0.0));
        let inverted = (0..WET).take_while(|cost| lambda * f64::from(value(*cost)) < ways);
        Self {
            inverted_below: inverted.last().map_or(0, |last| last + 1),
            free,
            extreme,
        }
    }

    /// The price of a sample, and whether it starts out changed.
    #[inline]
    pub(crate) fn of(&self, cost: Cost, extreme: bool) -> (u8, bool) {
        if extreme {
            (self.extreme[usize::from(cost)], false)
        } else {
            (self.free[usize::from(cost)], cost < self.inverted_below)
        }
    }
}

/// One bit a byte, lowest first.
fn unpack(bytes: &[u8]) -> Vec<u8> {
    let bits = bytes
        .iter()
        .flat_map(|byte| (0..8).map(move |i| byte >> i & 1));
    bits.collect()
}

fn pack(bits: &[u8]) -> Vec<u8> {
    let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | bit);
    bits.chunks(8).map(byte).collect()
}

#[cfg(test)]
mod tests;
