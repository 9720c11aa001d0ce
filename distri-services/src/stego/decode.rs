//! From a file to a picture, whatever the format, without trusting it.
//!
//! Every bound is checked before memory is taken for pixels. PNG is read by `png_file`, which is
//! the fast path and keeps colour spaces; everything else by the `image` crate.

use std::io::Cursor;

use image::{
    AnimationDecoder, DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat,
    ImageReader,
    codecs::{gif::GifDecoder, webp::WebPDecoder},
    metadata::Orientation,
};

use super::{
    cover::{Colour, Depth, Format, Limits, Picture, PixelType, words},
    error::{DecoderError, Error, Measure, Size},
    png_chunks::ColourSpace,
    png_file,
};

/// Which way round pixels are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Orient {
    /// As a viewer shows them: turned the way EXIF says. For covers whose EXIF cannot go along. PNGs keep what it
    /// says of that, and are not turned.
    Upright,
    /// As they are stored. For stego images: that is the order in which they were written.
    AsStored,
}

/// The format that `file` begins like.
///
/// # Errors
///
/// [`Error::NotAnImage`] if it is none that is read.
pub(crate) fn sniff(file: &[u8]) -> Result<Format, Error> {
    const FORMATS: [(&[u8], Format); 7] = [
        (b"\x89PNG\r\n\x1a\n", Format::Png),
        (b"\xFF\xD8\xFF", Format::Jpeg),
        (b"BM", Format::Bmp),
        (b"GIF87a", Format::Gif),
        (b"GIF89a", Format::Gif),
        (b"II*\0", Format::Tiff),
        (b"MM\0*", Format::Tiff),
    ];
    if file.starts_with(b"RIFF") && file.get(8..12) == Some(b"WEBP") {
        return Ok(Format::WebP);
    }
    let found = FORMATS.iter().find(|(magic, _)| file.starts_with(magic));
    found.map(|(_, format)| *format).ok_or(Error::NotAnImage)
}

/// True if the format of `file` cannot keep pixels exactly.
pub(crate) fn is_lossy(file: &[u8], format: Format) -> bool {
    match format {
        Format::Jpeg => true,
        Format::WebP => webp_is_lossy(file),
        Format::Png | Format::Bmp | Format::Gif | Format::Tiff => false,
    }
}

/// Looks for the chunk that holds the pixels: `VP8 ` is lossy, `VP8L` is not.
fn webp_is_lossy(file: &[u8]) -> bool {
    let mut rest = file.get(12..).unwrap_or_default();
    while let Some((header, body)) = rest.split_first_chunk::<8>() {
        match &header[..4] {
            b"VP8 " => return true,
            b"VP8L" => return false,
            _ => {}
        }
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        rest = body.get(length + length % 2..).unwrap_or_default();
    }
    false
}

/// Decodes `file`, which is known to be of `format`.
pub(crate) fn decode(
    file: &[u8],
    format: Format,
    orient: Orient,
    limits: &Limits,
) -> Result<Picture, Error> {
    check_file(file, limits)?;
    let (picture, orientation) = match format {
        Format::Png => (png_file::read(file, limits)?, Orientation::NoTransforms),
        _ => read_other(file, format, limits)?,
    };
    match orient {
        Orient::Upright => turn(picture, orientation),
        Orient::AsStored => Ok(picture),
    }
}

fn read_other(
    file: &[u8],
    format: Format,
    limits: &Limits,
) -> Result<(Picture, Orientation), Error> {
    let (kind, animated) = match format {
        Format::Png => (ImageFormat::Png, false),
        Format::Jpeg => (ImageFormat::Jpeg, false),
        Format::WebP => (ImageFormat::WebP, webp_moves(file, limits)?),
        Format::Bmp => (ImageFormat::Bmp, false),
        Format::Gif => (ImageFormat::Gif, gif_moves(file, limits)?),
        Format::Tiff => (ImageFormat::Tiff, false),
    };
    if animated {
        return Err(Error::Animated { format });
    }
    let refuse = |error| refuse(error, format, limits);
    let mut reader = ImageReader::with_format(Cursor::new(file), kind);
    reader.limits(decoder_limits(limits));
    let mut decoder = reader.into_decoder().map_err(refuse)?;
    check_decoder(&decoder, limits)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten();
    let image = DynamicImage::from_decoder(decoder).map_err(refuse)?;
    let mut picture = from_dynamic(image, format)?;
    if format == Format::Gif {
        // A GIF has at most one transparent colour, and most have none.
        picture = without_full_alpha(picture);
    }
    picture.colour_space = ColourSpace::of_profile(profile.as_deref(), picture.pixels.colour);
    Ok((picture, orientation))
}

