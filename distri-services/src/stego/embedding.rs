//! How the bits of a body are put into samples: the names of the ways, and the simple one.
//!
//! Matching is told a plan (whose positions depend on the key) and the bits, which are encrypted
//! and so look random. The way that adapts to the picture is `adaptive`'s. A method's id is in the
//! sealed header, so that a reader knows which one to use; ids are never reused.

use super::{
    carriers::Carriers,
    layout::{Plan, Share},
    sample::Sample,
};

/// The ways of embedding that are known.
#[distri::message]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// ±1 matching: a sample whose parity differs from the bit it is to carry steps up or down at
    /// random. One bit a sample, half of the samples that carry change.
    Matching,
    /// Changes go where they are hardest to notice (HILL), as few and cheap as a syndrome-trellis
    /// code makes them, in both directions (±1). See `docs/steganography.md`.
    Adaptive,
    /// In the coefficients of a JPEG, which stays one: where a change is hardest to notice
    /// (J-UNIWARD), by the same code.
    Jpeg,
}

impl Method {
    pub(crate) fn id(self) -> u8 {
        match self {
            Self::Matching => 1,
            Self::Adaptive => 2,
            Self::Jpeg => 3,
        }
    }
}

/// ±1 matching: one bit for each carrier of the plan.
pub(crate) struct Matching;

impl Matching {
    /// Makes `carriers` hold `body`, which fits.
    pub(crate) fn embed(carriers: &mut Carriers<'_>, plan: &Plan<'_>, body: &[u8]) {
        match carriers {
            Carriers::Eight(samples) => {
                let samples = samples.to_mut();
                plan.for_each_share(body.len() * 8, |share| embed(samples, share, body));
            }
            Carriers::Sixteen(samples) => {
                plan.for_each_share(body.len() * 8, |share| embed(samples, share, body));
            }
        }
    }

    /// The `length` bytes that `carriers` hold; they fit.
    pub(crate) fn extract(carriers: &Carriers<'_>, plan: &Plan<'_>, length: usize) -> Vec<u8> {
        let mut body = vec![0; length];
        match carriers {
            Carriers::Eight(samples) => {
                plan.for_each_share(length * 8, |share| extract(samples, share, &mut body));
            }
            Carriers::Sixteen(samples) => {
                plan.for_each_share(length * 8, |share| extract(samples, share, &mut body));
            }
        }
        body
    }
}

fn embed<S: Sample>(samples: &mut [S], mut share: Share<'_>, body: &[u8]) {
    let tile = &mut samples[share.samples.clone()];
    warm(tile);
    for i in share.bits.clone() {
        let bit = body[i / 8] >> (i % 8) & 1;
        let (position, up) = share.draw();
        let sample = &mut tile[position];
        *sample = sample.carrying(bit, up);
    }
}

fn extract<S: Sample>(samples: &[S], mut share: Share<'_>, body: &mut [u8]) {
    let tile = &samples[share.samples.clone()];
    warm(tile);
    for i in share.bits.clone() {
        let (position, _) = share.draw();
        body[i / 8] |= tile[position].bit() << (i % 8);
    }
}

/// Reads a tile once from end to end, which memory does fast, so that the scattered accesses that
/// follow find it in the cache. With a small body that makes them several times as fast.
fn warm<S: Sample>(tile: &[S]) {
    std::hint::black_box(tile.iter().step_by(64 / size_of::<S>()).max());
}
