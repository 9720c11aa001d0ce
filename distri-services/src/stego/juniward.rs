//! What a change of each coefficient of a JPEG costs: J-UNIWARD (Holub, Fridrich, Denemark: *Universal
//! Distortion Function for Steganography in an Arbitrary Domain*, EURASIP JIS 2014).
//!
//! A step of one coefficient changes 8 × 8 pixels, and through them 23 × 23 wavelet coefficients (Daubechies
//! 8) in each of three directions. It costs the sum of those changes, each divided by how large that wavelet
//! coefficient is: cheap where there is detail in every direction, dear where one direction is smooth.
//! The window lies where the change does; in the authors' program it lies one pixel off (arXiv 2305.19776).
//!
//! What makes it fast: the effect of a step is a product of one row and one column, so the sums over
//! windows are taken along rows first, for eight frequencies at once, and then down columns.

use std::{f32::consts::PI, ops::Range};

use crate::jpeg::{BLOCK, Plane, ZIGZAG};

use super::{
    cost::{self, Cost, WET},
    workers,
};

/// Taps of the filters.
const TAPS: usize = 16;
/// Wavelet coefficients that a block of eight pixels reaches, in a row or a column.
const REACH: usize = 8 + TAPS - 1;
/// How many of them lie before the block.
const BEFORE: usize = 8;

/// Keeps costs finite where a wavelet coefficient is zero; the authors' choice.
const SIGMA: f32 = 1.0 / 64.0;

/// Coefficients of this size and beyond never change: files hold up to 1023.
const EXTREME: u16 = 1023;

/// Rows of blocks that are priced at a time by one thread. More saves some rows of overlap.
const BAND: usize = 16;

/// Daubechies 8, high pass.
const HIGH: [f32; TAPS] = [
    -0.054_415_84,
    0.312_871_6,
    -0.675_630_75,
    0.585_354_7,
    0.015_829_105,
    -0.284_015_54,
    -0.000_472_484_6,
    0.128_747_43,
    0.017_369_302,
    -0.044_088_253,
    -0.013_981_028,
    0.008_746_094,
    0.004_870_353,
    -0.000_391_740_4,
    -0.000_675_449_4,
    -0.000_117_476_8,
];

/// The low pass that belongs to it.
const LOW: [f32; TAPS] = {
    let mut low = [0.0; TAPS];
    let mut i = 0;
    while i < TAPS {
        let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
        low[i] = sign * HIGH[TAPS - 1 - i];
        i += 1;
    }
    low
};

type Eight = [f32; 8];

/// The costs of all coefficients of the blocks that show something: block after block, row by row, each
/// in the order of files.
pub(crate) fn costs(plane: &Plane, threads: usize) -> Vec<[Cost; BLOCK]> {
    let mut costs = vec![[0; BLOCK]; plane.columns * plane.rows];
    if costs.is_empty() {
        return costs;
    }
    let pixels = pixels(plane, threads);
    let effects = [Effects::new(&LOW), Effects::new(&HIGH)];
    let bands = costs.chunks_mut(plane.columns * BAND).enumerate().collect();
    workers::each(threads, bands, |(band, costs): (usize, &mut [_])| {
        let first = band * BAND;
        let job = Band {
            plane,
            pixels: &pixels,
            effects: &effects,
            rows: first..first + costs.len() / plane.columns,
            costs,
        };
        pulp::Arch::new().dispatch(job);
    });
    costs
}

/// cos((2x + 1) u π / 16) for each frequency u and place x, with the scale of an orthonormal transform.
fn cosines() -> [Eight; 8] {
    std::array::from_fn(|u| {
        std::array::from_fn(|x| {
            let scale = if u == 0 { (0.125f32).sqrt() } else { 0.5 };
            scale * ((2 * x + 1) as f32 * u as f32 * PI / 16.0).cos()
        })
    })
}

/// How much a step at each of eight frequencies changes each wavelet coefficient in reach, in size.
struct Effects([Eight; REACH]);

impl Effects {
    fn new(filter: &[f32; TAPS]) -> Self {
        let cosines = cosines();
        Self(std::array::from_fn(|at| {
            std::array::from_fn(|frequency| {
                let taps = filter.iter().enumerate();
                let effect = taps.filter_map(|(tap, weight)| {
                    let pixel = (at + tap).checked_sub(TAPS - 1)?;
                    Some(weight * cosines[frequency].get(pixel)?)
                });
                effect.sum::<f32>().abs()
            })
        }))
    }
}

