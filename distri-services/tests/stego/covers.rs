//! What a cover may be, what becomes of its pixels, and what is said of it.

use super::*;

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
        let stays = cover == &jpeg;
        assert!(analysis.jpeg, "{analysis:?}");
        assert_eq!(analysis.as_jpeg.is_some(), stays, "{analysis:?}");
        assert!(stays || analysis.recommended == 0, "{analysis:?}");
        assert!(
            analysis
                .jpeg_quality
                .is_some_and(|quality| (70..=90).contains(&quality)),
            "{analysis:?}"
        );
        match hide(cover, Profile::Stealth, rule) {
            Ok(hidden) => assert!(stays && hidden.report.format == Format::Jpeg),
            Err(error) => assert!(!stays && matches!(error, Error::JpegPast { .. })),
        }
        assert!(matches!(
            hide(cover, Profile::Stealth, JpegPast::Refuse),
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
    let resampled = hide(&jpeg, Profile::Auto, JpegPast::Resample).unwrap();
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
fn the_past_of_a_jpeg_shows_where_there_is_something_to_see_in_a_smooth_picture() {
    let settings = Settings::default();
    let rough = photograph(120, 120, 3);
    // A sky, and something in a corner of it.
    let scene = image::RgbImage::from_fn(900, 700, |x, y| {
        if (640..760).contains(&x) && (520..640).contains(&y) {
            *rough.get_pixel(x - 640, y - 520)
        } else {
            image::Rgb([
                90 + (y / 12) as u8,
                120 + (y / 14) as u8,
                180 + (y / 20) as u8,
            ])
        }
    });
    for quality in [50, 75, 90, 95] {
        let mut jpeg = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, quality)
            .encode_image(&scene)
            .unwrap();
        let saved = encode(&decode(&jpeg), ImageFormat::Png);

        let analysis = settings.analyze(&saved).unwrap();

        assert!(analysis.jpeg, "{quality}: {analysis:?}");
    }
    assert!(!settings.analyze(&png(scene)).unwrap().jpeg);
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
