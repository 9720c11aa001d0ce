//! Image files from strangers: what bombs do, and what leaves with a picture.

use std::{
    io::Cursor,
    path::Path,
    process::{Command, Stdio},
};

use distri_services::images::media::{
    BLUR_MAX, Carried, FILE_MAX, Format, MediaError, PIXELS_MAX, Picture, Preview, PreviewKind,
    THUMBNAIL_MAX, WORK_MAX, carried, prepare,
};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use proptest::prelude::*;

use crate::forged::{self, Spy, spied_jpeg, spied_png, spied_webp};

/// Four quarters of different colours, so that turning is seen, with some texture.
fn quarters(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let (right, low) = (x >= width / 2, y >= height / 2);
        let speck = ((x * 7 + y * 13) % 11) as u8;
        match (right, low) {
            (false, false) => Rgb([220 + speck, speck, speck]),
            (true, false) => Rgb([speck, 220 + speck, speck]),
            (false, true) => Rgb([speck, speck, 220 + speck]),
            (true, true) => Rgb([200 + speck, 200 + speck, speck]),
        }
    })
}

fn encode(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn decode(file: &[u8]) -> DynamicImage {
    image::load_from_memory(file).unwrap()
}

/// Which of red, green, blue, yellow the pixel is nearest to.
fn hue(image: &DynamicImage, x: u32, y: u32) -> char {
    let [red, green, blue] = image.to_rgb8().get_pixel(x, y).0.map(|sample| sample > 120);
    match (red, green, blue) {
        (true, false, false) => 'r',
        (false, true, false) => 'g',
        (false, false, true) => 'b',
        (true, true, false) => 'y',
        other => panic!("no colour of ours: {other:?}"),
    }
}

fn corners(image: &DynamicImage) -> String {
    let (right, low) = (image.width() * 3 / 4, image.height() * 3 / 4);
    let (left, high) = (image.width() / 4, image.height() / 4);
    [(left, high), (right, high), (left, low), (right, low)]
        .map(|(x, y)| hue(image, x, y))
        .into_iter()
        .collect()
}

#[test]
fn row_14_no_metadata_leaks_from_any_format() {
    let picture = quarters(96, 64);
    let spied = [
        ("jpeg", spied_jpeg(&encode(&picture, ImageFormat::Jpeg), 6)),
        ("png", spied_png(&encode(&picture, ImageFormat::Png), 6)),
        ("webp", spied_webp(&encode(&picture, ImageFormat::WebP), 6)),
    ];

    for (name, file) in spied {
        assert!(
            Spy::all_in(&file),
            "{name}: the file has what must not leave"
        );
        for kind in [PreviewKind::None, PreviewKind::Blur, PreviewKind::Thumbnail] {
            let prepared = prepare(&file, kind).unwrap();

            for out in [Some(prepared.file.as_slice()), prepared.preview.file()] {
                let Some(out) = out else { continue };
                assert_eq!(Spy::first_in(out), None, "{name} {kind:?}");
                forged::assert_bare(out);
            }
            let shown = decode(&prepared.file);
            assert_eq!(
                (prepared.width, prepared.height),
                (64, 96),
                "{name}: turned"
            );
            assert_eq!((shown.width(), shown.height()), (64, 96), "{name}: turned");
            assert_eq!(corners(&shown), "bryg", "{name}: turned to the right");
        }
    }
}

#[test]
fn a_lossless_picture_is_shared_to_the_pixel_and_a_photograph_about_as_large_as_it_was() {
    let picture = quarters(300, 200);
    let png = prepare(&encode(&picture, ImageFormat::Png), PreviewKind::None).unwrap();
    let photograph = encode(&picture, ImageFormat::Jpeg);
    let jpeg = prepare(&photograph, PreviewKind::None).unwrap();

    assert_eq!((png.format, jpeg.format), (Format::Png, Format::Jpeg));
    assert_eq!(decode(&png.file).to_rgb8(), picture);
    assert!(jpeg.file.len() < 3 * photograph.len());
    assert_eq!(corners(&decode(&jpeg.file)), "rgby");
}

#[test]
fn transparency_stays_and_previews_have_none() {
    let mut picture = DynamicImage::from(quarters(40, 40)).to_rgba8();
    for pixel in picture.pixels_mut().take(400) {
        pixel.0[3] = 0;
    }
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png).unwrap();

    let prepared = prepare(&file.into_inner(), PreviewKind::Blur).unwrap();

    assert_eq!(decode(&prepared.file).to_rgba8(), picture);
    assert!(!decode(prepared.preview.file().unwrap()).color().has_alpha());
}

