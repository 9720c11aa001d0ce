//! How the bits of a body are put into samples: the replaceable part.
//!
//! An embedding decides which samples of the plan's shares change and by how much. What it is told
//! is the plan (whose positions depend on the key) and the bits, which are encrypted and so look
//! random. Its id is in the sealed header, so that a reader knows which one to use; ids are never
//! reused. Slots are written the same way whatever the embedding (see `slot`).

use super::{
    carriers::Carriers,
    layout::{Plan, Share},
    sample::Sample,
};

/// The ways of embedding that are known.
#[distri::message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// ±1 matching: a sample whose parity differs from the bit it is to carry steps up or down at
    /// random. One bit a sample, half of the samples that carry change.
    #[default]
    Matching,
}

impl Method {
    pub(crate) fn id(self) -> u8 {
        match self {
            Self::Matching => 1,
        }
    }

    pub(crate) fn from_id(id: u8) -> Option<Self> {
        match id {
            1 => Some(Self::Matching),
            _ => None,
        }
    }

    pub(crate) fn embedding(self) -> &'static dyn Embedding {
        match self {
            Self::Matching => &Matching,
        }
    }
}

/// Puts a body into carriers and takes it out again.
pub(crate) trait Embedding {
    /// Bits that fit a plan with so many free carriers.
    fn capacity(&self, free: usize) -> usize;

    /// Makes `carriers` hold `body`, which fits.
    fn embed(&self, carriers: &mut Carriers<'_>, plan: &Plan<'_>, body: &[u8]);

    /// The `length` bytes that `carriers` hold; they fit.
    fn extract(&self, carriers: &Carriers<'_>, plan: &Plan<'_>, length: usize) -> Vec<u8>;
}

struct Matching;

impl Embedding for Matching {
    fn capacity(&self, free: usize) -> usize {
        free
    }

    fn embed(&self, carriers: &mut Carriers<'_>, plan: &Plan<'_>, body: &[u8]) {
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

    fn extract(&self, carriers: &Carriers<'_>, plan: &Plan<'_>, length: usize) -> Vec<u8> {
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
