//! PNG files: reading covers and stego images, writing stego images.
//!
//! Written are the pixels and what their colours mean (sRGB, gamma, chromaticities, ICC profile,
//! HDR code points) and their shape (pixel dimensions), so that every viewer shows the picture as
//! before. Texts, times, EXIF and thumbnails are not: they tell where a photograph was taken.

use std::{
    io::{Cursor, Write as _},
    sync::Arc,
};

use image::metadata::Orientation;
use png::{BitDepth, ColorType, DeflateCompression, Filter, Transformations};

use super::{
    cover::{Colour, Depth, Format, Limits, Picture, PixelType},
    decode::{broken, check_memory, check_size},
    error::{Error, Measure, Size},
};

/// How a PNG is written.
#[distri::message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// One fast pass, at more than 100 megapixels a second.
    #[default]
    Fast,
    /// As the common programs write: 2 to 3 % smaller, more than ten times as long, and a file that
    /// looks like theirs.
    Small,
}

/// Bytes in an IDAT chunk, as the common writers have it. More would save nothing.
const CHUNK: usize = 64 * 1024;

/// Larger profiles are left out; the ones in use have less than 4 KiB, those of printers 2 MiB.
const PROFILE_MAX: usize = 4 << 20;

/// What the numbers in a picture mean to a viewer.
#[derive(Clone, Debug, Default)]
pub(crate) struct ColourSpace {
    srgb: Option<png::SrgbRenderingIntent>,
    gamma: Option<png::ScaledFloat>,
    chromaticities: Option<png::SourceChromaticities>,
    code_points: Option<[u8; 4]>,
    profile: Option<Arc<[u8]>>,
    pixel_dims: Option<png::PixelDimensions>,
}

impl ColourSpace {
    fn of(info: &png::Info<'_>) -> Self {
        Self {
            srgb: info.srgb,
            gamma: info.gama_chunk,
            chromaticities: info.chrm_chunk,
            code_points: info.coding_independent_code_points.map(|points| {
                let range = u8::from(points.is_video_full_range_image);
                [
                    points.color_primaries,
                    points.transfer_function,
                    points.matrix_coefficients,
                    range,
                ]
            }),
            profile: None,
            pixel_dims: info.pixel_dims,
        }
    }

    /// Adds an ICC profile if it describes the kind of colours that the picture has. A CMYK
    /// profile, say, is wrong for what the decoder made of CMYK.
    pub(crate) fn with_profile(mut self, profile: Option<&[u8]>, colour: Colour) -> Self {
        /// Where an ICC header names its colour space (ICC.1:2022, 7.2).
        const SPACE: std::ops::Range<usize> = 16..20;
        let expected: &[u8] = match colour {
            Colour::Grey => b"GRAY",
            Colour::Rgb => b"RGB ",
        };
        self.profile = profile
            .filter(|profile| profile.len() <= PROFILE_MAX)
            .filter(|profile| profile.get(SPACE) == Some(expected))
            .map(Arc::from);
        self
    }
}

/// Reads a PNG and says how it wants to be turned.
pub(crate) fn read(file: &[u8], limits: &Limits) -> Result<(Picture, Orientation), Error> {
    read_into(Vec::new(), file, limits)
}

/// Reads a PNG into memory that is at hand, whatever it held.
pub(crate) fn read_into(
    mut data: Vec<u8>,
    file: &[u8],
    limits: &Limits,
) -> Result<(Picture, Orientation), Error> {
    let bytes = usize::try_from(limits.memory_max).unwrap_or(usize::MAX);
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(file), png::Limits { bytes });
    decoder.set_ignore_text_chunk(true);
    decoder.set_transformations(Transformations::EXPAND);
    let refuse = |error| refuse(error, limits);

    let header = decoder.read_header_info().map_err(refuse)?;
    let size = Size {
        width: header.width,
        height: header.height,
    };
    check_size(size, limits)?;
    let mut reader = decoder.read_info().map_err(refuse)?;
    if reader
        .info()
        .animation_control
        .is_some_and(|animation| animation.num_frames > 1)
    {
        return Err(Error::Animated {
            format: Format::Png,
        });
    }
    let pixels = pixel_type(reader.output_color_type())?;
    let length = reader
        .output_buffer_size()
        .map_or(u64::MAX, |length| length as u64);
    check_memory(length, limits)?;

    if data.capacity() < length as usize {
        // Zeros that take no memory until rows arrive, should the header promise too much.
        data = vec![0; length as usize];
    } else {
        data.clear();
        data.resize(length as usize, 0);
    }
    let frame = reader.next_frame(&mut data).map_err(refuse)?;
    if (frame.width, frame.height) != (size.width, size.height) {
        return Err(broken(Format::Png, "its only frame does not fill it"));
    }
    let info = reader.info();
    let colour_space =
        ColourSpace::of(info).with_profile(info.icc_profile.as_deref(), pixels.colour);
    let exif = info.exif_metadata.as_deref();
    let orientation = exif.and_then(Orientation::from_exif_chunk);
    let picture = Picture {
        size,
        pixels,
        data,
        colour_space,
    };
    Ok((picture, orientation.unwrap_or(Orientation::NoTransforms)))
}

