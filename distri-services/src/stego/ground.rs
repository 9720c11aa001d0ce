//! Which carriers an adaptive message uses for what, and in which order: pure arithmetic.
//!
//! Two *slots*, a sixteenth of the carriers each, at most [`SLOT_MAX`], lie a quarter and three
//! quarters down the picture and hold a sealed header each. All other carriers are the *body*'s.
//! The samples that the salts are read from (see `layout`) belong to neither.
//!
//! The body is cut into runs of [`RUN`] carriers, and the runs are dealt to *segments* in keyed
//! order, a round at a time, so that each segment is a fair sample of the whole picture, smooth and
//! rough parts alike, and a code word spreads over all of it. Within a segment the first carriers
//! of all its runs come first, then the second ones, and so on: neighbours in the code are far from
//! each other in the picture. That costs no shuffling of single samples, and memory is read in
//! pieces that the cache likes.

mod lattice;

use std::ops::Range;

use super::layout::{SLOTS, Stream};

/// Fewer carriers do not hold two headers and anything to speak of.
pub(crate) const CARRIERS_MIN: usize = 8192;

/// The largest slot. More spreads a header's changes thinner, and takes longer for each key tried.
const SLOT_MAX: usize = 48 * 1024;
/// The smallest slot: a header in it leaves the code some choice.
const SLOT_MIN: usize = 1280;

/// Carriers in a run: half of a cache line of 8-bit samples.
const RUN: usize = 32;

/// Elements in a segment. A segment's trellis fits the cache next to the processor; twice the
/// length loses 0.3 % less at the ends.
const SEGMENT: usize = 16 * 1024;
/// With little to hide, segments are longer, up to this.
const SEGMENT_MAX: usize = 1 << 20;
/// Bits that make a segment worth having.
const SEGMENT_BITS: usize = 256;

/// Carriers that are enough for a body of so many.
pub(crate) fn carriers_for(body: u64) -> u64 {
    let public = (SLOTS * super::layout::PUBLIC + RUN) as u64;
    let of_small = body + public + (SLOTS * SLOT_MIN) as u64;
    let of_large = (body + public) * 8 / 7 + 1;
    of_small.max(of_large).max(CARRIERS_MIN as u64)
}

/// Which carriers belong to whom.
pub(crate) struct Ground {
    carriers: usize,
    slots: [Range<usize>; SLOTS],
    /// Sorted.
    public: Vec<u32>,
    body: usize,
    /// The body's runs that salts are read from, or that the picture's end cuts short: the first
    /// carrier of each, in order, and how many carriers it has for the body.
    short: Vec<(u32, usize)>,
}

/// Carriers of a body, in the order of the code.
pub(crate) struct Order {
    segments: Vec<Segment>,
    /// Elements up to the end of each segment.
    ends: Vec<usize>,
}

/// Some runs of the body.
struct Segment {
    /// The first carrier of each.
    runs: Vec<u32>,
    shape: Shape,
}

/// Which carriers the runs of a segment have.
enum Shape {
    /// All of them.
    Whole,
    /// All but those that salts are read from and those beyond the end of the picture.
    Holes,
    /// Every so many: see `lattice`.
    Strided(lattice::Strided),
}

impl Ground {
    /// `None` if there are too few carriers. `public` are those that salts are read from.
    pub(crate) fn new(carriers: usize, mut public: Vec<u32>) -> Option<Self> {
        if carriers < CARRIERS_MIN {
            return None;
        }
        public.sort_unstable();
        let length = (carriers / 16).clamp(SLOT_MIN, SLOT_MAX) / RUN * RUN;
        let slot = |slot: usize| {
            let middle = carriers / (2 * SLOTS) * (2 * slot + 1);
            let start = (middle - length / 2) / RUN * RUN;
            start..start + length
        };
        let mut ground = Self {
            carriers,
            slots: [slot(0), slot(1)],
            public,
            body: 0,
            short: Vec::new(),
        };
        let slots = ground.slots.each_ref().map(|slot| ground.free_in(slot));
        ground.body = carriers - ground.public.len() - slots.iter().sum::<usize>();
        ground.short = ground.find_short();
        Some(ground)
    }

