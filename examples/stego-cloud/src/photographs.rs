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
