//! The method that adapts to the cover.

use super::*;

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn every_method_and_height_gives_back_any_payload_up_to_capacity(
        recipe in recipes(150),
        key in keys(),
        height in 7..=12u8,
        fill in 0.0..=1.0f64,
        fast in any::<bool>(),
        uncompressed in any::<bool>(),
        in_turns in any::<bool>(),
        seed in any::<u64>(),
    ) {
        // Large enough to be decided in turns, if all its pixels are opaque; or not.
        let recipe = if in_turns {
            Recipe { width: recipe.width + 160, height: recipe.height + 160, ..recipe }
        } else {
            Recipe { width: recipe.width.max(96), height: recipe.height.max(96), ..recipe }
        };
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
fn changes_of_a_pixel_and_of_its_neighbours_go_one_way() {
    let (width, height) = (300usize, 200usize);
    let cover = png(photograph(300, 200, 3));
    let hidden = hide(&cover, &Random(8).bytes(6000));
    let (before, after) = (
        decode(&cover).into_bytes(),
        decode(&hidden.image).into_bytes(),
    );
    let step = |x: usize, y: usize, channel: usize| {
        let i = (y * width + x) * 3 + channel;
        i32::from(after[i]) - i32::from(before[i])
    };
    let (mut in_pixel, mut beside) = ([0; 2], [0; 2]);

    for (x, y) in (0..width - 1).flat_map(|x| (0..height).map(move |y| (x, y))) {
        for channel in 0..3 {
            let here = step(x, y, channel);
            let count = |pairs: &mut [usize; 2], other: i32| match here * other {
                1 => pairs[0] += 1,
                -1 => pairs[1] += 1,
                _ => {}
            };
            count(&mut in_pixel, step(x, y, (channel + 1) % 3));
            count(&mut beside, step(x + 1, y, channel));
        }
    }

    assert!(
        in_pixel[0] > 3 * in_pixel[1],
        "{in_pixel:?} along and against"
    );
    assert!(beside[0] > 2 * beside[1], "{beside:?} along and against");
}

#[test]
fn where_half_of_a_picture_is_flat_much_is_hidden_all_the_same() {
    let cover = png(photograph(240, 200, 3));
    let mut pixels = decode(&cover).into_bytes();
    for row in pixels.chunks_mut(3 * 240) {
        row[..3 * 120].fill(128);
    }
    let cover = support::png_of(240, 200, &pixels);
    let payload = Random(8).bytes(7000);

    // More than the rest can carry in turns.
    let hidden = hide(&cover, &payload);

    assert_eq!(hidden.report.method, Method::Adaptive);
    let revealed = Settings::default().reveal(&hidden.image, &key()).unwrap();
    assert!(revealed.payload == payload);
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
