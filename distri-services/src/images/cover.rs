//! A picture to hide another in, for those who have none at hand: hills in mist, drawn at random.
//!
//! It is no photograph: whoever searches for hidden messages finds such a cover remarkable. Give a
//! photograph of your own where that matters.

use image::{Rgb, RgbImage};

use distri::{Error, Result};

use crate::permissions::Randomness;

/// Bits for each sample that are counted on; the rest is slack.
const RATE: f64 = 0.35;

/// The sides of what is drawn, in pixels.
const SIDES: std::ops::RangeInclusive<u32> = 480..=4096;

/// A PNG with room for about `bytes`.
pub(super) fn drawn(bytes: usize, randomness: &mut Randomness) -> Result<Vec<u8>> {
    let samples = bytes as f64 * 8.0 / RATE;
    let area = samples / 3.0;
    let width = ((area * 4.0 / 3.0).sqrt() as u32).clamp(*SIDES.start(), *SIDES.end());
    let height = width * 3 / 4;
    let mut seed = [0; 8];
    randomness.fill(&mut seed);
    let image = paint(width, height, u64::from_le_bytes(seed));
    let mut file = std::io::Cursor::new(Vec::new());
    image
        .write_to(&mut file, image::ImageFormat::Png)
        .map_err(|error| Error::internal("a cover could not be written", error))?;
    Ok(file.into_inner())
}

fn paint(width: u32, height: u32, seed: u64) -> RgbImage {
    let mut grain = Grain(seed);
    let hue = grain.next() as f64 / f64::from(u32::MAX);
    let phases: Vec<f64> = (0..12)
        .map(|_| f64::from(grain.next() % 628) / 100.0)
        .collect();
    let far = [0.75 + 0.2 * hue, 0.8, 0.95 - 0.2 * hue];
    let near = [0.12, 0.22 + 0.1 * hue, 0.2];
    RgbImage::from_fn(width, height, |x, y| {
        let (u, v) = (
            f64::from(x) / f64::from(width),
            f64::from(y) / f64::from(height),
        );
        // The nearest of four ranges of hills that is in front of this point, or the sky.
        let mut depth = 0.0;
        for (range, phases) in phases.chunks_exact(3).enumerate() {
            let steep = 5.0 + 4.0 * range as f64;
            let crest = 0.35
                + 0.15 * range as f64
                + 0.06 * (u * steep + phases[0]).sin()
                + 0.03 * (u * steep * 2.7 + phases[1]).sin()
                + 0.012 * (u * steep * 9.1 + phases[2]).sin();
            if v > crest {
                depth = (range + 1) as f64 / 4.0;
            }
        }
        let mist = depth * (0.75 + 0.25 * v);
        let noise =
            f64::from(grain.next() % 2048) / 2048.0 + f64::from(grain.next() % 2048) / 2048.0;
        let noise = (noise - 1.0) * (0.02 + 0.05 * depth);
        let sample = |n: usize| {
            let value = far[n] * (1.0 - mist) + near[n] * mist + noise + 0.1 * (0.5 - v);
            (value.clamp(0.0, 1.0) * 255.0) as u8
        };
        Rgb([sample(0), sample(1), sample(2)])
    })
}

/// Noise to look at.
struct Grain(u64);

impl Grain {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }
}
