//! Whether a picture was a JPEG once, seen from its pixels alone.
//!
//! A JPEG stores each block of 8 × 8 pixels as cosine coefficients in multiples of steps. Decoding
//! rounds pixels, which blurs the multiples a little, but for all steps of two and more they can still be
//! seen: coefficients of one frequency, computed anew, cluster at the multiples of one number. In a
//! picture that never was a JPEG, or was scaled since, they do not. The grid may start anywhere, because pictures get
//! cropped. Looked at are blocks with something in them: those of a sky are zero, multiples of anything.
//!
//! After Fan, de Queiroz, *Identification of Bitmap Compression History*, IEEE TIP 12(2), 2003.

use std::f32::consts::PI;

use super::cover::{Depth, Picture};

/// Blocks that are looked at to find the grid, and to be sure.
const BLOCKS_TO_FIND: usize = 160;
const BLOCKS_TO_TELL: usize = 3000;
/// Blocks, spread over the picture, of which those are the liveliest.
const BLOCKS_TO_CHOOSE: usize = 16_000;

/// Largest step that is tried; beyond it too few coefficients are not zero.
const STEP_MAX: usize = 40;

/// Coefficients of one frequency without which nothing is said about it.
const COEFFICIENTS_MIN: usize = 40;

/// Frequencies (row, column) that are looked at: low enough to be there in most pictures, and the later ones high
/// enough to have steps of two and more at quality 95.
const FREQUENCIES: [(usize, usize); 24] = [
    (0, 1),
    (1, 0),
    (1, 1),
    (0, 2),
    (2, 0),
    (1, 2),
    (2, 1),
    (2, 2),
    (0, 3),
    (3, 0),
    (1, 3),
    (3, 1),
    (2, 3),
    (3, 2),
    (0, 4),
    (4, 0),
    (1, 4),
    (4, 1),
    (2, 4),
    (4, 2),
    (3, 3),
    (0, 5),
    (5, 0),
    (5, 1),
];

/// One more than the highest frequency each way.
const LOW: usize = 6;

/// Steps for luminance at quality 50 in the common encoders (T.81, annex K), for those.
const STEPS_AT_50: [f32; 24] = [
    11.0, 12.0, 12.0, 10.0, 14.0, 14.0, 13.0, 16.0, 16.0, 14.0, 19.0, 17.0, 24.0, 22.0, 24.0, 18.0,
    26.0, 22.0, 40.0, 37.0, 29.0, 40.0, 24.0, 35.0,
];

/// What was found of a JPEG.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Traces {
    /// Its quality, if the steps are those of the common encoders.
    pub(crate) quality: Option<u8>,
}

/// Traces of JPEG in `picture`, if there are any to be seen.
pub(crate) fn traces(picture: &Picture) -> Option<Traces> {
    if picture.pixels.depth == Depth::Sixteen {
        return None;
    }
    if picture.size.width < 40 || picture.size.height < 40 {
        return None;
    }
    let cosines = cosines();
    let blocks = lively(picture);
    let few = &blocks[..blocks.len().min(BLOCKS_TO_FIND)];
    let best = (0..64)
        .map(|grid| {
            let found = steps(picture, grid, few, &cosines);
            let score: f32 = found.iter().flatten().map(|(_, score)| score).sum();
            (grid, score)
        })
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    let found = steps(picture, best.0, &blocks, &cosines);
    let told = found.iter().flatten().count();
    let clear: Vec<(usize, usize)> = found
        .iter()
        .enumerate()
        .filter_map(|(i, found)| {
            found
                .filter(|(_, score)| *score > 0.35)
                .map(|(step, _)| (i, step))
        })
        .collect();
    if clear.len() < 3 || clear.len() * 3 < told {
        return None;
    }
    let mut scales: Vec<f32> = clear
        .iter()
        .map(|(i, step)| *step as f32 * 100.0 / STEPS_AT_50[*i])
        .collect();
    scales.sort_by(f32::total_cmp);
    let scale = scales[scales.len() / 2];
    let near = scales
        .iter()
        .filter(|other| (**other / scale - 1.0).abs() < 0.35)
        .count();
    let quality = if scale <= 100.0 {
        100.0 - scale / 2.0
    } else {
        5000.0 / scale
    };
    Some(Traces {
        quality: (near * 2 > scales.len()).then_some(quality.round().clamp(1.0, 100.0) as u8),
    })
}

