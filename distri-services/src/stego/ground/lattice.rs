//! The order of the carriers of one turn: runs at a stride, dealt and shuffled like the others.
//!
//! A run is up to [`RUN`] carriers of one row. Ends of rows, slots and public samples cut runs short; the
//! short ones come last in their segment, the longest of them first, so that the carriers of one number
//! are those of the first runs, and nothing has to be listed one by one.

use super::{
    super::{grid::Grid, layout::Stream},
    Ground, Order, RUN, Segment, Shape, segments_for, shuffle,
};

/// Which carriers the runs of a segment of a turn have.
pub(crate) struct Strided {
    stride: usize,
    /// Elements up to and with the carriers of each number within their runs.
    ends: Box<[u32; RUN]>,
}

/// A run of a turn.
#[derive(Clone, Copy)]
struct Run {
    start: u32,
    length: u32,
}

impl Ground {
    /// Carriers of the body in one turn.
    pub(crate) fn body_in_turn(&self, grid: &Grid, turn: usize) -> usize {
        let mut body = 0;
        self.runs(grid, turn, |run| body += run.length as usize);
        body
    }

    /// The body's carriers of one turn in keyed order, for so many bits.
    pub(crate) fn order_of_turn(
        &self,
        grid: &Grid,
        turn: usize,
        bits: usize,
        mut order: Stream,
    ) -> Order {
        let (mut all, mut body) = (Vec::new(), 0);
        self.runs(grid, turn, |run| {
            all.push(run);
            body += run.length as usize;
        });
        let count = segments_for(bits, body);
        let room = all.len() / count + 2;
        let mut segments: Vec<Vec<Run>> = (0..count).map(|_| Vec::with_capacity(room)).collect();
        let mut round: Vec<u32> = (0..count as u32).collect();
        for runs in all.chunks(count) {
            shuffle(&mut round, &mut order);
            for (run, segment) in runs.iter().zip(&round) {
                segments[*segment as usize].push(*run);
            }
        }
        drop(all);
        let (mut ends, mut end) = (Vec::with_capacity(count), 0);
        let segments = segments.into_iter().map(|mut runs| {
            shuffle(&mut runs, &mut order);
            runs.sort_by_key(|run| std::cmp::Reverse(run.length));
            let strided = Strided::new(&runs, grid.stride());
            end += strided.elements();
            ends.push(end);
            Segment {
                runs: runs.into_iter().map(|run| run.start).collect(),
                shape: Shape::Strided(strided),
            }
        });
        Order {
            segments: segments.collect(),
            ends,
        }
    }

    /// Calls `each` with the runs of a turn, row by row.
    fn runs(&self, grid: &Grid, turn: usize, mut each: impl FnMut(Run)) {
        let stride = grid.stride();
        for (first, count) in grid.rows(grid.turn(turn)) {
            let row = first..first + (count - 1) * stride + 1;
            if self.is_free(&row) {
                for begin in (0..count).step_by(RUN) {
                    each(Run {
                        start: (first + begin * stride) as u32,
                        length: (count - begin).min(RUN) as u32,
                    });
                }
                continue;
            }
            for begin in (0..count).step_by(RUN) {
                let end = (begin + RUN).min(count);
                let mut run = None;
                for i in begin..end {
                    let carrier = first + i * stride;
                    match (&mut run, self.is_in_body(carrier)) {
                        (None, true) => {
                            run = Some(Run {
                                start: carrier as u32,
                                length: 1,
                            });
                        }
                        (Some(run), true) => run.length += 1,
                        (_, false) => run.take().into_iter().for_each(&mut each),
                    }
                }
                run.into_iter().for_each(&mut each);
            }
        }
    }

    /// Whether all carriers in a range are the body's.
    pub(crate) fn is_free(&self, range: &std::ops::Range<usize>) -> bool {
        let apart =
            |slot: &std::ops::Range<usize>| slot.end <= range.start || range.end <= slot.start;
        self.slots.iter().all(apart) && self.free_in(range) == range.len()
    }

    pub(crate) fn is_in_body(&self, carrier: usize) -> bool {
        !self.slots.iter().any(|slot| slot.contains(&carrier))
            && self.public.binary_search(&(carrier as u32)).is_err()
    }
}

impl Strided {
    fn new(runs: &[Run], stride: usize) -> Self {
        let mut ends = Box::new([0; RUN]);
        let (mut end, mut count) = (0, runs.len());
        for (i, after) in ends.iter_mut().enumerate() {
            while count > 0 && runs[count - 1].length as usize <= i {
                count -= 1;
            }
            end += count as u32;
            *after = end;
        }
        Self { stride, ends }
    }

    fn elements(&self) -> usize {
        self.ends[RUN - 1] as usize
    }

