//! What a cover's file says beside its picture: left out unless asked for, in PNGs and JPEGs alike.

use distri_services::stego::{Hidden, JpegError, JpegKind, Metadata};
use image::{ImageDecoder, ImageReader, metadata::Orientation};

use super::*;

/// A photograph as the common library writes it, without anything said of it.
const JPEG: &[u8] = include_bytes!("data/jpeg/cover-q75-420-progressive.jpg");

/// What must not be told.
const PLACE: &[u8] = b"Rosengasse 5, second floor";

fn metadata(metadata: Metadata) -> HideOptions {
    HideOptions {
        metadata,
        ..HideOptions::default()
    }
}

/// What is said of a hiding, but for how easily it is found, which is not the matter here.
fn told(hidden: &Hidden) -> Vec<Warning> {
    let warnings = hidden.report.warnings.iter().copied();
    warnings
        .filter(|warning| !matches!(warning, Warning::Exposed { .. }))
        .collect()
}

fn holds(file: &[u8], text: &[u8]) -> bool {
    file.windows(text.len()).any(|bytes| bytes == text)
}

/// TIFF, as EXIF has it, with an orientation and a place.
fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0]);
    exif.extend(b"\x0E\x01\x02\0");
    exif.extend((PLACE.len() as u32).to_le_bytes());
    exif.extend([38, 0, 0, 0, 0, 0, 0, 0]);
    exif.extend(PLACE);
    exif
}

/// A segment of a JPEG.
fn segment(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut segment = vec![0xFF, kind];
    segment.extend((content.len() as u16 + 2).to_be_bytes());
    segment.extend(content);
    segment
}

/// `file`, a JPEG or PNG, with bytes right behind its first segment or chunk.
fn with(file: &[u8], bytes: &[u8]) -> Vec<u8> {
    let at = if file.starts_with(b"\x89PNG") { 33 } else { 20 };
    [&file[..at], bytes, &file[at..]].concat()
}

fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut chunk = (content.len() as u32).to_be_bytes().to_vec();
    chunk.extend(kind);
    chunk.extend(content);
    let mut checksum = u32::MAX;
    for byte in &chunk[4..] {
        checksum ^= u32::from(*byte);
        for _ in 0..8 {
            checksum = (checksum >> 1) ^ (0xEDB8_8320 & (checksum & 1).wrapping_neg());
        }
    }
    chunk.extend((!checksum).to_be_bytes());
    chunk
}

fn orientation(file: &[u8]) -> Orientation {
    let reader = ImageReader::new(Cursor::new(file)).with_guessed_format();
    let mut decoder = reader.unwrap().into_decoder().unwrap();
    decoder.orientation().unwrap()
}

/// All that may stand in a JPEG before its picture, with what must not be told in each.
fn told_by_a_jpeg() -> Vec<u8> {
    [
        segment(0xE1, &[b"Exif\0\0", &exif(1)]),
        segment(0xE1, &[b"http://ns.adobe.com/xap/1.0/\0", PLACE]),
        segment(0xED, &[b"Photoshop 3.0\0", PLACE]),
        segment(0xE0, &[b"JFXX\0\x10", PLACE]),
        segment(0xE4, &[PLACE]),
        segment(0xEB, &[b"JP", PLACE]),
        segment(0xF3, &[PLACE]),
        segment(0xFE, &[PLACE]),
    ]
    .concat()
}

/// A PNG with what must not be told in chunks before and behind the pixels and behind the end.
fn telling_png() -> Vec<u8> {
    let plain = png(photograph(200, 160, 3));
    let file = with(
        &plain,
        &[
            chunk(b"gAMA", &45_455u32.to_be_bytes()),
            chunk(b"tEXt", &[b"Comment\0", PLACE].concat()),
            chunk(b"eXIf", &exif(1)),
            chunk(b"prVt", PLACE),
        ]
        .concat(),
    );
    let end = file.len() - 12;
    let mut file = [&file[..end], &chunk(b"zTXt", PLACE), &file[end..]].concat();
    file.extend(PLACE);
    file
}

