//! Hiding and revealing, as whoever uses it sees it: exact, faithful to the cover, and clear
//! about what does not work.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::io::Cursor;

use distri_services::stego::{
    Colour, Compression, Cover, Depth, Error, Exposure, Format, HideOptions, JpegPast, Key,
    LABEL_MAX, Limits, Mark, Measure, Method, NotStego, Profile, Settings, Size, Warning,
};
use image::{ColorType, DynamicImage, GenericImageView, ImageFormat};
use proptest::prelude::*;
use support::{Holes, Random, Recipe, Scene, convert, decode, encode, hide, key, keys, recipes};

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
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

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

#[test]
fn depth_and_kind_of_pixels_stay() {
    use ColorType::*;
    for kind in [L8, La8, Rgb8, Rgba8, L16, La16, Rgb16, Rgba16] {
        let hidden = hide(&Recipe::png(60, 50, kind).file(), b"payload");

        assert_eq!(decode(&hidden.image).color(), kind);
    }
}

#[test]
fn a_palette_becomes_rgb_and_looks_the_same() {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 60, 60);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Four);
    encoder.set_palette(Random(5).bytes(48));
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&Random(6).bytes(30 * 60)).unwrap();
    writer.finish().unwrap();

    let hidden = hide(&file, b"payload");

    let (cover, stego) = (decode(&file).to_rgb8(), decode(&hidden.image));
    assert_eq!(stego.color(), ColorType::Rgb8);
    let far = cover
        .iter()
        .zip(stego.as_bytes())
        .filter(|(a, b)| a.abs_diff(**b) > 1)
        .count();
    assert_eq!(far, 0);
}

#[test]
fn a_photograph_taken_sideways_stays_upright() {
    // EXIF with the single entry "orientation: 6", turn right by a quarter.
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let recipe = Recipe {
        scene: Scene::Slope,
        ..Recipe::png(70, 50, ColorType::Rgb8)
    };
    let plain = encode(&recipe.picture(), ImageFormat::Jpeg);
    let mut sideways = plain[..2].to_vec();
    sideways.extend([0xFF, 0xE1]);
    sideways.extend((exif.len() as u16 + 2).to_be_bytes());
    sideways.extend(exif);
    sideways.extend(&plain[2..]);

    let hidden = Settings::default()
        .hide(&sideways, b"payload", &key(), &options())
        .unwrap();

    let (upright, stego) = (decode(&plain).rotate90(), decode(&hidden.image));
    assert_eq!(stego.dimensions(), (50, 70));
    assert!(
        upright
            .as_bytes()
            .iter()
            .zip(stego.as_bytes())
            .all(|(a, b)| a.abs_diff(*b) <= 1)
    );
}

#[test]
fn colours_keep_their_meaning_and_texts_do_not_travel() {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 60, 60);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_source_gamma(png::ScaledFloat::new(0.5));
    encoder.set_pixel_dims(Some(png::PixelDimensions {
        xppu: 2835,
        yppu: 2835,
        unit: png::Unit::Meter,
    }));
    encoder
        .add_text_chunk("Author".into(), "someone".into())
        .unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer
        .write_chunk(png::chunk::cICP, &[9, 16, 0, 1])
        .unwrap();
    writer
        .write_image_data(&Random(6).bytes(3 * 60 * 60))
        .unwrap();
    writer.finish().unwrap();

    let hidden = hide(&file, b"payload");

    let reader = png::Decoder::new(Cursor::new(&hidden.image))
        .read_info()
        .unwrap();
    let info = reader.info();
    assert_eq!(info.gama_chunk, Some(png::ScaledFloat::new(0.5)));
    assert_eq!(info.pixel_dims.map(|dims| dims.xppu), Some(2835));
    assert_eq!(
        info.coding_independent_code_points
            .map(|c| c.transfer_function),
        Some(16)
    );
    assert!(!hidden.image.windows(7).any(|bytes| bytes == b"someone"));
}

