//! Covers and the pixels they are made of.
//!
//! A [`Cover`] is a decoded still image that something can be hidden in. Here are its pixel type,
//! its [`Capacity`] and the comparison that proves a stego image faithful to it. Which samples
//! carry is `carriers`' business, reading files is `decode`'s, writing them `png_file`'s.

use std::fmt;

use super::{
    analysis::OVERHEAD,
    carriers::Carriers,
    decode::{self, Orient},
    error::{Error, Size},
    message::{adaptive_room, matching_room},
    plan,
    png_chunks::ColourSpace,
    seal::Context,
};

/// The formats that are read.
#[distri::message]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// Portable Network Graphics; also what is written.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP, lossy or lossless.
    WebP,
    /// Windows bitmap.
    Bmp,
    /// Graphics Interchange Format.
    Gif,
    /// Tagged Image File Format; of several pages, the first.
    Tiff,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
            Self::Tiff => "TIFF",
        })
    }
}

/// What an image may cost. All bounds hold before anything is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an image file. Larger lets more detailed covers in and takes as much memory for
    /// each call. 64 MiB.
    pub file_max: u64,
    /// Pixels in a row. 8192.
    pub width_max: u32,
    /// Rows. 8192.
    pub height_max: u32,
    /// Bytes of a decoded image, 3 for each pixel of most photographs. Hiding holds up to four
    /// times as much for as long as it takes. 256 MiB.
    pub memory_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_max: 64 << 20,
            width_max: 8192,
            height_max: 8192,
            memory_max: 256 << 20,
        }
    }
}

/// Whether pixels are grey or coloured.
#[distri::message]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Colour {
    /// One sample for each pixel.
    Grey,
    /// Red, green and blue.
    Rgb,
}

/// How many bits a sample has.
#[distri::message]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// 0 to 255.
    Eight,
    /// 0 to 65,535.
    Sixteen,
}

/// What an image's pixels are made of.
#[distri::message]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PixelType {
    /// Grey or coloured.
    pub colour: Colour,
    /// Whether each pixel has a transparency.
    pub alpha: bool,
    /// Bits in a sample.
    pub depth: Depth,
}

impl PixelType {
    /// Samples of a pixel without its transparency.
    pub(crate) fn colours(self) -> usize {
        match self.colour {
            Colour::Grey => 1,
            Colour::Rgb => 3,
        }
    }

    pub(crate) fn sample_bytes(self) -> usize {
        match self.depth {
            Depth::Eight => 1,
            Depth::Sixteen => 2,
        }
    }

    pub(crate) fn pixel_bytes(self) -> usize {
        (self.colours() + usize::from(self.alpha)) * self.sample_bytes()
    }
}

/// Pixels as PNG orders them: row by row, colours then transparency, 16 bits high byte first.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) size: Size,
    pub(crate) pixels: PixelType,
    /// As long as size and pixel type say.
    pub(crate) data: Vec<u8>,
    pub(crate) colour_space: ColourSpace,
}

impl Picture {
    pub(crate) fn context(&self) -> Context {
        Context {
            width: self.size.width,
            height: self.size.height,
            colours: self.pixels.colours() as u8,
            depth: self.pixels.sample_bytes() as u8 * 8,
        }
    }

    /// The number of samples in which `other` differs from `self`, or `None` if it differs by
    /// more than hiding may: in size or type, in transparency, by more than one step, or at all
    /// where the picture is not opaque.
    pub(crate) fn steps_to(&self, other: &Self) -> Option<u64> {
        if self.size != other.size || self.pixels != other.pixels {
            return None;
        }
        let (bytes, sample) = (self.pixels.pixel_bytes(), self.pixels.sample_bytes());
        if bytes == self.pixels.colours() {
            return byte_steps(&self.data, &other.data);
        }
        let (mut steps, colours) = (0, self.pixels.colours() * sample);
        for (a, b) in self
            .data
            .chunks_exact(bytes)
            .zip(other.data.chunks_exact(bytes))
        {
            let opaque = a[colours..].iter().all(|byte| *byte == u8::MAX);
            if a[colours..] != b[colours..] || !opaque && a != b {
                return None;
            }
            for (a, b) in a[..colours]
                .chunks_exact(sample)
                .zip(b[..colours].chunks_exact(sample))
            {
                match number(a).abs_diff(number(b)) {
                    step @ (0 | 1) => steps += u64::from(step),
                    _ => return None,
                }
            }
        }
        Some(steps)
    }
}

/// A sample of one or two bytes.
fn number(sample: &[u8]) -> u16 {
    sample
        .iter()
        .fold(0, |number, byte| number << 8 | u16::from(*byte))
}

pub(crate) fn words(data: &[u8]) -> impl Iterator<Item = u16> + '_ {
    data.as_chunks::<2>()
        .0
        .iter()
        .map(|bytes| u16::from_be_bytes(*bytes))
}

