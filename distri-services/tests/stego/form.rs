//! PNGs that look as if the cover's own program had written them.

use distri_services::stego::{Form, Metadata};

use super::*;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("data/png/", $name)).as_slice())),*]
    };
}

const FILES: [(&str, &[u8]); 7] = files![
    "pillow-rgb.png",
    "pillow-grey-best.png",
    "imagemagick-rgb.png",
    "imagemagick-grey-interlaced.png",
    "optipng-rgb.png",
    "opencv-rgb.png",
    "pngcrush-rgb.png",
];
const PALETTE: &[u8] = include_bytes!("data/png/pillow-palette.png");

/// What a PNG consists of: its chunks but for the content of those with pixels, and their content together.
fn parts(file: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut rest, mut chunks, mut pixels) = (&file[8..], Vec::new(), Vec::new());
    while rest.len() >= 12 {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        let (chunk, others) = rest.split_at(12 + length);
        rest = others;
        if &chunk[4..8] == b"IDAT" {
            pixels.extend(&chunk[8..8 + length]);
        } else {
            chunks.push(chunk.to_vec());
        }
    }
    (chunks, pixels)
}

/// Lengths of the chunks with pixels.
fn lengths(file: &[u8]) -> Vec<u32> {
    let mut rest = &file[8..];
    let mut lengths = Vec::new();
    while rest.len() >= 12 {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap());
        if &rest[4..8] == b"IDAT" {
            lengths.push(length);
        }
        rest = &rest[12 + length as usize..];
    }
    lengths
}

fn unpacked(stream: &[u8]) -> Vec<u8> {
    let mut rows = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(stream), &mut rows).unwrap();
    rows
}

fn as_cover() -> HideOptions {
    HideOptions {
        compression: Compression::AsCover,
        metadata: Metadata::Keep,
        ..HideOptions::default()
    }
}

#[test]
fn an_image_has_the_chunks_filters_and_length_that_its_covers_program_would_give_it() {
    let settings = Settings::default();
    for (name, cover) in FILES {
        let hidden = settings.hide(cover, b"six", &key(), &as_cover()).unwrap();

        assert_eq!(hidden.report.form, Some(Form::AsCover), "{name}");
        assert!(!hidden.report.warnings.contains(&Warning::Form), "{name}");
        let ((chunks, before), (others, after)) = (parts(cover), parts(&hidden.image));
        assert_eq!(chunks, others, "{name}");
        assert_eq!(before[..2], after[..2], "{name}");
        let most = |file| lengths(file).into_iter().max();
        assert!(
            lengths(cover).len() == 1 || most(cover) == most(&hidden.image),
            "{name}"
        );
        let difference = before.len().abs_diff(after.len());
        assert!(
            difference * 100 < 3 * before.len(),
            "{name}: {} {}",
            before.len(),
            after.len()
        );
        if !name.contains("interlaced") {
            let width = if name.contains("grey") { 88 } else { 264 };
            let (rows, other) = (unpacked(&before), unpacked(&after));
            let filters = |rows: &[u8]| rows.iter().step_by(width + 1).copied().collect::<Vec<_>>();
            assert_eq!(filters(&rows), filters(&other), "{name}");
        }
        assert_eq!(
            settings.reveal(&hidden.image, &key()).unwrap().payload,
            b"six",
            "{name}"
        );
    }
}

#[test]
fn stealth_writes_as_the_cover_was_written_and_others_write_fast() {
    let settings = Settings::default();
    let cover = png(photograph(700, 500, 3));
    let form = |profile, compression| {
        let options = HideOptions {
            profile,
            compression,
            ..HideOptions::default()
        };
        let hidden = settings.hide(&cover, b"six", &key(), &options).unwrap();
        let report = hidden.report;
        assert_eq!(
            settings.reveal(&hidden.image, &key()).unwrap().payload,
            b"six"
        );
        report.form
    };
    let rule = Compression::ByProfile;

    assert_eq!(form(Profile::Stealth, rule), Some(Form::AsCover));
    assert_eq!(form(Profile::Stealth, Compression::Fast), Some(Form::Fast));
    assert_eq!(form(Profile::Auto, rule), Some(Form::Fast));
    assert_eq!(form(Profile::Fast, Compression::Small), Some(Form::Common));
}

#[test]
fn what_cannot_look_like_its_cover_says_so_or_looks_common() {
    let settings = Settings::default();
    let palette = settings.hide(PALETTE, b"six", &key(), &as_cover()).unwrap();
    let bmp = encode(&photograph(200, 150, 3).into(), ImageFormat::Bmp);
    let other = settings.hide(&bmp, b"six", &key(), &as_cover()).unwrap();

    assert_eq!(palette.report.form, Some(Form::NearCover));
    assert!(
        palette.report.warnings.contains(&Warning::Form),
        "{:?}",
        palette.report
    );
    assert_eq!(other.report.form, Some(Form::Common));
    assert!(
        !other.report.warnings.contains(&Warning::Form),
        "{:?}",
        other.report
    );
    for image in [palette.image, other.image] {
        assert_eq!(settings.reveal(&image, &key()).unwrap().payload, b"six");
    }
}