/// Luminance, which is what JPEG keeps at full size: a row of eight samples from (x, y) on.
fn row(picture: &Picture, x: usize, y: usize) -> [f32; 8] {
    let (bytes, colours) = (picture.pixels.pixel_bytes(), picture.pixels.colours());
    let start = (y * picture.size.width as usize + x) * bytes;
    let pixels = &picture.data[start..start + 8 * bytes];
    let mut row = [0.0; 8];
    for (sample, pixel) in row.iter_mut().zip(pixels.chunks_exact(bytes)) {
        *sample = match colours {
            1 => f32::from(pixel[0]),
            _ => {
                0.299 * f32::from(pixel[0])
                    + 0.587 * f32::from(pixel[1])
                    + 0.114 * f32::from(pixel[2])
            }
        };
    }
    row
}

/// cos((2x + 1) u π / 16), with the scale of an orthonormal transform.
fn cosines() -> [[f32; 8]; LOW] {
    std::array::from_fn(|u| {
        std::array::from_fn(|x| {
            let scale = if u == 0 { (0.125f32).sqrt() } else { 0.5 };
            scale * ((2 * x + 1) as f32 * u as f32 * PI / 16.0).cos()
        })
    })
}

/// Where blocks are in which there is something to see, the liveliest first. Any grid may move them.
fn lively(picture: &Picture) -> Vec<(usize, usize)> {
    // A row and a column less than there are, for the grids that begin later.
    let side = |pixels: u32| pixels as usize / 8 - 1;
    let (columns, rows) = (side(picture.size.width), side(picture.size.height));
    let all = columns * rows;
    let mut blocks: Vec<(f32, (usize, usize))> = (0..all)
        .step_by(all.div_ceil(BLOCKS_TO_CHOOSE).max(1))
        .map(|block| {
            let place = (block % columns * 8, block / columns * 8);
            (liveliness(picture, place), place)
        })
        .collect();
    blocks.sort_by(|a, b| b.0.total_cmp(&a.0));
    blocks.truncate(BLOCKS_TO_TELL);
    blocks.into_iter().map(|(_, place)| place).collect()
}

/// How much samples of a block differ. Nothing, if any is cut off at the end of its range: then coefficients are no
/// multiples any more, and such a block is only looked at where others do not suffice.
fn liveliness(picture: &Picture, (x, y): (usize, usize)) -> f32 {
    let (bytes, colours) = (picture.pixels.pixel_bytes(), picture.pixels.colours());
    let line = picture.size.width as usize * bytes;
    let cut_off = (y..y + 8).any(|y| {
        let start = y * line + x * bytes;
        let mut pixels = picture.data[start..start + 8 * bytes].chunks_exact(bytes);
        pixels.any(|pixel| {
            pixel[..colours]
                .iter()
                .any(|sample| matches!(*sample, 0 | u8::MAX))
        })
    });
    if cut_off {
        return 0.0;
    }
    let rows = [0, 3, 6].map(|down| row(picture, x, y + down));
    let along = rows.iter().flat_map(|row| row.iter().zip(&row[3..]));
    let down = rows.windows(2).flat_map(|two| two[0].iter().zip(&two[1]));
    along.chain(down).map(|(a, b)| (a - b).abs()).sum()
}