#[test]
fn a_profile_is_kept_if_it_is_one_for_these_colours() {
    let profile = |space: &[u8; 4]| {
        let mut profile = vec![0; 200];
        profile[16..20].copy_from_slice(space);
        profile
    };
    let with = |profile: &[u8]| {
        let mut file = Vec::new();
        let mut info = png::Info::with_size(60, 60);
        info.color_type = png::ColorType::Rgb;
        info.icc_profile = Some(profile.into());
        let mut writer = png::Encoder::with_info(&mut file, info)
            .unwrap()
            .write_header()
            .unwrap();
        writer
            .write_image_data(&Random(6).bytes(3 * 60 * 60))
            .unwrap();
        writer.finish().unwrap();
        let hidden = hide(&file, b"payload");
        let reader = png::Decoder::new(Cursor::new(hidden.image))
            .read_info()
            .unwrap();
        reader.info().icc_profile.as_deref().map(<[u8]>::to_vec)
    };

    assert_eq!(with(&profile(b"RGB ")), Some(profile(b"RGB ")));
    assert_eq!(with(&profile(b"CMYK")), None);
}

#[test]
fn a_label_travels_sealed_and_is_bounded() {
    let settings = Settings::default();
    let cover = Recipe::png(500, 500, ColorType::Rgb8).file();
    let label = |length| HideOptions {
        label: vec![b'L'; length],
        ..options()
    };

    let hidden = settings
        .hide(&cover, b"payload", &key(), &label(LABEL_MAX))
        .unwrap();
    let refused = settings.hide(&cover, b"payload", &key(), &label(LABEL_MAX + 1));

    let revealed = settings.reveal(&hidden.image, &key()).unwrap();
    assert_eq!(
        (revealed.label.len(), &revealed.payload[..]),
        (LABEL_MAX, &b"payload"[..])
    );
    let expected = Error::LabelTooLong {
        is: LABEL_MAX + 1,
        limit: LABEL_MAX,
    };
    assert_eq!(refused.unwrap_err(), expected);
}

#[test]
fn what_cannot_be_hidden_in_is_refused_for_the_true_reason() {
    let settings = Settings::default();
    let refusal = |cover: &[u8]| {
        settings
            .hide(cover, b"payload", &key(), &options())
            .unwrap_err()
    };
    let transparent = Recipe {
        holes: Holes::Everywhere,
        ..Recipe::png(90, 90, ColorType::Rgba8)
    };
    let float = DynamicImage::ImageRgb32F(image::ImageBuffer::new(50, 50));
    let tiff = encode(&float, ImageFormat::Tiff);
    let png = Recipe::png(90, 90, ColorType::Rgb8).file();

    assert_eq!(refusal(b""), Error::NotAnImage);
    assert_eq!(refusal(b"%PDF-1.7 and so on"), Error::NotAnImage);
    assert_eq!(refusal(&transparent.file()), Error::Transparent);
    assert!(matches!(
        refusal(&tiff),
        Error::UnsupportedPixels {
            format: Format::Tiff,
            ..
        }
    ));
    for length in [8, 9, 40, png.len() / 2, png.len() - 20] {
        let error = refusal(&png[..length]);
        assert!(
            matches!(
                error,
                Error::BrokenImage {
                    format: Format::Png,
                    ..
                }
            ),
            "{error:?}"
        );
    }
}

