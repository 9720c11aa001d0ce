//! Image files from strangers and for strangers.
//!
//! [`Picture::decode`] takes a file of any origin, under bounds that hold before memory is taken
//! for pixels; [`prepare`] makes of it what may be shared: a file written anew from the pixels, the
//! right way up, and a [`Preview`] of it. What was in the file besides pixels (EXIF with its
//! places and serial numbers, XMP, comments, embedded thumbnails, colour profiles, bytes after the
//! end) is not copied, so it cannot leave; [`carried()`] names it, for the person to see.
//! [`clean_text`] does the same for titles and notes.
//!
//! Pure: no files, no network, no clock. The person who publishes sees what [`prepare`] gave before
//! anything is sent.

mod carried;
mod decode;
mod error;
mod preview;
mod text;

use std::io::Cursor;

use image::{
    DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, codecs::jpeg::JpegEncoder,
};

pub use self::{
    carried::{Carried, carried},
    decode::{FILE_MAX, PIXELS_MAX, Picture, SIDE_MAX, WORK_MAX},
    error::MediaError,
    preview::{BLUR_MAX, Preview, PreviewKind, THUMBNAIL_MAX},
    text::{NOTE_MAX, TITLE_MAX, clean_text, title_of_file},
};

/// The quality at which pictures that came as JPEG, or as lossy WebP, are written again: no
/// difference is seen, and the file is hardly larger than it was.
const QUALITY: u8 = 92;

/// The formats that are read, and written.
#[distri::message]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP. Read only.
    WebP,
}

impl Format {
    /// The format that `file` begins like.
    #[must_use]
    pub fn sniff(file: &[u8]) -> Option<Self> {
        if file.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if file.starts_with(b"\xFF\xD8\xFF") {
            Some(Self::Jpeg)
        } else if file.starts_with(b"RIFF") && file.get(8..12) == Some(b"WEBP") {
            Some(Self::WebP)
        } else {
            None
        }
    }

    /// The media type, as HTTP names it.
    #[must_use]
    pub fn mime(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::WebP => "image/webp",
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
        })
    }
}

/// A picture as it may be shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The image file, written anew: pixels and nothing else.
    pub file: Vec<u8>,
    /// [`Format::Png`] or [`Format::Jpeg`].
    pub format: Format,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// What those may see who have no grant.
    pub preview: Preview,
}

/// Makes of the image file `file` what may be shared.
///
/// A picture that was compressed with loss is written as JPEG, any other as PNG.
///
/// # Errors
/// As [`Picture::decode`].
pub fn prepare(file: &[u8], preview: PreviewKind) -> Result<Prepared, MediaError> {
    let picture = Picture::decode(file)?;
    let preview = Preview::of(&picture, preview)?;
    let (width, height) = (picture.width(), picture.height());
    let (file, format) = if picture.is_lossy() && !picture.image().color().has_alpha() {
        (as_jpeg(picture.image(), QUALITY)?, Format::Jpeg)
    } else {
        (as_png(picture.image())?, Format::Png)
    };
    Ok(Prepared {
        file,
        format,
        width,
        height,
        preview,
    })
}

fn as_jpeg(image: &DynamicImage, quality: u8) -> Result<Vec<u8>, MediaError> {
    let mut file = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut file, quality);
    let (width, height) = (image.width(), image.height());
    let written = if image.color().has_color() {
        let pixels = image.to_rgb8();
        encoder.write_image(&pixels, width, height, ExtendedColorType::Rgb8)
    } else {
        let pixels = image.to_luma8();
        encoder.write_image(&pixels, width, height, ExtendedColorType::L8)
    };
    written.map_err(|error| MediaError::unwritten(Format::Jpeg, &error))?;
    Ok(file)
}

fn as_png(image: &DynamicImage) -> Result<Vec<u8>, MediaError> {
    let mut file = Cursor::new(Vec::new());
    image
        .write_to(&mut file, ImageFormat::Png)
        .map_err(|error| MediaError::unwritten(Format::Png, &error))?;
    Ok(file.into_inner())
}
