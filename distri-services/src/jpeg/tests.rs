//! What is read is written again, to the byte where nothing changed; and nothing that a file says
//! upsets reading it.

use image::{ImageFormat, codecs::jpeg::JpegEncoder};
use proptest::prelude::*;

use super::*;

const MEMORY: u64 = 1 << 24;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("../../tests/stego/data/jpeg/", $name)).as_slice())),*]
    };
}

/// Written by the IJG's library (libjpeg-turbo) out of one photograph.
const FILES: [(&str, &[u8]); 10] = files![
    "q75-420.jpg",
    "q92-444-exif.jpg",
    "q85-422-restarts.jpg",
    "q75-420-optimised.jpg",
    "q60-420-progressive.jpg",
    "q95-444-progressive-restarts.jpg",
    "q100-grey.jpg",
    "q80-grey-progressive.jpg",
    "q10-420-progressive.jpg",
    "q90-tiny.jpg",
];
const CMYK: &[u8] = include_bytes!("../../tests/stego/data/jpeg/q70-cmyk.jpg");

fn pixels(file: &[u8]) -> Vec<u8> {
    image::load_from_memory_with_format(file, ImageFormat::Jpeg)
        .unwrap()
        .into_bytes()
}

/// A picture with smooth and rough parts.
fn scene(width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| {
        let noise = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761) >> 26;
        let rough = if x * 2 > width { noise } else { noise / 16 };
        image::Rgb([
            (x * 200 / width.max(1) + rough) as u8,
            (y * 180 / height.max(1) + rough) as u8,
            (90 + rough) as u8,
        ])
    })
}

#[test]
fn files_of_the_common_library_come_back_byte_for_byte() {
    for (name, file) in FILES {
        let jpeg = Jpeg::read(file, MEMORY).unwrap_or_else(|error| panic!("{name}: {error}"));

        let again = jpeg.write(&jpeg.planes, Tables::AsBefore).unwrap();

        assert!(
            again == file,
            "{name}: {} bytes became {}",
            file.len(),
            again.len()
        );
    }
}

#[test]
fn files_of_another_encoder_come_back_byte_for_byte_at_any_quality_and_size() {
    for (width, height) in [(1, 1), (8, 8), (17, 9), (64, 40), (131, 77)] {
        for quality in [1, 30, 75, 90, 100] {
            let mut file = Vec::new();
            let encoder = JpegEncoder::new_with_quality(&mut file, quality);
            scene(width, height).write_with_encoder(encoder).unwrap();
            let jpeg = Jpeg::read(&file, MEMORY).unwrap();

            let again = jpeg.write(&jpeg.planes, Tables::AsBefore).unwrap();

            assert!(again == file, "{width} × {height} at {quality}");
        }
    }
}

#[test]
fn with_other_tables_the_pixels_stay_the_same_and_the_file_gets_no_longer() {
    for (name, file) in FILES {
        let jpeg = Jpeg::read(file, MEMORY).unwrap();

        let again = jpeg.write(&jpeg.planes, Tables::Best).unwrap();

        assert!(pixels(&again) == pixels(file), "{name}");
        assert!(again.len() <= file.len(), "{name}");
        let reread = Jpeg::read(&again, MEMORY).unwrap();
        assert!(reread.planes == jpeg.planes, "{name}");
        assert!(jpeg.differs_only_in_coefficients(&reread), "{name}");
    }
}

#[test]
fn changed_coefficients_are_read_again_and_tables_stay_of_their_kind() {
    for (name, file) in FILES {
        let jpeg = Jpeg::read(file, MEMORY).unwrap();
        let mut planes = jpeg.planes.clone();
        for (i, block) in planes[0].coefficients.iter_mut().enumerate() {
            for k in [1, 5, 1 + i * 13 % 63] {
                // Both ways, away from zero and onto it.
                block[k] += if (i + k) % 2 == 0 { 1 } else { -1 };
            }
        }

        let changed = jpeg.write(&planes, Tables::AsBefore).unwrap();

        let read = Jpeg::read(&changed, MEMORY).unwrap();
        assert!(
            read.planes
                .iter()
                .zip(&planes)
                .enumerate()
                .all(|(i, (a, b))| {
                    // Of padding, progressive files have no AC coefficients.
                    (0..b.rows).all(|row| {
                        (0..b.columns).all(|column| {
                            a.coefficients[a.at(column, row)] == b.coefficients[b.at(column, row)]
                        })
                    }) && (i == 0 || a == b)
                }),
            "{name}"
        );
        assert!(jpeg.differs_only_in_coefficients(&read), "{name}");
        pixels(&changed);
        let kept = name.contains("420.jpg") || name.contains("exif") || name.contains("422");
        if kept {
            assert_eq!(read.specs, jpeg.specs, "{name}: standard tables are kept");
        }
        if name.contains("optimised") || name.contains("progressive") {
            let best = jpeg.write(&planes, Tables::Best).unwrap();
            assert!(
                changed == best,
                "{name}: tables are made for the coefficients again"
            );
        }
    }
}