#[test]
fn moving_pictures_are_refused() {
    let refusal = |cover: &[u8]| {
        let settings = Settings::default();
        let hiding = settings
            .hide(cover, b"payload", &key(), &options())
            .unwrap_err();
        assert_eq!(settings.reveal(cover, &key()).unwrap_err(), hiding);
        hiding
    };
    let frame = Recipe::png(60, 60, ColorType::Rgba8).picture().to_rgba8();

    let mut gif = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut gif);
    encoder
        .encode_frames([1, 2].map(|_| image::Frame::new(frame.clone())))
        .unwrap();
    drop(encoder);
    let mut apng = Vec::new();
    let mut encoder = png::Encoder::new(&mut apng, 60, 60);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&frame).unwrap();
    writer.write_image_data(&frame).unwrap();
    writer.finish().unwrap();

    assert_eq!(
        refusal(&gif),
        Error::Animated {
            format: Format::Gif
        }
    );
    assert_eq!(
        refusal(&apng),
        Error::Animated {
            format: Format::Png
        }
    );
}

#[test]
fn limits_hold_before_anything_is_decoded() {
    let limits = Limits {
        width_max: 100,
        height_max: 100,
        file_max: 100_000,
        memory_max: 25_000,
    };
    let settings = Settings {
        limits,
        ..Settings::default()
    };
    let refusal = |file: &[u8]| {
        let error = Cover::decode(file, &settings.limits).unwrap_err();
        assert_eq!(settings.reveal(file, &key()).err().as_ref(), Some(&error));
        match error {
            Error::TooLarge { what, is, limit } => (what, is, limit),
            other => panic!("{other:?}"),
        }
    };
    let png = |width, height| Recipe::png(width, height, ColorType::Rgb8).file();

    for format in [
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Gif,
        ImageFormat::Tiff,
        ImageFormat::WebP,
    ] {
        let wide = Recipe {
            format,
            ..Recipe::png(101, 20, ColorType::Rgb8)
        };
        let high = Recipe {
            format,
            ..Recipe::png(20, 101, ColorType::Rgb8)
        };
        assert_eq!(
            refusal(&wide.file()),
            (Measure::Width, 101, 100),
            "{format:?}"
        );
        assert_eq!(
            refusal(&high.file()),
            (Measure::Height, 101, 100),
            "{format:?}"
        );
    }
    assert_eq!(refusal(&png(100, 90)), (Measure::Memory, 27_000, 25_000));
    let mut long = png(20, 20);
    long.resize(100_001, 0);
    assert_eq!(refusal(&long), (Measure::File, 100_001, 100_000));
    let jpeg = Recipe {
        format: ImageFormat::Jpeg,
        ..Recipe::png(101, 20, ColorType::Rgb8)
    };
    let error = Cover::decode(&jpeg.file(), &settings.limits).unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooLarge {
                what: Measure::Width,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_small_file_that_would_grow_huge_is_refused_by_its_header() {
    // 19,000 × 19,000 black pixels: a gigabyte from about 50 KB.
    let mut bomb = Vec::new();
    let mut encoder = png::Encoder::new(&mut bomb, 19_000, 19_000);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header().unwrap();
    let mut rows = writer.stream_writer().unwrap();
    for _ in 0..19_000 {
        std::io::Write::write_all(&mut rows, &[0; 2375]).unwrap();
    }
    rows.finish().unwrap();
    writer.finish().unwrap();
    assert!(bomb.len() < 100_000, "{}", bomb.len());

    let error = Cover::decode(&bomb, &Limits::default()).unwrap_err();

    assert_eq!(
        error,
        Error::TooLarge {
            what: Measure::Width,
            is: 19_000,
            limit: 8192
        }
    );
}

#[test]
fn noise_does_not_grow_much_when_written() {
    let cover = Recipe::png(300, 300, ColorType::Rgb8);

    let hidden = hide(&cover.file(), b"payload");

    assert!(
        hidden.image.len() < 300 * 300 * 3 * 110 / 100,
        "{}",
        hidden.image.len()
    );
}

#[test]
fn an_image_that_could_not_be_revealed_under_the_same_limits_is_not_delivered() {
    let cover = Recipe {
        scene: Scene::Black,
        ..Recipe::png(100, 100, ColorType::Rgb8)
    }
    .file();
    let limits = Limits {
        file_max: cover.len() as u64 + 10,
        ..Limits::default()
    };
    let settings = Settings {
        limits,
        ..Settings::default()
    };

    let error = settings
        .hide(
            &cover,
            &Random(1).bytes(3000),
            &key(),
            &profile(Profile::Fast),
        )
        .unwrap_err();

    assert!(
        matches!(
            error,
            Error::TooLarge {
                what: Measure::File,
                ..
            }
        ),
        "{error}"
    );
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_method_and_height_gives_back_any_payload_up_to_capacity(
        recipe in recipes(150),
        key in keys(),
        height in 7..=12u8,
        fill in 0.0..=1.0f64,
        fast in any::<bool>(),
        uncompressed in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let recipe = Recipe { width: recipe.width.max(96), height: recipe.height.max(96), ..recipe };
        let settings = Settings::default();
        let file = recipe.file();
        let capacity = Cover::decode(&file, &settings.limits).unwrap().capacity();
        let room = if fast { capacity.payload } else { capacity.adaptive };
        let Some(room) = room else { return Ok(()) };
        let payload = Random(seed).bytes((room as f64 * fill) as usize);
        let profile = if fast { Profile::Fast } else { Profile::Auto };
        let options = HideOptions { profile, height, uncompressed, ..options() };

        let hidden = settings.hide(&file, &payload, &key, &options).unwrap();

        let method = if fast { Method::Matching } else { Method::Adaptive };
        prop_assert_eq!(hidden.report.method, method);
        let revealed = settings.reveal(&hidden.image, &key).unwrap();
        prop_assert!(revealed.payload == payload);
        prop_assert_eq!(revealed.method, method);
    }
}

#[test]
fn an_adaptive_message_changes_far_fewer_samples_and_reports_its_loss() {
    let cover = png(photograph(300, 200, 3));
    let payload = Random(8).bytes(2200);
    let settings = Settings::default();
    let report = |profile| {
        let options = HideOptions {
            profile,
            ..options()
        };
        settings
            .hide(&cover, &payload, &key(), &options)
            .unwrap()
            .report
    };

    let (adaptive, matching) = (report(Profile::Auto), report(Profile::Fast));

    assert_eq!(adaptive.method, Method::Adaptive);
    assert!(
        adaptive.changed * 2 < matching.changed,
        "{adaptive:?} {matching:?}"
    );
    assert!(
        adaptive.loss.is_some_and(|loss| (1.0..1.3).contains(&loss)),
        "{adaptive:?}"
    );
    assert_eq!(matching.loss, None);
}

#[test]
fn any_single_changed_sample_of_an_adaptive_message_leaves_it_exact_or_is_reported_as_damage() {
    let settings = Settings::default();
    let cover = png(photograph(70, 60, 3));
    let payload = Random(8).bytes(300);
    let hidden = settings.hide(&cover, &payload, &key(), &options()).unwrap();
    assert_eq!(hidden.report.method, Method::Adaptive);
    let pixels = decode(&hidden.image).into_bytes();
    let (mut exact, mut damaged) = (0, 0);

    for sample in (0..pixels.len()).step_by(7) {
        for flip in [1, 2] {
            let mut changed = pixels.clone();
            changed[sample] ^= flip;
            match settings.reveal(&support::png_of(70, 60, &changed), &key()) {
                Ok(revealed) if revealed.payload == payload => exact += 1,
                Err(Error::Damaged) => damaged += 1,
                other => panic!("sample {sample}: {other:?}"),
            }
        }
    }

    assert!(
        exact > 200 && damaged > 1000,
        "{exact} exact, {damaged} damaged"
    );
}

#[test]
fn a_payload_that_gets_shorter_is_compressed_and_comes_back_as_it_was() {
    let cover = png(photograph(120, 100, 3));
    let text = b"to be or not to be, that is the question. ".repeat(100);
    let hide = |uncompressed| {
        let options = HideOptions {
            uncompressed,
            ..options()
        };
        let settings = Settings::default();
        let hidden = settings.hide(&cover, &text, &key(), &options).unwrap();
        assert!(settings.reveal(&hidden.image, &key()).unwrap().payload == text);
        hidden.report
    };

    let (shorter, as_it_is) = (hide(false), hide(true));

    assert_eq!(shorter.method, Method::Adaptive);
    assert!(shorter.changed * 4 < as_it_is.changed);
}

#[test]
fn stealth_refuses_what_would_be_found_and_says_which_cover_would_do() {
    let settings = Settings::default();
    let cover = png(photograph(200, 200, 3));
    let payload = Random(8).bytes(6000);

    let refused = settings
        .hide(&cover, &payload, &key(), &profile(Profile::Stealth))
        .unwrap_err();
    let Error::CoverTooSmall { room, needs, .. } = refused else {
        panic!("{refused:?}");
    };
    let larger = png(photograph(needs.width, needs.height, 3));
    let hidden = settings
        .hide(&larger, &payload, &key(), &profile(Profile::Stealth))
        .unwrap();
    let fits = settings.hide(
        &cover,
        &payload[..room as usize],
        &key(),
        &profile(Profile::Stealth),
    );
    let scaled = HideOptions {
        scale_cover: true,
        ..profile(Profile::Stealth)
    };
    let scaled = settings.hide(&cover, &payload, &key(), &scaled).unwrap();

    assert!(
        hidden.report.exposure <= Exposure::High,
        "{:?}",
        hidden.report
    );
    assert!(fits.is_ok());
    assert_eq!(
        scaled.report.scaled_from,
        Some(Size {
            width: 200,
            height: 200
        })
    );
    assert!(settings.reveal(&scaled.image, &key()).unwrap().payload == payload);
}

#[test]
fn a_payload_beyond_the_recommendation_is_hidden_with_a_warning() {
    let settings = Settings::default();
    let cover = png(photograph(200, 200, 3));
    let warnings = |length| {
        let hidden = settings
            .hide(&cover, &Random(8).bytes(length), &key(), &options())
            .unwrap();
        (hidden.report.exposure, hidden.report.warnings)
    };

    let analysis = settings.analyze(&cover).unwrap();
    let (low, none) = warnings(analysis.recommended as usize);
    let (open, one) = warnings(9000);

    assert_eq!((low, none), (Exposure::Low, Vec::new()));
    assert_eq!(open, Exposure::Open);
    assert!(
        matches!(one[..], [Warning::Exposed { exposure: Exposure::Open, recommended, .. }]
        if recommended == analysis.recommended),
        "{one:?} {analysis:?}"
    );
}

#[test]
fn the_past_of_a_jpeg_shows_and_is_never_passed_over() {
    let settings = Settings::default();
    let photograph = photograph(400, 300, 3);
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 80)
        .encode_image(&photograph)
        .unwrap();
    let decoded = decode(&jpeg);
    let saved = encode(&decoded, ImageFormat::Png);
    let cropped = encode(&decoded.crop_imm(3, 5, 380, 280), ImageFormat::Png);
    let hide = |cover: &[u8], profile, jpeg| {
        let options = HideOptions {
            profile,
            jpeg,
            ..HideOptions::default()
        };
        settings.hide(cover, b"payload", &key(), &options)
    };
    let rule = JpegPast::ByProfile;

    for cover in [&jpeg, &saved, &cropped] {
        let analysis = settings.analyze(cover).unwrap();
        assert!(analysis.jpeg && analysis.recommended == 0, "{analysis:?}");
        assert!(
            analysis
                .jpeg_quality
                .is_some_and(|quality| (70..=90).contains(&quality)),
            "{analysis:?}"
        );
        assert!(matches!(
            hide(cover, Profile::Stealth, rule),
            Err(Error::JpegPast { .. })
        ));
        let kept = hide(cover, Profile::Auto, JpegPast::Keep).unwrap().report;
        assert!(
            matches!(kept.warnings[..], [Warning::JpegPast { .. }]),
            "{kept:?}"
        );
        let resampled = hide(cover, Profile::Stealth, JpegPast::Resample).unwrap();
        assert_eq!(resampled.report.warnings, []);
        assert!(!settings.analyze(&resampled.image).unwrap().jpeg);
    }
    let resampled = hide(&jpeg, Profile::Auto, rule).unwrap();
    assert_eq!(
        resampled.report.size,
        Size {
            width: 300,
            height: 225
        }
    );
    assert_eq!(
        resampled.report.scaled_from,
        Some(Size {
            width: 400,
            height: 300
        })
    );
    assert_eq!(
        settings.reveal(&resampled.image, &key()).unwrap().payload,
        b"payload"
    );
    assert!(!settings.analyze(&png(photograph)).unwrap().jpeg);
}

#[test]
fn what_was_drawn_is_told_from_what_was_photographed() {
    let drawn = image::RgbImage::from_fn(300, 200, |x, y| {
        let inside = (x / 60 + y / 50) % 2 == 0;
        image::Rgb(if inside {
            [250, 250, 250]
        } else {
            [30, 60, 120]
        })
    });
    let settings = Settings::default();

    let drawn = settings.analyze(&png(drawn)).unwrap();
    let taken = settings.analyze(&png(photograph(300, 200, 3))).unwrap();

    assert!(
        drawn.synthetic && drawn.warnings.contains(&Warning::Synthetic),
        "{drawn:?}"
    );
    assert!(!taken.synthetic && taken.warnings.is_empty(), "{taken:?}");
    assert!(
        taken.noise > 1.0 && taken.flat < 0.1 && taken.saturated < 0.01,
        "{taken:?}"
    );
    assert!(taken.recommended > 0 && taken.adaptive > Some(taken.recommended));
}

#[test]
fn a_height_that_there_is_not_is_refused() {
    let cover = png(photograph(100, 100, 3));
    let options = HideOptions {
        height: 13,
        ..options()
    };

    let refused = Settings::default()
        .hide(&cover, b"", &key(), &options)
        .unwrap_err();

    assert_eq!(
        refused,
        Error::Height {
            is: 13,
            least: 7,
            most: 12
        }
    );
}

#[test]
fn small_files_are_smaller_and_hold_the_same() {
    let cover = png(photograph(300, 200, 3));
    let settings = Settings::default();
    let size = |compression| {
        let options = HideOptions {
            compression,
            ..options()
        };
        let hidden = settings.hide(&cover, b"payload", &key(), &options).unwrap();
        assert_eq!(
            settings.reveal(&hidden.image, &key()).unwrap().payload,
            b"payload"
        );
        hidden.image.len()
    };

    assert!(size(Compression::Small) < size(Compression::Fast));
}

#[test]
fn a_changed_adaptive_image_gives_no_message_or_damage_and_never_other_bytes() {
    let settings = Settings::default();
    let hidden = settings
        .hide(
            &png(photograph(200, 160, 3)),
            &Random(3).bytes(900),
            &key(),
            &options(),
        )
        .unwrap();
    let stego = decode(&hidden.image);
    let reveal = |image: &DynamicImage| settings.reveal(&encode(image, ImageFormat::Png), &key());
    let recompressed = decode(&encode(&stego, ImageFormat::Jpeg));

    assert_eq!(
        reveal(&stego.crop_imm(1, 0, 199, 160)),
        Err(Error::NoMessage)
    );
    assert_eq!(reveal(&stego.fliph()), Err(Error::NoMessage));
    assert_eq!(reveal(&stego.brighten(1)), Err(Error::NoMessage));
    assert_eq!(reveal(&recompressed), Err(Error::NoMessage));
    let smaller = stego.resize_exact(100, 80, image::imageops::FilterType::Triangle);
    assert_eq!(reveal(&smaller), Err(Error::NoMessage));
}