    /// See [`Ground::gather`].
    pub(super) fn gather<T: Copy + Default>(&self, runs: &[u32], from: &[T], to: &mut Vec<T>) {
        match self.stride {
            2 => self.gather_by::<T, 2, { (RUN - 1) * 2 + 1 }>(runs, from, to),
            _ => self.gather_by::<T, 6, { (RUN - 1) * 6 + 1 }>(runs, from, to),
        }
    }

    /// With the stride and the carriers that a run spans known, nothing is checked but once a run.
    fn gather_by<T: Copy + Default, const STRIDE: usize, const SPAN: usize>(
        &self,
        runs: &[u32],
        from: &[T],
        to: &mut Vec<T>,
    ) {
        /// Runs that are read side by side, so that whole cache lines are written.
        const BLOCK: usize = 64;
        let before = to.len();
        to.resize(before + self.elements(), T::default());
        let to = &mut to[before..];
        let whole = self.count(RUN - 1);
        let nothing = [T::default(); SPAN];
        for (block, starts) in runs[..whole].chunks(BLOCK).enumerate() {
            let mut sources = [&nothing; BLOCK];
            for (source, start) in sources.iter_mut().zip(starts) {
                let rest = &from[*start as usize..];
                *source = rest
                    .first_chunk()
                    .expect("a whole run is within the picture");
            }
            for i in 0..RUN {
                let row = &mut to[self.begin(i) + block * BLOCK..];
                for (to, source) in row.iter_mut().zip(&sources[..starts.len()]) {
                    *to = source[i * STRIDE];
                }
            }
        }
        for i in 0..RUN {
            let short = whole..self.count(i);
            let row = &mut to[self.begin(i) + whole..];
            for (to, start) in row.iter_mut().zip(&runs[short]) {
                *to = from[*start as usize + i * STRIDE];
            }
        }
    }

    /// The carrier of an element.
    pub(super) fn carrier(&self, runs: &[u32], element: usize) -> u32 {
        let i = self.ends.partition_point(|end| *end as usize <= element);
        runs[element - self.begin(i)] + (i * self.stride) as u32
    }

    fn begin(&self, i: usize) -> usize {
        i.checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize)
    }

    /// Runs that have a carrier of this number.
    fn count(&self, i: usize) -> usize {
        self.ends[i] as usize - self.begin(i)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::layout::SLOTS, *};

    #[test]
    fn every_carrier_belongs_to_exactly_one_turn_and_place() {
        for (width, height, channels) in
            [(160, 161, 3), (333, 100, 3), (401, 203, 1), (2, 20_000, 1)]
        {
            let grid = Grid::new(width, height, channels);
            let carriers = width * height * channels;
            let public: Vec<u32> = (0..512).map(|i| i * (carriers as u32 / 700) + 3).collect();
            let ground = Ground::new(carriers, public.clone()).unwrap();
            let every: Vec<u32> = (0..carriers as u32).collect();
            let mut all = public;
            for slot in 0..SLOTS {
                all.extend(ground.slot(slot, Stream::new(&[2; 32], 0)));
            }
            for turn in 0..grid.turns() {
                let order = ground.order_of_turn(&grid, turn, 3000, Stream::new(&[1; 32], 0));
                assert_eq!(order.elements(), ground.body_in_turn(&grid, turn));
                for segment in 0..order.segments() {
                    let mut gathered = Vec::new();
                    ground.gather(&order, segment, &every, &mut gathered);
                    assert_eq!(gathered.len(), order.span(&(segment..segment + 1)).len());
                    let places = ground.places(&order, segment);
                    let placed = (0..gathered.len()).map(|element| places.carrier(element));
                    assert!(
                        placed.eq(gathered.iter().copied()),
                        "what is gathered is placed"
                    );
                    for carrier in &gathered {
                        let (y, along) = (
                            *carrier as usize / grid.row(),
                            *carrier as usize % grid.row(),
                        );
                        let (x, channel) = (along / channels, along % channels);
                        assert_eq!(grid.number(y, x, channel), turn);
                        assert!(ground.is_in_body(*carrier as usize));
                    }
                    all.extend(gathered);
                }
            }

            all.sort_unstable();
            assert!(all.into_iter().eq(0..carriers as u32), "{width} × {height}");
        }
    }

    #[test]
    fn neighbours_in_the_code_are_none_in_the_picture() {
        let grid = Grid::new(1000, 700, 3);
        let ground = Ground::new(2_100_000, Vec::new()).unwrap();
        let order = ground.order_of_turn(&grid, 4, 40_000, Stream::new(&[1; 32], 0));
        let mut near = 0;

        let places = ground.places(&order, 0);
        let count = order.span(&(0..1)).len();
        for element in 1..count {
            let (a, b) = (places.carrier(element - 1), places.carrier(element));
            near += usize::from(a.abs_diff(b) < 100);
        }

        assert!(near < count / 100, "{near} of {count}");
    }
}