/// The chunks of a PNG but for those with its pixels, and what follows.
fn around(file: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut found) = (&file[8..], Vec::new());
    while rest.len() >= 12 {
        let length = 12 + u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        let (chunk, others) = rest.split_at(length);
        rest = others;
        if &chunk[4..8] != b"IDAT" {
            found.push(chunk);
        }
        if &chunk[4..8] == b"IEND" {
            break;
        }
    }
    found.push(rest);
    found
}

#[test]
fn what_tells_where_a_photograph_was_taken_does_not_travel_in_a_jpeg_or_a_png() {
    let settings = Settings::default();
    let profile = segment(0xE2, &[b"ICC_PROFILE\0\x01\x01", &[7; 300]]);
    let adobe = segment(0xEE, &[b"Adobe\0\x64\0\0\0\0\x01"]);
    let mut jpeg = with(
        JPEG,
        &[told_by_a_jpeg(), profile.clone(), adobe.clone()].concat(),
    );
    jpeg.extend(PLACE);
    let png = telling_png();

    let from_jpeg = settings.hide(&jpeg, b"payload", &key(), &metadata(Metadata::Strip));
    let from_png = settings.hide(&png, b"payload", &key(), &HideOptions::default());

    let (from_jpeg, from_png) = (from_jpeg.unwrap(), from_png.unwrap());
    assert!(holds(&jpeg, PLACE) && holds(&png, PLACE));
    for hidden in [&from_jpeg, &from_png] {
        assert!(!holds(&hidden.image, PLACE));
        let revealed = settings.reveal(&hidden.image, &key()).unwrap();
        assert_eq!(revealed.payload, b"payload");
    }
    assert_eq!(from_jpeg.report.format, Format::Jpeg);
    for needed in [&JPEG[..20], &profile, &adobe] {
        assert!(holds(&from_jpeg.image, needed), "{needed:?}");
    }
    // A text behind the end is more than what is said of a picture.
    assert_eq!(told(&from_jpeg), [Warning::RestDropped]);
    assert_eq!(told(&from_png), []);
    let kinds = around(&from_png.image);
    let kinds: Vec<&[u8]> = kinds.iter().filter_map(|chunk| chunk.get(4..8)).collect();
    assert_eq!(kinds, [b"IHDR", b"gAMA", b"IEND"]);
}

#[test]
fn a_jpeg_without_all_that_is_what_it_was_otherwise() {
    let settings = Settings::default();
    let telling = with(JPEG, &told_by_a_jpeg());
    let seed = [5; 32];
    let hide = |cover: &[u8]| {
        let job = distri_services::stego::Job {
            cover,
            payload: b"payload",
            key: &key(),
            options: &HideOptions::default(),
            seed: &seed,
            go_on: &|| true,
        };
        let hidden = settings.hide_with(&job, &mut |_| std::ops::ControlFlow::Continue(()));
        hidden.unwrap().image
    };

    assert!(hide(&telling) == hide(JPEG));
}

#[test]
fn what_is_to_be_kept_is_kept_byte_for_byte_and_in_place_with_a_warning() {
    let settings = Settings::default();
    let segments = told_by_a_jpeg();
    let mut jpeg = with(JPEG, &segments);
    jpeg.extend(PLACE);
    let png = telling_png();

    let from_jpeg = settings.hide(&jpeg, b"payload", &key(), &metadata(Metadata::Keep));
    let from_png = settings.hide(&png, b"payload", &key(), &metadata(Metadata::Keep));

    let (from_jpeg, from_png) = (from_jpeg.unwrap(), from_png.unwrap());
    assert!(from_jpeg.image.starts_with(&with(&JPEG[..20], &segments)));
    assert!(from_jpeg.image.ends_with(&[&[0xFF, 0xD9], PLACE].concat()));
    assert_eq!(around(&from_png.image), around(&png));
    for hidden in [&from_jpeg, &from_png] {
        assert_eq!(told(hidden), [Warning::Metadata]);
        let revealed = settings.reveal(&hidden.image, &key()).unwrap();
        assert_eq!(revealed.payload, b"payload");
    }
}

