//! Files for the fuzzer to begin with, written into `corpus/`: covers of each kind, and what is hidden in
//! them in each way.

use std::{error::Error, fs, io::Cursor, path::Path};

use distri_fuzz::{PAYLOAD, hide, key, settings};
use distri_services::stego::{Covers, HideOptions, JpegPast, Profile};
use image::{DynamicImage, ImageFormat, RgbaImage, codecs::jpeg::JpegEncoder};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let put = |target: &str, name: &str, file: &[u8]| {
        let folder = folder.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), file)
    };

    let mut covers = Vec::new();
    for (side, kinds) in [(24, 8), (56, 8), (72, 4)] {
        let picture = picture(side);
        for kind in 0..kinds {
            covers.push((format!("png-{side}-{kind}"), png(&convert(&picture, kind))?));
        }
    }
    for side in [16, 256] {
        for quality in [50, 90] {
            let picture = picture(side);
            for (colour, picture) in [
                ("grey", convert(&picture, 0)),
                ("colour", convert(&picture, 2)),
            ] {
                let name = format!("jpeg-{side}-{quality}-{colour}");
                covers.push((name, jpeg(&picture, quality)?));
            }
        }
    }

    for (name, cover) in &covers {
        put("hide", name, cover)?;
        if name.starts_with("jpeg") {
            put("jpeg", name, cover)?;
        }
        put("reveal", name, cover)?;
        for profile in [Profile::Auto, Profile::Fast] {
            for jpeg in [JpegPast::Stay, JpegPast::Keep] {
                let options = HideOptions {
                    profile,
                    jpeg,
                    ..HideOptions::default()
                };
                // Not every cover takes every way.
                if let Ok(hidden) = hide(cover, PAYLOAD, &options) {
                    put(
                        "reveal",
                        &format!("{name}-{profile:?}-{jpeg:?}"),
                        &hidden.image,
                    )?;
                }
            }
        }
    }

    let files: Vec<_> = (0..3)
        .map(|_| png(&convert(&picture(40), 2)))
        .collect::<Result<_, _>>()?;
    let files: Vec<_> = files.iter().map(Vec::as_slice).collect();
    let covers = Covers {
        files: &files,
        needed: 2,
    };
    let over = settings().hide_over(covers, PAYLOAD, &key(), &HideOptions::default())?;
    for (a, b) in [(0, 1), (1, 2), (2, 0)] {
        let (one, other) = (&over[a].image, &over[b].image);
        let length = u16::try_from(one.len())?.to_le_bytes();
        put(
            "several",
            &format!("{a}-{b}"),
            &[one.as_slice(), other, &length].concat(),
        )?;
    }
    Ok(())
}

/// Slopes with some noise, and a transparent corner.
fn picture(side: u32) -> DynamicImage {
    let mut state = u64::from(side);
    RgbaImage::from_fn(side, side, |x, y| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let noise = (state >> 60) as u8;
        let alpha = if x + y < side / 4 { 128 } else { 255 };
        image::Rgba([
            (x * 3) as u8 ^ noise,
            (y * 2) as u8 ^ noise,
            ((x + y) as u8).wrapping_add(noise),
            alpha,
        ])
    })
    .into()
}

/// The kinds of pixels that a PNG has.
fn convert(picture: &DynamicImage, kind: u8) -> DynamicImage {
    match kind {
        0 => picture.to_luma8().into(),
        1 => picture.to_luma_alpha8().into(),
        2 => picture.to_rgb8().into(),
        3 => picture.to_rgba8().into(),
        4 => picture.to_luma16().into(),
        5 => picture.to_luma_alpha16().into(),
        6 => picture.to_rgb16().into(),
        _ => picture.to_rgba16().into(),
    }
}

fn png(picture: &DynamicImage) -> image::ImageResult<Vec<u8>> {
    let mut file = Vec::new();
    picture.write_to(&mut Cursor::new(&mut file), ImageFormat::Png)?;
    Ok(file)
}

fn jpeg(picture: &DynamicImage, quality: u8) -> image::ImageResult<Vec<u8>> {
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality).encode_image(picture)?;
    Ok(file)
}
