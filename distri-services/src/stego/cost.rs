//! What a change of each sample costs: how easily it would be noticed.
//!
//! The measure is HILL (Li, Wang, Huang, Li: *A New Cost Function for Spatial Image Steganography*,
//! ICIP 2014): where a picture can be predicted from its surroundings a change is dear, in texture
//! and noise it is cheap, and all of that is smoothed, so that cheap regions are compact. Of the
//! published measures it is as safe as any and six times as fast as the next one.
//!
//! Of a coloured picture, each channel is priced by itself, and all share one message. Where the noise
//! of red is that of green, a change to red alone shows in their difference, however rough both are;
//! but pricing those differences as well made changes easier to find, not harder (see
//! `docs/decisions/0046-each-channel-by-itself.md`). It is left here to compare with.
//!
//! Costs are relative: only their ratios count. They are kept in 16 bits each, as the upper half of
//! a float: three digits, any magnitude, and in order when compared as integers.

use std::ops::Range;

use super::{
    cover::{Depth, Picture},
    workers,
};

/// A cost as it is kept.
pub(crate) type Cost = u16;

/// The cost of what never changes.
pub(crate) const WET: Cost = Cost::MAX;

/// How a change is priced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Measure {
    /// HILL on each channel and on its difference from the nearest other channel. For comparisons.
    Hill,
    /// HILL on each channel by itself, as the paper has it.
    #[default]
    HillApart,
}

/// Rows that are priced at a time by one thread. More saves a few rows of overlap.
const BAND: usize = 128;

/// What a predictor that fits exactly counts as: HILL's own bound, as `conseal` has it.
const LEAST_RESIDUAL: f32 = f32::EPSILON;

/// The same between channels. A grey picture stored as colours would otherwise have no cost but
/// this, everywhere.
const LEAST_DIFFERENCE: f32 = 0.05;

/// Reach of the second smoothing to each side.
const REACH: usize = 7;
const BOX: usize = 2 * REACH + 1;

/// The costs of all colour samples of `picture`, in picture order.
pub(crate) fn costs(picture: &Picture, measure: Measure, threads: usize) -> Vec<Cost> {
    let row = picture.size.width as usize * picture.pixels.colours();
    let mut costs = vec![0; row * picture.size.height as usize];
    if costs.is_empty() {
        return costs;
    }
    let bands = costs.chunks_mut(row * BAND).enumerate().collect();
    workers::each(threads, bands, |(band, costs): (usize, &mut [Cost])| {
        let rows = band * BAND..band * BAND + costs.len() / row;
        let job = Band {
            picture,
            measure,
            rows,
            costs,
        };
        pulp::Arch::new().dispatch(job);
    });
    costs
}

/// A cost as a number.
pub(crate) fn value(cost: Cost) -> f32 {
    f32::from_bits(u32::from(cost) << 15)
}

/// The nearest cost to a number that is not negative, for costs that come from elsewhere.
pub(crate) fn nearest(value: f32) -> Cost {
    rounded(value).min(WET - 1)
}

/// The nearest cost to a number that is not negative.
#[inline(always)]
fn rounded(value: f32) -> Cost {
    (value.to_bits().wrapping_add(1 << 14) >> 15) as Cost
}

struct Band<'a> {
    picture: &'a Picture,
    measure: Measure,
    rows: Range<usize>,
    costs: &'a mut [Cost],
}

impl pulp::NullaryFnOnce for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.price();
    }
}

/// A row outside of the picture is the one that mirrors it.
fn mirrored(i: isize, length: usize) -> usize {
    let period = 2 * length as isize;
    let i = i.rem_euclid(period);
    if i < length as isize {
        i as usize
    } else {
        (period - 1 - i) as usize
    }
}