/// The plane as a decoder gives it: rounded, within the range of a byte.
fn pixels(plane: &Plane, threads: usize) -> Vec<u8> {
    let width = plane.columns * 8;
    let mut pixels = vec![0; width * plane.rows * 8];
    let rows = pixels.chunks_mut(width * 8).enumerate().collect();
    workers::each(threads, rows, |(row, pixels): (usize, &mut [u8])| {
        pulp::Arch::new().dispatch(Decoding { plane, row, pixels });
    });
    pixels
}

struct Decoding<'a> {
    plane: &'a Plane,
    row: usize,
    pixels: &'a mut [u8],
}

impl pulp::NullaryFnOnce for Decoding<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let cosines = cosines();
        let width = self.plane.columns * 8;
        for column in 0..self.plane.columns {
            let block = &self.plane.coefficients[self.plane.at(column, self.row)];
            let mut values = [[0f32; 8]; 8];
            for ((value, step), place) in block.iter().zip(&self.plane.steps).zip(ZIGZAG) {
                values[usize::from(place / 8)][usize::from(place % 8)] =
                    f32::from(*value) * f32::from(*step);
            }
            // Along rows, then down columns.
            let mut rows = [[0f32; 8]; 8];
            for (row, values) in rows.iter_mut().zip(&values) {
                for (value, cosines) in values.iter().zip(&cosines) {
                    add(row, cosines, *value);
                }
            }
            for y in 0..8 {
                let mut line = [128f32; 8];
                for (row, cosines) in rows.iter().zip(&cosines) {
                    add(&mut line, row, cosines[y]);
                }
                let start = y * width + column * 8;
                for (pixel, value) in self.pixels[start..start + 8].iter_mut().zip(line) {
                    *pixel = (value + 0.5).clamp(0.0, 255.0) as u8;
                }
            }
        }
    }
}

#[inline(always)]
fn add(to: &mut Eight, values: &Eight, weight: f32) {
    for (to, value) in to.iter_mut().zip(values) {
        *to += value * weight;
    }
}

/// A line outside of the picture is the one that mirrors it.
fn mirrored(i: isize, length: usize) -> usize {
    let i = i.rem_euclid(2 * length as isize) as usize;
    if i < length { i } else { 2 * length - 1 - i }
}

struct Band<'a> {
    plane: &'a Plane,
    pixels: &'a [u8],
    effects: &'a [Effects; 2],
    /// Rows of blocks.
    rows: Range<usize>,
    costs: &'a mut [[Cost; BLOCK]],
}

impl pulp::NullaryFnOnce for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.price();
    }
}

impl Band<'_> {
    #[inline(always)]
    fn price(mut self) {
        let columns = self.plane.columns;
        let mut lines = Lines::new(columns * 8);
        // A line of wavelet coefficients is within the reach of three rows of blocks at most.
        let mut sums = vec![[[0f32; 8]; 8]; 3 * columns];
        let mut along = vec![([0f32; 8], [0f32; 8]); columns];
        let first = self.rows.start as isize * 8 - BEFORE as isize;
        let last = self.rows.end as isize * 8 + (REACH - BEFORE - 8) as isize;
        for line in first..last {
            lines.read(self.pixels, self.plane.rows * 8, line);
            self.sum_along(&lines, &mut along);
            for row in self.rows.clone() {
                let at = line - (row as isize * 8 - BEFORE as isize);
                let Some(at) = usize::try_from(at).ok().filter(|at| *at < REACH) else {
                    continue;
                };
                let slot = row % 3 * columns;
                let sums = &mut sums[slot..slot + columns];
                let (low, high) = (&self.effects[0].0[at], &self.effects[1].0[at]);
                for (sums, (of_low, of_high)) in sums.iter_mut().zip(&along) {
                    for (sums, (low, high)) in sums.iter_mut().zip(low.iter().zip(high)) {
                        for i in 0..8 {
                            sums[i] += low * of_low[i] + high * of_high[i];
                        }
                    }
                }
                if at == REACH - 1 {
                    self.finish(row, sums);
                }
            }
        }
    }

    /// For each column of blocks and frequency along it: what a line adds to costs, of the direction that is
    /// low-pass downwards, and of the two that are high-pass.
    #[inline(always)]
    fn sum_along(&self, lines: &Lines, along: &mut [(Eight, Eight)]) {
        let (low, high) = (&self.effects[0].0, &self.effects[1].0);
        for (column, (of_low, of_high)) in along.iter_mut().enumerate() {
            let (mut lows, mut highs) = ([0f32; 8], [0f32; 8]);
            let window = column * 8..column * 8 + REACH;
            let low_high = &lines.low_high[window.clone()];
            let high_low = &lines.high_low[window.clone()];
            let high_high = &lines.high_high[window];
            for at in 0..REACH {
                add(&mut lows, &high[at], low_high[at]);
                add(&mut highs, &low[at], high_low[at]);
                add(&mut highs, &high[at], high_high[at]);
            }
            (*of_low, *of_high) = (lows, highs);
        }
    }

    #[inline(always)]
    fn finish(&mut self, row: usize, sums: &mut [[Eight; 8]]) {
        let start = (row - self.rows.start) * self.plane.columns;
        for (column, sums) in sums.iter_mut().enumerate() {
            let block = &self.plane.coefficients[self.plane.at(column, row)];
            let costs = &mut self.costs[start + column];
            for (k, place) in ZIGZAG.iter().enumerate() {
                let sum = sums[usize::from(place / 8)][usize::from(place % 8)];
                costs[k] = if block[k].unsigned_abs() >= EXTREME {
                    WET
                } else {
                    cost::nearest(sum * f32::from(self.plane.steps[k]))
                };
            }
            *sums = [[0.0; 8]; 8];
        }
    }
}

