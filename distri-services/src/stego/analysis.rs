//! What a cover is good for.

use std::borrow::Cow;

use super::{
    carriers::Carriers,
    cost::{self, Cost, Measure},
    cover::{Cover, Depth, Format, Picture, words},
    error::Size,
    jpeg_past,
    layout::SLOTS,
    message::{adaptive_room, matching_room},
    plan::{self, Warning},
    png_chunks::ColourSpace,
    seal::{BODY_OVERHEAD, HEADER_SEALED},
};

/// Bytes that every message has beside payload and label.
pub(crate) const OVERHEAD: usize = BODY_OVERHEAD + SLOTS * HEADER_SEALED;

/// HILL's cost of a sample in whose surroundings nothing but the mean is left of a step: an
/// average residual below a quarter of one.
const FLAT: f32 = 4.0;

/// A share of samples in flat surroundings, from which on a picture looks drawn or captured.
/// Photographs have some in skies and shadows.
const SYNTHETIC: f64 = 0.6;

/// What is known of a cover.
#[distri::message]
#[derive(Clone, Debug, PartialEq)]
pub struct Analysis {
    /// How strong the noise is, in steps of a sample: the median over the picture of the mean
    /// deviation from what neighbours predict. Photographs have 0.5 to 5.
    pub noise: f64,
    /// The share of samples at either end of their range, from 0 to 1.
    pub saturated: f64,
    /// The share of samples in surroundings so smooth that any change shows, from 0 to 1.
    pub flat: f64,
    /// Whether it is, or was, a JPEG.
    pub jpeg: bool,
    /// That JPEG's quality, where it can be told.
    pub jpeg_quality: Option<u8>,
    /// Looks drawn, rendered or captured from a screen rather than photographed.
    pub synthetic: bool,
    /// Bytes of payload and label that fit, whatever becomes of it.
    pub room: Option<u64>,
    /// Bytes that fit an adaptive message.
    pub adaptive: Option<u64>,
    /// Bytes that fit if it is a JPEG and stays one.
    pub as_jpeg: Option<u64>,
    /// Bytes that are recommended, by the square-root law of the samples that are not flat. Of a JPEG that
    /// can stay one, by that of its coefficients that are not zero; none if it was a JPEG and cannot,
    /// because then every change can be proven.
    pub recommended: u64,
    /// What speaks against this cover.
    pub warnings: Vec<Warning>,
}

/// What one look at a cover's pixels tells.
pub(crate) struct Look {
    /// Samples in whose surroundings a change does not stand out.
    pub(crate) rough: u64,
    pub(crate) flat: f64,
    pub(crate) noise: f64,
    pub(crate) saturated: f64,
}

impl Look {
    /// Looks at all of `picture`; not at its surroundings where `closely` is false, which is for
    /// messages that do not adapt to them.
    pub(crate) fn at(picture: &Picture, threads: usize, closely: bool) -> Self {
        if !closely {
            return Self {
                rough: u64::MAX,
                flat: 0.0,
                noise: 0.0,
                saturated: 0.0,
            };
        }
        // Strips of the picture tell as much as the whole of it.
        let mut costs = Vec::new();
        for strip in strips(picture) {
            costs.extend(cost::costs(&strip, Measure::HillApart, threads));
        }
        Self::of(picture, &costs)
    }

    fn of(picture: &Picture, costs: &[Cost]) -> Self {
        let mut counts = vec![0u32; 1 << Cost::BITS];
        for cost in costs {
            counts[usize::from(*cost)] += 1;
        }
        let mut up_to = 0;
        let median = counts.iter().position(|count| {
            up_to += *count as usize;
            up_to > costs.len() / 2
        });
        let median = median.unwrap_or(0) as Cost;
        let pairs = (0..).zip(&counts);
        let below = pairs.take_while(|(cost, _)| cost::value(*cost) < FLAT);
        let rough: usize = below.map(|(_, count)| *count as usize).sum();
        let saturated = match picture.pixels.depth {
            Depth::Eight => picture
                .data
                .iter()
                .filter(|s| **s == 0 || **s == u8::MAX)
                .count(),
            Depth::Sixteen => words(&picture.data)
                .filter(|s| *s == 0 || *s == u16::MAX)
                .count(),
        };
        let samples = picture.data.len() / picture.pixels.sample_bytes();
        let share = rough as f64 / costs.len().max(1) as f64;
        let size = picture.size;
        let all = u64::from(size.width) * u64::from(size.height) * picture.pixels.colours() as u64;
        Self {
            rough: (share * all as f64) as u64,
            flat: 1.0 - share,
            noise: 1.0 / f64::from(cost::value(median)).max(1e-6),
            saturated: saturated as f64 / samples.max(1) as f64,
        }
    }

    pub(crate) fn is_synthetic(&self) -> bool {
        self.flat > SYNTHETIC
    }
}

/// Rows of a strip, and how many strips a large picture is judged by.
const STRIP: usize = 64;
const STRIPS: usize = 8;

/// The whole of a small picture, strips of a large one.
fn strips(picture: &Picture) -> Vec<Cow<'_, Picture>> {
    let height = picture.size.height as usize;
    if height <= 2 * STRIP * STRIPS {
        return vec![Cow::Borrowed(picture)];
    }
    let row = picture.size.width as usize * picture.pixels.pixel_bytes();
    let strip = |i: usize| {
        let top = i * (height - STRIP) / (STRIPS - 1);
        Cow::Owned(Picture {
            size: Size {
                height: STRIP as u32,
                ..picture.size
            },
            pixels: picture.pixels,
            data: picture.data[top * row..(top + STRIP) * row].to_vec(),
            colour_space: ColourSpace::default(),
        })
    };
    (0..STRIPS).map(strip).collect()
}

/// What `cover` is good for.
pub(crate) fn analyze(cover: &Cover, threads: usize) -> Analysis {
    let picture = &cover.picture;
    let look = Look::at(picture, threads, true);
    let traces = jpeg_past::traces(picture);
    let jpeg = cover.format == Format::Jpeg || traces.is_some();
    let jpeg_quality = traces.and_then(|traces| traces.quality);
    let carriers = Carriers::count(picture);
    let mut warnings = Vec::new();
    if jpeg {
        warnings.push(Warning::JpegPast {
            quality: jpeg_quality,
        });
    }
    if look.is_synthetic() {
        warnings.push(Warning::Synthetic);
    }
    let adaptive = adaptive_room(picture, carriers).map(|room| room as u64);
    let rough = look.rough.min(carriers as u64);
    let recommended = match jpeg {
        true => 0,
        false => plan::recommended_bytes(rough, OVERHEAD).min(adaptive.unwrap_or(0)),
    };
    Analysis {
        noise: look.noise,
        saturated: look.saturated,
        flat: look.flat,
        jpeg,
        jpeg_quality,
        synthetic: look.is_synthetic(),
        room: matching_room(picture, carriers).map(|room| room as u64),
        adaptive,
        as_jpeg: None,
        recommended,
        warnings,
    }
}
