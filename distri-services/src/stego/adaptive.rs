//! Adaptive embedding: changes go where they are hardest to notice, and are as few and as cheap as
//! is nearly the least that theory allows.
//!
//! A message's bits are in two layers. The first is carried by *whether* samples change: a
//! syndrome-trellis code over lowest bits (`stc`) finds the cheapest changes. The second is carried
//! by *which way* the changed ones go (`signs`). How many bits each gets follows from the entropy of
//! either choice at the least possible distortion (`bound`), corrected by a trial on a few segments,
//! and is written in the sealed header.
//!
//! The trellis gets costs in bytes: the logarithm of the odds against a change, in twelfths. In
//! that measure precision is spent where it matters, and a path that is 255 dearer than the best is
//! e^21 times less likely.

use std::sync::Mutex;

use super::{
    bound::{Census, Sums},
    cost::{Cost, WET, value},
    ground::{Ground, Order},
    layout::Stream,
    sample::Sample,
    signs::{self, Bands, Choice, Matrix},
    stc::{Code, Height, NEVER, Trellis, block_end},
    workers,
};

/// Bits of a body for each carrier of the body, at most. Up to here every message fits, whatever
/// the costs; beyond it, there is little choice left to adapt with.
pub(crate) const RATE_MAX: f64 = 0.9;

/// Steps of a cost in a byte for each factor of e in the odds against a change.
const STEPS: f64 = 12.0;
/// The highest cost that still counts: beyond it a change is as good as impossible anyway.
const COST_MAX: f64 = 200.0;
/// Samples that change less often than this are not considered.
const RARE: f64 = 1e-4;
/// But at least so many are, for each bit.
const CANDIDATES: u64 = 128;

/// Bits of the second layer that are read and solved for in one piece.
const GROUP_BITS: usize = 8192;
/// Segments on which the split between layers is tried.
const TRIALS: usize = 4;
/// Matrices and splits that are tried before directions are left unused. One is nearly always
/// enough.
const ATTEMPTS: u8 = 8;

/// What a reader has to know, beside the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) height: Height,
    /// Bits in the second layer.
    pub(crate) signs: u32,
    /// Which of the key's matrices the second layer is written with.
    pub(crate) matrix: u8,
}

