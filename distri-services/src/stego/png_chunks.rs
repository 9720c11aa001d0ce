//! What a PNG file says around its pixels: which chunks go along, and where they stand.
//!
//! Without metadata, the chunks that say how a viewer shows the pixels: colours, the shape of a pixel, and of
//! EXIF which way up the picture is. With it, all of the cover's, byte for byte, before and after the pixels as
//! they were, and what follows the end. Pixels are `png_file`'s.

use std::{io::Write as _, sync::Arc};

use flate2::write::ZlibEncoder;
use image::metadata::Orientation;

use crate::jpeg::exif_of;

use super::{
    cover::{Colour, Format},
    plan::{Metadata, Warning},
};

/// What every PNG file begins with.
pub(crate) const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";

/// A chunk has its length and type before its content, and a checksum behind.
const HEAD: usize = 8;
const CHECKSUM: usize = 4;

/// Where the first chunk, which every file has, ends.
const HEADER_END: usize = SIGNATURE.len() + HEAD + 13 + CHECKSUM;

/// Larger profiles are left out; the ones in use have less than 4 KiB, those of printers 2 MiB.
const PROFILE_MAX: usize = 4 << 20;

/// Chunks that say what pixels mean to a viewer, and how long they are. Profiles have any length.
const SHOWN: [(&[u8; 4], Option<usize>); 8] = [
    (b"cICP", Some(4)),
    (b"mDCV", Some(24)),
    (b"cLLI", Some(8)),
    (b"cHRM", Some(32)),
    (b"gAMA", Some(4)),
    (b"iCCP", None),
    (b"sRGB", Some(1)),
    (b"pHYs", Some(9)),
];

/// Chunks that speak of samples or palette entries as numbers, and are wrong once those are others.
const OF_SAMPLES: [&[u8; 4]; 5] = [b"PLTE", b"tRNS", b"bKGD", b"hIST", b"sBIT"];

/// A chunk of a file.
#[derive(Clone, Copy)]
pub(crate) struct Chunk<'a> {
    pub(crate) kind: [u8; 4],
    pub(crate) content: &'a [u8],
    whole: &'a [u8],
}

/// The chunks of a file, one after the other, as long as they are whole.
pub(crate) struct Chunks<'a> {
    file: &'a [u8],
    ended: bool,
}

impl<'a> Chunks<'a> {
    /// Those of `file`, which is known to be a PNG.
    pub(crate) fn of(file: &'a [u8]) -> Self {
        let file = file.get(SIGNATURE.len()..).unwrap_or_default();
        Self { file, ended: false }
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        if self.ended {
            return None;
        }
        let (head, body) = self.file.split_first_chunk::<HEAD>()?;
        let [l0, l1, l2, l3, kind @ ..] = *head;
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let content = body.get(..length)?;
        let (whole, rest) = self.file.split_at_checked(HEAD + length + CHECKSUM)?;
        self.file = rest;
        self.ended = &kind == b"IEND";
        Some(Chunk {
            kind,
            content,
            whole,
        })
    }
}

/// `content` as a chunk.
pub(crate) fn write_chunk(out: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
    let start = out.len() + 4;
    out.extend((content.len() as u32).to_be_bytes());
    out.extend(kind);
    out.extend(content);
    let checksum = crc32fast::hash(&out[start..]);
    out.extend(checksum.to_be_bytes());
}

/// What the numbers and the rows in a picture mean to a viewer, as chunks.
#[derive(Clone, Debug, Default)]
pub(crate) struct ColourSpace(Option<Arc<[u8]>>);

impl ColourSpace {
    /// What the PNG `file` says of it, whose profile is `profile` once unpacked. Of each kind the first chunk,
    /// if it is as long as it should be, so that nothing else travels in it.
    pub(crate) fn of_png(file: &[u8], profile: Option<&[u8]>, colour: Colour) -> Self {
        let suits = profile.is_some_and(|profile| suits(profile, colour));
        let (mut kept, mut seen, mut turned) = (Vec::new(), [false; SHOWN.len()], None);
        let mut before = true;
        for chunk in Chunks::of(file) {
            before &= &chunk.kind != b"IDAT";
            if &chunk.kind == b"eXIf" && turned.is_none() {
                let way = Orientation::from_exif_chunk(chunk.content);
                turned = Some(way.unwrap_or(Orientation::NoTransforms));
            }
            let place = SHOWN.iter().position(|(kind, _)| **kind == chunk.kind);
            let Some(place) = place.filter(|_| before) else {
                continue;
            };
            let fits = match SHOWN[place].1 {
                Some(length) => chunk.content.len() == length,
                None => suits && chunk.content.len() <= PROFILE_MAX,
            };
            if !std::mem::replace(&mut seen[place], true) && fits {
                kept.extend_from_slice(chunk.whole);
            }
        }
        if let Some(way) = turned.filter(|way| *way != Orientation::NoTransforms) {
            write_chunk(&mut kept, b"eXIf", &exif_of(way));
        }
        Self::of_chunks(&kept)
    }

