//! JPEGs that stay JPEGs.

use distri_services::stego::{Covers, JpegError, JpegKind, Metadata};
use image::codecs::jpeg::JpegEncoder;

use super::*;

/// Photographs as the common library writes them: progressive with 4:2:0, and with EXIF, restarts
/// and 4:2:2.
const PROGRESSIVE: &[u8] = include_bytes!("data/jpeg/cover-q75-420-progressive.jpg");
const RESTARTS: &[u8] = include_bytes!("data/jpeg/cover-q88-422-restarts-exif.jpg");
const CMYK: &[u8] = include_bytes!("data/jpeg/q70-cmyk.jpg");

fn stay() -> HideOptions {
    HideOptions {
        jpeg: JpegPast::Stay,
        ..HideOptions::default()
    }
}

fn jpeg(picture: &image::RgbImage, quality: u8) -> Vec<u8> {
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality)
        .encode_image(picture)
        .unwrap();
    file
}

/// The segments of a JPEG up to its end, without Huffman tables and coded data.
fn segments(mut file: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    file = &file[2..];
    while file[1] != 0xD9 {
        if file[0] != 0xFF || file[1] == 0 || (0xD0..0xD8).contains(&file[1]) {
            file = &file[1..];
            continue;
        }
        let length = 2 + usize::from(u16::from_be_bytes([file[2], file[3]]));
        if file[1] != 0xC4 {
            found.push(&file[..length]);
        }
        file = &file[length..];
    }
    found
}