impl Band<'_> {
    #[inline(always)]
    fn price(self) {
        let (width, channels) = (
            self.picture.size.width as usize,
            self.picture.pixels.colours(),
        );
        let height = self.picture.size.height as usize;
        let mut source = Source::new(self.picture, self.measure);
        // Sums over the last fifteen rows, of which the oldest is taken out again; in doubles,
        // because a float would not forget the large ones.
        let mut sums = vec![0f64; width * channels];
        let mut last = vec![vec![0f32; width * channels]; BOX];
        let mut newest = vec![0f32; width * channels];
        let mut priced = vec![0; width * channels];
        let mut smooth = Smooth::new(width);
        let first = self.rows.start as isize - REACH as isize;
        let end = self.rows.end as isize + REACH as isize;
        for (i, y) in (first..end).enumerate() {
            source.suspicion(mirrored(y, height), &mut newest);
            let oldest = &mut last[i % BOX];
            for ((sum, old), new) in sums.iter_mut().zip(&*oldest).zip(&newest) {
                *sum += f64::from(*new) - f64::from(*old);
            }
            std::mem::swap(oldest, &mut newest);
            let Some(done) = i.checked_sub(BOX - 1) else {
                continue;
            };
            let rows = sums.chunks_exact(width).zip(priced.chunks_exact_mut(width));
            for (sums, priced) in rows {
                for (cost, smoothed) in priced.iter_mut().zip(smooth.row(sums)) {
                    *cost = rounded(*smoothed).min(WET - 1);
                }
            }
            let out = &mut self.costs[done * width * channels..(done + 1) * width * channels];
            interleave(&priced, channels, out);
        }
    }
}

/// Puts rows of channels together to a row of pixels.
#[inline(always)]
fn interleave(rows: &[Cost], channels: usize, out: &mut [Cost]) {
    let width = out.len() / channels;
    if channels != 3 {
        out.copy_from_slice(rows);
        return;
    }
    let (first, rest) = rows.split_at(width);
    let (second, third) = rest.split_at(width);
    let channels = first.iter().zip(second).zip(third);
    for (pixel, ((first, second), third)) in out.as_chunks_mut().0.iter_mut().zip(channels) {
        *pixel = [*first, *second, *third];
    }
}

/// The second smoothing along a row.
struct Smooth {
    padded: Vec<f32>,
    two: Vec<f32>,
    four: Vec<f32>,
    eight: Vec<f32>,
    out: Vec<f32>,
}

impl Smooth {
    fn new(width: usize) -> Self {
        let row = || vec![0.0; width + BOX - 1];
        Self {
            padded: row(),
            two: row(),
            four: row(),
            eight: row(),
            out: vec![0.0; width],
        }
    }

    /// The means of fifteen, which are sums of eight, four, two and one: no running sum, so that
    /// all lanes work and nothing is taken away again.
    #[inline(always)]
    fn row(&mut self, sums: &[f64]) -> &[f32] {
        const SCALE: f64 = 1.0 / (BOX * BOX) as f64;
        let width = sums.len();
        for (to, from) in self.padded[REACH..].iter_mut().zip(sums) {
            *to = (*from * SCALE) as f32;
        }
        for i in 1..=REACH {
            self.padded[REACH - i] = (sums[mirrored(-(i as isize), width)] * SCALE) as f32;
            let after = mirrored((width + i - 1) as isize, width);
            self.padded[REACH + width + i - 1] = (sums[after] * SCALE) as f32;
        }
        add_shifted(&mut self.two, &self.padded, 1);
        add_shifted(&mut self.four, &self.two, 2);
        add_shifted(&mut self.eight, &self.four, 4);
        let parts = self.eight.iter().zip(&self.four[8..]);
        let parts = parts.zip(&self.two[12..]).zip(&self.padded[14..]);
        for (out, (((eight, four), two), one)) in self.out.iter_mut().zip(parts) {
            *out = eight + four + two + one;
        }
        &self.out
    }
}

#[inline(always)]
fn add_shifted(to: &mut [f32], from: &[f32], by: usize) {
    for ((to, a), b) in to.iter_mut().zip(from).zip(&from[by..]) {
        *to = a + b;
    }
}

