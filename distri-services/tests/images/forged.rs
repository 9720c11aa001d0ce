//! Image files as strangers make them: with secrets beside the pixels, or made to burst.

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};
use image::{ImageFormat, Rgb, RgbImage};

/// What is planted where no pixel is. Each is found by its bytes, whatever is around it.
pub(crate) struct Spy;

impl Spy {
    const GPS: &str = "SPY-GPS-52.5163N-13.3777E";
    const THUMBNAIL: &str = "SPY-EMBEDDED-THUMBNAIL";
    const XMP: &str = "SPY-XMP-SERIAL-NUMBER";
    const COMMENT: &str = "SPY-COMMENT";
    const TRAILER: &str = "SPY-TRAILING-BYTES";
    const ALL: [&str; 5] = [
        Self::GPS,
        Self::THUMBNAIL,
        Self::XMP,
        Self::COMMENT,
        Self::TRAILER,
    ];

    fn is_in(what: &str, file: &[u8]) -> bool {
        file.windows(what.len()).any(|part| part == what.as_bytes())
    }

    pub(crate) fn all_in(file: &[u8]) -> bool {
        Self::ALL.iter().all(|spy| Self::is_in(spy, file))
    }

    /// The first that is in `file`, or a word by which such things begin.
    pub(crate) fn first_in(file: &[u8]) -> Option<&'static str> {
        let words = ["SPY", "Exif", "eXIf", "ns.adobe.com", "ICC_PROFILE"];
        let all = Self::ALL.into_iter().chain(words);
        all.into_iter().find(|spy| Self::is_in(spy, file))
    }
}

/// EXIF (little-endian TIFF) with an orientation, a GPS directory, and a second directory with a
/// thumbnail.
fn exif(orientation: u16) -> Vec<u8> {
    let entry = |tag: u16, kind: u16, count: u32, value: u32| {
        let mut entry = Vec::new();
        entry.extend(tag.to_le_bytes());
        entry.extend(kind.to_le_bytes());
        entry.extend(count.to_le_bytes());
        entry.extend(value.to_le_bytes());
        entry
    };
    let (ifd0, gps, ifd1) = (8u32, 8 + 2 + 2 * 12 + 4, 8 + 30 + 2 + 12 + 4);
    let text = ifd1 + 2 + 2 * 12 + 4;
    let thumbnail = text + Spy::GPS.len() as u32;
    let mut exif = b"II*\0".to_vec();
    exif.extend(ifd0.to_le_bytes());
    exif.extend(2u16.to_le_bytes());
    exif.extend(entry(0x0112, 3, 1, orientation.into()));
    exif.extend(entry(0x8825, 4, 1, gps));
    exif.extend(ifd1.to_le_bytes());
    exif.extend(1u16.to_le_bytes());
    exif.extend(entry(0x0002, 2, Spy::GPS.len() as u32, text));
    exif.extend(0u32.to_le_bytes());
    exif.extend(2u16.to_le_bytes());
    exif.extend(entry(0x0201, 4, 1, thumbnail));
    exif.extend(entry(0x0202, 4, 1, Spy::THUMBNAIL.len() as u32));
    exif.extend(0u32.to_le_bytes());
    exif.extend(Spy::GPS.bytes());
    exif.extend(Spy::THUMBNAIL.bytes());
    exif
}

fn xmp() -> Vec<u8> {
    format!(
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'>{}</x:xmpmeta>",
        Spy::XMP
    )
    .into_bytes()
}

/// A JPEG with EXIF, XMP, a comment and bytes after the end.
pub(crate) fn spied_jpeg(jpeg: &[u8], orientation: u16) -> Vec<u8> {
    let segment = |marker: u8, content: &[u8]| {
        let length = (content.len() as u16 + 2).to_be_bytes();
        [&[0xFF, marker], length.as_slice(), content].concat()
    };
    let exif = [b"Exif\0\0".as_slice(), &exif(orientation)].concat();
    let xmp = [b"http://ns.adobe.com/xap/1.0/\0".as_slice(), &xmp()].concat();
    [
        &jpeg[..2],
        &segment(0xE1, &exif),
        &segment(0xE1, &xmp),
        &segment(0xFE, Spy::COMMENT.as_bytes()),
        &jpeg[2..],
        Spy::TRAILER.as_bytes(),
    ]
    .concat()
}

