//! How large a cover must be, and making it so.

use image::imageops::FilterType;

use super::{
    carriers::Carriers,
    cover::{Limits, Picture, room},
    decode::{check_memory, check_size, from_dynamic, into_dynamic},
    error::{Error, Size},
    layout::carriers_for,
};

/// Growing is repeated when transparency left fewer carriers than expected; it rarely is once.
const ATTEMPTS: usize = 32;

/// The smallest size of the same shape in which `bytes` of label and payload fit, if the same
/// part of it is opaque. `None` if no part is.
pub(crate) fn needed(picture: &Picture, carriers: usize, bytes: u64) -> Option<Size> {
    if carriers == 0 {
        return None;
    }
    let factor = (carriers_for(bytes) as f64 / carriers as f64).sqrt();
    let mut size = scaled(picture.size, factor);
    // Rounding may leave it a row short.
    let share = carriers as f64 / pixels(picture.size);
    while pixels(size) * share < carriers_for(bytes) as f64 {
        size = Size {
            width: size.width.saturating_add(1),
            height: size.height.saturating_add(1),
        };
    }
    Some(size)
}

/// Scales `picture` up until `bytes` of label and payload fit, smoothly and in one step.
///
/// # Errors
///
/// [`Error::TooLarge`] if it would exceed the limits, [`Error::Transparent`] if no size suffices.
pub(crate) fn grow(picture: &Picture, bytes: u64, limits: &Limits) -> Result<Picture, Error> {
    let carriers = Carriers::count(picture);
    let mut size = needed(picture, carriers, bytes).ok_or(Error::Transparent)?;
    for _ in 0..ATTEMPTS {
        check_size(size, limits)?;
        check_memory(
            pixels(size) as u64 * picture.pixels.pixel_bytes() as u64,
            limits,
        )?;
        let grown = resize(picture, size)?;
        if room(&grown, Carriers::count(&grown)).is_some_and(|room| room as u64 >= bytes) {
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