    fn find_short(&self) -> Vec<(u32, usize)> {
        let parts = self.body_parts();
        let in_body = |carrier: &u32| parts.iter().any(|part| part.contains(&(*carrier as usize)));
        // Parts begin where runs do: slots begin and end at whole runs.
        let last = self.carriers as u32 - 1;
        let carriers = self.public.iter().copied().filter(in_body).chain([last]);
        let mut starts: Vec<u32> = carriers
            .map(|carrier| carrier / RUN as u32 * RUN as u32)
            .collect();
        starts.dedup();
        let runs = starts.into_iter();
        runs.map(|start| (start, self.free_in(&self.run(start))))
            .filter(|(_, length)| *length < RUN)
            .collect()
    }

    /// Carriers of the body.
    pub(crate) fn body(&self) -> usize {
        self.body
    }

    /// The carriers of a slot, in an order that depends on `order`.
    pub(crate) fn slot(&self, slot: usize, mut order: Stream) -> Vec<u32> {
        let range = &self.slots[slot];
        let mut carriers: Vec<u32> = (range.start as u32..range.end as u32)
            .filter(|carrier| self.public.binary_search(carrier).is_err())
            .collect();
        shuffle(&mut carriers, &mut order);
        carriers
    }

    /// The parts of the picture that are the body's, public samples among them.
    pub(crate) fn body_parts(&self) -> [Range<usize>; SLOTS + 1] {
        let [first, second] = &self.slots;
        [
            0..first.start,
            first.end..second.start,
            second.end..self.carriers,
        ]
    }

    /// Where a slot is.
    pub(crate) fn slot_range(&self, slot: usize) -> Range<usize> {
        self.slots[slot].clone()
    }

    /// Carriers that a slot spreads over.
    pub(crate) fn slot_length(&self) -> usize {
        self.free_in(&self.slots[0])
    }

    pub(crate) fn public(&self) -> &[u32] {
        &self.public
    }

    /// The body's carriers in keyed order, for a message of so many bits.
    pub(crate) fn order(&self, bits: usize, mut order: Stream) -> Order {
        let count = segments_for(bits, self.body);
        let runs = self.body / RUN / count + 2;
        let empty = || Segment {
            runs: Vec::with_capacity(runs),
            shape: Shape::Whole,
        };
        let mut segments: Vec<Segment> = (0..count).map(|_| empty()).collect();
        let mut lengths = vec![0; count];
        let mut short = self.short.iter().peekable();
        let mut round: Vec<u32> = (0..count as u32).collect();
        let mut next = count;
        for part in self.body_parts() {
            for run in part.step_by(RUN) {
                if next == count {
                    shuffle(&mut round, &mut order);
                    next = 0;
                }
                let segment = round[next] as usize;
                let length = short.next_if(|(start, _)| *start as usize == run);
                if length.is_some() {
                    segments[segment].shape = Shape::Holes;
                }
                segments[segment].runs.push(run as u32);
                lengths[segment] += length.map_or(RUN, |(_, length)| *length);
                next += 1;
            }
        }
        // Dealt from the top of the picture to its bottom; code words see a fair part of it only if
        // neighbours in a segment are no neighbours in the picture.
        for segment in &mut segments {
            shuffle(&mut segment.runs, &mut order);
        }
        let ends = lengths.into_iter().scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        Order {
            ends: ends.collect(),
            segments,
        }
    }

