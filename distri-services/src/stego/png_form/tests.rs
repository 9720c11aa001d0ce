//! What others wrote is written again with the same rows, chunks and nearly the same length; and whatever a file
//! says, nothing panics.

use std::io::{Read as _, Write as _};

use proptest::prelude::*;

use super::*;
use crate::stego::{
    Limits,
    cover::{Colour, Depth},
    plan::Metadata,
    png_chunks::Around,
};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("../../../tests/stego/data/png/", $name)).as_slice())),*]
    };
}

/// Written by those programs out of one photograph: libpng and zlib by their own settings and by others, with
/// and without a search for matches.
const FILES: [(&str, &[u8]); 7] = files![
    "pillow-rgb.png",
    "pillow-grey-best.png",
    "imagemagick-rgb.png",
    "imagemagick-grey-interlaced.png",
    "optipng-rgb.png",
    "opencv-rgb.png",
    "pngcrush-rgb.png",
];
const PALETTE: &[u8] = include_bytes!("../../../tests/stego/data/png/pillow-palette.png");

fn picture(file: &[u8]) -> Picture {
    png_file::read(file, &Limits::default()).unwrap()
}

/// What stands in a file's rows, filters among it, and the lengths of the chunks with them.
fn rows(file: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let parts: Vec<&[u8]> = Chunks::of(file)
        .filter(|chunk| &chunk.kind == b"IDAT")
        .map(|chunk| chunk.content)
        .collect();
    let mut rows = Vec::new();
    let stream = parts.concat();
    flate2::read::ZlibDecoder::new(&stream[..])
        .read_to_end(&mut rows)
        .unwrap();
    (rows, parts.iter().map(|part| part.len()).collect())
}

/// `bare` with all that stands around the pixels in `file`.
fn as_in(file: &[u8], bare: Vec<u8>) -> Vec<u8> {
    let source = Source {
        file,
        format: Format::Png,
        same_samples: true,
        same_size: true,
    };
    let (around, _) = Around::of(&source, Metadata::Keep, &picture(file).colour_space);
    around.put(bare)
}

/// Something with noise, of samples of any type.
fn scene(pixels: PixelType, width: u32, height: u32) -> Picture {
    let length = width as usize * height as usize * pixels.pixel_bytes();
    let byte = |i: usize| {
        let noise = (i * 7919).wrapping_mul(2_654_435_761) >> 28;
        (i / 40 + noise % 16) as u8
    };
    Picture {
        size: Size { width, height },
        pixels,
        data: (0..length).map(byte).collect(),
        colour_space: crate::stego::png_chunks::ColourSpace::default(),
    }
}

/// A file as the `png` crate writes it.
fn by_png(picture: &Picture, compression: png::DeflateCompression, filter: png::Filter) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, picture.size.width, picture.size.height);
    let (depth, colour) = code(picture.pixels);
    encoder.set_depth(depth);
    encoder.set_color(colour);
    encoder.set_deflate_compression(compression);
    encoder.set_filter(filter);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&picture.data).unwrap();
    writer.finish().unwrap();
    file
}

#[test]
fn what_common_programs_wrote_is_written_again_with_the_same_rows_and_nearly_as_long() {
    for (name, file) in FILES {
        let picture = picture(file);

        let manner = Manner::of(file, picture.pixels).unwrap();

        assert_eq!(manner.form(), Form::AsCover, "{name}");
        let again = as_in(file, manner.write(&picture));
        let ((before, chunks), (after, others)) = (rows(file), rows(&again));
        assert!(before == after, "{name}");
        let many = |chunks: &[usize]| (chunks.len() > 1).then(|| chunks.iter().max().copied());
        assert_eq!(many(&chunks), many(&others), "{name}");
        let off = again.len().abs_diff(file.len());
        assert!(
            off * 100 <= 3 * file.len(),
            "{name}: {} of {} bytes",
            again.len(),
            file.len()
        );
    }
}

#[test]
fn samples_of_each_type_are_written_again_as_another_library_has_them() {
    for colour in [Colour::Grey, Colour::Rgb] {
        for (alpha, depth) in [
            (false, Depth::Eight),
            (true, Depth::Eight),
            (false, Depth::Sixteen),
            (true, Depth::Sixteen),
        ] {
            let pixels = PixelType {
                colour,
                alpha,
                depth,
            };
            let scene = scene(pixels, 211, 97);
            for filter in [
                png::Filter::Adaptive,
                png::Filter::Paeth,
                png::Filter::NoFilter,
            ] {
                let file = by_png(&scene, png::DeflateCompression::Level(6), filter);

                let manner = Manner::of(&file, pixels).unwrap();

                let again = manner.write(&scene);
                assert!(rows(&again).0 == rows(&file).0, "{pixels:?} {filter:?}");
            }
        }
    }
}

