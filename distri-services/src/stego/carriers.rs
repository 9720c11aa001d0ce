//! The samples of a picture that may change: every colour of every opaque pixel, in order.
//!
//! Transparencies never change, nor do colours under one: browsers and editors multiply the two
//! and keep the product, so a step there would be lost, and a change of transparency shows.

use std::borrow::Cow;

use super::{
    cover::{Depth, Picture, words},
    error::Error,
    key::Mark,
    layout::{Layout, SlotDeck, Stream},
    seal::HEADER_SEALED,
    slot::{self, PublicBits},
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
    ) -> Result<(), Error> {
        let (tile, public) = (layout.slot_samples(slot), deck.public());
        match self {
            Self::Eight(samples) => {
                slot::refresh(&mut samples.to_mut()[tile], public, slot, mark, random)
            }
            Self::Sixteen(samples) => slot::refresh(&mut samples[tile], public, slot, mark, random),
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
        png_file::ColourSpace,
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