/// Rows of how suspicious changes are, before the second smoothing.
struct Source<'a> {
    picture: &'a Picture,
    apart: bool,
    /// Residuals of the last rows asked for, all channels one after the other; each channel has a
    /// sample more at either end.
    residuals: [(usize, Vec<f32>); 4],
    /// Rows of samples, with one more at either end.
    samples: [(usize, Vec<f32>); 4],
    columns: Vec<f32>,
    sums: Vec<f32>,
    own: Vec<f32>,
    /// Of the channel after each, in turn, how far it is from it.
    between: [Vec<f32>; 3],
}

const NONE: usize = usize::MAX;

impl<'a> Source<'a> {
    fn new(picture: &'a Picture, measure: Measure) -> Self {
        let width = picture.size.width as usize;
        let channels = picture.pixels.colours();
        let rows = || std::array::from_fn(|_| (NONE, vec![0.0; (width + 2) * channels]));
        Self {
            picture,
            apart: channels == 1 || measure == Measure::HillApart,
            residuals: rows(),
            samples: rows(),
            columns: vec![0.0; width + 2],
            sums: vec![0.0; width + 2],
            own: vec![0.0; width],
            between: std::array::from_fn(|_| vec![0.0; width]),
        }
    }

    /// Writes row `y`, channel after channel.
    #[inline(always)]
    fn suspicion(&mut self, y: usize, out: &mut [f32]) {
        let height = self.picture.size.height as usize;
        let width = self.picture.size.width as usize;
        let channels = self.picture.pixels.colours();
        let rows = [-1, 0, 1].map(|i| mirrored(y as isize + i, height));
        for row in rows {
            self.residual(row);
        }
        let padded = width + 2;
        let residuals = rows.map(|row| self.residuals[row % 4].1.as_slice());
        let of =
            |channel: usize| residuals.map(|row| &row[channel * padded..(channel + 1) * padded]);
        if !self.apart {
            for (channel, between) in self.between.iter_mut().enumerate() {
                let next = of((channel + 1) % 3);
                magnitude(of(channel), Some(next), &mut self.sums, between);
            }
        }
        for channel in 0..channels {
            let out = &mut out[channel * width..(channel + 1) * width];
            magnitude(of(channel), None, &mut self.sums, &mut self.own);
            if self.apart {
                for (out, own) in out.iter_mut().zip(&self.own) {
                    *out = 1.0 / own.max(LEAST_RESIDUAL);
                }
                continue;
            }
            let (to_next, to_other) = (&self.between[channel], &self.between[(channel + 2) % 3]);
            let between = to_next.iter().zip(to_other);
            for ((out, own), (next, other)) in out.iter_mut().zip(&self.own).zip(between) {
                let nearest = next.min(*other);
                *out = 1.0 / own.max(LEAST_RESIDUAL) + 1.0 / nearest.max(LEAST_DIFFERENCE);
            }
        }
    }

    /// Has the residuals of row `y` at hand: the picture less its prediction by the filter
    /// [-1 2 -1; 2 -4 2; -1 2 -1] / 4.
    #[inline(always)]
    fn residual(&mut self, y: usize) {
        if self.residuals[y % 4].0 == y {
            return;
        }
        let height = self.picture.size.height as usize;
        let width = self.picture.size.width as usize;
        let rows = [-1, 0, 1].map(|i| mirrored(y as isize + i, height));
        for row in rows {
            self.sample(row);
        }
        let padded = width + 2;
        let (known, residuals) = &mut self.residuals[y % 4];
        *known = y;
        for channel in 0..self.picture.pixels.colours() {
            let range = channel * padded..(channel + 1) * padded;
            let [above, here, below] = rows.map(|row| &self.samples[row % 4].1[range.clone()]);
            let columns = &mut self.columns;
            for (((to, above), here), below) in columns.iter_mut().zip(above).zip(here).zip(below) {
                *to = above - 2.0 * here + below;
            }
            let residuals = &mut residuals[range];
            let parts = columns.iter().zip(&columns[1..]).zip(&columns[2..]);
            for (to, ((left, here), right)) in residuals[1..].iter_mut().zip(parts) {
                *to = (2.0 * here - left - right) * 0.25;
            }
            residuals[0] = residuals[1];
            residuals[padded - 1] = residuals[padded - 2];
        }
    }

