//! Covers of every kind, drawn at random or made to order.

use std::io::Cursor;

use distri_services::stego::{Hidden, HideOptions, Key, Settings};
use image::{DynamicImage, ExtendedColorType, ImageFormat};
use proptest::prelude::*;

/// What a generated picture shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scene {
    Noise,
    Slope,
    Black,
    White,
}

/// Where a generated picture is transparent, if its kind has transparency at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Holes {
    None,
    Some,
    AlmostOpaque,
    Everywhere,
}

/// A picture to be made.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) kind: image::ColorType,
    pub(crate) format: ImageFormat,
    pub(crate) scene: Scene,
    pub(crate) holes: Holes,
    pub(crate) seed: u64,
}

impl Recipe {
    pub(crate) fn png(width: u32, height: u32, kind: image::ColorType) -> Self {
        Self {
            width,
            height,
            kind,
            format: ImageFormat::Png,
            scene: Scene::Noise,
            holes: Holes::None,
            seed: 7,
        }
    }

    pub(crate) fn picture(&self) -> DynamicImage {
        let mut random = Random(self.seed | 1);
        let mut sample = |x: u32, y: u32| match self.scene {
            Scene::Noise => random.next() as u16,
            Scene::Slope => ((x * 300 + y * 700) as u16).wrapping_add(random.next() as u16 >> 8),
            Scene::Black => 0,
            Scene::White => u16::MAX,
        };
        let mut image = image::ImageBuffer::<image::Rgba<u16>, _>::new(self.width, self.height);
        for (x, y, pixel) in image.enumerate_pixels_mut() {
            let alpha = match self.holes {
                Holes::None => u16::MAX,
                Holes::Some if (x / 3 + y / 2) % 4 == 0 => (x * 9001 % 65_500) as u16,
                Holes::Some => u16::MAX,
                Holes::AlmostOpaque => u16::MAX - 257,
                Holes::Everywhere => 0,
            };
            *pixel = image::Rgba([sample(x, y), sample(x, y), sample(x, y), alpha]);
        }
        convert(&image.into(), self.kind)
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        encode(&self.picture(), self.format)
    }
}

pub(crate) fn convert(image: &DynamicImage, kind: image::ColorType) -> DynamicImage {
    use image::ColorType::*;
    match kind {
        L8 => image.to_luma8().into(),
        La8 => image.to_luma_alpha8().into(),
        Rgb8 => image.to_rgb8().into(),
        Rgba8 => image.to_rgba8().into(),
        L16 => image.to_luma16().into(),
        La16 => image.to_luma_alpha16().into(),
        Rgb16 => image.to_rgb16().into(),
        Rgba16 => image.to_rgba16().into(),
        other => panic!("no cover of {other:?}"),
    }
}

pub(crate) fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Vec::new();
    image.write_to(&mut Cursor::new(&mut file), format).unwrap();
    file
}

pub(crate) fn decode(file: &[u8]) -> DynamicImage {
    image::load_from_memory(file).unwrap()
}

/// The kinds of pixels that the encoder of a format takes as they are.
fn kinds(format: ImageFormat) -> Vec<image::ColorType> {
    use image::ColorType::*;
    match format {
        ImageFormat::Png => vec![L8, La8, Rgb8, Rgba8, L16, La16, Rgb16, Rgba16],
        ImageFormat::Jpeg => vec![L8, Rgb8],
        ImageFormat::WebP => vec![L8, La8, Rgb8, Rgba8],
        ImageFormat::Bmp => vec![L8, La8, Rgb8, Rgba8],
        ImageFormat::Gif => vec![Rgb8, Rgba8],
        ImageFormat::Tiff => vec![L8, Rgb8, Rgba8, L16, Rgb16, Rgba16],
        other => panic!("no cover of {other:?}"),
    }
}

pub(crate) fn recipes(side: u32) -> impl Strategy<Value = Recipe> {
    let formats = prop::sample::select(vec![
        ImageFormat::Png,
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::WebP,
        ImageFormat::Bmp,
        ImageFormat::Gif,
        ImageFormat::Tiff,
    ]);
    let scenes = prop::sample::select(vec![Scene::Noise, Scene::Slope, Scene::Black, Scene::White]);
    let holes = prop::sample::select(vec![
        Holes::None,
        Holes::None,
        Holes::Some,
        Holes::AlmostOpaque,
        Holes::Everywhere,
    ]);
    let sides = || prop_oneof![1 => 1..=side, 1 => 1..=4u32];
    (sides(), sides(), formats, scenes, holes, any::<u64>()).prop_flat_map(
        |(width, height, format, scene, holes, seed)| {
            prop::sample::select(kinds(format)).prop_map(move |kind| Recipe {
                width,
                height,
                kind,
                format,
                scene,
                holes,
                seed,
            })
        },
    )
}

/// Keys of bytes; passphrases cost two stretchings each and have tests of their own.
pub(crate) fn keys() -> impl Strategy<Value = Key> {
    any::<[u8; 32]>().prop_map(Key::from_bytes)
}

pub(crate) fn key() -> Key {
    Key::from_bytes([42; 32])
}

pub(crate) fn hide(cover: &[u8], payload: &[u8]) -> Hidden {
    Settings::default()
        .hide(cover, payload, &key(), &HideOptions::default())
        .unwrap()
}

/// An 8-bit RGB PNG of these pixels, written by other hands than ours.
pub(crate) fn png_of(width: u32, height: u32, rgb: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    image::write_buffer_with_format(
        &mut Cursor::new(&mut file),
        rgb,
        width,
        height,
        ExtendedColorType::Rgb8,
        ImageFormat::Png,
    )
    .unwrap();
    file
}

/// A small generator: tests need variety, not unpredictability.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// So many cases, or as many as `PROPTEST_CASES` asks for.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => ProptestConfig { cases, ..config },
    }
}