    /// An ICC profile of a file that is no PNG, if it describes the kind of colours that the picture has. A
    /// CMYK profile, say, is wrong for what the decoder made of CMYK.
    pub(crate) fn of_profile(profile: Option<&[u8]>, colour: Colour) -> Self {
        let mut chunks = Vec::new();
        if let Some(profile) = profile.filter(|profile| suits(profile, colour)) {
            let named = b"ICC Profile\0\0".to_vec();
            let mut packed = ZlibEncoder::new(named, flate2::Compression::default());
            // Writing to memory does not fail.
            if packed.write_all(profile).is_ok()
                && let Ok(content) = packed.finish()
            {
                write_chunk(&mut chunks, b"iCCP", &content);
            }
        }
        Self::of_chunks(&chunks)
    }

    fn of_chunks(chunks: &[u8]) -> Self {
        Self((!chunks.is_empty()).then(|| chunks.into()))
    }

    fn chunks(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

/// Whether an ICC profile is one for such colours.
fn suits(profile: &[u8], colour: Colour) -> bool {
    /// Where an ICC header names its colour space (ICC.1:2022, 7.2).
    const SPACE: std::ops::Range<usize> = 16..20;
    let expected: &[u8] = match colour {
        Colour::Grey => b"GRAY",
        Colour::Rgb => b"RGB ",
    };
    profile.len() <= PROFILE_MAX && profile.get(SPACE) == Some(expected)
}

/// What stands around the pixels of a file: whole chunks, and bytes behind the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Around {
    before: Vec<u8>,
    after: Vec<u8>,
    rest: Vec<u8>,
}

/// A cover's file, and what the image made of it has in common with it.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a [u8],
    pub(crate) format: Format,
    /// Whether samples are of the same type, number and depth as in the file.
    pub(crate) same_samples: bool,
    /// Whether the picture has its own size.
    pub(crate) same_size: bool,
}

impl Around {
    /// Only what a viewer needs.
    pub(crate) fn needed(space: &ColourSpace) -> Self {
        Self {
            before: space.chunks().to_vec(),
            ..Self::default()
        }
    }

    /// What goes around an image made of the cover `source`, and what is to be said about that.
    pub(crate) fn of(
        source: &Source<'_>,
        metadata: Metadata,
        space: &ColourSpace,
    ) -> (Self, Option<Warning>) {
        let needed = Self::needed(space);
        match metadata {
            Metadata::Strip => (needed, None),
            // It would be in the wrong form, or wrong about the size.
            Metadata::Keep if source.format != Format::Png || !source.same_size => {
                (needed, Some(Warning::MetadataLost))
            }
            Metadata::Keep => {
                let all = Self::all_of(source.file, source.same_samples);
                let warning = all.says_more().then_some(Warning::Metadata);
                (all, warning)
            }
        }
    }

    /// All that `file` has, but for what is wrong once its samples are others, and for what says where in its
    /// compressed data something is (Apple's iDOT).
    fn all_of(file: &[u8], same_samples: bool) -> Self {
        let (mut all, mut before) = (Self::default(), true);
        let mut chunks = Chunks::of(file);
        for chunk in &mut chunks {
            let wrong = !same_samples && OF_SAMPLES.contains(&&chunk.kind);
            match &chunk.kind {
                b"IHDR" | b"IEND" | b"iDOT" => {}
                b"IDAT" => before = false,
                _ if wrong => {}
                _ if before => all.before.extend_from_slice(chunk.whole),
                _ => all.after.extend_from_slice(chunk.whole),
            }
        }
        if chunks.ended {
            all.rest = chunks.file.to_vec();
        }
        all
    }

