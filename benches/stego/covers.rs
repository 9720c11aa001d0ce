//! Covers and payloads: the same ones each time.

use std::path::Path;

use image::{DynamicImage, GenericImageView, ImageEncoder, RgbImage, codecs::png};

/// A PNG file of crops of real photographs, some of them mirrored, so that it compresses as
/// photographs do. Written with zlib's default level, as photographs on disks are.
pub(crate) fn mosaic(width: u32, height: u32) -> Vec<u8> {
    file(&mosaic_of(width, height).into())
}

/// The same in grey.
pub(crate) fn grey_mosaic(width: u32, height: u32) -> Vec<u8> {
    let colours = DynamicImage::from(mosaic_of(width, height));
    file(&colours.to_luma8().into())
}

fn mosaic_of(width: u32, height: u32) -> RgbImage {
    const TILE: u32 = 150;
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/stego-cloud/assets");
    let photographs = ["coffee.png", "cat.jpg"].map(|name| {
        image::open(assets.join(name))
            .expect("a photograph")
            .to_rgb8()
    });
    let mut random = Random(5);
    let mut mosaic = RgbImage::new(width, height);
    for top in (0..height).step_by(TILE as usize) {
        for left in (0..width).step_by(TILE as usize) {
            let photograph = &photographs[random.next() as usize % photographs.len()];
            let x = random.next() % (photograph.width() - TILE);
            let y = random.next() % (photograph.height() - TILE);
            let crop = photograph.view(x, y, TILE, TILE).to_image();
            let crop = match random.next() % 2 {
                0 => crop,
                _ => image::imageops::flip_horizontal(&crop),
            };
            image::imageops::replace(&mut mosaic, &crop, left.into(), top.into());
        }
    }
    mosaic
}

fn file(image: &DynamicImage) -> Vec<u8> {
    let mut file = Vec::new();
    let encoder = png::PngEncoder::new_with_quality(
        &mut file,
        png::CompressionType::Level(6),
        png::FilterType::Adaptive,
    );
    let (width, height) = image.dimensions();
    encoder
        .write_image(image.as_bytes(), width, height, image.color().into())
        .expect("to write to memory");
    file
}

/// A small generator: the same covers and payloads each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u32 {
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