#[test]
fn what_follows_the_end_and_fill_before_markers_are_kept() {
    let mut file = FILES[0].1.to_vec();
    file.extend(b"a film of the same scene");
    file.splice(2..2, [0xFF, 0xFE, 0, 6, 1, 2, 3, 4, 0xFF, 0xFF]);

    let jpeg = Jpeg::read(&file, MEMORY).unwrap();

    assert!(jpeg.write(&jpeg.planes, Tables::AsBefore).unwrap() == file);
}

#[test]
fn what_is_stripped_reads_as_what_is_left() {
    for (name, file) in FILES {
        let mut told = file.to_vec();
        told.splice(
            2..2,
            *b"\xFF\xFE\0\x06text\xFF\xFF\xE1\0\x0AExif\0\0II\xFF\xE0\0\x05abc",
        );
        told.extend(b"behind");
        let mut jpeg = Jpeg::read(&told, MEMORY).unwrap();
        assert!(jpeg.is_described() && jpeg.holds_more(), "{name}");

        jpeg.strip();

        assert!(!jpeg.is_described() && !jpeg.holds_more(), "{name}");
        let bare = jpeg.write(&jpeg.planes, Tables::AsBefore).unwrap();
        let read = Jpeg::read(&bare, MEMORY).unwrap();
        assert!(jpeg.differs_only_in_coefficients(&read), "{name}");
        assert!(
            jpeg.planes == read.planes && pixels(&bare) == pixels(file),
            "{name}"
        );
        assert!(bare.len() <= file.len(), "{name}");
    }
}

#[test]
fn other_kinds_of_jpeg_are_refused_by_name() {
    let read = |file: &[u8]| Jpeg::read(file, MEMORY).err();
    let frame = |file: &[u8]| file.windows(2).position(|two| two == [0xFF, 0xC0]).unwrap();
    let patched = |at: usize, byte: u8| {
        let mut file = FILES[0].1.to_vec();
        let start = frame(&file);
        file[start + at] = byte;
        read(&file)
    };
    let unsupported = |kind| Some(JpegError::Unsupported(kind));

    let mut several = FILES[0].1.to_vec();
    several.splice(2..2, *b"\xFF\xE2\0\x08MPF\0MM");
    assert_eq!(read(&several), None);
    assert!(Jpeg::read(&several, MEMORY).unwrap().several);
    assert_eq!(read(CMYK), unsupported(Kind::FourComponents));
    assert_eq!(patched(1, 0xC9), unsupported(Kind::Arithmetic));
    assert_eq!(patched(1, 0xC3), unsupported(Kind::Lossless));
    assert_eq!(patched(4, 12), unsupported(Kind::Depth));
    assert_eq!(
        Jpeg::read(FILES[0].1, 1000).err(),
        Some(JpegError::TooLarge {
            is: 41_472,
            limit: 1000
        })
    );
    let progressive = FILES[4].1;
    let last = progressive
        .windows(2)
        .rposition(|two| two == [0xFF, 0xDA])
        .unwrap();
    let mut cut = progressive[..last].to_vec();
    cut.extend([0xFF, 0xD9]);
    assert_eq!(read(&cut), unsupported(Kind::Incomplete));
}

#[test]
fn a_coefficient_that_no_file_can_hold_is_refused() {
    for (name, file) in FILES {
        let jpeg = Jpeg::read(file, MEMORY).unwrap();
        for (k, value) in [(3, 1024), (3, -1024), (0, i16::MAX), (63, i16::MIN)] {
            // The first bits of a progressive file could hold a little more.
            if jpeg.frame.progressive && value.unsigned_abs() == 1024 {
                continue;
            }
            let mut planes = jpeg.planes.clone();
            planes[0].coefficients[0][k] = value;

            let refused = jpeg.write(&planes, Tables::AsBefore);

            assert_eq!(refused.err(), Some(broken(Fault::Data)), "{name} {value}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn a_file_that_was_tampered_with_is_refused_or_read_and_written(
        which in 0..FILES.len(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, any::<u8>()), 1..6),
    ) {
        let mut file = FILES[which].1.to_vec();
        for (at, how, byte) in cuts {
            let at = at.index(file.len());
            match how {
                0 => file[at] = byte,
                1 => file.truncate(at.max(4)),
                _ => drop(file.splice(at..at, [0xFF, byte])),
            }
        }

        if let Ok(jpeg) = Jpeg::read(&file, MEMORY) {
            let bytes: usize = jpeg.planes.iter().map(|p| p.coefficients.len() * 128).sum();
            prop_assert!(bytes as u64 <= MEMORY);
            // What an encoder would not write need not come back as it was, but means the same.
            if let Ok(again) = jpeg.write(&jpeg.planes, Tables::AsBefore) {
                let reread = Jpeg::read(&again, MEMORY).unwrap();
                prop_assert!(reread.planes == jpeg.planes);
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut file = vec![0xFF, 0xD8];
        file.extend(&bytes);
        drop(Jpeg::read(&file, MEMORY));
        // The same behind a frame that is in order.
        let head = FILES[0].1.windows(2).position(|two| two == [0xFF, 0xDA]).unwrap();
        let mut file = FILES[0].1[..head + 14].to_vec();
        file.extend(&bytes);
        drop(Jpeg::read(&file, MEMORY));
    }
}