#[test]
fn a_cover_that_says_nothing_is_kept_without_a_warning() {
    let settings = Settings::default();
    for cover in [JPEG, &png(photograph(200, 160, 3))] {
        let hidden = settings.hide(cover, b"payload", &key(), &metadata(Metadata::Keep));

        assert_eq!(told(&hidden.unwrap()), []);
    }
}

#[test]
fn a_picture_on_its_side_is_turned_by_what_is_left_of_its_exif() {
    let settings = Settings::default();
    for turned in [3, 6, 8] {
        let jpeg = with(JPEG, &segment(0xE1, &[b"Exif\0\0", &exif(turned)]));
        let png = with(
            &png(photograph(200, 160, 3)),
            &chunk(b"eXIf", &exif(turned)),
        );
        let way = Orientation::from_exif(turned).unwrap();
        for cover in [jpeg, png] {
            let hidden = settings
                .hide(&cover, b"payload", &key(), &HideOptions::default())
                .unwrap();

            assert_eq!(
                (orientation(&cover), orientation(&hidden.image)),
                (way, way)
            );
            assert!(!holds(&hidden.image, PLACE));
            assert_eq!(told(&hidden), []);
            let (before, after) = (decode(&cover), decode(&hidden.image));
            assert_eq!(before.dimensions(), after.dimensions(), "as stored");
            assert_eq!(
                settings.reveal(&hidden.image, &key()).unwrap().payload,
                b"payload"
            );
            // What is left is nothing that would be left out again.
            let again = settings.hide(&hidden.image, b"again", &key(), &metadata(Metadata::Keep));
            assert_eq!(told(&again.unwrap()), []);
        }
    }
}

#[test]
fn of_several_pictures_in_one_file_the_first_is_left_and_that_is_said() {
    let settings = Settings::default();
    let mut phone = with(JPEG, &segment(0xE2, &[b"MPF\0MM\0*\0\0\0\x08\0\0"]));
    phone.extend(JPEG);
    let keep = HideOptions {
        jpeg: JpegPast::Stay,
        ..metadata(Metadata::Keep)
    };

    let stripped = settings.hide(&phone, b"payload", &key(), &HideOptions::default());
    let refused = settings.hide(&phone, b"payload", &key(), &keep);
    let resampled = settings.hide(&phone, b"payload", &key(), &metadata(Metadata::Keep));

    let stripped = stripped.unwrap();
    assert_eq!(stripped.report.format, Format::Jpeg);
    assert_eq!(told(&stripped), [Warning::RestDropped]);
    assert!(!holds(&stripped.image, b"MPF") && stripped.image.len() < JPEG.len() * 11 / 10);
    let several = JpegError::Unsupported(JpegKind::SeveralPictures);
    assert_eq!(refused.unwrap_err(), Error::NotAsJpeg { source: several });
    let resampled = resampled.unwrap();
    assert_eq!(resampled.report.format, Format::Png);
    assert_eq!(told(&resampled), [Warning::MetadataLost]);
}

#[test]
fn zeros_behind_the_end_are_dropped_without_a_word() {
    let mut padded = JPEG.to_vec();
    padded.extend([0; 4000]);

    let hidden = hide(&padded, b"payload");

    assert_eq!(told(&hidden), []);
    assert!(hidden.image.len() < JPEG.len() + 1000);
}

