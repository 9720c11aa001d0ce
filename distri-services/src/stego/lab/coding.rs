//! The syndrome-trellis code by itself, on costs that are drawn: log-normal, as those of photographs
//! roughly are.

use super::super::{
    Error,
    adaptive::Prices,
    bound::Census,
    cost::{self, Cost},
    layout::Stream,
    stc::{Code, HEIGHT_MAX, HEIGHT_MIN, Height, NEVER, Trellis},
};

/// Spread of the logarithm of costs.
const SPREAD: f64 = 1.2;

/// What an element costs that the service would leave out, where all are asked for: no path takes
/// it if there is another.
const DEAREST: u8 = 200;

/// Segments of drawn elements, and a message for them.
pub struct Coding {
    code: Code,
    trellis: Trellis,
    costs: Vec<Cost>,
    prices: Vec<u8>,
    bits: Vec<u8>,
    message: Vec<u8>,
    changes: Vec<u8>,
    segment: usize,
    bound: f64,
}

impl std::fmt::Debug for Coding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Coding({} elements)", self.costs.len())
    }
}

impl Coding {
    /// So many segments of `segment` elements, each for one bit in `width` elements. With `all`,
    /// the trellis considers each of them; without, as the service does it, those alone that are
    /// likely enough to change.
    ///
    /// # Errors
    ///
    /// [`Error::Height`].
    pub fn new(
        height: u8,
        segments: usize,
        segment: usize,
        width: usize,
        all: bool,
    ) -> Result<Self, Error> {
        let asked = Height::new(height).ok_or(Error::Height {
            is: height,
            least: HEIGHT_MIN,
            most: HEIGHT_MAX,
        })?;
        let elements = segments * segment;
        let count = segment / width * segments;
        let mut random = Stream::new(&[0x44; 32], width as u64);
        let mut unit = || f64::from(random.next_word()) / f64::from(u32::MAX);
        let mut draw = || {
            let sum: f64 = (0..12).map(|_| unit()).sum();
            cost::nearest((SPREAD * (sum - 6.0)).exp() as f32)
        };
        let costs: Vec<Cost> = (0..elements).map(|_| draw()).collect();
        let mut census = Census::default();
        for cost in &costs {
            // At an end of the range: whether it changes carries bits, the way it goes does not.
            census.add(*cost, true);
        }
        let priced = Prices::new(&census, count, false);
        let price = |cost: &Cost| match priced.of(*cost, true).0 {
            NEVER if all => DEAREST,
            price => price,
        };
        let prices = costs.iter().map(price).collect();
        let bound = census.sums(census.solve(count as f64, |sums| sums.changing));
        let mut bit = || (random.next_word() & 1) as u8;
        Ok(Self {
            code: Code::new(asked, segment.div_ceil(segment / width)),
            trellis: Trellis::default(),
            prices,
            bits: (0..elements).map(|_| bit()).collect(),
            message: (0..count).map(|_| bit()).collect(),
            changes: vec![0; elements],
            costs,
            segment,
            bound: bound.distortion,
        })
    }

    /// Elements in all.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.costs.len()
    }

    /// Finds the changes of all segments and gives their cost over the least possible one. `None`
    /// if a segment could not be written.
    pub fn write(&mut self) -> Option<f64> {
        let share = self.message.len() / (self.costs.len() / self.segment);
        let mut distortion = 0.0;
        let segments = self.bits.chunks(self.segment).enumerate();
        for (i, bits) in segments {
            let here = i * self.segment..i * self.segment + bits.len();
            let changes = &mut self.changes[here.clone()];
            let written = self.code.write(
                &mut self.trellis,
                &self.prices[here.clone()],
                &mut bits.to_vec(),
                &self.message[i * share..(i + 1) * share],
                changes,
            );
            if !written {
                return None;
            }
            let changed = changes.iter().zip(&self.costs[here]);
            distortion += changed
                .map(|(change, cost)| f64::from(*change) * f64::from(cost::value(*cost)))
                .sum::<f64>();
        }
        Some(distortion / self.bound)
    }

    /// Reads what the elements carry, as they were drawn.
    #[must_use]
    pub fn read(&self) -> Vec<u8> {
        let mut read = vec![0; self.message.len()];
        let share = self.message.len() / (self.costs.len() / self.segment);
        let segments = self.bits.chunks(self.segment);
        for (bits, read) in segments.zip(read.chunks_mut(share)) {
            self.code.read(bits, |bit| bit, read);
        }
        read
    }
}
