//! Files from strangers: whatever the bytes, an error comes back, and no panic.

use crate::support::{Random, Recipe, cases, hide, key, recipes};
use distri_services::stego::{Cover, HideOptions, Limits, Settings};
use image::{ColorType, ImageFormat};
use proptest::prelude::*;

fn small() -> Settings {
    let limits = Limits {
        memory_max: 1 << 20,
        width_max: 512,
        height_max: 512,
        ..Limits::default()
    };
    Settings {
        limits,
        ..Settings::default()
    }
}

/// Tries everything that reads an image. Returning at all is the point.
fn read_everywhere(file: &[u8]) {
    let settings = small();
    let _ = Cover::decode(file, &settings.limits).map(|cover| cover.capacity());
    let _ = settings.reveal(file, &key());
    let options = HideOptions {
        scale_cover: true,
        ..HideOptions::default()
    };
    if let Ok(hidden) = settings.hide(file, b"payload", &key(), &options) {
        assert_eq!(
            settings.reveal(&hidden.image, &key()).unwrap().payload,
            b"payload"
        );
    }
}

/// The first bytes of each format, so that random bytes get past the sniffing.
const MAGICS: [&[u8]; 8] = [
    b"",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"\xFF\xD8\xFF\xE0",
    b"RIFF\0\x01\0\0WEBPVP8L",
    b"RIFF\0\x01\0\0WEBPVP8X",
    b"BM",
    b"GIF89a",
    b"II*\0\x08\0\0\0",
];

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn random_bytes_are_no_trouble(
        magic in prop::sample::select(MAGICS.to_vec()),
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        read_everywhere(&[magic, &bytes].concat());
    }

    #[test]
    fn a_file_with_changed_bytes_is_no_trouble(
        recipe in recipes(24),
        seed in any::<u64>(),
        changes in 1..12u32,
        cut in prop::option::of(0.0..1.0f64),
    ) {
        let mut file = recipe.file();
        let mut random = Random(seed);
        for _ in 0..changes {
            let at = random.next() as usize % file.len();
            file[at] = random.next() as u8;
        }
        if let Some(cut) = cut {
            file.truncate((file.len() as f64 * cut) as usize);
        }
        read_everywhere(&file);
    }

    #[test]
    fn any_picture_at_all_can_be_asked_for_a_message(recipe in recipes(64)) {
        let answer = small().reveal(&recipe.file(), &key());

        prop_assert!(answer.is_err());
    }
}

#[test]
fn a_stego_file_with_any_one_byte_changed_gives_the_message_or_an_error() {
    let settings = Settings::default();
    let file = hide(&Recipe::png(26, 26, ColorType::Rgb8).file(), b"payload").image;

    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1 << (at % 8);
        if let Ok(revealed) = settings.reveal(&changed, &key()) {
            assert_eq!(revealed.payload, b"payload", "byte {at}");
        }
    }
}

#[test]
fn a_file_that_ends_early_is_broken_wherever_it_ends() {
    let settings = Settings::default();
    for format in [
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Gif,
        ImageFormat::Tiff,
        ImageFormat::WebP,
    ] {
        let file = Recipe {
            format,
            ..Recipe::png(30, 30, ColorType::Rgb8)
        }
        .file();
        for length in (0..file.len() / 2).step_by(7) {
            let cover = Cover::decode(&file[..length], &settings.limits);
            assert!(
                cover.is_err(),
                "{length} of {} bytes of {format:?}",
                file.len()
            );
        }
    }
}