    /// Puts what `from` has for each carrier of one segment, in the order of the code, behind what is
    /// in `to`.
    pub(crate) fn gather<T: Copy + Default>(
        &self,
        order: &Order,
        segment: usize,
        from: &[T],
        to: &mut Vec<T>,
    ) {
        /// Runs that are read side by side, so that whole cache lines are written.
        const BLOCK: usize = 64;
        let Segment { runs, shape } = &order.segments[segment];
        match shape {
            Shape::Whole => {}
            Shape::Holes => {
                to.extend(
                    self.carriers(order, segment)
                        .map(|carrier| from[carrier as usize]),
                );
                return;
            }
            Shape::Strided(strided) => return strided.gather(runs, from, to),
        }
        let before = to.len();
        to.resize(before + runs.len() * RUN, T::default());
        let to = &mut to[before..];
        let nothing = [T::default(); RUN];
        for (block, starts) in runs.chunks(BLOCK).enumerate() {
            let mut sources = [&nothing; BLOCK];
            for (source, start) in sources.iter_mut().zip(starts) {
                let rest = &from[*start as usize..];
                *source = rest
                    .first_chunk()
                    .expect("a whole run is within the picture");
            }
            for i in 0..RUN {
                let row = &mut to[i * runs.len() + block * BLOCK..];
                for (to, source) in row.iter_mut().zip(&sources[..starts.len()]) {
                    *to = source[i];
                }
            }
        }
    }

    /// The carriers of one segment by their number in the order of the code.
    pub(crate) fn places<'a>(&self, order: &'a Order, segment: usize) -> Places<'a> {
        let Segment { runs, shape } = &order.segments[segment];
        match shape {
            Shape::Whole => Places::Whole(runs),
            Shape::Holes => Places::Listed(self.carriers(order, segment).collect()),
            Shape::Strided(strided) => Places::Strided(runs, strided),
        }
    }

    /// The carriers of one segment of an [`Self::order`], in the order of the code.
    pub(crate) fn carriers(&self, order: &Order, segment: usize) -> impl Iterator<Item = u32> {
        let runs = &order.segments[segment].runs;
        let row = move |i: u32| {
            let there = move |run: &u32| {
                let carrier = run + i;
                let public = || self.public.binary_search(&carrier).is_ok();
                ((carrier as usize) < self.run(*run).end && !public()).then_some(carrier)
            };
            runs.iter().filter_map(there)
        };
        (0..RUN as u32).flat_map(row)
    }

    fn run(&self, start: u32) -> Range<usize> {
        let start = start as usize;
        start..(start + RUN).min(self.carriers)
    }

    /// Carriers in a range that no salt is read from.
    fn free_in(&self, range: &Range<usize>) -> usize {
        let before = |end: usize| {
            self.public
                .partition_point(|carrier| (*carrier as usize) < end)
        };
        range.len() - (before(range.end) - before(range.start))
    }
}

/// The carriers of a segment by their number in the order of the code.
pub(crate) enum Places<'a> {
    /// Of whole runs.
    Whole(&'a [u32]),
    /// One by one.
    Listed(Vec<u32>),
    /// Of runs of a lattice.
    Strided(&'a [u32], &'a lattice::Strided),
}

impl Places<'_> {
    pub(crate) fn carrier(&self, element: usize) -> u32 {
        match self {
            Self::Whole(runs) => runs[element % runs.len()] + (element / runs.len()) as u32,
            Self::Listed(carriers) => carriers[element],
            Self::Strided(runs, strided) => strided.carrier(runs, element),
        }
    }
}

