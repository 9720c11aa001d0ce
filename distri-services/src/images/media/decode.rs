//! From a file to pixels, without trusting it.
//!
//! What a file says of its size is read first, by the decoders' own header readers and, where those
//! say too little, by a look at the marker segments; a file that would take too much is refused
//! before a decoder takes memory for pixels.

use std::{borrow::Cow, io::Cursor};

use image::{
    DynamicImage, ImageDecoder, Limits,
    codecs::{jpeg::JpegDecoder, png::PngDecoder, webp::WebPDecoder},
    metadata::Orientation,
};

use super::{Format, MediaError};

/// Bytes of an image file, at most. Larger takes as much memory more wherever one is read.
pub const FILE_MAX: usize = 64 << 20;

/// Pixels in a row and rows, at most.
pub const SIDE_MAX: u32 = 8192;

/// Bytes of the decoded pixels, at most: 55 megapixels of colour.
pub const PIXELS_MAX: u64 = 160 << 20;

/// Bytes that decoding takes at most in all, the pixels included. Some formats need far more than
/// their pixels: a progressive JPEG holds two bytes for each sample of the whole picture besides, a
/// lossless WebP four for each pixel. So these are refused at 26 and 33 megapixels.
pub const WORK_MAX: u64 = 224 << 20;

/// A decoded still picture, the right way up.
#[derive(Clone, PartialEq)]
pub struct Picture {
    image: DynamicImage,
    format: Format,
    lossy: bool,
}

impl Picture {
    /// Decodes `file`, and turns the picture the way its EXIF orientation says.
    ///
    /// # Errors
    /// [`MediaError`]: when it is no still PNG, JPEG or WebP, broken, or beyond a bound.
    pub fn decode(file: &[u8]) -> Result<Self, MediaError> {
        if file.len() > FILE_MAX {
            return Err(MediaError::too_large(
                "the file",
                file.len() as u64,
                FILE_MAX as u64,
            ));
        }
        let format = Format::sniff(file).ok_or(MediaError::NotAnImage)?;
        let broken = |error| MediaError::broken(format, &error);
        match format {
            Format::Png => {
                // Looked up here, because the decoder refuses without numbers.
                if let (Some(width), Some(height)) = (long(file, 16), long(file, 20)) {
                    check_sides(width, height)?;
                    // The least that it can be; what it is, is checked below.
                    check(u64::from(width) * u64::from(height), 0)?;
                }
                let file = pixel_chunks(file);
                let decoder = PngDecoder::with_limits(Cursor::new(&*file), limits());
                let decoder = decoder.map_err(broken)?;
                if decoder.is_apng().map_err(broken)? {
                    return Err(MediaError::Animated { format });
                }
                Self::read(decoder, format, false, 0)
            }
            Format::Jpeg => {
                // Its header says whether it is progressive; the decoder does not tell.
                let frames = Frames::of_jpeg(file);
                let besides = frames.map(Frame::coefficients).max().unwrap_or(0);
                check(0, besides)?;
                let decoder = JpegDecoder::new(Cursor::new(file)).map_err(broken)?;
                Self::read(decoder, format, true, besides)
            }
            Format::WebP => {
                let decoder = WebPDecoder::new(Cursor::new(file)).map_err(broken)?;
                if decoder.has_animation() {
                    return Err(MediaError::Animated { format });
                }
                let (width, height) = decoder.dimensions();
                let lossy = is_lossy_webp(file);
                let besides = u64::from(width) * u64::from(height) * if lossy { 2 } else { 4 };
                Self::read(decoder, format, lossy, besides)
            }
        }
    }

    /// Reads what `decoder` has, if that takes no more than it may, with `besides` bytes of memory
    /// that it takes in addition to those of the pixels.
    fn read(
        mut decoder: impl ImageDecoder,
        format: Format,
        lossy: bool,
        besides: u64,
    ) -> Result<Self, MediaError> {
        let broken = |error| MediaError::broken(format, &error);
        let (width, height) = decoder.dimensions();
        check_sides(width, height)?;
        check(decoder.total_bytes(), besides)?;
        decoder.set_limits(limits()).map_err(broken)?;
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut image = DynamicImage::from_decoder(decoder).map_err(broken)?;
        image.apply_orientation(orientation);
        Ok(Self {
            image,
            format,
            lossy,
        })
    }

    /// Pixels in a row.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.image.width()
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.image.height()
    }

    /// The format it came in.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The pixels, row by row, each red, green, blue and opacity: as a canvas takes them.
    #[must_use]
    pub fn to_rgba8(&self) -> Vec<u8> {
        self.image.to_rgba8().into_raw()
    }

    pub(super) fn is_lossy(&self) -> bool {
        self.lossy
    }

    pub(super) fn image(&self) -> &DynamicImage {
        &self.image
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What is on it belongs in no log.
        write!(
            f,
            "Picture({} of {} x {})",
            self.format,
            self.width(),
            self.height()
        )
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(PIXELS_MAX);
    limits
}

fn check_sides(width: u32, height: u32) -> Result<(), MediaError> {
    for (what, side) in [("the width", width), ("the height", height)] {
        if side > SIDE_MAX {
            return Err(MediaError::too_large(what, side.into(), SIDE_MAX.into()));
        }
    }
    Ok(())
}

