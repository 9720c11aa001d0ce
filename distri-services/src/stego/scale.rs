//! How large a cover must be, and making it so.

use image::imageops::FilterType;

use super::{
    carriers::Carriers,
    cover::{Limits, Picture},
    decode::{check_memory, check_size, from_dynamic, into_dynamic},
    error::{Error, Size},
};

/// Growing is repeated when transparency left fewer carriers than expected; it rarely is once.
const ATTEMPTS: usize = 32;

/// The smallest size of the same shape with so many carriers as are `wanted`, if the same part of
/// it is opaque. `None` if no part is.
pub(crate) fn needed(picture: &Picture, carriers: usize, wanted: u64) -> Option<Size> {
    if carriers == 0 {
        return None;
    }
    let factor = (wanted as f64 / carriers as f64).sqrt();
    let mut size = scaled(picture.size, factor);
    // Rounding may leave it a row short.
    let share = carriers as f64 / pixels(picture.size);
    while pixels(size) * share < wanted as f64 {
        size = Size {
            width: size.width.saturating_add(1),
            height: size.height.saturating_add(1),
        };
    }
    Some(size)
}

/// Scales `picture` up until it `fits`, smoothly and in one step, beginning at so many carriers as
/// are `wanted`.
///
/// # Errors
///
/// [`Error::TooLarge`] if it would exceed the limits, [`Error::Transparent`] if no size suffices.
pub(crate) fn grow(
    picture: &Picture,
    wanted: u64,
    fits: &dyn Fn(&Picture) -> bool,
    limits: &Limits,
) -> Result<Picture, Error> {
    let carriers = Carriers::count(picture);
    let mut size = needed(picture, carriers, wanted).ok_or(Error::Transparent)?;
    for _ in 0..ATTEMPTS {
        check_size(size, limits)?;
        check_memory(
            pixels(size) as u64 * picture.pixels.pixel_bytes() as u64,
            limits,
        )?;
        let grown = resize(picture, size)?;
        if fits(&grown) {
            return Ok(grown);
        }
        let larger = scaled(size, 1.1);
        size = Size {
            width: larger.width.max(size.width + 1),
            height: larger.height.max(size.height + 1),
        };
    }
    Err(Error::Transparent)
}

/// Scales `picture` so that nothing is left of the grid of a JPEG: down to three quarters, which
/// leaves it rougher; or up by a quarter if it does not `fit` then.
///
/// # Errors
///
/// [`Error::TooLarge`] if it would exceed the limits.
pub(crate) fn resample(
    picture: &Picture,
    limits: &Limits,
    fits: &dyn Fn(&Picture) -> bool,
) -> Result<Picture, Error> {
    let smaller = resize(picture, scaled(picture.size, 0.75))?;
    if fits(&smaller) {
        return Ok(smaller);
    }
    let size = scaled(picture.size, 1.25);
    check_size(size, limits)?;
    let bytes = pixels(size) as u64 * picture.pixels.pixel_bytes() as u64;
    check_memory(bytes, limits)?;
    resize(picture, size)
}

fn scaled(size: Size, factor: f64) -> Size {
    let side = |side: u32| (f64::from(side) * factor).ceil() as u32;
    Size {
        width: side(size.width),
        height: side(size.height),
    }
}

fn pixels(size: Size) -> f64 {
    f64::from(size.width) * f64::from(size.height)
}

fn resize(picture: &Picture, size: Size) -> Result<Picture, Error> {
    let image = into_dynamic(picture.clone());
    let grown = image.resize_exact(size.width, size.height, FilterType::CatmullRom);
    let grown = from_dynamic(grown, super::cover::Format::Png)?;
    Ok(Picture {
        colour_space: picture.colour_space.clone(),
        ..grown
    })
}
