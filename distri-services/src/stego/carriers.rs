//! The samples of a picture that may change: every colour of every opaque pixel, in order.
//!
//! Transparencies never change, nor do colours under one: browsers and editors multiply the two
//! and keep the product, so a step there would be lost, and a change of transparency shows.

use std::borrow::Cow;

use super::{
    adaptive::{self, Changes, CostsOf, Outcome, Parameters, Refusal, Site},
    bound::Census,
    cost::{self, Cost, Measure},
    cover::{Depth, Picture, words},
    error::Error,
    key::Mark,
    layout::{Layout, SlotDeck, Stream},
    sample::Sample,
    seal::HEADER_SEALED,
    slot::{self, PublicBits},
    stc::Height,
};

/// Carriers apart from everything else, so that whoever embeds sees one plain list.
pub(crate) enum Carriers<'a> {
    /// 8-bit samples, borrowed where the picture consists of nothing else.
    Eight(Cow<'a, [u8]>),
    /// 16-bit samples.
    Sixteen(Vec<u16>),
}

impl<'a> Carriers<'a> {
    pub(crate) fn of(picture: &'a Picture) -> Self {
        let colours = picture.pixels.colours();
        match (picture.pixels.alpha, picture.pixels.depth) {
            (false, Depth::Eight) => Self::Eight(Cow::Borrowed(&picture.data)),
            (true, Depth::Eight) => {
                let mut samples = Vec::with_capacity(picture.data.len());
                for pixel in opaque(picture) {
                    samples.extend_from_slice(&pixel[..colours]);
                }
                Self::Eight(Cow::Owned(samples))
            }
            (false, Depth::Sixteen) => Self::Sixteen(words(&picture.data).collect()),
            (true, Depth::Sixteen) => {
                let mut samples = Vec::with_capacity(picture.data.len() / 2);
                for pixel in opaque(picture) {
                    samples.extend(words(&pixel[..2 * colours]));
                }
                Self::Sixteen(samples)
            }
        }
    }