    #[inline(always)]
    fn sample(&mut self, y: usize) {
        let (known, samples) = &mut self.samples[y % 4];
        if *known == y {
            return;
        }
        *known = y;
        let pixels = self.picture.pixels;
        let width = self.picture.size.width as usize;
        let bytes = pixels.pixel_bytes();
        let row = &self.picture.data[y * width * bytes..(y + 1) * width * bytes];
        let padded = width + 2;
        for channel in 0..pixels.colours() {
            let samples = &mut samples[channel * padded..(channel + 1) * padded];
            match pixels.depth {
                Depth::Eight => {
                    let values = row.chunks_exact(bytes).map(|pixel| &pixel[channel]);
                    for (to, value) in samples[1..].iter_mut().zip(values) {
                        *to = f32::from(*value);
                    }
                }
                Depth::Sixteen => {
                    let values = row.chunks_exact(bytes);
                    for (to, pixel) in samples[1..].iter_mut().zip(values) {
                        let value = [pixel[2 * channel], pixel[2 * channel + 1]];
                        *to = f32::from(u16::from_be_bytes(value));
                    }
                }
            }
            samples[0] = samples[1];
            samples[padded - 1] = samples[padded - 2];
        }
    }
}

/// The mean of nine absolute residuals around each sample, of one channel or of the difference of
/// two. Rows have a sample more at either end, the result has not.
#[inline(always)]
fn magnitude(rows: [&[f32]; 3], less: Option<[&[f32]; 3]>, sums: &mut [f32], out: &mut [f32]) {
    const NINTH: f32 = 1.0 / 9.0;
    match less {
        None => {
            for (((to, a), b), c) in sums.iter_mut().zip(rows[0]).zip(rows[1]).zip(rows[2]) {
                *to = a.abs() + b.abs() + c.abs();
            }
        }
        Some(less) => {
            let rows = rows[0].iter().zip(rows[1]).zip(rows[2]);
            let less = less[0].iter().zip(less[1]).zip(less[2]);
            for (to, (((a, b), c), ((d, e), f))) in sums.iter_mut().zip(rows.zip(less)) {
                *to = (a - d).abs() + (b - e).abs() + (c - f).abs();
            }
        }
    }
    let parts = sums.iter().zip(&sums[1..]).zip(&sums[2..]);
    for (out, ((a, b), c)) in out.iter_mut().zip(parts) {
        *out = (a + b + c) * NINTH;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        cover::{Colour, PixelType},
        error::Size,
        png_chunks::ColourSpace,
    };
    use super::*;

    fn picture(colour: Colour, depth: Depth, width: u32, height: u32, seed: u64) -> Picture {
        let pixels = PixelType {
            colour,
            alpha: false,
            depth,
        };
        let mut state = seed;
        let data = (0..width as usize * height as usize * pixels.pixel_bytes())
            .map(|i| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(7);
                // Smooth on the left, rough on the right, flat in places.
                let x = i / pixels.pixel_bytes() % width as usize;
                (100 + x as u64 / 9 + if x > 20 { state >> 59 } else { 0 }) as u8
            })
            .collect();
        let size = Size { width, height };
        Picture {
            size,
            pixels,
            data,
            colour_space: ColourSpace::default(),
        }
    }

    /// HILL as the paper has it, one sample after the other.
    fn plainly(plane: &[Vec<f64>], least: f64) -> Vec<Vec<f64>> {
        let (height, width) = (plane.len(), plane[0].len());
        let filter = |plane: &[Vec<f64>], reach: isize, weight: &dyn Fn(isize, isize) -> f64| {
            let mut out = vec![vec![0.0; width]; height];
            for (y, row) in out.iter_mut().enumerate() {
                for (x, out) in row.iter_mut().enumerate() {
                    for dy in -reach..=reach {
                        for dx in -reach..=reach {
                            let y = mirrored(y as isize + dy, height);
                            let x = mirrored(x as isize + dx, width);
                            *out += weight(dy, dx) * plane[y][x];
                        }
                    }
                }
            }
            out
        };
        let map = |plane: Vec<Vec<f64>>, f: &dyn Fn(f64) -> f64| -> Vec<Vec<f64>> {
            plane
                .into_iter()
                .map(|row| row.into_iter().map(f).collect())
                .collect()
        };
        let high = filter(plane, 1, &|y, x| {
            [[-1.0, 2.0, -1.0], [2.0, -4.0, 2.0], [-1.0, 2.0, -1.0]][(y + 1) as usize]
                [(x + 1) as usize]
                / 4.0
        });
        let low = filter(&map(high, &f64::abs), 1, &|_, _| 1.0 / 9.0);
        filter(&map(low, &|w| 1.0 / w.max(least)), 7, &|_, _| 1.0 / 225.0)
    }

    fn plane(picture: &Picture, channel: usize) -> Vec<Vec<f64>> {
        let bytes = picture.pixels.pixel_bytes();
        let row = picture.size.width as usize * bytes;
        let value = |pixel: &[u8]| match picture.pixels.depth {
            Depth::Eight => f64::from(pixel[channel]),
            Depth::Sixteen => f64::from(u16::from_be_bytes([
                pixel[2 * channel],
                pixel[2 * channel + 1],
            ])),
        };
        picture
            .data
            .chunks(row)
            .map(|row| row.chunks(bytes).map(value).collect())
            .collect()
    }

    fn assert_near(picture: &Picture, costs: &[Cost], channel: usize, expected: &[Vec<f64>]) {
        let channels = picture.pixels.colours();
        let found = costs[channel..].iter().step_by(channels);
        for (i, (found, expected)) in found.zip(expected.iter().flatten()).enumerate() {
            let found = f64::from(value(*found));
            assert!(
                (found / expected - 1.0).abs() < 0.003,
                "sample {i} of channel {channel}: {found} instead of {expected}"
            );
        }
    }

    #[test]
    fn costs_are_those_of_the_paper() {
        for (width, height) in [(61, 300), (16, 15), (3, 40), (40, 2), (1, 1)] {
            for depth in [Depth::Eight, Depth::Sixteen] {
                let picture = picture(Colour::Grey, depth, width, height, 3);

                let costs = costs(&picture, Measure::Hill, 2);

                let expected = plainly(&plane(&picture, 0), LEAST_RESIDUAL.into());
                assert_near(&picture, &costs, 0, &expected);
            }
        }
    }

    #[test]
    fn channels_are_priced_as_grey_pictures() {
        let picture = picture(Colour::Rgb, Depth::Eight, 50, 40, 3);

        let costs = costs(&picture, Measure::default(), 1);

        for channel in 0..3 {
            let expected = plainly(&plane(&picture, channel), LEAST_RESIDUAL.into());
            assert_near(&picture, &costs, channel, &expected);
        }
    }

    #[test]
    fn a_channel_that_follows_another_is_dear_however_rough_it_is() {
        let mut picture = picture(Colour::Rgb, Depth::Eight, 60, 40, 3);
        let apart = costs(&picture, Measure::Hill, 1);
        for pixel in picture.data.chunks_exact_mut(3) {
            pixel[1] = pixel[0];
        }

        let following = costs(&picture, Measure::Hill, 1);

        let middle = (20 * 60 + 45) * 3;
        assert!(value(following[middle]) > 5.0 * value(apart[middle]));
        assert!(value(following[middle + 1]) > 5.0 * value(apart[middle + 1]));
        assert!(value(following[middle + 2]) < 2.0 * value(apart[middle + 2]));
    }

    #[test]
    fn threads_make_no_difference() {
        let picture = picture(Colour::Rgb, Depth::Eight, 40, 400, 9);

        assert!(costs(&picture, Measure::Hill, 1) == costs(&picture, Measure::Hill, 3));
    }
}