/// For each frequency with enough to go by, the step whose multiples its coefficients are nearest
/// to, and how near from 0 to 1.
fn steps(
    picture: &Picture,
    grid: usize,
    blocks: &[(usize, usize)],
    cosines: &[[f32; 8]; LOW],
) -> Vec<Option<(usize, f32)>> {
    let (left, top) = (grid % 8, grid / 8);
    let mut coefficients = vec![Vec::with_capacity(blocks.len() + LANES); FREQUENCIES.len()];
    for (x, y) in blocks {
        let (x, y) = (left + x, top + y);
        // Rows first, for the lowest frequencies along them.
        let mut partial = [[0f32; LOW]; 8];
        for (i, partial) in partial.iter_mut().enumerate() {
            let samples = row(picture, x, y + i);
            for (partial, cosines) in partial.iter_mut().zip(cosines) {
                *partial = samples
                    .iter()
                    .zip(cosines)
                    .map(|(sample, cosine)| sample * cosine)
                    .sum();
            }
        }
        for (of, (v, u)) in coefficients.iter_mut().zip(FREQUENCIES) {
            let coefficient: f32 = partial
                .iter()
                .zip(&cosines[v])
                .map(|(row, cosine)| row[u] * cosine)
                .sum();
            of.push(coefficient);
        }
    }
    let arch = pulp::Arch::new();
    let step = |coefficients: &mut Vec<f32>| {
        // Chance alone gives 1 / √count.
        let least = COEFFICIENTS_MIN.min(coefficients.len() / 4).max(12);
        // What is zero counts for no step.
        coefficients.resize(coefficients.len().next_multiple_of(LANES), 0.0);
        let near = arch.dispatch(Nearness { coefficients });
        (2..=STEP_MAX)
            .zip(near)
            .filter(|(_, near)| near.count >= least as f32)
            .map(|(step, Near { sum, count })| (step, sum / count - 2.0 / count.sqrt()))
            // Divisors of a step fit as well as the step itself: the largest that fits is it.
            .fold(
                None,
                |best: Option<(usize, f32)>, (step, score)| match best {
                    Some((_, other)) if score < other - 0.08 => best,
                    _ => Some((step, score)),
                },
            )
    };
    coefficients.iter_mut().map(step).collect()
}

/// Coefficients that are looked at side by side at most.
const LANES: usize = 16;

/// Added and taken away again, it rounds a number below 2²² to a whole one.
const ROUNDS: f32 = 12_582_912.0;

/// How near coefficients are to the multiples of a step.
#[derive(Clone, Copy, Default)]
struct Near {
    /// Of those that count: from 1 each, if on a multiple, to -1, if halfway between two.
    sum: f32,
    /// How many are far enough from zero to tell anything.
    count: f32,
}

/// Finds it for all steps from 2 on, with the best instructions that the processor has.
struct Nearness<'a> {
    /// A multiple of [`LANES`] of them.
    coefficients: &'a [f32],
}

impl pulp::WithSimd for Nearness<'_> {
    type Output = [Near; STEP_MAX - 1];

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) -> Self::Output {
        let all_of = |number| simd.splat_f32s(number);
        let rounds = all_of(ROUNDS);
        // cos(2πx) = 1 + x² (…) to two digits, which is all that is needed here.
        let [p0, p1, p2, p3] = [-19.739, 64.939, -85.456, 60.2].map(all_of);
        let (coefficients, _) = S::as_simd_f32s(self.coefficients);
        let mut all = [Near::default(); STEP_MAX - 1];
        for (near, step) in all.iter_mut().zip(2u8..) {
            let least = all_of(f32::from(step) / 2.0);
            let inverse = all_of(1.0 / f32::from(step));
            let (mut sums, mut counts) = (all_of(0.0), all_of(0.0));
            for &c in coefficients {
                let counted = simd.greater_than_f32s(simd.abs_f32s(c), least);
                let x = simd.mul_f32s(c, inverse);
                let whole = simd.sub_f32s(simd.add_f32s(x, rounds), rounds);
                let rest = simd.sub_f32s(x, whole);
                let square = simd.mul_f32s(rest, rest);
                let slope = simd.mul_add_e_f32s(square, p3, p2);
                let slope = simd.mul_add_e_f32s(square, slope, p1);
                let slope = simd.mul_add_e_f32s(square, slope, p0);
                let cosine = simd.mul_add_e_f32s(square, slope, all_of(1.0));
                sums = simd.add_f32s(sums, simd.select_f32s(counted, cosine, all_of(0.0)));
                counts = simd.add_f32s(counts, simd.select_f32s(counted, all_of(1.0), all_of(0.0)));
            }
            *near = Near {
                sum: simd.reduce_sum_f32s(sums),
                count: simd.reduce_sum_f32s(counts),
            };
        }
        all
    }
}