    /// How many carriers a picture has.
    pub(crate) fn count(picture: &Picture) -> usize {
        let pixels = picture.pixels;
        match pixels.alpha {
            false => picture.data.len() / pixels.sample_bytes(),
            true => opaque(picture).count() * pixels.colours(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Eight(samples) => samples.len(),
            Self::Sixteen(samples) => samples.len(),
        }
    }

    pub(crate) fn public_bits(&self, layout: &Layout, slot: usize, deck: &SlotDeck) -> PublicBits {
        let tile = layout.slot_samples(slot);
        match self {
            Self::Eight(samples) => PublicBits::read(&samples[tile], deck.public()),
            Self::Sixteen(samples) => PublicBits::read(&samples[tile], deck.public()),
        }
    }

    pub(crate) fn refresh(
        &mut self,
        layout: &Layout,
        slot: usize,
        deck: &SlotDeck,
        mark: Option<&Mark>,
        random: &mut Stream,
        candidates: Vec<u8>,
    ) -> Result<(), Error> {
        let (tile, public) = (layout.slot_samples(slot), deck.public());
        match self {
            Self::Eight(samples) => {
                let tile = &mut samples.to_mut()[tile];
                slot::refresh(tile, public, slot, mark, random, candidates)
            }
            Self::Sixteen(samples) => {
                let tile = &mut samples[tile];
                slot::refresh(tile, public, slot, mark, random, candidates)
            }
        }
    }

    /// Puts a sealed header into a slot of an adaptive message.
    pub(crate) fn write_adaptive_header(
        &mut self,
        costs: &CostsOf,
        slot: &[u32],
        header: &[u8; HEADER_SEALED],
        random: &mut Stream,
    ) -> Result<(), Refusal> {
        let height = header_height();
        match self {
            Self::Eight(samples) => {
                adaptive::write_plainly(samples.to_mut(), costs, slot, header, height, random)
            }
            Self::Sixteen(samples) => {
                adaptive::write_plainly(samples, costs, slot, header, height, random)
            }
        }
    }

    /// Reads what may be a sealed header of an adaptive message.
    pub(crate) fn read_adaptive_header(&self, slot: &[u32]) -> [u8; HEADER_SEALED] {
        let mut header = [0; HEADER_SEALED];
        let height = header_height();
        match self {
            Self::Eight(samples) => adaptive::read_plainly(samples, slot, &mut header, height),
            Self::Sixteen(samples) => adaptive::read_plainly(samples, slot, &mut header, height),
        }
        header
    }

    /// Finds the changes that put the body of an adaptive message in.
    pub(crate) fn write_adaptive(
        &self,
        site: &Site<'_>,
        costs: &[Cost],
        body: &[u8],
        height: Height,
        random: &mut Stream,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<(Outcome, Changes), Refusal> {
        match self {
            Self::Eight(samples) => site.write(samples, costs, body, height, random, go_on),
            Self::Sixteen(samples) => site.write(samples, costs, body, height, random, go_on),
        }
    }

    /// The same in turns, which uses the costs up.
    pub(crate) fn write_in_turns(
        &self,
        site: &Site<'_>,
        costs: &mut [Cost],
        body: &[u8],
        height: Height,
        random: &mut Stream,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<(Outcome, Changes), Refusal> {
        match self {
            Self::Eight(samples) => {
                site.write_in_turns(samples, costs, body, height, random, go_on)
            }
            Self::Sixteen(samples) => {
                site.write_in_turns(samples, costs, body, height, random, go_on)
            }
        }
    }

    /// Makes changes.
    pub(crate) fn apply(&mut self, changes: Changes) {
        match self {
            Self::Eight(samples) => changes.apply(samples.to_mut()),
            Self::Sixteen(samples) => changes.apply(samples),
        }
    }

    /// How many carriers have each cost.
    pub(crate) fn census(&self, costs: &[Cost]) -> Census {
        fn count<S: Sample>(samples: &[S], costs: &[Cost]) -> Census {
            let mut census = Census::default();
            for (sample, cost) in samples.iter().zip(costs) {
                census.add(*cost, sample.is_extreme());
            }
            census
        }
        match self {
            Self::Eight(samples) => count(samples, costs),
            Self::Sixteen(samples) => count(samples, costs),
        }
    }

    /// Changes each carrier with the probability that λ gives its cost.
    pub(crate) fn draw(&mut self, costs: &[Cost], lambda: f64, random: &mut Stream) {
        fn each<S: Sample>(samples: &mut [S], costs: &[Cost], lambda: f64, random: &mut Stream) {
            for (sample, cost) in samples.iter_mut().zip(costs) {
                let ways = if sample.is_extreme() { 1.0 } else { 2.0 };
                let weight = ways * (-lambda * f64::from(cost::value(*cost))).exp();
                let chance = f64::from(random.next_word()) / (f64::from(u32::MAX) + 1.0);
                if chance < weight / (1.0 + weight) {
                    *sample = sample.stepped(random.next_word() & 1 == 1);
                }
            }
        }
        match self {
            Self::Eight(samples) => each(samples.to_mut(), costs, lambda, random),
            Self::Sixteen(samples) => each(samples, costs, lambda, random),
        }
    }

    /// The carriers that differ.
    pub(crate) fn differences(&self, other: &Self) -> Vec<usize> {
        let differ: Box<dyn Fn(&usize) -> bool> = match (self, other) {
            (Self::Eight(a), Self::Eight(b)) => Box::new(|i| a[*i] != b[*i]),
            (Self::Sixteen(a), Self::Sixteen(b)) => Box::new(|i| a[*i] != b[*i]),
            _ => Box::new(|_| true),
        };
        (0..self.len().min(other.len())).filter(differ).collect()
    }

    /// Takes the body of an adaptive message out.
    pub(crate) fn read_adaptive(
        &self,
        site: &Site<'_>,
        length: usize,
        parameters: &Parameters,
    ) -> Option<Vec<u8>> {
        match self {
            Self::Eight(samples) => site.read(samples, length, parameters),
            Self::Sixteen(samples) => site.read(samples, length, parameters),
        }
    }

    pub(crate) fn read_header(
        &self,
        layout: &Layout,
        slot: usize,
        positions: &[(usize, bool)],
    ) -> [u8; HEADER_SEALED] {
        let tile = layout.slot_samples(slot);
        match self {
            Self::Eight(samples) => slot::read_header(&samples[tile], positions),
            Self::Sixteen(samples) => slot::read_header(&samples[tile], positions),
        }
    }

    pub(crate) fn write_header(
        &mut self,
        layout: &Layout,
        slot: usize,
        positions: &[(usize, bool)],
        header: &[u8; HEADER_SEALED],
    ) {
        let tile = layout.slot_samples(slot);
        match self {
            Self::Eight(samples) => {
                slot::write_header(&mut samples.to_mut()[tile], positions, header);
            }
            Self::Sixteen(samples) => slot::write_header(&mut samples[tile], positions, header),
        }
    }

    /// The picture that these carriers, changed, make of the one they came from.
    pub(crate) fn into_picture(self, cover: &Picture) -> Picture {
        let pixels = cover.pixels;
        let with = |data| Picture {
            data,
            colour_space: cover.colour_space.clone(),
            ..*cover
        };
        let mut samples = match self {
            Self::Eight(samples) if !pixels.alpha => return with(samples.into_owned()),
            Self::Eight(samples) => samples.into_owned(),
            Self::Sixteen(samples) => {
                let mut bytes = Vec::with_capacity(samples.len() * 2);
                bytes.extend(samples.iter().flat_map(|sample| sample.to_be_bytes()));
                bytes
            }
        };
        if !pixels.alpha {
            return with(samples);
        }
        let mut data = cover.data.clone();
        let (bytes, sample) = (pixels.pixel_bytes(), pixels.sample_bytes());
        let colours = bytes - sample;
        let mut rest = samples.as_mut_slice();
        for pixel in data
            .chunks_exact_mut(bytes)
            .filter(|pixel| is_opaque(pixel, sample))
        {
            let (these, others) = rest.split_at_mut(colours);
            pixel[..colours].copy_from_slice(these);
            rest = others;
        }
        with(data)
    }
}

/// The costs of all carriers of a picture.
pub(crate) fn costs(picture: &Picture, measure: Measure, threads: usize) -> Vec<Cost> {
    let mut costs = cost::costs(picture, measure, threads);
    let pixels = picture.pixels;
    if pixels.alpha {
        let colours = pixels.colours();
        let mut kept = 0;
        let all = picture.data.chunks_exact(pixels.pixel_bytes());
        for (i, pixel) in all.enumerate() {
            if is_opaque(pixel, pixels.sample_bytes()) {
                costs.copy_within(i * colours..(i + 1) * colours, kept);
                kept += colours;
            }
        }
        costs.truncate(kept);
    }
    costs
}

/// The code that headers are written with. Part of the format.
fn header_height() -> Height {
    const HEIGHT: u8 = 10;
    Height::new(HEIGHT).expect("a height that there is")
}

fn opaque(picture: &Picture) -> impl Iterator<Item = &[u8]> {
    let sample = picture.pixels.sample_bytes();
    let pixels = picture.data.chunks_exact(picture.pixels.pixel_bytes());
    pixels.filter(move |pixel| is_opaque(pixel, sample))
}

#[inline]
fn is_opaque(pixel: &[u8], sample_bytes: usize) -> bool {
    pixel[pixel.len() - sample_bytes..]
        .iter()
        .all(|byte| *byte == u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::{
        cover::{Colour, PixelType},
        error::Size,
        png_chunks::ColourSpace,
    };
    use super::*;

    fn picture(colour: Colour, alpha: bool, depth: Depth, data: &[u8]) -> Picture {
        let pixels = PixelType {
            colour,
            alpha,
            depth,
        };
        let width = (data.len() / pixels.pixel_bytes()) as u32;
        let size = Size { width, height: 1 };
        Picture {
            size,
            pixels,
            data: data.to_vec(),
            colour_space: ColourSpace::default(),
        }
    }

    #[test]
    fn only_opaque_pixels_carry() {
        let data = [1, 2, 3, 255, 4, 5, 6, 254, 7, 8, 9, 0, 10, 11, 12, 255];
        let picture = picture(Colour::Rgb, true, Depth::Eight, &data);

        let Carriers::Eight(samples) = Carriers::of(&picture) else {
            panic!("8 bits")
        };

        assert_eq!(*samples, [1, 2, 3, 10, 11, 12]);
        assert_eq!(Carriers::count(&picture), 6);
    }

    #[test]
    fn sixteen_bits_of_transparency_must_all_be_set_for_a_pixel_to_carry() {
        let data = [1, 2, 255, 255, 3, 4, 255, 254, 5, 6, 254, 255];
        let picture = picture(Colour::Grey, true, Depth::Sixteen, &data);

        let Carriers::Sixteen(samples) = Carriers::of(&picture) else {
            panic!("16 bits")
        };

        assert_eq!(samples, [0x0102]);
        assert_eq!(Carriers::count(&picture), 1);
    }

    #[test]
    fn carriers_go_back_where_they_came_from() {
        let data: Vec<u8> = (0..48).map(|i| if i % 3 == 0 { 255 } else { i }).collect();
        for colour in [Colour::Grey, Colour::Rgb] {
            for alpha in [false, true] {
                for depth in [Depth::Eight, Depth::Sixteen] {
                    let picture = picture(colour, alpha, depth, &data);

                    let back = Carriers::of(&picture).into_picture(&picture);

                    assert_eq!(back.data, picture.data, "{colour:?} {alpha} {depth:?}");
                }
            }
        }
    }
}