fn pixel_type((colour, depth): (ColorType, BitDepth)) -> Result<PixelType, Error> {
    let (colour, alpha) = match colour {
        ColorType::Grayscale => (Colour::Grey, false),
        ColorType::GrayscaleAlpha => (Colour::Grey, true),
        ColorType::Rgb => (Colour::Rgb, false),
        ColorType::Rgba => (Colour::Rgb, true),
        ColorType::Indexed => return Err(broken(Format::Png, "its palette is missing")),
    };
    let depth = match depth {
        BitDepth::Sixteen => Depth::Sixteen,
        BitDepth::One | BitDepth::Two | BitDepth::Four | BitDepth::Eight => Depth::Eight,
    };
    Ok(PixelType {
        colour,
        alpha,
        depth,
    })
}

fn refuse(error: png::DecodingError, limits: &Limits) -> Error {
    match error {
        png::DecodingError::LimitsExceeded => Error::TooLarge {
            what: Measure::Memory,
            is: limits.memory_max + 1,
            limit: limits.memory_max,
        },
        other => broken(Format::Png, other),
    }
}

/// Writes `picture` as a PNG: one fast pass of Huffman coding over filtered rows, a few per cent
/// larger than zlib's default and more than ten times as fast.
///
/// Of the filters, the average of left and above: files are 2 to 3 % larger than with Paeth, but
/// are read back in three quarters of the time, by the check of each hiding and by each revealing.
pub(crate) fn write(
    picture: &Picture,
    compression: Compression,
) -> Result<Vec<u8>, png::EncodingError> {
    if compression == Compression::Small {
        return write_with(picture, DeflateCompression::Level(6), Filter::Adaptive);
    }
    let file = write_with(picture, DeflateCompression::FdeflateUltraFast, Filter::Avg)?;
    // The codes are fixed ones for photographs. Noise grows under them; store it instead.
    if file.len() > picture.data.len() + picture.data.len() / 64 + CHUNK {
        return write_with(picture, DeflateCompression::NoCompression, Filter::NoFilter);
    }
    Ok(file)
}

fn write_with(
    picture: &Picture,
    compression: DeflateCompression,
    filter: Filter,
) -> Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::with_capacity(picture.data.len() / 2);
    let mut encoder = png::Encoder::with_info(&mut file, info(picture))?;
    encoder.set_deflate_compression(compression);
    encoder.set_filter(filter);
    let mut writer = encoder.write_header()?;
    if let Some(points) = picture.colour_space.code_points {
        writer.write_chunk(png::chunk::cICP, &points)?;
    }
    let mut rows = writer.stream_writer_with_size(CHUNK)?;
    rows.write_all(&picture.data)?;
    rows.finish()?;
    writer.finish()?;
    Ok(file)
}

fn info(picture: &Picture) -> png::Info<'_> {
    let mut info = png::Info::with_size(picture.size.width, picture.size.height);
    info.color_type = match (picture.pixels.colour, picture.pixels.alpha) {
        (Colour::Grey, false) => ColorType::Grayscale,
        (Colour::Grey, true) => ColorType::GrayscaleAlpha,
        (Colour::Rgb, false) => ColorType::Rgb,
        (Colour::Rgb, true) => ColorType::Rgba,
    };
    info.bit_depth = match picture.pixels.depth {
        Depth::Eight => BitDepth::Eight,
        Depth::Sixteen => BitDepth::Sixteen,
    };
    let space = &picture.colour_space;
    info.srgb = space.srgb;
    info.source_gamma = space.gamma;
    info.source_chromaticities = space.chromaticities;
    info.icc_profile = space.profile.as_deref().map(Into::into);
    info.pixel_dims = space.pixel_dims;
    info
}