fn gif_moves(file: &[u8], limits: &Limits) -> Result<bool, Error> {
    let refuse = |error| refuse(error, Format::Gif, limits);
    let mut decoder = GifDecoder::new(Cursor::new(file)).map_err(refuse)?;
    decoder.set_limits(decoder_limits(limits)).map_err(refuse)?;
    check_decoder(&decoder, limits)?;
    Ok(decoder.into_frames().nth(1).is_some())
}

fn webp_moves(file: &[u8], limits: &Limits) -> Result<bool, Error> {
    let decoder = WebPDecoder::new(Cursor::new(file));
    Ok(decoder
        .map_err(|error| refuse(error, Format::WebP, limits))?
        .has_animation())
}

fn decoder_limits(limits: &Limits) -> image::Limits {
    let mut bounds = image::Limits::no_limits();
    bounds.max_alloc = Some(limits.memory_max);
    bounds
}

fn check_decoder(decoder: &impl ImageDecoder, limits: &Limits) -> Result<(), Error> {
    let (width, height) = decoder.dimensions();
    check_size(Size { width, height }, limits)?;
    check_memory(decoder.total_bytes(), limits)
}

pub(crate) fn check_file(file: &[u8], limits: &Limits) -> Result<(), Error> {
    check(Measure::File, file.len() as u64, limits.file_max)
}

/// As [`check_file`], for a file that is not there yet.
pub(crate) fn check_file_length(bytes: u64, limits: &Limits) -> Result<(), Error> {
    check(Measure::File, bytes, limits.file_max)
}

pub(crate) fn check_size(size: Size, limits: &Limits) -> Result<(), Error> {
    check(Measure::Width, size.width.into(), limits.width_max.into())?;
    check(
        Measure::Height,
        size.height.into(),
        limits.height_max.into(),
    )
}

pub(crate) fn check_memory(bytes: u64, limits: &Limits) -> Result<(), Error> {
    check(Measure::Memory, bytes, limits.memory_max)
}

fn check(what: Measure, is: u64, limit: u64) -> Result<(), Error> {
    if is > limit {
        Err(Error::TooLarge { what, is, limit })
    } else {
        Ok(())
    }
}

pub(crate) fn broken(format: Format, said: impl std::fmt::Display) -> Error {
    Error::BrokenImage {
        format,
        source: DecoderError::new(said),
    }
}

fn refuse(error: ImageError, format: Format, limits: &Limits) -> Error {
    match error {
        ImageError::Limits(_) => Error::TooLarge {
            what: Measure::Memory,
            is: limits.memory_max + 1,
            limit: limits.memory_max,
        },
        other => broken(format, other),
    }
}

fn turn(picture: Picture, orientation: Orientation) -> Result<Picture, Error> {
    if orientation == Orientation::NoTransforms {
        return Ok(picture);
    }
    let colour_space = picture.colour_space.clone();
    let mut image = into_dynamic(picture);
    image.apply_orientation(orientation);
    let turned = from_dynamic(image, Format::Png)?;
    Ok(Picture {
        colour_space,
        ..turned
    })
}

/// Pixels in the form that the `image` crate works on.
pub(crate) fn into_dynamic(picture: Picture) -> DynamicImage {
    let Size { width, height } = picture.size;
    let data = picture.data;
    let deep = |data: &[u8]| words(data).collect::<Vec<u16>>();
    let image = match picture.pixels {
        PixelType {
            colour: Colour::Grey,
            alpha: false,
            depth: Depth::Eight,
        } => ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageLuma8),
        PixelType {
            colour: Colour::Grey,
            alpha: true,
            depth: Depth::Eight,
        } => ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageLumaA8),
        PixelType {
            colour: Colour::Rgb,
            alpha: false,
            depth: Depth::Eight,
        } => ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageRgb8),
        PixelType {
            colour: Colour::Rgb,
            alpha: true,
            depth: Depth::Eight,
        } => ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageRgba8),
        PixelType {
            colour: Colour::Grey,
            alpha: false,
            depth: Depth::Sixteen,
        } => ImageBuffer::from_raw(width, height, deep(&data)).map(DynamicImage::ImageLuma16),
        PixelType {
            colour: Colour::Grey,
            alpha: true,
            depth: Depth::Sixteen,
        } => ImageBuffer::from_raw(width, height, deep(&data)).map(DynamicImage::ImageLumaA16),
        PixelType {
            colour: Colour::Rgb,
            alpha: false,
            depth: Depth::Sixteen,
        } => ImageBuffer::from_raw(width, height, deep(&data)).map(DynamicImage::ImageRgb16),
        PixelType {
            colour: Colour::Rgb,
            alpha: true,
            depth: Depth::Sixteen,
        } => ImageBuffer::from_raw(width, height, deep(&data)).map(DynamicImage::ImageRgba16),
    };
    image.expect("a picture's data is as long as its size and pixel type say")
}