#[test]
fn previews_are_small_whatever_the_picture() {
    let mut noise = 7u32;
    let noise = RgbImage::from_fn(900, 700, |_, _| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [a, b, c, _] = noise.to_be_bytes();
        Rgb([a, b, c])
    });
    for picture in [noise, quarters(900, 700), quarters(1, 1), quarters(4000, 2)] {
        let file = encode(&picture, ImageFormat::Png);

        let blur = prepare(&file, PreviewKind::Blur).unwrap().preview;
        let thumbnail = prepare(&file, PreviewKind::Thumbnail).unwrap().preview;

        assert!(blur.file().unwrap().len() <= BLUR_MAX);
        assert!(thumbnail.file().unwrap().len() <= THUMBNAIL_MAX);
        assert!(blur.is_fit() && thumbnail.is_fit());
        let size = decode(blur.file().unwrap());
        assert!(size.width() <= 16 && size.height() <= 16);
        let size = decode(thumbnail.file().unwrap());
        assert!(size.width() <= 256 && size.height() <= 256);
    }
}

#[test]
fn a_preview_of_another_is_measured() {
    let png = encode(&quarters(8, 8), ImageFormat::Png);
    let gif = b"GIF89a".to_vec();
    let large = [png.clone(), vec![0; THUMBNAIL_MAX]].concat();

    assert!(Preview::None.is_fit());
    assert!(Preview::Blur(png.clone()).is_fit());
    assert!(!Preview::Blur(gif).is_fit());
    assert!(!Preview::Thumbnail(large).is_fit());
    assert!(!Preview::Thumbnail(Vec::new()).is_fit());
}

#[test]
fn what_is_no_still_picture_is_refused_and_says_what_was_expected() {
    let refused = |file: &[u8]| Picture::decode(file).unwrap_err();
    let png = encode(&quarters(30, 30), ImageFormat::Png);
    let moving = forged::with_chunk_after_header(&png, b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]);

    assert_eq!(refused(b"GIF89a and so on"), MediaError::NotAnImage);
    assert_eq!(refused(b""), MediaError::NotAnImage);
    assert_eq!(
        refused(&moving),
        MediaError::Animated {
            format: Format::Png
        }
    );
    assert!(matches!(
        refused(&png[..png.len() / 2]),
        MediaError::Broken {
            format: Format::Png,
            ..
        }
    ));
    let long = [png, vec![0; FILE_MAX]].concat();
    assert!(matches!(refused(&long), MediaError::TooLarge { what, .. } if what == "the file"));
}

/// Set in the process that decodes bombs.
const BOMBS: &str = "DISTRI_TEST_BOMBS";

/// Address space of that process, in KiB.
const ROOM: u64 = 256 * 1024;