/// A PNG with `eXIf`, XMP in `iTXt`, a comment in `tEXt` and bytes after the end.
pub(crate) fn spied_png(png: &[u8], orientation: u16) -> Vec<u8> {
    let xmp = [b"XML:com.adobe.xmp\0\0\0\0\0".as_slice(), &xmp()].concat();
    let comment = [b"Comment\0", Spy::COMMENT.as_bytes()].concat();
    let mut file = with_chunk_after_header(png, b"eXIf", &exif(orientation));
    file = with_chunk_after_header(&file, b"iTXt", &xmp);
    file = with_chunk_after_header(&file, b"tEXt", &comment);
    file.extend(Spy::TRAILER.bytes());
    file
}

/// An extended WebP with EXIF and XMP, a chunk that nobody knows and bytes after the end.
pub(crate) fn spied_webp(webp: &[u8], orientation: u16) -> Vec<u8> {
    let chunk = |name: &[u8; 4], content: &[u8]| {
        let mut chunk = name.to_vec();
        chunk.extend((content.len() as u32).to_le_bytes());
        chunk.extend(content);
        chunk.extend(vec![0; content.len() % 2]);
        chunk
    };
    let size = image::load_from_memory(webp).unwrap();
    let mut extended = vec![0b0000_1100, 0, 0, 0];
    extended.extend(&(size.width() - 1).to_le_bytes()[..3]);
    extended.extend(&(size.height() - 1).to_le_bytes()[..3]);
    let chunks = [
        b"WEBP".to_vec(),
        chunk(b"VP8X", &extended),
        webp[12..].to_vec(),
        chunk(b"EXIF", &exif(orientation)),
        chunk(b"XMP ", &xmp()),
        chunk(b"note", Spy::COMMENT.as_bytes()),
    ]
    .concat();
    [chunk(b"RIFF", &chunks), Spy::TRAILER.into()].concat()
}

pub(crate) fn with_chunk_after_header(png: &[u8], name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let header_end = 8 + 12 + 13;
    [
        &png[..header_end],
        &chunk(name, content),
        &png[header_end..],
    ]
    .concat()
}

/// A chunk of a PNG.
fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(name);
    crc.update(content);
    let mut chunk = (content.len() as u32).to_be_bytes().to_vec();
    chunk.extend(name);
    chunk.extend(content);
    chunk.extend(crc.sum().to_be_bytes());
    chunk
}

/// Fails unless `file` is a PNG or JPEG of pixels and nothing else, which ends where it ends.
pub(crate) fn assert_bare(file: &[u8]) {
    if file.starts_with(b"\x89PNG") {
        let mut at = 8;
        while at < file.len() {
            let length = u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
            let name = &file[at + 4..at + 8];
            assert!(
                [b"IHDR", b"IDAT", b"IEND"]
                    .iter()
                    .any(|known| *known == name),
                "{}",
                String::from_utf8_lossy(name)
            );
            at += 12 + length;
            assert!(name != b"IEND" || at == file.len(), "nothing after the end");
        }
        return;
    }
    assert!(file.starts_with(&[0xFF, 0xD8]), "a PNG or a JPEG");
    let mut at = 2;
    loop {
        let [0xFF, marker] = file[at..at + 2] else {
            panic!("no marker at {at}");
        };
        let length = usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
        match marker {
            0xE0 => assert_eq!(length, 16, "JFIF without a thumbnail"),
            0xC0 | 0xC4 | 0xDB => {}
            0xDA => break,
            other => panic!("a segment of {other:02X}"),
        }
        at += 2 + length;
    }
    let end = file[at..].windows(2).position(|pair| pair == [0xFF, 0xD9]);
    assert_eq!(at + end.unwrap() + 2, file.len(), "nothing after the end");
}