/// How far two pictures are from each other at most and in the mean.
fn distance(a: &DynamicImage, b: &DynamicImage) -> (u8, f64) {
    let (a, b) = (a.to_rgb8().into_raw(), b.to_rgb8().into_raw());
    let differences: Vec<u8> = a.iter().zip(&b).map(|(a, b)| a.abs_diff(*b)).collect();
    let sum: f64 = differences.iter().map(|d| f64::from(*d)).sum();
    (*differences.iter().max().unwrap(), sum / a.len() as f64)
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn any_payload_in_any_jpeg_comes_back_exactly_from_a_jpeg_or_is_refused(
        (width, height) in (200..420u32, 200..420u32),
        grey in any::<bool>(),
        quality in 20..=100u8,
        key in keys(),
        fill in prop_oneof![Just(0.0), Just(1.0), Just(1.01), 0.0..1.1f64],
        label in prop::collection::vec(any::<u8>(), 0..40),
        uncompressed in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let settings = Settings::default();
        let picture = photograph(width, height, seed);
        let file = if grey {
            let mut file = Vec::new();
            let grey = DynamicImage::from(picture).to_luma8();
            grey.write_with_encoder(JpegEncoder::new_with_quality(&mut file, quality)).unwrap();
            file
        } else {
            jpeg(&picture, quality)
        };
        let room = settings.capacity(&file).unwrap().as_jpeg;
        let payload = Random(seed).bytes((room.unwrap_or(0) as f64 * fill).ceil() as usize);
        let total = (payload.len() + label.len()) as u64;
        let options = HideOptions { label, uncompressed, ..stay() };

        match settings.hide(&file, &payload, &key, &options) {
            Ok(hidden) => {
                prop_assert!(room.is_some_and(|room| total <= room));
                let report = &hidden.report;
                prop_assert_eq!((report.method, report.format), (Method::Jpeg, Format::Jpeg));
                let (cover, shown) = (decode(&file), decode(&hidden.image));
                prop_assert_eq!((cover.dimensions(), cover.color()), (shown.dimensions(), shown.color()));
                prop_assert_eq!(segments(&hidden.image), segments(&file));
                let revealed = settings.reveal(&hidden.image, &key).unwrap();
                prop_assert!(revealed.payload == payload);
                prop_assert_eq!(revealed.label, options.label);
                let other = settings.reveal(&hidden.image, &Key::from_bytes([9; 32]));
                prop_assert_eq!(other, Err(Error::NoMessage));
            }
            Err(Error::CoverTooSmall { payload: said, room: had, .. }) => {
                prop_assert_eq!((said, had), (total, room.unwrap_or(0)));
                prop_assert!(total > had || room.is_none());
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}

#[test]
fn photographs_of_the_common_library_stay_what_they_are() {
    let settings = Settings::default();
    for cover in [PROGRESSIVE, RESTARTS] {
        let payload = Random(5).bytes(150);

        let options = HideOptions {
            metadata: Metadata::Keep,
            ..stay()
        };

        let hidden = settings.hide(cover, &payload, &key(), &options).unwrap();

        let report = &hidden.report;
        assert_eq!(report.format, Format::Jpeg, "{report:?}");
        assert_eq!(segments(&hidden.image), segments(cover));
        let told = report.warnings.contains(&Warning::Metadata);
        assert_eq!(told, cover == RESTARTS, "of EXIF and a comment");
        let difference = hidden.image.len().abs_diff(cover.len());
        assert!(
            difference * 50 < cover.len(),
            "{difference} of {}",
            cover.len()
        );
        let (most, mean) = distance(&decode(cover), &decode(&hidden.image));
        assert!(most < 60 && mean < 1.0, "{most} {mean}");
        assert!(report.changed > 100 && report.psnr > 40.0, "{report:?}");
        assert!(report.loss.is_some_and(|loss| loss < 1.5), "{report:?}");
        assert!(settings.reveal(&hidden.image, &key()).unwrap().payload == payload);
    }
}

#[test]
fn a_jpeg_stays_one_where_that_is_safe_and_as_asked_otherwise() {
    let settings = Settings::default();
    let hide = |cover: &[u8], bytes: usize, profile, jpeg| {
        let options = HideOptions {
            profile,
            jpeg,
            ..HideOptions::default()
        };
        let hidden = settings.hide(cover, &Random(5).bytes(bytes), &key(), &options);
        hidden.map(|hidden| hidden.report.format)
    };
    let rule = JpegPast::ByProfile;
    let room = settings.capacity(RESTARTS).unwrap().as_jpeg.unwrap() as usize;

    assert_eq!(hide(RESTARTS, 50, Profile::Auto, rule), Ok(Format::Jpeg));
    assert_eq!(hide(RESTARTS, 50, Profile::Stealth, rule), Ok(Format::Jpeg));
    assert_eq!(hide(RESTARTS, 50, Profile::Fast, rule), Ok(Format::Png));
    assert_eq!(
        hide(RESTARTS, 50, Profile::Fast, JpegPast::Stay),
        Ok(Format::Jpeg)
    );
    for jpeg in [JpegPast::Resample, JpegPast::Keep] {
        assert_eq!(hide(RESTARTS, 50, Profile::Auto, jpeg), Ok(Format::Png));
    }
    // All that fits, but not safely.
    assert_eq!(hide(RESTARTS, room, Profile::Auto, rule), Ok(Format::Png));
    assert_eq!(
        hide(RESTARTS, room, Profile::Auto, JpegPast::Stay),
        Ok(Format::Jpeg)
    );
    for jpeg in [rule, JpegPast::Stay] {
        assert!(matches!(
            hide(RESTARTS, room, Profile::Stealth, jpeg),
            Err(Error::CoverTooSmall { .. })
        ));
    }
    // What cannot stay one.
    let four = JpegError::Unsupported(JpegKind::FourComponents);
    assert_eq!(
        hide(CMYK, 0, Profile::Auto, JpegPast::Stay),
        Err(Error::NotAsJpeg { source: four })
    );
    let small = jpeg(&photograph(100, 100, 3), 80);
    assert!(matches!(
        hide(&small, 0, Profile::Auto, JpegPast::Stay),
        Err(Error::CoverTooSmall { room: 0, .. })
    ));
    assert_eq!(hide(&small, 50, Profile::Auto, rule), Ok(Format::Png));
    let png = png(photograph(300, 300, 3));
    assert!(matches!(
        hide(&png, 0, Profile::Auto, JpegPast::Stay),
        Err(Error::NotAsJpeg { .. })
    ));
}

#[test]
fn a_refusal_names_a_size_that_suffices() {
    let settings = Settings::default();
    let cover = |width, height| jpeg(&photograph(width, height, 3), 80);
    for (profile, bytes) in [(Profile::Auto, 6000), (Profile::Stealth, 600)] {
        let options = HideOptions { profile, ..stay() };
        let payload = Random(2).bytes(bytes);
        let refused = settings
            .hide(&cover(300, 260), &payload, &key(), &options)
            .unwrap_err();
        let Error::CoverTooSmall { needs, .. } = refused else {
            panic!("{refused:?}");
        };

        // The same scene in another size has about the same detail.
        let larger = cover(needs.width * 11 / 10, needs.height * 11 / 10);

        let hidden = settings.hide(&larger, &payload, &key(), &options).unwrap();
        assert!(settings.reveal(&hidden.image, &key()).unwrap().payload == payload);
    }
}

#[test]
fn what_is_recommended_is_hidden_without_a_warning_and_more_with_one() {
    let settings = Settings::default();
    let file = jpeg(&photograph(900, 700, 3), 90);
    let analysis = settings.analyze(&file).unwrap();
    let hide = |bytes: u64| {
        let payload = Random(2).bytes(bytes as usize);
        settings
            .hide(&file, &payload, &key(), &stay())
            .unwrap()
            .report
    };

    assert!(analysis.jpeg && analysis.recommended > 50, "{analysis:?}");
    assert_eq!(analysis.warnings, []);
    assert!(
        analysis
            .as_jpeg
            .is_some_and(|room| room > 4 * analysis.recommended)
    );
    let low = hide(analysis.recommended);
    assert_eq!((low.exposure, low.warnings), (Exposure::Low, Vec::new()));
    let open = hide(analysis.as_jpeg.unwrap());
    assert_eq!(open.exposure, Exposure::Open);
    assert!(matches!(open.warnings[..], [Warning::Exposed { .. }]));
}

#[test]
fn a_changed_byte_leaves_the_message_exact_or_is_an_error() {
    let settings = Settings::default();
    let payload = Random(5).bytes(100);
    for cover in [PROGRESSIVE, RESTARTS] {
        let hidden = settings.hide(cover, &payload, &key(), &stay()).unwrap();
        let (mut exact, mut refused) = (0, 0);
        for at in (0..hidden.image.len()).step_by(hidden.image.len() / 150) {
            for flip in [1, 0x80] {
                let mut changed = hidden.image.clone();
                changed[at] ^= flip;
                match settings.reveal(&changed, &key()) {
                    Ok(revealed) => {
                        assert!(revealed.payload == payload, "byte {at}");
                        exact += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(
            refused > 100 && exact > 0,
            "{exact} exact, {refused} refused"
        );
    }
}

#[test]
fn a_jpeg_that_was_saved_again_has_no_message() {
    let settings = Settings::default();
    let hidden = settings
        .hide(RESTARTS, b"payload", &key(), &stay())
        .unwrap();

    let again = jpeg(&decode(&hidden.image).to_rgb8(), 88);

    assert_eq!(settings.reveal(&again, &key()), Err(Error::NoMessage));
    assert_eq!(settings.reveal(RESTARTS, &key()), Err(Error::NoMessage));
}

#[test]
fn a_mark_tells_a_wrong_key_from_a_jpeg_without_a_message() {
    let settings = Settings {
        mark: Some(Mark::from_bytes([3; 32])),
        ..Settings::default()
    };
    let hidden = settings
        .hide(RESTARTS, b"payload", &key(), &stay())
        .unwrap();
    let wrong = Key::from_bytes([1; 32]);

    assert_eq!(settings.reveal(&hidden.image, &wrong), Err(Error::WrongKey));
    let unmarked = Err(Error::NotStego {
        reason: NotStego::Unmarked,
    });
    assert_eq!(settings.reveal(RESTARTS, &wrong), unmarked);
    assert_eq!(
        settings.reveal(&hidden.image, &key()).unwrap().payload,
        b"payload"
    );
}

#[test]
fn a_passphrase_opens_a_jpeg_too() {
    let settings = Settings::default();
    let key = Key::from_passphrase("correct horse battery staple").unwrap();

    let hidden = settings
        .hide(PROGRESSIVE, b"payload", &key, &stay())
        .unwrap();

    assert_eq!(
        settings.reveal(&hidden.image, &key).unwrap().payload,
        b"payload"
    );
}

#[test]
fn two_hidings_in_one_jpeg_share_no_key() {
    let settings = Settings::default();
    let hide = || {
        settings
            .hide(RESTARTS, b"payload", &key(), &stay())
            .unwrap()
            .image
    };

    assert!(hide() != hide());
}

#[test]
fn parts_of_a_message_go_over_jpegs_and_other_covers() {
    let settings = Settings::default();
    let png = png(photograph(200, 200, 3));
    let covers = Covers {
        files: &[PROGRESSIVE, &png, RESTARTS],
        needed: 2,
    };
    let payload = Random(4).bytes(120);

    let hidden = settings
        .hide_over(covers, &payload, &key(), &HideOptions::default())
        .unwrap();

    let formats: Vec<_> = hidden.iter().map(|hidden| hidden.report.format).collect();
    assert_eq!(formats, [Format::Jpeg, Format::Png, Format::Jpeg]);
    let images: Vec<&[u8]> = hidden[1..].iter().map(|hidden| &hidden.image[..]).collect();
    assert!(
        settings
            .reveal_from(&images, &key())
            .unwrap()
            .revealed
            .payload
            == payload
    );
}

#[test]
fn limits_hold_for_a_jpeg_that_stays_one() {
    let refused = |limits| {
        let settings = Settings {
            limits,
            ..Settings::default()
        };
        settings
            .hide(RESTARTS, b"payload", &key(), &stay())
            .unwrap_err()
    };
    let limits = Limits::default;

    let memory = refused(Limits {
        memory_max: 100_000,
        ..limits()
    });
    let width = refused(Limits {
        width_max: 300,
        ..limits()
    });
    let file = refused(Limits {
        file_max: 1000,
        ..limits()
    });

    assert!(matches!(
        memory,
        Error::NotAsJpeg {
            source: JpegError::TooLarge { .. }
        }
    ));
    for (error, measure) in [(width, Measure::Width), (file, Measure::File)] {
        assert!(
            matches!(error, Error::TooLarge { what, .. } if what == measure),
            "{error}"
        );
    }
}
