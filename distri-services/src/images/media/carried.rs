//! What an image file carries besides pixels, for the person who shares it to see: none of it leaves.
//!
//! It is looked for where each format keeps it, and nowhere is a length believed: a file that is cut or
//! lies is read as far as it goes. Nothing is unfolded. Pure.

use std::{collections::BTreeSet, fmt, ops::Range};

use super::Format;

/// Something that an image file carries besides pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Carried {
    /// Where it was taken (the GPS part of EXIF).
    Place,
    /// When, and with which camera and settings (EXIF).
    Camera,
    /// A small picture of it, perhaps of an earlier version (EXIF).
    Thumbnail,
    /// What a program noted of its history (XMP).
    History,
    /// Who made it and what it shows (IPTC, as newspapers use it).
    Press,
    /// Texts and comments.
    Text,
    /// When it was last changed.
    Time,
    /// What its colours mean on other screens (an ICC profile).
    ColourProfile,
    /// Something of a kind that is not known.
    Unknown,
    /// Bytes after the end of the picture.
    Trailing,
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Place => "the place where it was taken (GPS)",
            Self::Camera => "when it was taken, and with which camera (EXIF)",
            Self::Thumbnail => "a small picture that the camera put into the file",
            Self::History => "notes of programs that worked on it (XMP)",
            Self::Press => "names and captions (IPTC)",
            Self::Text => "texts and comments",
            Self::Time => "when it was last changed",
            Self::ColourProfile => "a colour profile",
            Self::Unknown => "parts of a kind that is not known",
            Self::Trailing => "bytes after the end of the picture",
        })
    }
}

/// What `file` carries besides pixels, each kind once. Nothing for what is no image.
#[must_use]
pub fn carried(file: &[u8]) -> Vec<Carried> {
    let mut found = BTreeSet::new();
    match Format::sniff(file) {
        Some(Format::Jpeg) => of_jpeg(file, &mut found),
        Some(Format::Png) => of_png(file, &mut found),
        Some(Format::WebP) => of_webp(file, &mut found),
        None => {}
    }
    found.into_iter().collect()
}

fn of_jpeg(file: &[u8], found: &mut BTreeSet<Carried>) {
    let mut at = 2;
    while let Some((marker, begin)) = next_marker(file, at) {
        match marker {
            0xD9 => {
                if begin < file.len() {
                    found.insert(Carried::Trailing);
                }
                return;
            }
            // These stand alone.
            0x00 | 0x01 | 0xD0..=0xD8 => {
                at = begin;
                continue;
            }
            _ => {}
        }
        let Some(length) = bytes::<2>(file, begin).map(u16::from_be_bytes) else {
            return;
        };
        at = (begin + usize::from(length).max(2)).min(file.len());
        let body = file.get(begin + 2..at).unwrap_or_default();
        match marker {
            0xE1 if body.starts_with(b"Exif\0") => {
                of_exif(body.get(6..).unwrap_or_default(), found)
            }
            0xE1 if body.starts_with(b"http://ns.adobe.com/") => {
                found.insert(Carried::History);
            }
            0xE2 if body.starts_with(b"ICC_PROFILE\0") => {
                found.insert(Carried::ColourProfile);
            }
            0xED => {
                found.insert(Carried::Press);
            }
            0xFE => {
                found.insert(Carried::Text);
            }
            // What decoders need to know of the colours.
            0xE0 if body.starts_with(b"JFIF\0") => {}
            0xEE if body.starts_with(b"Adobe") => {}
            0xE0..=0xEF => {
                found.insert(Carried::Unknown);
            }
            _ => {}
        }
    }
}

/// The next marker from `at` on and where it ends, over the pixels of a scan too.
fn next_marker(file: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += file.get(at..)?.iter().position(|byte| *byte == 0xFF)?;
        at += file.get(at..)?.iter().position(|byte| *byte != 0xFF)?;
        let marker = file[at];
        at += 1;
        // Within a scan: a value of 0xFF, or a mark to begin again from.
        if !matches!(marker, 0x00 | 0xD0..=0xD7) {
            return Some((marker, at));
        }
    }
}

fn of_png(file: &[u8], found: &mut BTreeSet<Carried>) {
    let mut at = 8;
    while let (Some(length), Some(name)) = (bytes::<4>(file, at), bytes::<4>(file, at + 4)) {
        let body = body(file, at + 8, u32::from_be_bytes(length));
        at = body.end + 4;
        let body = &file[body];
        let carries = match &name {
            b"IEND" => {
                if at < file.len() {
                    found.insert(Carried::Trailing);
                }
                return;
            }
            b"eXIf" => {
                of_exif(body, found);
                continue;
            }
            b"iTXt" if body.starts_with(b"XML:com.adobe.xmp\0") => Carried::History,
            b"iTXt" | b"tEXt" | b"zTXt" => Carried::Text,
            b"iCCP" => Carried::ColourProfile,
            b"tIME" => Carried::Time,
            // Pixels, and how to show them.
            b"IHDR" | b"PLTE" | b"IDAT" | b"tRNS" | b"gAMA" | b"cHRM" | b"sRGB" | b"sBIT"
            | b"bKGD" | b"hIST" | b"pHYs" | b"sPLT" | b"cICP" | b"acTL" | b"fcTL" | b"fdAT" => {
                continue;
            }
            _ => Carried::Unknown,
        };
        found.insert(carries);
    }
}

