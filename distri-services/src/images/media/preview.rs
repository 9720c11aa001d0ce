//! What those see who have no grant: nothing, a blur, or a thumbnail. Each is small enough to stand
//! in a catalogue, and made of the pixels alone.

use image::{DynamicImage, Rgba, RgbaImage, imageops};

use super::{Format, MediaError, Picture, as_jpeg, as_png};

/// Bytes of a blur, at most.
pub const BLUR_MAX: usize = 1024;

/// Bytes of a thumbnail, at most.
pub const THUMBNAIL_MAX: usize = 16 * 1024;

/// The longer side of a blur in pixels: a PNG of 16 by 16 colours cannot exceed [`BLUR_MAX`], and
/// faces and writing are gone.
const BLUR_SIDE: u32 = 16;

/// The longer sides of thumbnails that are tried until one fits.
const THUMBNAIL_SIDES: [u32; 5] = [256, 192, 128, 96, 64];

/// The qualities of JPEG at which each is tried.
const THUMBNAIL_QUALITIES: [u8; 3] = [80, 65, 50];

/// Which preview is wanted.
#[distri::message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
pub enum PreviewKind {
    /// None: the catalogue shows a title.
    None,
    /// Colours without shapes. The default.
    #[default]
    Blur,
    /// A small picture. It can be looked at as often as one likes.
    Thumbnail,
}

/// What the catalogue shows of a picture.
#[distri::message]
#[derive(Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Preview {
    /// Nothing.
    #[default]
    None,
    /// An image file of at most [`BLUR_MAX`] bytes. In JSON, base64.
    Blur(
        #[serde(with = "crate::text")]
        #[schemars(with = "String")]
        Vec<u8>,
    ),
    /// An image file of at most [`THUMBNAIL_MAX`] bytes. In JSON, base64.
    Thumbnail(
        #[serde(with = "crate::text")]
        #[schemars(with = "String")]
        Vec<u8>,
    ),
}

impl Preview {
    /// Makes one.
    ///
    /// # Errors
    /// [`MediaError::Unwritten`].
    pub fn of(picture: &Picture, kind: PreviewKind) -> Result<Self, MediaError> {
        match kind {
            PreviewKind::None => Ok(Self::None),
            PreviewKind::Blur => blur(picture.image()).map(Self::Blur),
            PreviewKind::Thumbnail => thumbnail(picture.image()).map(Self::Thumbnail),
        }
    }

    /// Which one it is.
    #[must_use]
    pub fn kind(&self) -> PreviewKind {
        match self {
            Self::None => PreviewKind::None,
            Self::Blur(_) => PreviewKind::Blur,
            Self::Thumbnail(_) => PreviewKind::Thumbnail,
        }
    }

    /// The image file, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&[u8]> {
        match self {
            Self::None => None,
            Self::Blur(file) | Self::Thumbnail(file) => Some(file),
        }
    }

    /// Says whether it is no larger than it may be, and begins like a PNG or JPEG.
    #[must_use]
    pub fn is_fit(&self) -> bool {
        let max = match self {
            Self::None => return true,
            Self::Blur(_) => BLUR_MAX,
            Self::Thumbnail(_) => THUMBNAIL_MAX,
        };
        self.file().is_some_and(|file| {
            file.len() <= max && matches!(Format::sniff(file), Some(Format::Png | Format::Jpeg))
        })
    }
}

impl std::fmt::Debug for Preview {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.file().map_or(0, <[u8]>::len);
        write!(f, "{:?} preview of {bytes} bytes", self.kind())
    }
}

fn blur(image: &DynamicImage) -> Result<Vec<u8>, MediaError> {
    let small = opaque(&image.thumbnail(BLUR_SIDE, BLUR_SIDE));
    let blurred = imageops::blur(&small, 1.0);
    let file = as_png(&DynamicImage::ImageRgba8(blurred).to_rgb8().into())?;
    fits(file, BLUR_MAX, "the blur")
}

fn thumbnail(image: &DynamicImage) -> Result<Vec<u8>, MediaError> {
    let mut file = Vec::new();
    for side in THUMBNAIL_SIDES {
        let side = side.min(image.width().max(image.height()));
        let small = DynamicImage::ImageRgba8(opaque(&image.thumbnail(side, side)));
        for quality in THUMBNAIL_QUALITIES {
            file = as_jpeg(&small, quality)?;
            if file.len() <= THUMBNAIL_MAX {
                return Ok(file);
            }
        }
    }
    fits(file, THUMBNAIL_MAX, "the thumbnail")
}

fn fits(file: Vec<u8>, max: usize, what: &str) -> Result<Vec<u8>, MediaError> {
    if file.len() > max {
        return Err(MediaError::too_large(what, file.len() as u64, max as u64));
    }
    Ok(file)
}

/// The picture on white: neither form of preview is transparent.
fn opaque(image: &DynamicImage) -> RgbaImage {
    let over = image.to_rgba8();
    let mut page = RgbaImage::from_pixel(over.width(), over.height(), Rgba([255; 4]));
    imageops::overlay(&mut page, &over, 0, 0);
    page
}
