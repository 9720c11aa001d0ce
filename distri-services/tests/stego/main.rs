//! Hiding and revealing, as whoever uses it sees it: exact, faithful to the cover, and clear
//! about what does not work. Here is what holds whatever the cover and the method; `covers` asks what a
//! picture may be and what is said of it, `adaptive` is about the method that adapts,
//! `jpeg` about JPEGs that stay JPEGs, `metadata` about what files say beside their picture, `form` about PNGs that look like their covers' files,
//! `formats` about what earlier versions hid, `hostile` about files from strangers, `service` about
//! the service over real links, `over` about messages over several covers.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod adaptive;
mod covers;
mod form;
mod formats;
mod hostile;
mod jpeg;
mod metadata;
mod over;
mod service;
mod support;

use std::io::Cursor;

use distri_services::stego::{
    Colour, Compression, Cover, Depth, Error, Exposure, Format, HideOptions, JpegPast, Key,
    LABEL_MAX, Limits, Mark, Measure, Method, NotStego, Profile, Settings, Size, Warning,
};
use image::{ColorType, DynamicImage, GenericImageView, ImageFormat};
use proptest::prelude::*;
use support::{
    Holes, Random, Recipe, Scene, cases, convert, decode, encode, hide, key, keys, recipes,
};

/// The default, but for covers that are JPEGs: what fits them is asked of them as they are.
fn options() -> HideOptions {
    HideOptions {
        jpeg: JpegPast::Keep,
        ..HideOptions::default()
    }
}