/// How many bytes differ by one, or `None` if any differs by more. Most covers consist of plain
/// bytes; this takes them sixteen and more at a time.
fn byte_steps(a: &[u8], b: &[u8]) -> Option<u64> {
    /// As many differences of one as a byte can count.
    const RUN: usize = 255;
    let (mut steps, mut far) = (0, 0);
    for (a, b) in a.chunks(RUN).zip(b.chunks(RUN)) {
        let mut in_run = 0u8;
        for (a, b) in a.iter().zip(b) {
            let difference = a.abs_diff(*b);
            far |= difference & !1;
            in_run += difference & 1;
        }
        steps += u64::from(in_run);
    }
    (far == 0).then_some(steps)
}

/// A still image, decoded, in which something can be hidden.
#[derive(Clone, Debug)]
pub struct Cover {
    pub(crate) format: Format,
    pub(crate) picture: Picture,
}

impl Cover {
    /// Decodes `file`, turned the way its EXIF orientation says; a PNG as it is stored, because its image says
    /// the same.
    ///
    /// Palettes become RGB (a step of ±1 in a palette index would be another colour altogether),
    /// grey of fewer than 8 bits becomes 8. All else is kept as it is.
    ///
    /// # Errors
    ///
    /// When it is no image, broken, animated, of a pixel type that PNG lacks, or beyond `limits`.
    pub fn decode(file: &[u8], limits: &Limits) -> Result<Self, Error> {
        let format = decode::sniff(file)?;
        let picture = decode::decode(file, format, Orient::Upright, limits)?;
        Ok(Self { format, picture })
    }

    /// The format it was decoded from.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Width and height.
    #[must_use]
    pub fn size(&self) -> Size {
        self.picture.size
    }

    /// What its pixels are made of.
    #[must_use]
    pub fn pixels(&self) -> PixelType {
        self.picture.pixels
    }

    /// How much fits, to the byte.
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        let carriers = Carriers::count(&self.picture);
        Capacity {
            payload: matching_room(&self.picture, carriers).map(|bytes| bytes as u64),
            adaptive: adaptive_room(&self.picture, carriers).map(|bytes| bytes as u64),
            recommended: plan::recommended_bytes(carriers as u64, OVERHEAD),
            as_jpeg: None,
            carriers: carriers as u64,
            size: self.size(),
            pixels: self.pixels(),
            format: self.format,
        }
    }
}

/// How much a cover can carry.
#[distri::message]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// The largest payload in bytes that fits without a label; a label takes as many bytes as it
    /// has. `None` if not even an empty one fits.
    pub payload: Option<u64>,
    /// The same for adaptive messages. Beyond it, `auto` matches and `stealth` refuses.
    pub adaptive: Option<u64>,
    /// The largest payload that is recommended, by the square-root law, for a photograph that was
    /// never a JPEG. `analyze` looks whether this cover is one.
    pub recommended: u64,
    /// The largest payload that fits a cover that is a JPEG and stays one. Known from a file only, by
    /// [`Settings::capacity`](super::Settings::capacity).
    pub as_jpeg: Option<u64>,
    /// Samples that may change: all colours of all opaque pixels.
    pub carriers: u64,
    /// Width and height.
    pub size: Size,
    /// What the pixels are made of.
    pub pixels: PixelType,
    /// The cover's format. What is hidden in the pixels of a JPEG looks like any photograph to
    /// people, but is found by those who search for it: let it stay a JPEG, or be resampled.
    pub format: Format,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(pixels: PixelType, data: Vec<u8>) -> Picture {
        let width = (data.len() / pixels.pixel_bytes()) as u32;
        let size = Size { width, height: 1 };
        Picture {
            size,
            pixels,
            data,
            colour_space: ColourSpace::default(),
        }
    }

    const RGBA: PixelType = PixelType {
        colour: Colour::Rgb,
        alpha: true,
        depth: Depth::Eight,
    };
    const GREY16: PixelType = PixelType {
        colour: Colour::Grey,
        alpha: false,
        depth: Depth::Sixteen,
    };

    #[test]
    fn steps_are_counted_and_anything_more_is_noticed() {
        let cover = picture(RGBA, vec![9, 9, 9, 255, 5, 5, 5, 254, 0, 0, 0, 0]);
        let stego = |changes: &[(usize, u8)]| {
            let mut stego = cover.clone();
            for (at, value) in changes {
                stego.data[*at] = *value;
            }
            cover.steps_to(&stego)
        };

        assert_eq!(stego(&[]), Some(0));
        assert_eq!(stego(&[(0, 10), (2, 8)]), Some(2));
        assert_eq!(stego(&[(0, 11)]), None, "two steps");
        assert_eq!(stego(&[(3, 254)]), None, "a transparency");
        assert_eq!(stego(&[(4, 6)]), None, "a colour that is not opaque");
        assert_eq!(stego(&[(8, 1)]), None, "a colour that is invisible");
    }

    #[test]
    fn sixteen_bit_samples_are_compared_as_numbers() {
        let cover = picture(GREY16, vec![0x01, 0xFF, 0x80, 0x00]);

        let near = picture(GREY16, vec![0x02, 0x00, 0x7F, 0xFF]);
        let far = picture(GREY16, vec![0x02, 0xFF, 0x80, 0x00]);

        assert_eq!(cover.steps_to(&near), Some(2));
        assert_eq!(cover.steps_to(&far), None);
    }
}