    /// Whether there is more than a viewer needs.
    fn says_more(&self) -> bool {
        let mut file = SIGNATURE.to_vec();
        file.extend_from_slice(&self.before);
        let is_needed = |chunk: Chunk<'_>| {
            let way = Orientation::from_exif_chunk(chunk.content);
            SHOWN.iter().any(|(kind, _)| **kind == chunk.kind)
                || &chunk.kind == b"eXIf" && way.is_some_and(|way| *chunk.content == exif_of(way))
        };
        !self.after.is_empty() || !self.rest.is_empty() || !Chunks::of(&file).all(is_needed)
    }

    /// Puts it around the pixels in `file`, which has nothing else.
    pub(crate) fn put(&self, mut file: Vec<u8>) -> Vec<u8> {
        const END: usize = HEAD + CHECKSUM;
        if *self == Self::default() || file.len() < HEADER_END + END {
            return file;
        }
        file.reserve(self.before.len() + self.after.len() + self.rest.len());
        let end = file.len() - END;
        file.splice(end..end, self.after.iter().copied());
        file.splice(HEADER_END..HEADER_END, self.before.iter().copied());
        file.extend_from_slice(&self.rest);
        file
    }

    /// Whether it is what `file` has around its pixels, and nothing else is.
    pub(crate) fn is_that_of(&self, file: &[u8]) -> bool {
        *self == Self::all_of(file, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut file = SIGNATURE.to_vec();
        write_chunk(&mut file, b"IHDR", &[0; 13]);
        for (kind, content) in chunks {
            write_chunk(&mut file, kind, content);
        }
        file
    }

    #[test]
    fn all_chunks_go_where_they_were_and_those_needed_before_the_pixels() {
        let mut cover = file(&[
            (b"gAMA", &[1; 4]),
            (b"tEXt", b"where"),
            (b"iDOT", &[9; 28]),
            (b"IDAT", b"cover"),
            (b"IDAT", b"more"),
            (b"tIME", &[3; 7]),
            (b"IEND", b""),
        ]);
        cover.extend(b"behind");
        let mut plain = file(&[(b"IDAT", b"image"), (b"IEND", b"")]);
        let source = Source {
            file: &cover,
            format: Format::Png,
            same_samples: true,
            same_size: true,
        };
        let space = ColourSpace::of_png(&cover, None, Colour::Rgb);

        let (kept, told) = Around::of(&source, Metadata::Keep, &space);
        let (bare, untold) = Around::of(&source, Metadata::Strip, &space);

        let mut expected = file(&[
            (b"gAMA", &[1; 4]),
            (b"tEXt", b"where"),
            (b"IDAT", b"image"),
            (b"tIME", &[3; 7]),
            (b"IEND", b""),
        ]);
        expected.extend(b"behind");
        let full = kept.put(plain.clone());
        assert!(full == expected);
        assert!(kept.is_that_of(&full) && !bare.is_that_of(&full));
        plain = bare.put(plain);
        assert!(plain == file(&[(b"gAMA", &[1; 4]), (b"IDAT", b"image"), (b"IEND", b"")]));
        assert!(bare.is_that_of(&plain) && !kept.is_that_of(&plain));
        assert_eq!((told, untold), (Some(Warning::Metadata), None));
    }

    #[test]
    fn a_chunk_that_should_be_short_and_is_not_does_not_travel() {
        let cover = file(&[
            (b"gAMA", b"a long text about where it was taken"),
            (b"pHYs", &[1; 9]),
            (b"pHYs", &[2; 9]),
            (b"IDAT", b""),
        ]);

        let space = ColourSpace::of_png(&cover, None, Colour::Rgb);

        let mut expected = Vec::new();
        write_chunk(&mut expected, b"pHYs", &[1; 9]);
        assert!(space.chunks() == expected);
    }

    #[test]
    fn chunks_end_where_the_file_does() {
        let whole = file(&[(b"tEXt", b"text"), (b"IEND", b"")]);
        for length in 0..=whole.len() {
            let chunks = Chunks::of(&whole[..length]);

            let kinds: Vec<_> = chunks.map(|chunk| chunk.kind).collect();

            let ends = [33, 49, 61].iter().filter(|end| **end <= length).count();
            assert_eq!(kinds.len(), ends, "{length}");
        }
        let mut lying = whole;
        lying[33..37].fill(0xFF);
        assert_eq!(Chunks::of(&lying).count(), 1);
    }
}