impl Order {
    pub(crate) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Elements in all.
    pub(crate) fn elements(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Which elements a range of segments has.
    pub(crate) fn span(&self, segments: &Range<usize>) -> Range<usize> {
        let end = |segments: usize| segments.checked_sub(1).map_or(0, |last| self.ends[last]);
        end(segments.start)..end(segments.end)
    }

    /// The share of a range of segments in so many bits: by elements, to the bit.
    pub(crate) fn share(&self, segments: &Range<usize>, bits: usize) -> Range<usize> {
        let elements = self.elements().max(1) as u128;
        let share = |end: usize| (bits as u128 * end as u128 / elements) as usize;
        let span = self.span(segments);
        share(span.start)..share(span.end)
    }

    /// All segments, in so many groups of about equal size.
    pub(crate) fn groups(&self, count: usize) -> Vec<Range<usize>> {
        let bound = |group: usize| group * self.segments() / count;
        (0..count)
            .map(|group| bound(group)..bound(group + 1))
            .collect()
    }
}

/// How many segments so many carriers are cut into for so many bits.
fn segments_for(bits: usize, carriers: usize) -> usize {
    (bits / SEGMENT_BITS)
        .max(carriers.div_ceil(SEGMENT_MAX))
        .min(carriers.div_ceil(SEGMENT))
        .max(1)
}

/// Puts `cards` in random order.
fn shuffle<T>(cards: &mut [T], order: &mut Stream) {
    for i in (1..cards.len()).rev() {
        let choice = (u64::from(order.next_word()) * (i as u64 + 1)) >> 32;
        cards.swap(i, choice as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(carriers: usize) -> Vec<u32> {
        (0..512)
            .map(|i| (i * 131 * 7919 % carriers) as u32)
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    #[test]
    fn every_carrier_belongs_to_exactly_one() {
        for carriers in [CARRIERS_MIN, 10_001, 50_000, 786_432] {
            for bits in [100, 5000, carriers / 3] {
                let public = public(carriers);
                let ground = Ground::new(carriers, public.clone()).unwrap();
                let order = ground.order(bits, Stream::new(&[1; 32], 0));
                let mut all = public;
                for slot in 0..SLOTS {
                    all.extend(ground.slot(slot, Stream::new(&[2; 32], 0)));
                }
                let (every, mut gathered) =
                    ((0..carriers as u32).collect::<Vec<u32>>(), Vec::new());
                for i in 0..order.segments() {
                    let segment: Vec<u32> = ground.carriers(&order, i).collect();
                    assert_eq!(segment.len(), order.span(&(i..i + 1)).len());
                    gathered.clear();
                    ground.gather(&order, i, &every, &mut gathered);
                    assert!(gathered == segment, "what is gathered is the carriers' own");
                    let places = ground.places(&order, i);
                    let placed = (0..segment.len()).map(|element| places.carrier(element));
                    assert!(placed.eq(segment.iter().copied()), "so is what is placed");
                    all.extend(&segment);
                }
                assert_eq!(order.elements(), ground.body());

                all.sort_unstable();
                assert!(
                    all.into_iter().eq(0..carriers as u32),
                    "{carriers}, {bits} bits"
                );
            }
        }
    }

    #[test]
    fn so_many_carriers_are_enough() {
        for body in [1, 5000, 20_000, 100_000, 2_000_000] {
            let carriers = carriers_for(body) as usize;

            let ground = Ground::new(carriers, public(carriers)).unwrap();

            assert!(ground.body() as u64 >= body, "{body}");
        }
    }

    #[test]
    fn shares_add_up() {
        let ground = Ground::new(100_000, public(100_000)).unwrap();
        let order = ground.order(7001, Stream::new(&[1; 32], 0));
        for count in [1, 2, order.segments()] {
            let mut end = 0;
            for group in order.groups(count) {
                let share = order.share(&group, 7001);
                assert_eq!(share.start, end);
                end = share.end;
            }
            assert_eq!(end, 7001);
        }
    }

    #[test]
    fn orders_of_two_keys_have_little_in_common() {
        let ground = Ground::new(1_000_000, Vec::new()).unwrap();
        let first = |key: u8| {
            let order = ground.order(60_000, Stream::new(&[key; 32], 0));
            ground.carriers(&order, 0).collect::<Vec<u32>>()
        };

        let (one, other) = (first(1), first(2));

        let same = one.iter().filter(|carrier| other.contains(carrier)).count();
        assert!(same < one.len() / 10, "{same} of {}", one.len());
    }
}