#[test]
fn metadata_that_bends_the_rules_is_handled_or_refused_and_never_kept_by_accident() {
    let settings = Settings::default();
    let small_picture = segment(0xE0, &[b"JFIF\0\x01\x01\0\0\x01\0\x01\x01\x01", PLACE]);
    let odd: [(&str, Vec<u8>); 8] = [
        ("EXIF cut off", segment(0xE1, &[b"Exif\0\0II*\0\x08"])),
        (
            "EXIF that points outside",
            segment(0xE1, &[b"Exif\0\0MM\0*\xFF\xFF\xFF\xFF", PLACE]),
        ),
        (
            "EXIF of a way that there is not",
            segment(0xE1, &[b"Exif\0\0", &exif(9)]),
        ),
        (
            "EXIF twice",
            [6, 3]
                .map(|way| segment(0xE1, &[b"Exif\0\0", &exif(way)]))
                .concat(),
        ),
        ("an empty segment", segment(0xE1, &[])),
        (
            "Adobe's twice",
            segment(0xEE, &[b"Adobe\0\x64\0\0\0\0\x01"]).repeat(2),
        ),
        (
            "Adobe's with a text",
            segment(0xEE, &[b"Adobe\0\x64\0\0\0\0\x01", PLACE]),
        ),
        ("a small picture", small_picture),
    ];
    for (what, segments) in odd {
        let cover = with(JPEG, &segments);

        let hidden = settings.hide(&cover, b"payload", &key(), &HideOptions::default());

        let image = hidden
            .unwrap_or_else(|error| panic!("{what}: {error}"))
            .image;
        assert!(!holds(&image, PLACE), "{what}");
        let way = if what == "EXIF twice" { 6 } else { 1 };
        assert_eq!(
            Some(orientation(&image)),
            Orientation::from_exif(way),
            "{what}"
        );
        assert_eq!(
            settings.reveal(&image, &key()).unwrap().payload,
            b"payload",
            "{what}"
        );
    }
}

#[test]
fn segments_beyond_the_file_or_beyond_number_are_refused() {
    let settings = Settings::default();
    let stay = HideOptions {
        jpeg: JpegPast::Stay,
        ..HideOptions::default()
    };
    let beyond = [&JPEG[..20], b"\xFF\xE1\xFF\xFFExif\0\0"].concat();
    let many = with(JPEG, &segment(0xFE, &[]).repeat(20_000));

    for cover in [beyond, many] {
        let refused = settings
            .hide(&cover, b"payload", &key(), &stay)
            .unwrap_err();

        let broken = matches!(
            refused,
            Error::NotAsJpeg {
                source: JpegError::Broken(_)
            }
        );
        assert!(broken, "{refused:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn chunks_of_any_kind_anywhere_are_kept_or_left_out_and_the_message_opens(
        chunks in prop::collection::vec(("[a-z][A-Za-z][A-Z][A-Za-z]", prop::collection::vec(any::<u8>(), 0..80), any::<bool>()), 0..6),
        behind in prop::collection::vec(any::<u8>(), 0..40),
        keep in any::<bool>(),
    ) {
        let settings = Settings::default();
        let mut cover = png(photograph(100, 100, 3));
        for (kind, content, first) in &chunks {
            let kind: &[u8; 4] = kind.as_bytes().try_into().unwrap();
            let at = if *first { 33 } else { cover.len() - 12 };
            cover.splice(at..at, chunk(kind, content));
        }
        cover.extend(&behind);
        let how = if keep { Metadata::Keep } else { Metadata::Strip };

        match settings.hide(&cover, b"payload", &key(), &metadata(how)) {
            Ok(hidden) => {
                let (before, after) = (around(&cover), around(&hidden.image));
                if keep {
                    prop_assert_eq!(before, after);
                } else {
                    prop_assert!(after.len() < 12 && after.last().is_some_and(|rest| rest.is_empty()));
                }
                prop_assert_eq!(settings.reveal(&hidden.image, &key()).unwrap().payload, b"payload");
            }
            // A chunk that moves, or one that no decoder takes.
            Err(Error::BrokenImage { .. } | Error::Animated { .. }) => {}
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}