/// Where a body goes and under which keys.
pub(crate) struct Site<'a> {
    pub(crate) ground: &'a Ground,
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

    /// Puts `body` into `samples`, each of which costs what `costs` says.
    pub(crate) fn write<S: Sample + Send + Sync>(
        &self,
        samples: &mut [S],
        costs: &[Cost],
        body: &[u8],
        height: Height,
        random: &mut Stream,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Outcome, Refusal> {
        let bits = unpack(body);
        let census = self.census(samples, costs);
        let order = self.deal(bits.len());
        let writer = Writer {
            site: self,
            order: &order,
            samples: &*samples,
            costs,
            census: &census,
            bits: &bits,
            height,
            go_on,
            pool: Mutex::default(),
        };
        let (parameters, changes) = writer.write(random)?;
        let distortion = changes
            .iter()
            .map(|(carrier, _)| f64::from(value(costs[*carrier as usize])));
        let outcome = Outcome {
            parameters,
            bound: bound(&census, bits.len()),
            distortion: distortion.sum(),
        };
        for (carrier, flip) in changes {
            let sample = &mut samples[carrier as usize];
            *sample = sample.stepped(flip);
        }
        Ok(outcome)
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
        let signs = parameters.signs as usize;
        let changing = bits.checked_sub(signs)?;
        let order = self.deal(bits);
        let code = code(parameters.height, &order, changing);
        let bands = self.bands(parameters.matrix);
        let groups = order.groups(groups(&order, signs));
        let parts = workers::map(self.threads, groups, |group| {
            let (mut carriers, mut lowest, mut second) = (Vec::new(), Vec::new(), Vec::new());
            let mut first_layer = vec![0; order.share(&group, changing).len()];
            let mut rest = first_layer.as_mut_slice();
            for segment in group.clone() {
                self.ground.carriers(&order, segment, &mut carriers);
                lowest.clear();
                lowest.extend(carriers.iter().map(|c| samples[*c as usize].bit()));
                if signs > 0 {
                    second.extend(carriers.iter().map(|c| samples[*c as usize].second_bit()));
                }
                let share = order.share(&(segment..segment + 1), changing).len();
                let (read, left) = rest.split_at_mut(share);
                code.read(&lowest, read);
                rest = left;
            }
            let share = order.share(&group, signs).len();
            let second_layer = match signs {
                0 => Vec::new(),
                _ => Matrix::new(&bands, second.len(), share).read(&second),
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
    pool: Mutex<Vec<Scratch>>,
}

/// The carriers of a segment in the order of the code, and which of them change, by number.
type Changed = (Vec<u32>, Vec<u32>);

/// Memory of one segment after another.
#[derive(Default)]
struct Scratch {
    trellis: Trellis,
    carriers: Vec<u32>,
    costs: Vec<u8>,
    bits: Vec<u8>,
    changes: Vec<u8>,
}

impl<S: Sample + Sync> Writer<'_, S> {
    /// The parameters, and each carrier that changes with whether its next bit flips.
    fn write(&self, random: &mut Stream) -> Result<(Parameters, Vec<(u32, bool)>), Refusal> {
        let mut signs = self.expect_signs()?;
        for matrix in 0..ATTEMPTS {
            if matrix == ATTEMPTS - 1 {
                signs = 0;
            }
            let parameters = Parameters {
                height: self.height,
                signs: signs as u32,
                matrix,
            };
            let changed = self.change((0..self.order.segments()).collect(), signs)?;
            if let Some(changes) = self.direct(changed, &parameters, random)? {
                return Ok((parameters, changes));
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
        let segments = self.order.segments();
        let trials: Vec<usize> = (0..segments).step_by(segments.div_ceil(TRIALS)).collect();
        let elements: usize = trials
            .iter()
            .map(|i| self.order.span(&(*i..i + 1)).len())
            .sum();
        let mut signs = first;
        for _ in 0..if segments == 1 { 1 } else { 2 } {
            let changed = self.change(trials.clone(), signs)?;
            let free = |(carriers, changed): &Changed| {
                let free = |i: &&u32| !self.samples[carriers[**i as usize] as usize].is_extreme();
                changed.iter().filter(free).count()
            };
            let count: usize = changed.iter().map(free).sum();
            let all = count as f64 * self.order.elements() as f64 / elements as f64;
            // Each group of segments loses a band at its ends.
            let groups = groups(self.order, signs);
            let each = signs::bits_for((all / groups as f64) as usize);
            signs = (each * groups * 99 / 100).min(total / 2);
        }
        Ok(signs)
    }

    /// Carriers of each of `segments`, and which of them change.
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
            let carriers = scratch.carriers.clone();
            pool().push(scratch);
            changed
                .map(|changed| (carriers, changed))
                .ok_or(Refusal::Stuck)
        });
        done.into_iter().collect()
    }

    fn change_segment(
        &self,
        segment: usize,
        message: &[u8],
        code: &Code,
        prices: &Prices,
        scratch: &mut Scratch,
    ) -> Option<Vec<u32>> {
        let Scratch {
            trellis,
            carriers,
            costs,
            bits,
            changes,
        } = scratch;
        self.site.ground.carriers(self.order, segment, carriers);
        if message.is_empty() {
            return Some(Vec::new());
        }
        costs.clear();
        bits.clear();
        for carrier in &*carriers {
            let (sample, cost) = (
                self.samples[*carrier as usize],
                self.costs[*carrier as usize],
            );
            let (price, invert) = prices.of(cost, sample.is_extreme());
            costs.push(price);
            bits.push(sample.bit() ^ u8::from(invert));
        }
        // Each block needs one that may change: the cheapest.
        let mut from = 0;
        for block in 0..message.len() {
            let to = block_end(block, message.len(), carriers.len());
            if costs[from..to].iter().all(|cost| *cost == NEVER) {
                let cost = |i: &usize| self.costs[carriers[*i] as usize];
                let cheapest = (from..to).min_by_key(cost)?;
                costs[cheapest] = COST_MAX as u8;
            }
            from = to;
        }
        changes.clear();
        changes.resize(carriers.len(), 0);
        if !code.write(trellis, costs, bits, message, changes) {
            return None;
        }
        let changed = carriers.iter().zip(&*bits).enumerate();
        let changed =
            changed.filter(|(_, (carrier, bit))| self.samples[**carrier as usize].bit() != **bit);
        Some(changed.map(|(i, _)| i as u32).collect())
    }

    /// Decides which way changed samples go. `None` if they cannot carry what they should.
    fn direct(
        &self,
        changed: Vec<Changed>,
        parameters: &Parameters,
        random: &mut Stream,
    ) -> Result<Option<Vec<(u32, bool)>>, Refusal> {
        let signs = parameters.signs as usize;
        let message = &self.bits[self.bits.len() - signs..];
        let bands = self.site.bands(parameters.matrix);
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
            let (mut second, mut choices, mut carriers) = (Vec::new(), Vec::new(), Vec::new());
            let mut changes = Vec::new();
            for (of_segment, changed) in &segments {
                let before = second.len() as u32;
                second.extend(
                    of_segment
                        .iter()
                        .map(|c| self.samples[*c as usize].second_bit()),
                );
                for i in changed {
                    let carrier = of_segment[*i as usize];
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
                let matrix = Matrix::new(&bands, second.len(), share.len());
                let read = matrix.read(&second);
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
        let rare = RARE.min(0.02 * bits as f64 / census.count().max(1) as f64);
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

/// Puts bits into samples by whether they change alone, in the order given. For headers.
pub(crate) fn write_plainly<S: Sample>(
    samples: &mut [S],
    costs: &[Cost],
    carriers: &[u32],
    bytes: &[u8],
    height: Height,
    random: &mut Stream,
) -> Result<(), Refusal> {
    let message = unpack(bytes);
    let mut census = Census::default();
    for carrier in carriers {
        census.add(
            costs[*carrier as usize],
            samples[*carrier as usize].is_extreme(),
        );
    }
    let prices = Prices::new(&census, message.len(), false);
    let code = Code::new(height, carriers.len().div_ceil(message.len()));
    let mut bits: Vec<u8> = carriers
        .iter()
        .map(|c| samples[*c as usize].bit())
        .collect();
    let price = |carrier: &u32| prices.of(costs[*carrier as usize], false).0;
    let mut prices: Vec<u8> = carriers.iter().map(price).collect();
    let mut from = 0;
    for block in 0..message.len() {
        let to = block_end(block, message.len(), carriers.len());
        let cost = |i: &usize| costs[carriers[*i] as usize];
        let cheapest = (from..to).min_by_key(cost).ok_or(Refusal::Stuck)?;
        prices[cheapest] = prices[cheapest].min(COST_MAX as u8);
        from = to;
    }
    let mut changes = vec![0; bits.len()];
    if !code.write(
        &mut Trellis::default(),
        &prices,
        &mut bits,
        &message,
        &mut changes,
    ) {
        return Err(Refusal::Stuck);
    }
    for (carrier, change) in carriers.iter().zip(changes) {
        if change == 1 {
            let sample = &mut samples[*carrier as usize];
            *sample = sample.stepped(random.next_word() & 1 == 1);
        }
    }
    Ok(())
}

/// Reads what [`write_plainly`] wrote.
pub(crate) fn read_plainly<S: Sample>(
    samples: &[S],
    carriers: &[u32],
    bytes: &mut [u8],
    height: Height,
) {
    let mut read = vec![0; bytes.len() * 8];
    let bits: Vec<u8> = carriers
        .iter()
        .map(|c| samples[*c as usize].bit())
        .collect();
    Code::new(height, carriers.len().div_ceil(read.len())).read(&bits, &mut read);
    bytes.copy_from_slice(&pack(&read));
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
mod tests {
    use super::*;

    struct Cover {
        samples: Vec<u8>,
        costs: Vec<Cost>,
        ground: Ground,
    }

    /// Samples and costs as of a photograph, more or less.
    fn cover(carriers: usize, seed: u64) -> Cover {
        let mut random = Stream::new(&[seed as u8; 32], seed);
        let mut cost = || {
            let sum: u32 = (0..4).map(|_| random.next_word() >> 20).sum();
            ((f64::from(sum) / 1500.0 - 5.0).exp() as f32).to_bits() >> 15
        };
        let costs = (0..carriers).map(|_| cost() as Cost).collect();
        let samples = (0..carriers).map(|_| random.next_word() as u8).collect();
        let public = (0..512).map(|i| i * (carriers as u32 / 600) + 3).collect();
        Cover {
            samples,
            costs,
            ground: Ground::new(carriers, public).unwrap(),
        }
    }

    fn site<'a>(ground: &'a Ground, order: &'a [u8; 32]) -> Site<'a> {
        Site {
            ground,
            order,
            threads: 2,
        }
    }

    fn height(height: u8) -> Height {
        Height::new(height).unwrap()
    }

    #[test]
    fn what_is_written_is_read_for_every_length() {
        for carriers in [8192, 20_000, 150_000] {
            let cover = cover(carriers, 5);
            let site = site(&cover.ground, &[7; 32]);
            let room = Site::capacity(&cover.ground) / 8;
            for length in [20, 100, room / 20, room / 5, room / 2, room] {
                let mut random = Stream::new(&[9; 32], length as u64);
                let mut body = vec![0; length];
                random.fill(&mut body);
                let mut stego = cover.samples.clone();

                let outcome = site
                    .write(
                        &mut stego,
                        &cover.costs,
                        &body,
                        height(8),
                        &mut random,
                        &|| true,
                    )
                    .unwrap();

                let read = site.read(&stego, length, &outcome.parameters);
                assert!(read.as_ref() == Some(&body), "{length} bytes in {carriers}");
                let steps: Vec<u8> = cover
                    .samples
                    .iter()
                    .zip(&stego)
                    .map(|(a, b)| a.abs_diff(*b))
                    .collect();
                assert!(steps.iter().all(|step| *step <= 1));
                for public in cover.ground.public() {
                    assert_eq!(steps[*public as usize], 0, "the salt's samples stay");
                }
            }
        }
    }

    #[test]
    fn distortion_is_near_the_bound_at_every_rate() {
        let cover = cover(600_000, 6);
        let site = site(&cover.ground, &[7; 32]);
        for rate in [0.02, 0.05, 0.1, 0.2, 0.4] {
            let mut body = vec![0; (600_000.0 * rate / 8.0) as usize];
            let mut random = Stream::new(&[9; 32], 1);
            random.fill(&mut body);

            let outcome = site
                .write(
                    &mut cover.samples.clone(),
                    &cover.costs,
                    &body,
                    height(10),
                    &mut random,
                    &|| true,
                )
                .unwrap();

            let loss = outcome.distortion / outcome.bound.distortion;
            println!(
                "{rate}: distortion {loss:.3} of the bound, {:?}",
                outcome.parameters
            );
            assert!(loss < 1.2, "{loss} at {rate}");
        }
    }

    #[test]
    fn steps_go_up_as_often_as_down() {
        let cover = cover(200_000, 7);
        let site = site(&cover.ground, &[7; 32]);
        let (mut stego, mut random) = (cover.samples.clone(), Stream::new(&[9; 32], 1));

        site.write(
            &mut stego,
            &cover.costs,
            &[0; 4000],
            height(8),
            &mut random,
            &|| true,
        )
        .unwrap();

        for odd in [0, 1] {
            let pairs = cover
                .samples
                .iter()
                .zip(&stego)
                .filter(|(a, b)| a != b && **a % 2 == odd);
            let (all, up) =
                pairs.fold((0, 0), |(all, up), (a, b)| (all + 1, up + u32::from(b > a)));
            assert!(up * 10 > all * 4 && up * 10 < all * 6, "{up} of {all} up");
        }
    }

    #[test]
    fn giving_up_ends_it() {
        let cover = cover(100_000, 7);
        let site = site(&cover.ground, &[7; 32]);
        let (mut stego, mut random) = (cover.samples.clone(), Stream::new(&[9; 32], 1));

        let refused = site.write(
            &mut stego,
            &cover.costs,
            &[0; 1000],
            height(8),
            &mut random,
            &|| false,
        );

        assert_eq!(refused.err(), Some(Refusal::Stopped));
        assert!(stego == cover.samples);
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        let cover = cover(10_000, 7);
        let site = site(&cover.ground, &[7; 32]);
        let parameters = |signs| Parameters {
            height: height(8),
            signs,
            matrix: 0,
        };

        assert_eq!(site.read(&cover.samples, usize::MAX, &parameters(0)), None);
        assert_eq!(site.read(&cover.samples, 10_000, &parameters(0)), None);
        assert_eq!(site.read(&cover.samples, 10, &parameters(81)), None);
        assert!(site.read(&cover.samples, 10, &parameters(80)).is_some());
    }

    #[test]
    fn samples_at_the_ends_of_their_range_and_flat_pictures_carry_too() {
        for sample in [0u8, 255, 128] {
            let mut cover = cover(50_000, 8);
            cover.samples.fill(sample);
            cover.costs.fill(31_000);
            let site = site(&cover.ground, &[7; 32]);
            let (mut stego, mut random) = (cover.samples.clone(), Stream::new(&[9; 32], 1));

            let outcome = site
                .write(
                    &mut stego,
                    &cover.costs,
                    &[0x5A; 900],
                    height(8),
                    &mut random,
                    &|| true,
                )
                .unwrap();

            let read = site.read(&stego, 900, &outcome.parameters);
            assert!(read == Some(vec![0x5A; 900]), "all {sample}");
            assert!(stego.iter().all(|stego| stego.abs_diff(sample) <= 1));
        }
    }
}