/// A picture of what the `image` crate decoded.
pub(crate) fn from_dynamic(image: DynamicImage, format: Format) -> Result<Picture, Error> {
    let size = Size {
        width: image.width(),
        height: image.height(),
    };
    let (colour, alpha, depth) = match &image {
        DynamicImage::ImageLuma8(_) => (Colour::Grey, false, Depth::Eight),
        DynamicImage::ImageLumaA8(_) => (Colour::Grey, true, Depth::Eight),
        DynamicImage::ImageRgb8(_) => (Colour::Rgb, false, Depth::Eight),
        DynamicImage::ImageRgba8(_) => (Colour::Rgb, true, Depth::Eight),
        DynamicImage::ImageLuma16(_) => (Colour::Grey, false, Depth::Sixteen),
        DynamicImage::ImageLumaA16(_) => (Colour::Grey, true, Depth::Sixteen),
        DynamicImage::ImageRgb16(_) => (Colour::Rgb, false, Depth::Sixteen),
        DynamicImage::ImageRgba16(_) => (Colour::Rgb, true, Depth::Sixteen),
        other => {
            let pixels = format!("{:?}", other.color());
            return Err(Error::UnsupportedPixels { format, pixels });
        }
    };
    let mut data = image.into_bytes();
    if depth == Depth::Sixteen {
        for sample in data.as_chunks_mut::<2>().0 {
            *sample = u16::from_ne_bytes(*sample).to_be_bytes();
        }
    }
    let pixels = PixelType {
        colour,
        alpha,
        depth,
    };
    Ok(Picture {
        size,
        pixels,
        data,
        colour_space: ColourSpace::default(),
    })
}

/// Drops a transparency that hides nothing.
fn without_full_alpha(mut picture: Picture) -> Picture {
    let PixelType { alpha, depth, .. } = picture.pixels;
    let bytes = picture.pixels.pixel_bytes();
    let opaque = |pixel: &[u8]| pixel.last() == Some(&u8::MAX);
    if alpha && depth == Depth::Eight && picture.data.chunks_exact(bytes).all(opaque) {
        let mut data = Vec::with_capacity(picture.data.len());
        for pixel in picture.data.chunks_exact(bytes) {
            data.extend_from_slice(&pixel[..bytes - 1]);
        }
        picture.data = data;
        picture.pixels.alpha = false;
    }
    picture
}

/// Undoes what other programs do when they save a picture again without changing a pixel: grey
/// written as RGB, 8 bits written as 16. An image with a message is never of either form by
/// itself, because its samples changed at random.
pub(crate) fn look_through(mut picture: Picture) -> Picture {
    let widened = |data: &[u8]| {
        data.as_chunks::<2>()
            .0
            .iter()
            .all(|[high, low]| high == low)
    };
    if picture.pixels.depth == Depth::Sixteen && widened(&picture.data) {
        picture.data = picture.data.iter().step_by(2).copied().collect();
        picture.pixels.depth = Depth::Eight;
    }
    let (bytes, sample) = (picture.pixels.pixel_bytes(), picture.pixels.sample_bytes());
    let grey = |pixel: &[u8]| {
        pixel[..sample] == pixel[sample..2 * sample]
            && pixel[..sample] == pixel[2 * sample..3 * sample]
    };
    if picture.pixels.colour == Colour::Rgb && picture.data.chunks_exact(bytes).all(grey) {
        let mut data = Vec::with_capacity(picture.data.len() / 2);
        for pixel in picture.data.chunks_exact(bytes) {
            data.extend_from_slice(&pixel[2 * sample..]);
        }
        picture.data = data;
        picture.pixels.colour = Colour::Grey;
    }
    picture
}
