//! The photographs that ship with the example, inside the program, so that it runs from anywhere.
//! Their origin and licence: `assets/README.md`.

use std::io::Cursor;

use bytes::Bytes;
use distri::cli::{Exit, Failure};
use image::{ImageFormat, imageops::FilterType};

/// Width and height of the small cover.
const SMALL: (u32, u32) = (96, 64);

/// How many bytes are hidden in it.
const SMALL_SECRET: usize = 1024;

/// A picture with the name of its file.
#[derive(Clone)]
pub(crate) struct Photograph {
    pub(crate) name: &'static str,
    pub(crate) bytes: Bytes,
}

/// The photograph that is hidden.
pub(crate) fn secret() -> Photograph {
    let bytes = Bytes::from_static(include_bytes!("../assets/cat.jpg"));
    Photograph {
        name: "cat.jpg",
        bytes,
    }
}

/// The photograph it is hidden in.
pub(crate) fn cover() -> Photograph {
    let bytes = Bytes::from_static(include_bytes!("../assets/coffee.png"));
    Photograph {
        name: "coffee.png",
        bytes,
    }
}

/// The photograph that is hidden, as a camera would have left it: with the place where it was taken, a
/// garden in Berlin, and the name of the camera.
pub(crate) fn with_place() -> Bytes {
    let photograph = secret().bytes;
    let (start, rest) = photograph.split_at(2);
    let exif = [b"Exif\0\0".as_slice(), &exif()].concat();
    let length = u16::try_from(exif.len() + 2).unwrap_or(u16::MAX);
    [start, b"\xFF\xE1", &length.to_be_bytes(), &exif, rest]
        .concat()
        .into()
}

/// A TIFF with two directories: of the camera, and of the place.
fn exif() -> Vec<u8> {
    const CAMERA: &[u8] = b"Box\0";
    let entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| {
        [
            &tag.to_le_bytes()[..],
            &kind.to_le_bytes(),
            &count.to_le_bytes(),
            &value,
        ]
        .concat()
    };
    let degrees = |value: [u32; 3]| -> Vec<u8> {
        value
            .iter()
            .flat_map(|part| [part.to_le_bytes(), 1u32.to_le_bytes()].concat())
            .collect()
    };
    let at = |offset: u32| offset.to_le_bytes();
    // The header, two entries and the end of the first directory; four and the end of the second.
    let (place, values) = (8 + 2 + 2 * 12 + 4, 8 + 2 + 2 * 12 + 4 + 2 + 4 * 12 + 4);
    [
        &b"II*\0"[..],
        &at(8),
        &2u16.to_le_bytes(),
        &entry(0x0110, 2, 4, [CAMERA[0], CAMERA[1], CAMERA[2], CAMERA[3]]),
        &entry(0x8825, 4, 1, at(place)),
        &at(0),
        &4u16.to_le_bytes(),
        &entry(1, 2, 2, *b"N\0\0\0"),
        &entry(2, 5, 3, at(values)),
        &entry(3, 2, 2, *b"E\0\0\0"),
        &entry(4, 5, 3, at(values + 24)),
        &at(0),
        &degrees([52, 30, 59]),
        &degrees([13, 22, 40]),
    ]
    .concat()
}

/// The photograph it is hidden in, small, and the beginning of the one that is hidden: what many
/// clients at once can send without the network or the codecs being all that is measured.
///
/// # Errors
/// If there is no memory for it.
pub(crate) fn small() -> Result<(Bytes, Bytes), Failure> {
    let small = || -> image::ImageResult<Bytes> {
        let large = image::load_from_memory(&cover().bytes)?;
        let small = large.resize_exact(SMALL.0, SMALL.1, FilterType::Triangle);
        let mut file = Cursor::new(Vec::new());
        small.write_to(&mut file, ImageFormat::Png)?;
        Ok(file.into_inner().into())
    };
    let cover = small().map_err(|error| Failure::new(Exit::Failed, error))?;
    Ok((cover, secret().bytes.slice(..SMALL_SECRET)))
}

#[cfg(test)]
mod tests {
    use distri_services::images::media::{Carried, carried};

    use super::*;

    #[test]
    fn the_photograph_of_a_camera_says_where_it_was_taken_and_shows_the_same() {
        let photograph = with_place();

        assert_eq!(carried(&photograph), [Carried::Place, Carried::Camera]);
        assert_eq!(carried(&secret().bytes), []);
        let pixels = |file: &[u8]| image::load_from_memory(file).unwrap().into_rgb8();
        assert_eq!(pixels(&photograph), pixels(&secret().bytes));
    }
}