fn check(pixels: u64, besides: u64) -> Result<(), MediaError> {
    if pixels > PIXELS_MAX {
        return Err(MediaError::too_large("the picture", pixels, PIXELS_MAX));
    }
    let work = pixels.saturating_add(besides);
    if work > WORK_MAX {
        return Err(MediaError::too_large("decoding it", work, WORK_MAX));
    }
    Ok(())
}

/// A PNG without the chunks that pixels need not: colour profiles and texts are compressed, and
/// unfold to whatever their author likes before any bound is asked.
fn pixel_chunks(file: &[u8]) -> Cow<'_, [u8]> {
    const KEPT: [&[u8; 4]; 7] = [
        b"IHDR", b"PLTE", b"tRNS", b"acTL", b"eXIf", b"IDAT", b"IEND",
    ];
    let mut dropped = false;
    let mut kept = Vec::new();
    let mut at = 8;
    while let (Some(length), Some(name)) = (long(file, at), file.get(at + 4..at + 8)) {
        let end = (at + 12).saturating_add(length as usize).min(file.len());
        if KEPT.iter().any(|known| *known == name) {
            kept.push(at..end);
        } else {
            dropped = true;
        }
        at = end;
    }
    if !dropped {
        return Cow::Borrowed(file);
    }
    let parts = kept.into_iter().map(|range| &file[range]);
    Cow::Owned(
        [&file[..8]]
            .into_iter()
            .chain(parts)
            .collect::<Vec<_>>()
            .concat(),
    )
}

/// Says whether the first picture in a WebP is a lossy one.
fn is_lossy_webp(file: &[u8]) -> bool {
    let mut at: usize = 12;
    loop {
        let (Some(name), Some(length)) = (file.get(at..at + 4), file.get(at + 4..at + 8)) else {
            return false;
        };
        match name {
            b"VP8 " => return true,
            b"VP8L" => return false,
            _ => {}
        }
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
        at += 8 + (length as usize).next_multiple_of(2);
    }
}

/// The frame headers of a JPEG up to its first scan. There should be one; decoders differ in what
/// they do with more.
struct Frames<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Frames<'a> {
    fn of_jpeg(file: &'a [u8]) -> Self {
        Self { file, at: 2 }
    }
}

impl Iterator for Frames<'_> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        loop {
            // A marker is 0xFF, as often as one likes, and a byte that is neither 0 nor 0xFF.
            while *self.file.get(self.at)? != 0xFF {
                self.at += 1;
            }
            while *self.file.get(self.at)? == 0xFF {
                self.at += 1;
            }
            let marker = *self.file.get(self.at)?;
            let segment = self.at + 1;
            match marker {
                0x00 | 0x01 | 0xD0..=0xD8 => continue,
                0xD9 | 0xDA => return None,
                _ => {}
            }
            let length = usize::from(number(self.file, segment)?);
            self.at = segment + length.max(2);
            // C4, C8 and CC lie among the frame headers and are none.
            if matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC) {
                return Some(Frame {
                    progressive: matches!(marker, 0xC2 | 0xC6 | 0xCA | 0xCE),
                    height: number(self.file, segment + 3)?,
                    width: number(self.file, segment + 5)?,
                    components: *self.file.get(segment + 7)?,
                });
            }
        }
    }
}

/// What a JPEG says of its picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    progressive: bool,
    width: u16,
    height: u16,
    components: u8,
}

impl Frame {
    /// Bytes of coefficients that are held while it is decoded, in blocks of 8 by 8 that may be
    /// padded to 4 blocks a side.
    fn coefficients(self) -> u64 {
        if !self.progressive {
            return 0;
        }
        let padded = |side: u16| u64::from(side).next_multiple_of(32);
        padded(self.width) * padded(self.height) * u64::from(self.components) * 2
    }
}

fn number(file: &[u8], at: usize) -> Option<u16> {
    let bytes = file.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn long(file: &[u8], at: usize) -> Option<u32> {
    Some(u32::from(number(file, at)?) << 16 | u32::from(number(file, at + 2)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_of_a_jpeg_is_found_behind_other_segments() {
        let file = [
            &b"\xFF\xD8\xFF\xE1\x00\x06Exif\xFF\xFF\xC4\x00\x03\x07\xFF\xC2\x00\x11\x08"[..],
            b"\x12\x34\x56\x78\x03",
        ]
        .concat();

        let frame = Frames::of_jpeg(&file).next();

        let expected = Frame {
            progressive: true,
            width: 0x5678,
            height: 0x1234,
            components: 3,
        };
        assert_eq!(frame, Some(expected));
    }

    #[test]
    fn no_cut_of_a_jpeg_upsets_the_search_for_its_frame() {
        let file = b"\xFF\xD8\xFF\xE1\x00\x06Exif\xFF\xC0\x00\x11\x08\x12\x34\x56\x78\x03";

        for end in 0..file.len() {
            assert_eq!(Frames::of_jpeg(&file[..end]).next(), None, "{end}");
        }
        assert!(Frames::of_jpeg(file).next().is_some());
    }
}