#[test]
#[cfg(target_os = "linux")]
fn row_13_bombs_are_refused_in_256_mib() {
    if let Some(folder) = std::env::var_os(BOMBS) {
        return defuse(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    // Honest pictures are decoded there too, in case all is refused.
    for (name, file) in forged::bombs() {
        assert!(file.len() < 2 << 20, "{name} is small");
        std::fs::write(folder.path().join(name), file).unwrap();
    }

    // The same test in a process of its own, which cannot have more memory.
    let child = Command::new("sh")
        .arg("-c")
        .arg(format!("ulimit -v {ROOM} && exec \"$0\" \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "media::row_13_bombs_are_refused_in_256_mib",
            "--nocapture",
        ])
        .env(BOMBS, folder.path())
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();

    let (out, err) = (
        String::from_utf8_lossy(&child.stdout),
        String::from_utf8_lossy(&child.stderr),
    );
    assert!(child.status.success(), "{out}{err}");
    assert!(out.contains("all bombs were met"), "{out}{err}");
}

/// Meets each bomb, under the limit of memory.
fn defuse(folder: &Path) {
    let too_much = Vec::<u8>::new().try_reserve_exact(ROOM as usize * 1024);
    assert!(too_much.is_err(), "there is a limit of memory");

    let meet = |name: &str| Picture::decode(&std::fs::read(folder.join(name)).unwrap());
    let too_large = |name: &str, what: &str, limit: u64| {
        let error = meet(name).unwrap_err();
        assert!(
            matches!(&error, MediaError::TooLarge { what: w, limit: l, .. } if w == what && *l == limit),
            "{name}: {error:?}"
        );
    };
    too_large("wide.png", "the width", 8192);
    too_large("wide.webp", "the width", 8192);
    too_large("square.png", "the picture", PIXELS_MAX);
    too_large("lossless.webp", "decoding it", WORK_MAX);
    too_large("progressive.jpeg", "decoding it", WORK_MAX);
    too_large("progressive-second.jpeg", "decoding it", WORK_MAX);
    // What lies in chunks that no pixel needs is not unfolded.
    assert_eq!(meet("text.png").unwrap().width(), 8);
    assert_eq!(meet("profile.png").unwrap().width(), 8);
    // An honest photograph is not.
    assert_eq!(meet("honest.jpeg").unwrap().width(), 3000);
    println!("all bombs were met");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_panic_the_decoder(
        kind in 0..3usize,
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let start: &[u8] = match kind {
            0 => b"\x89PNG\r\n\x1a\n\0\0\0\x0DIHDR",
            1 => b"\xFF\xD8\xFF",
            _ => b"RIFF\xFF\0\0\0WEBPVP8 ",
        };
        let _ = Picture::decode(&[start, &bytes].concat());
    }

    #[test]
    fn no_damage_to_a_file_panics_the_decoder(
        kind in 0..3usize,
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let picture = quarters(24, 16);
        let mut file = match kind {
            0 => spied_png(&encode(&picture, ImageFormat::Png), 3),
            1 => spied_jpeg(&encode(&picture, ImageFormat::Jpeg), 3),
            _ => spied_webp(&encode(&picture, ImageFormat::WebP), 3),
        };
        for (place, byte) in places {
            let at = place.index(file.len());
            file[at] = byte;
        }

        if let Ok(prepared) = prepare(&file, PreviewKind::Thumbnail) {
            prop_assert!(prepared.preview.is_fit());
        }
    }
}

#[test]
fn what_a_file_carries_besides_pixels_is_named_and_what_is_shared_carries_nothing() {
    let picture = quarters(64, 48);
    let jpeg = spied_jpeg(&encode(&picture, ImageFormat::Jpeg), 1);
    let png = spied_png(&encode(&picture, ImageFormat::Png), 1);
    let webp = spied_webp(&encode(&picture, ImageFormat::WebP), 1);
    let in_all = [
        Carried::Place,
        Carried::Camera,
        Carried::Thumbnail,
        Carried::History,
    ];

    for (file, besides) in [
        (jpeg, Carried::Text),
        (png, Carried::Text),
        (webp, Carried::Unknown),
    ] {
        let found = carried(&file);
        let expected = [&in_all[..], &[besides, Carried::Trailing]].concat();
        assert_eq!(found, expected, "{:?}", Format::sniff(&file));
        let shared = prepare(&file, PreviewKind::Thumbnail).unwrap();
        assert_eq!(carried(&shared.file), []);
        let Preview::Thumbnail(preview) = shared.preview else {
            panic!("no thumbnail");
        };
        assert_eq!(carried(&preview), []);
    }
}

proptest! {
    #[test]
    fn any_bytes_can_be_asked_what_they_carry(
        head in prop::sample::select(vec![
            &b"\xFF\xD8\xFF\xE1"[..],
            b"\x89PNG\r\n\x1a\n",
            b"RIFF\xFF\0\0\0WEBPEXIF",
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let file = [head, &rest].concat();
        prop_assert!(carried(&file).len() <= 10, "each kind once");
    }
}