fn of_webp(file: &[u8], found: &mut BTreeSet<Carried>) {
    let Some(length) = bytes::<4>(file, 4).map(u32::from_le_bytes) else {
        return;
    };
    let whole = body(file, 8, length);
    if whole.end < file.len() {
        found.insert(Carried::Trailing);
    }
    let file = &file[..whole.end];
    let mut at = 12;
    while let (Some(name), Some(length)) = (bytes::<4>(file, at), bytes::<4>(file, at + 4)) {
        let body = body(file, at + 8, u32::from_le_bytes(length));
        at = body.end.next_multiple_of(2);
        match &name {
            b"EXIF" => of_exif(&file[body], found),
            b"XMP " => {
                found.insert(Carried::History);
            }
            b"ICCP" => {
                found.insert(Carried::ColourProfile);
            }
            b"VP8 " | b"VP8L" | b"VP8X" | b"ALPH" | b"ANIM" | b"ANMF" => {}
            _ => {
                found.insert(Carried::Unknown);
            }
        }
    }
}

/// EXIF is a TIFF: a directory of the picture, which points to that of the place, and perhaps a second
/// one, of a thumbnail.
fn of_exif(exif: &[u8], found: &mut BTreeSet<Carried>) {
    // Some programs write the name that JPEG has for it here too.
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    found.insert(Carried::Camera);
    let short = |at: usize| -> Option<u16> {
        let read = bytes::<2>(exif, at)?;
        Some(if exif[0] == b'I' {
            u16::from_le_bytes(read)
        } else {
            u16::from_be_bytes(read)
        })
    };
    let long = |at: usize| -> Option<usize> {
        let read = bytes::<4>(exif, at)?;
        let long = if exif[0] == b'I' {
            u32::from_le_bytes(read)
        } else {
            u32::from_be_bytes(read)
        };
        usize::try_from(long).ok()
    };
    let Some(first) = long(4) else { return };
    let Some(entries) = short(first).map(usize::from) else {
        return;
    };
    let entries_end = first + 2 + entries * 12;
    if (0..entries).any(|n| short(first + 2 + n * 12) == Some(0x8825)) {
        found.insert(Carried::Place);
    }
    if long(entries_end).is_some_and(|second| second != 0) {
        found.insert(Carried::Thumbnail);
    }
}

/// Where what begins at `begin` and is said to be so long ends, within the file.
fn body(file: &[u8], begin: usize, length: u32) -> Range<usize> {
    let begin = begin.min(file.len());
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    begin..begin.saturating_add(length).min(file.len())
}

fn bytes<const N: usize>(file: &[u8], at: usize) -> Option<[u8; N]> {
    file.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_of_pixels_alone_carries_nothing() {
        let file =
            b"\xFF\xD8\xFF\xE0\x00\x07JFIF\0\xFF\xDA\x00\x03\x01\x12\xFF\x00\x34\xFF\xD0\xFF\xD9";

        assert_eq!(carried(file), []);
    }

    #[test]
    fn what_a_jpeg_carries_is_named_and_what_stands_after_its_end() {
        let file =
            b"\xFF\xD8\xFF\xE1\x00\x08Exif\0\0\xFF\xED\x00\x02\xFF\xFE\x00\x03x\xFF\xE5\x00\x02\
                     \xFF\xDA\x00\x02\x12\xFF\xD9more";

        let all = [
            Carried::Camera,
            Carried::Press,
            Carried::Text,
            Carried::Unknown,
            Carried::Trailing,
        ];
        assert_eq!(carried(file), all);
        for end in 0..file.len() {
            assert!(carried(&file[..end]).len() <= all.len(), "cut at {end}");
        }
    }

    #[test]
    fn lengths_that_lie_are_not_believed() {
        for file in [
            &b"\x89PNG\r\n\x1a\n\xFF\xFF\xFF\xFFtEXtx"[..],
            b"RIFF\xFF\xFF\xFF\xFFWEBPEXIF\xFF\xFF\xFF\xFFMM\0*\xFF\xFF\xFF\xFF",
            b"\xFF\xD8\xFF\xE1\xFF\xFFExif\0\0II*\0\x08\0\0\0\xFF\xFF",
        ] {
            assert_eq!(carried(file).len(), 1, "{file:?}");
        }
    }
}