/// One line of wavelet coefficients in each direction, as one over their size.
struct Lines {
    width: usize,
    /// Filtered downwards, with mirrored margins on both sides.
    low: Vec<f32>,
    high: Vec<f32>,
    /// First downwards, then along. The first is that of [`BEFORE`] pixels before the picture.
    low_high: Vec<f32>,
    high_low: Vec<f32>,
    high_high: Vec<f32>,
}

impl Lines {
    fn new(width: usize) -> Self {
        let padded = || vec![0f32; width + 2 * TAPS];
        let full = || vec![0f32; width + TAPS - 1];
        Self {
            width,
            low: padded(),
            high: padded(),
            low_high: full(),
            high_low: full(),
            high_high: full(),
        }
    }

    #[inline(always)]
    fn read(&mut self, pixels: &[u8], height: usize, line: isize) {
        let width = self.width;
        let (low, high) = (
            &mut self.low[TAPS..][..width],
            &mut self.high[TAPS..][..width],
        );
        low.fill(0.0);
        high.fill(0.0);
        for tap in 0..TAPS {
            let row = mirrored(line + tap as isize - 7, height);
            let row = &pixels[row * width..(row + 1) * width];
            let (of_low, of_high) = (LOW[tap], HIGH[tap]);
            for ((low, high), pixel) in low.iter_mut().zip(high.iter_mut()).zip(row) {
                let pixel = f32::from(*pixel);
                *low += of_low * pixel;
                *high += of_high * pixel;
            }
        }
        for line in [&mut self.low, &mut self.high] {
            for i in 0..TAPS {
                line[i] = line[TAPS + mirrored(i as isize - TAPS as isize, width)];
                line[TAPS + width + i] = line[TAPS + mirrored((width + i) as isize, width)];
            }
        }
        // The coefficient at x takes pixels from x - 7 on, and the first is at -8.
        const START: usize = TAPS - 7 - BEFORE;
        filter(&self.low[START..], &HIGH, &mut self.low_high);
        filter(&self.high[START..], &LOW, &mut self.high_low);
        filter(&self.high[START..], &HIGH, &mut self.high_high);
    }
}