#[test]
fn a_file_of_the_fast_compressor_is_known_and_comes_out_as_long() {
    let scene = scene(
        PixelType {
            colour: Colour::Rgb,
            alpha: false,
            depth: Depth::Eight,
        },
        300,
        200,
    );
    let fast = png::DeflateCompression::FdeflateUltraFast;
    let file = by_png(&scene, fast, png::Filter::Avg);

    let manner = Manner::of(&file, scene.pixels).unwrap();

    assert_eq!(manner.form(), Form::AsCover);
    let again = manner.write(&scene);
    assert!(
        again.len().abs_diff(file.len()) * 200 < file.len(),
        "{} {}",
        again.len(),
        file.len()
    );
    assert!(picture(&again).data == scene.data);
}

#[test]
fn of_a_palette_the_compressor_is_taken_and_filters_are_libpngs() {
    let picture = picture(PALETTE);

    let manner = Manner::of(PALETTE, picture.pixels).unwrap();

    assert_eq!((manner.form(), &manner.filters), (Form::NearCover, &None));
    assert!(self::picture(&manner.write(&picture)).data == picture.data);
}

#[test]
fn an_unknown_compressor_gives_way_to_the_nearest() {
    let (_, file) = FILES[0];
    let picture = picture(file);
    let (rows, _) = rows(file);
    // Blocks that end where no compressor ends them.
    let packed = Vec::new();
    let mut packer = flate2::write::ZlibEncoder::new(packed, flate2::Compression::new(6));
    for piece in rows.chunks(900) {
        packer.write_all(piece).unwrap();
        packer.flush().unwrap();
    }
    let mut other = file[..33].to_vec();
    write_chunk(&mut other, b"IDAT", &packer.finish().unwrap());
    write_chunk(&mut other, b"IEND", &[]);

    let manner = Manner::of(&other, picture.pixels).unwrap();

    assert_eq!(manner.form(), Form::NearCover);
    let again = manner.write(&picture);
    assert!(self::picture(&again).data == picture.data);
    assert!(
        again.len() * 10 > other.len() * 8,
        "{} {}",
        again.len(),
        other.len()
    );
}

#[test]
fn libpngs_own_manner_is_read_as_such() {
    for interlaced in [false, true] {
        let (_, file) = FILES[2];
        let picture = picture(file);
        let manner = Manner {
            interlaced,
            ..Manner::common()
        };

        let written = manner.write(&picture);

        let read = Manner::of(&written, picture.pixels).unwrap();
        assert_eq!((read.form(), read.interlaced), (Form::AsCover, interlaced));
        let again = read.write(&picture);
        assert!(rows(&again).0 == rows(&written).0);
        assert!(again.len().abs_diff(written.len()) * 100 < written.len());
    }
}

#[test]
fn more_rows_than_the_cover_has_are_filtered_like_those_in_the_same_part() {
    let (_, file) = FILES[0];
    let manner = Manner::of(file, picture(file).pixels).unwrap();
    let larger = scene(picture(file).pixels, 200, 150);

    let written = manner.write(&larger);

    assert!(picture(&written).data == larger.data);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn pictures_of_any_size_are_written_interlaced_or_not_and_read_again(
        (width, height) in (1..40u32, 1..40u32),
        alpha in any::<bool>(),
        interlaced in any::<bool>(),
    ) {
        let pixels = PixelType { colour: Colour::Rgb, alpha, depth: Depth::Eight };
        let scene = scene(pixels, width, height);
        let manner = Manner { interlaced, ..Manner::common() };

        let written = manner.write(&scene);

        prop_assert!(picture(&written).data == scene.data);
        let again = Manner::of(&written, pixels).unwrap().write(&scene);
        prop_assert!(rows(&again).0 == rows(&written).0);
    }

    #[test]
    fn a_file_that_was_tampered_with_and_still_decodes_gives_a_manner_that_works_or_none(
        which in 0..FILES.len(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, any::<u8>()), 1..6),
    ) {
        let (_, whole) = FILES[which];
        let mut file = whole.to_vec();
        for (at, how, byte) in cuts {
            let at = at.index(file.len());
            match how {
                0 => file[at] = byte,
                1 => file.truncate(at.max(4)),
                _ => drop(file.splice(at..at, [byte, byte])),
            }
        }
        // What does not decode is asked for no manner.
        let small = Limits { width_max: 4096, height_max: 4096, ..Limits::default() };
        let Ok(picture) = png_file::read(&file, &small) else {
            return Ok(());
        };

        if let Some(manner) = Manner::of(&file, picture.pixels) {
            prop_assert!(self::picture(&manner.write(&picture)).data == picture.data);
        }
    }
}