fn profile(profile: Profile) -> HideOptions {
    HideOptions {
        profile,
        ..options()
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn any_payload_in_any_cover_comes_back_exactly_or_is_refused_with_a_size_that_suffices(
        recipe in recipes(72),
        key in keys(),
        fill in prop_oneof![Just(0.0), Just(1.0), Just(1.001), 0.0..1.2f64],
        label in prop::collection::vec(any::<u8>(), 0..40),
        seed in any::<u64>(),
    ) {
        let settings = Settings::default();
        let file = recipe.file();
        let cover = Cover::decode(&file, &settings.limits).unwrap();
        let room = cover.capacity().payload.unwrap_or(0);
        let payload = Random(seed).bytes((room as f64 * fill).ceil() as usize);
        let total = (payload.len() + label.len()) as u64;
        let options = HideOptions { label, ..options() };

        match settings.hide(&file, &payload, &key, &options) {
            Ok(hidden) => {
                prop_assert!(cover.capacity().payload.is_some_and(|room| total <= room));
                let revealed = settings.reveal(&hidden.image, &key).unwrap();
                prop_assert!(revealed.payload == payload);
                prop_assert_eq!(revealed.label, options.label);
            }
            Err(Error::CoverTooSmall { payload: said, room: had, needs, has }) => {
                prop_assert_eq!(said, total);
                prop_assert!(total > had || cover.capacity().payload.is_none());
                prop_assert_eq!(has, cover.size());
                if recipe.holes == Holes::None || !cover.pixels().alpha {
                    let larger = Recipe { width: needs.width, height: needs.height, ..recipe };
                    let hidden = settings.hide(&larger.file(), &payload, &key, &options).unwrap();
                    prop_assert!(settings.reveal(&hidden.image, &key).unwrap().payload == payload);
                }
            }
            Err(Error::Transparent) => prop_assert_eq!(cover.capacity().carriers, 0),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn a_cover_that_is_too_small_is_scaled_up_on_request(
        recipe in recipes(20),
        key in keys(),
        length in 0..3000usize,
    ) {
        let settings = Settings::default();
        let payload = Random(1).bytes(length);
        let options = HideOptions { scale_cover: true, ..options() };

        match settings.hide(&recipe.file(), &payload, &key, &options) {
            Ok(hidden) => {
                let shown = decode(&hidden.image);
                prop_assert_eq!(shown.dimensions(), (hidden.report.size.width, hidden.report.size.height));
                prop_assert!(settings.reveal(&hidden.image, &key).unwrap().payload == payload);
            }
            Err(error) => {
                prop_assert_eq!(error, Error::Transparent);
                prop_assert!(matches!(recipe.holes, Holes::Everywhere | Holes::AlmostOpaque | Holes::Some));
            }
        }
    }

    #[test]
    fn another_key_finds_nothing(
        recipe in recipes(60),
        right in keys(),
        wrong in keys(),
    ) {
        let settings = Settings::default();
        let options = HideOptions { scale_cover: true, ..options() };
        let Ok(hidden) = settings.hide(&recipe.file(), b"secret", &right, &options) else {
            return Ok(());
        };

        prop_assert_eq!(settings.reveal(&hidden.image, &wrong), Err(Error::NoMessage));
    }
}

#[test]
fn one_pixel_carries_nothing_but_says_what_would() {
    let cover = Recipe::png(1, 1, ColorType::Rgb8).file();

    let refused = Settings::default()
        .hide(&cover, b"", &key(), &options())
        .unwrap_err();
    let revealed = Settings::default().reveal(&cover, &key()).unwrap_err();

    let one = Size {
        width: 1,
        height: 1,
    };
    let needs = Size {
        width: 24,
        height: 24,
    };
    assert_eq!(
        refused,
        Error::CoverTooSmall {
            payload: 0,
            room: 0,
            has: one,
            needs
        }
    );
    assert_eq!(
        revealed,
        Error::NotStego {
            reason: NotStego::TooSmall(one)
        }
    );
}

#[test]
fn the_last_byte_that_capacity_promises_fits_and_the_next_does_not() {
    let settings = Settings::default();
    for side in [24, 25, 31, 64, 105, 200] {
        let file = Recipe::png(side, side, ColorType::Rgb8).file();
        let cover = Cover::decode(&file, &settings.limits).unwrap();
        let room = cover.capacity().payload.unwrap() as usize;
        let payload = Random(3).bytes(room + 1);

        let hidden = settings
            .hide(&file, &payload[..room], &key(), &options())
            .unwrap();
        let refused = settings
            .hide(&file, &payload, &key(), &options())
            .unwrap_err();

        assert!(settings.reveal(&hidden.image, &key()).unwrap().payload == payload[..room]);
        assert!(matches!(refused, Error::CoverTooSmall { .. }), "{refused}");
    }
}

#[test]
fn a_stego_image_differs_from_its_cover_by_single_steps_and_nowhere_under_transparency() {
    for kind in [
        ColorType::Rgba8,
        ColorType::La8,
        ColorType::Rgba16,
        ColorType::La16,
    ] {
        let recipe = Recipe {
            holes: Holes::Some,
            ..Recipe::png(90, 70, kind)
        };
        let cover = recipe.picture();

        let hidden = hide(&recipe.file(), &[0x5A; 300]);

        let stego = decode(&hidden.image);
        assert_eq!(stego.color(), kind);
        let scale = if kind.bytes_per_pixel() / kind.channel_count() == 2 {
            1
        } else {
            257
        };
        let (cover, stego) = (cover.to_rgba16(), stego.to_rgba16());
        let mut changed = 0;
        for (before, after) in cover.pixels().zip(stego.pixels()) {
            assert_eq!(before[3], after[3], "transparency");
            for colour in 0..3 {
                let step = before[colour].abs_diff(after[colour]);
                assert!(step <= scale, "{step}");
                assert!(
                    before[3] == u16::MAX || step == 0,
                    "changed where it is not opaque"
                );
                changed += u64::from(step > 0);
            }
        }
        let colours = if kind.has_color() { 1 } else { 3 };
        assert_eq!(changed, hidden.report.changed * colours);
    }
}

#[test]
fn the_report_tells_what_was_done() {
    let recipe = Recipe {
        scene: Scene::Slope,
        ..Recipe::png(100, 80, ColorType::Rgb8)
    };

    let settings = Settings::default();
    let hidden = settings.hide(&recipe.file(), &[1; 1000], &key(), &profile(Profile::Fast));

    let report = hidden.unwrap().report;
    assert_eq!(report.method, Method::Matching);
    assert_eq!(report.cover_format, Format::Png);
    assert_eq!(
        report.size,
        Size {
            width: 100,
            height: 80
        }
    );
    assert_eq!(
        (report.pixels.colour, report.pixels.depth),
        (Colour::Rgb, Depth::Eight)
    );
    assert_eq!(report.carriers, 24_000);
    assert_eq!(report.used, 1472 + 8 * 1020);
    assert!(
        (report.used * 4 / 10..report.used * 6 / 10).contains(&report.changed),
        "{report:?}"
    );
    let expected = 10.0 * (255.0f64 * 255.0 * 24_000.0 / report.changed as f64).log10();
    assert!((report.psnr - expected).abs() < 1e-9);
    assert_eq!(report.scaled_from, None);
}

#[test]
fn two_images_of_one_message_have_next_to_nothing_in_common() {
    let cover = Recipe {
        scene: Scene::Slope,
        ..Recipe::png(200, 200, ColorType::Rgb8)
    };
    let (file, before) = (cover.file(), cover.picture().into_bytes());
    let changes = |image: &[u8]| -> Vec<usize> {
        let after = decode(image).into_bytes();
        (0..before.len())
            .filter(|i| before[*i] != after[*i])
            .collect()
    };

    let hide = || {
        let options = profile(Profile::Fast);
        Settings::default()
            .hide(&file, &[7; 500], &key(), &options)
            .unwrap()
    };
    let one = changes(&hide().image);
    let other = changes(&hide().image);

    // About 2,600 changes each in 120,000 samples: by chance they share about 60.
    let shared = one
        .iter()
        .filter(|i| other.binary_search(i).is_ok())
        .count();
    assert!(
        shared * 10 < one.len(),
        "{shared} of {} changes are the same",
        one.len()
    );
}

#[test]
fn a_passphrase_opens_what_it_closed_and_another_does_not() {
    let settings = Settings::default();
    let cover = Recipe::png(64, 64, ColorType::Rgb8).file();
    let right = Key::from_passphrase("correct horse battery staple").unwrap();
    let wrong = Key::from_passphrase("correct horse battery stable").unwrap();

    let hidden = settings
        .hide(&cover, b"payload", &right, &options())
        .unwrap();

    assert_eq!(
        settings.reveal(&hidden.image, &right).unwrap().payload,
        b"payload"
    );
    assert_eq!(
        settings.reveal(&hidden.image, &wrong),
        Err(Error::NoMessage)
    );
}

#[test]
fn with_a_mark_a_wrong_key_and_a_picture_without_message_are_told_apart() {
    let settings = Settings {
        mark: Some(Mark::from_bytes([9; 32])),
        ..Settings::default()
    };
    let stranger = Settings {
        mark: Some(Mark::from_bytes([8; 32])),
        ..Settings::default()
    };
    let cover = Recipe::png(80, 80, ColorType::Rgb8).file();
    let wrong = Key::from_bytes([1; 32]);

    let hidden = settings
        .hide(&cover, b"payload", &key(), &options())
        .unwrap();

    let unmarked = Err(Error::NotStego {
        reason: NotStego::Unmarked,
    });
    assert_eq!(
        settings.reveal(&hidden.image, &key()).unwrap().payload,
        b"payload"
    );
    assert_eq!(settings.reveal(&hidden.image, &wrong), Err(Error::WrongKey));
    assert_eq!(settings.reveal(&cover, &wrong), unmarked);
    assert_eq!(stranger.reveal(&hidden.image, &wrong), unmarked);
    assert_eq!(
        stranger.reveal(&hidden.image, &key()).unwrap().payload,
        b"payload"
    );
    assert_eq!(
        Settings::default().reveal(&hidden.image, &wrong),
        Err(Error::NoMessage)
    );
}

#[test]
fn a_format_that_loses_pixels_is_no_stego_image_for_certain() {
    let cover = Recipe::png(80, 80, ColorType::Rgb8).file();
    let hidden = hide(&cover, b"payload");

    let jpeg = encode(&decode(&hidden.image), ImageFormat::Jpeg);

    let lossy = Err(Error::NotStego {
        reason: NotStego::Lossy(Format::Jpeg),
    });
    assert_eq!(Settings::default().reveal(&jpeg, &key()), lossy);
}

#[test]
fn any_single_changed_sample_leaves_the_message_exact_or_is_reported_as_damage() {
    let settings = Settings::default();
    let cover = Recipe::png(24, 25, ColorType::Rgb8).file();
    let hidden = settings.hide(&cover, b"12345", &key(), &options()).unwrap();
    let pixels = decode(&hidden.image).into_bytes();
    let (mut exact, mut damaged) = (0, 0);

    for sample in 0..pixels.len() {
        let mut changed = pixels.clone();
        changed[sample] ^= 1;
        match settings.reveal(&support::png_of(24, 25, &changed), &key()) {
            Ok(revealed) if revealed.payload == b"12345" => exact += 1,
            Err(Error::Damaged) => damaged += 1,
            other => panic!("sample {sample}: {other:?}"),
        }
    }

    // The body takes 25 bytes; every other sample is a slot, of which there is a second one, or
    // carries nothing.
    assert_eq!((damaged, exact), (200, 1600));
}

#[test]
fn painting_over_a_part_of_the_picture_is_damage_not_a_wrong_key() {
    let hidden = hide(&Recipe::png(300, 300, ColorType::Rgb8).file(), &[3; 4000]);
    let stego = decode(&hidden.image).to_rgb8();

    for top in [0, 100, 200] {
        let mut painted = stego.clone();
        for y in top..top + 60 {
            for x in 50..250 {
                painted.put_pixel(x, y, image::Rgb([255, 0, 0]));
            }
        }
        let file = encode(&painted.into(), ImageFormat::Png);

        assert_eq!(
            Settings::default().reveal(&file, &key()),
            Err(Error::Damaged),
            "at {top}"
        );
    }
}

#[test]
fn saving_again_without_loss_keeps_the_message_whatever_the_format() {
    let hidden = hide(&Recipe::png(60, 50, ColorType::Rgb8).file(), b"payload");
    let stego = decode(&hidden.image);
    let lossless = [
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
        ImageFormat::WebP,
    ];
    let kinds = [ColorType::Rgb8, ColorType::Rgba8];

    for format in lossless {
        for kind in kinds {
            let saved = encode(&convert(&stego, kind), format);
            let revealed = Settings::default().reveal(&saved, &key()).unwrap();
            assert_eq!(revealed.payload, b"payload", "{format:?} {kind:?}");
        }
    }
    for kind in [ColorType::Rgb16, ColorType::Rgba16] {
        let saved = encode(&convert(&stego, kind), ImageFormat::Png);
        assert_eq!(
            Settings::default().reveal(&saved, &key()).unwrap().payload,
            b"payload"
        );
    }
}

#[test]
fn a_grey_message_survives_being_saved_in_colour() {
    for kind in [ColorType::L8, ColorType::L16, ColorType::La8] {
        let hidden = hide(&Recipe::png(90, 50, kind).file(), b"payload");
        let wide = if kind == ColorType::L16 {
            ColorType::Rgb16
        } else {
            ColorType::Rgba8
        };

        let saved = encode(&convert(&decode(&hidden.image), wide), ImageFormat::Png);

        assert_eq!(
            Settings::default().reveal(&saved, &key()).unwrap().payload,
            b"payload"
        );
    }
}

/// Something like a photograph: shapes, light, and noise that grows with brightness.
fn photograph(width: u32, height: u32, seed: u64) -> image::RgbImage {
    let mut random = Random(seed | 1);
    image::RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (f64::from(x), f64::from(y));
        let light =
            110.0 + 60.0 * (x / 37.0).sin() * (y / 53.0).cos() + 25.0 * (x * y / 900.0).sin();
        image::Rgb(std::array::from_fn(|channel| {
            let noise: u32 = (0..4).map(|_| random.next() % 8).sum();
            (light + 9.0 * channel as f64 + f64::from(noise) - 14.0) as u8
        }))
    })
}

fn png(image: image::RgbImage) -> Vec<u8> {
    encode(&image.into(), ImageFormat::Png)
}