/// One over the size of each filtered value.
#[inline(always)]
fn filter(line: &[f32], taps: &[f32; TAPS], out: &mut [f32]) {
    const LANES: usize = 16;
    let mut chunks = out.chunks_mut(LANES);
    for (i, chunk) in chunks.by_ref().enumerate() {
        let start = i * LANES;
        let mut sums = [0f32; LANES];
        let line = &line[start..];
        if line.len() >= LANES + TAPS - 1 {
            for (tap, weight) in taps.iter().enumerate() {
                for (sum, value) in sums.iter_mut().zip(&line[tap..tap + LANES]) {
                    *sum += weight * value;
                }
            }
        } else {
            for (at, sum) in sums.iter_mut().enumerate().take(chunk.len()) {
                *sum = taps.iter().zip(&line[at..]).map(|(w, v)| w * v).sum();
            }
        }
        for (out, sum) in chunk.iter_mut().zip(sums) {
            *out = 1.0 / (sum.abs() + SIGMA);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plane with detail to the right.
    fn plane(columns: usize, rows: usize) -> Plane {
        let mut word = 1u32;
        let mut next = |range: i16| {
            word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (word >> 16) as i16 % range
        };
        let blocks = (0..columns * rows).map(|i| {
            let mut block = [0; BLOCK];
            block[0] = next(20);
            let detail = if i % columns * 2 > columns { 30 } else { 3 };
            for value in &mut block[1..detail] {
                *value = next(5) - 2;
            }
            block
        });
        Plane {
            columns,
            rows,
            stride: columns,
            steps: std::array::from_fn(|k| 10 + k as u16),
            coefficients: blocks.collect(),
        }
    }

    /// The definition, without any of the ways to be fast.
    fn plainly(plane: &Plane, column: usize, row: usize, k: usize) -> f64 {
        let (width, height) = (plane.columns * 8, plane.rows * 8);
        let pixels = pixels(plane, 1);
        let pixel = |y: isize, x: isize| {
            f64::from(pixels[mirrored(y, height) * width + mirrored(x, width)])
        };
        let cosines = cosines();
        let (v, u) = (usize::from(ZIGZAG[k] / 8), usize::from(ZIGZAG[k] % 8));
        let change = |y: isize, x: isize| {
            let inside = |i: isize| usize::try_from(i).ok().filter(|i| *i < 8);
            match (
                inside(y - 8 * row as isize),
                inside(x - 8 * column as isize),
            ) {
                (Some(y), Some(x)) => {
                    f64::from(cosines[v][y] * cosines[u][x]) * f64::from(plane.steps[k])
                }
                _ => 0.0,
            }
        };
        let mut cost = 0.0;
        for (down, across) in [(LOW, HIGH), (HIGH, LOW), (HIGH, HIGH)] {
            for y in 8 * row as isize - 12..8 * row as isize + 20 {
                for x in 8 * column as isize - 12..8 * column as isize + 20 {
                    let (mut of_cover, mut of_change) = (0.0, 0.0);
                    for (i, a) in (0..).zip(down) {
                        for (j, b) in (0..).zip(across) {
                            let weight = f64::from(a) * f64::from(b);
                            of_cover += weight * pixel(y + i - 7, x + j - 7);
                            of_change += weight * change(y + i - 7, x + j - 7);
                        }
                    }
                    cost += of_change.abs() / (of_cover.abs() + f64::from(SIGMA));
                }
            }
        }
        cost
    }

    #[test]
    fn costs_are_those_of_the_definition() {
        let plane = plane(5, 4);

        let costs = costs(&plane, 1);

        for (column, row) in [(0, 0), (2, 1), (4, 3), (3, 0)] {
            for k in [0, 1, 2, 17, 40, 63] {
                let (fast, plain) = (
                    f64::from(cost::value(costs[row * 5 + column][k])),
                    plainly(&plane, column, row, k),
                );
                assert!(
                    (fast / plain - 1.0).abs() < 0.01,
                    "{column}, {row}, {k}: {fast} for {plain}"
                );
            }
        }
    }

    #[test]
    fn costs_do_not_depend_on_bands_and_threads() {
        let tall = plane(3, 40);

        assert!(costs(&tall, 1) == costs(&tall, 3));
        let top = Plane {
            rows: 20,
            coefficients: tall.coefficients[..60].to_vec(),
            ..tall.clone()
        };
        assert!(
            costs(&top, 1)[..45] == costs(&tall, 1)[..45],
            "of the rows above"
        );
    }

    #[test]
    fn detail_is_cheap_and_coefficients_at_the_end_of_their_range_never_change() {
        let mut plane = plane(8, 8);
        plane.coefficients[5][4] = -1023;
        plane.coefficients[9][0] = 1024;

        let costs = costs(&plane, 1);

        let mean = |column: usize| {
            let blocks = costs
                .chunks(8)
                .map(|row| f64::from(cost::value(row[column][1])));
            blocks.sum::<f64>() / 8.0
        };
        assert!(mean(7) * 2.0 < mean(0), "{} {}", mean(7), mean(0));
        assert_eq!((costs[5][4], costs[9][0]), (WET, WET));
        assert!(costs[5][3] < WET);
    }
}