/// Zeroes, compressed, without ever being there at once.
fn zeroes(count: u64) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let block = vec![0; 1 << 20];
    let mut left = count;
    while left > 0 {
        let part = left.min(block.len() as u64);
        encoder.write_all(&block[..part as usize]).unwrap();
        left -= part;
    }
    encoder.finish().unwrap()
}

/// A PNG that is black all over.
fn black(width: u32, height: u32, depth: u8, colour: u8, before: &[u8]) -> Vec<u8> {
    let samples = match colour {
        0 => 1,
        2 => 3,
        _ => 4,
    };
    let row = (u64::from(width) * u64::from(depth) * samples).div_ceil(8) + 1;
    let mut header = width.to_be_bytes().to_vec();
    header.extend(height.to_be_bytes());
    header.extend([depth, colour, 0, 0, 0]);
    [
        b"\x89PNG\r\n\x1a\n".as_slice(),
        &chunk(b"IHDR", &header),
        before,
        &chunk(b"IDAT", &zeroes(row * u64::from(height))),
        &chunk(b"IEND", &[]),
    ]
    .concat()
}

/// A lossless WebP that says it is so large, and has nothing.
fn empty_webp(width: u32, height: u32) -> Vec<u8> {
    let bits = (width - 1) | (height - 1) << 14;
    let content = [&[0x2F], bits.to_le_bytes().as_slice(), &[0; 64]].concat();
    let mut file = b"RIFF".to_vec();
    file.extend((content.len() as u32 + 12).to_le_bytes());
    file.extend(b"WEBPVP8L");
    file.extend((content.len() as u32).to_le_bytes());
    file.extend(content);
    file
}

/// The header of a JPEG, with three components.
fn frame(marker: u8, width: u16, height: u16) -> Vec<u8> {
    let mut frame = vec![0xFF, marker, 0, 17, 8];
    frame.extend(height.to_be_bytes());
    frame.extend(width.to_be_bytes());
    frame.extend([3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0]);
    frame
}

/// An honest JPEG whose header says that it is progressive and far larger.
fn progressive(width: u16, height: u16, first: &[u8]) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let picture = RgbImage::from_pixel(16, 16, Rgb([90, 120, 30]));
    let mut cursor = std::io::Cursor::new(&mut jpeg);
    picture.write_to(&mut cursor, ImageFormat::Jpeg).unwrap();
    let at = jpeg
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    let length = 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
    let frame = [first, &frame(0xC2, width, height)].concat();
    jpeg.splice(at..at + length, frame);
    jpeg
}

/// Small files that take far more memory than they have bytes, by name.
pub(crate) fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let text = chunk(
        b"zTXt",
        &[b"Comment\0\0".as_slice(), &zeroes(512 << 20)].concat(),
    );
    let profile = chunk(
        b"iCCP",
        &[b"profile\0\0".as_slice(), &zeroes(512 << 20)].concat(),
    );
    let photograph = RgbImage::from_fn(3000, 2000, |x, y| {
        Rgb([(x / 12) as u8, (y / 8) as u8, ((x ^ y) & 63) as u8])
    });
    let mut honest = std::io::Cursor::new(Vec::new());
    photograph.write_to(&mut honest, ImageFormat::Jpeg).unwrap();
    vec![
        ("wide.png", black(20_000, 20_000, 1, 0, &[])),
        ("square.png", black(8_192, 8_192, 8, 6, &[])),
        ("text.png", black(8, 8, 8, 2, &text)),
        ("profile.png", black(8, 8, 8, 2, &profile)),
        ("wide.webp", empty_webp(16_000, 16_000)),
        ("lossless.webp", empty_webp(7_300, 7_300)),
        ("progressive.jpeg", progressive(7_300, 7_300, &[])),
        (
            "progressive-second.jpeg",
            progressive(7_300, 7_300, &frame(0xC0, 16, 16)),
        ),
        ("honest.jpeg", honest.into_inner()),
    ]
}
