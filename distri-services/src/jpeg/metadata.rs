//! What a file says beside its picture, and leaving it out.
//!
//! A list of what is needed to show the picture, not of what tells something: makers invent segments faster
//! than anyone could list them. Needed are the JFIF header, ICC profiles and Adobe's segment, which say what
//! the samples mean, and of EXIF which way up the picture is. All other application data goes, and comments,
//! small pictures and whatever follows the end with it.

use std::borrow::Cow;

use image::metadata::Orientation;

use super::{Jpeg, Part, markers::marker};

const EXIF: &[u8] = b"Exif\0\0";
const JFIF: &[u8] = b"JFIF\0";
/// Content of a JFIF header without a small picture.
const JFIF_LENGTH: usize = 14;
/// Content of Adobe's segment.
const ADOBE_LENGTH: usize = 12;

/// EXIF (as TIFF) that says nothing but `orientation`.
pub(crate) fn exif_of(orientation: Orientation) -> [u8; 26] {
    let mut exif = *b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\0\0\0\0";
    exif[18] = orientation.to_exif();
    exif
}

/// Whether a segment says more than what is needed to show the picture.
pub(super) fn is_aside(kind: u8, content: &[u8]) -> bool {
    match kind {
        marker::APP0 => !(content.starts_with(JFIF) && content.len() == JFIF_LENGTH),
        marker::APP2 => !content.starts_with(b"ICC_PROFILE\0"),
        marker::APP14 => !(content.starts_with(b"Adobe") && content.len() == ADOBE_LENGTH),
        _ => {
            matches!(kind, marker::APP0..=marker::APP15 | marker::JPG0..=marker::JPG13 | marker::COM)
        }
    }
}

/// Whether a segment says where in the file further pictures are.
pub(super) fn names_pictures(kind: u8, content: &[u8]) -> bool {
    kind == marker::APP2 && content.starts_with(b"MPF\0")
}

/// Which way up a segment of EXIF says the picture is.
fn orientation(content: &[u8]) -> Option<Orientation> {
    Orientation::from_exif_chunk(content.strip_prefix(EXIF)?)
}

impl Jpeg<'_> {
    /// Whether the file says more than what is needed to show its picture.
    pub(crate) fn is_described(&self) -> bool {
        let more = |part: &Part<'_>| match part {
            Part::Aside(segment) => needed(segment).is_none_or(|needed| needed != **segment),
            part => matches!(part, Part::Rest(_)),
        };
        self.parts.iter().any(more)
    }

    /// Whether there is more in the file than one picture and what is said of it: further pictures, or
    /// anything but zeros behind the end, as a film.
    pub(crate) fn holds_more(&self) -> bool {
        let rest = |part: &Part<'_>| match part {
            Part::Rest(bytes) => bytes.iter().any(|byte| *byte != 0),
            _ => false,
        };
        self.several || self.parts.iter().any(rest)
    }

    /// Leaves out what is not needed to show the picture. What is left [is not described](Self::is_described).
    pub(crate) fn strip(&mut self) {
        // Of several segments of EXIF the first counts.
        let mut turned = false;
        let mut kept: Vec<Part<'_>> = Vec::with_capacity(self.parts.len());
        for part in self.parts.drain(..) {
            let bytes = match part {
                Part::Bytes(bytes) => bytes,
                Part::Aside(segment) => {
                    let is_exif = is_exif(&segment);
                    let needed = needed(&segment).filter(|_| !(is_exif && turned));
                    turned |= is_exif;
                    match needed {
                        Some(needed) if is_exif => {
                            kept.push(Part::Aside(Cow::Owned(needed)));
                            continue;
                        }
                        Some(needed) => Cow::Owned(needed),
                        None => continue,
                    }
                }
                Part::Rest(_) => continue,
                Part::Tables(..) | Part::Scan(..) => {
                    kept.push(part);
                    continue;
                }
            };
            // In one piece, as reading keeps them.
            match kept.last_mut() {
                Some(Part::Bytes(before)) => before.to_mut().extend_from_slice(&bytes),
                _ => kept.push(Part::Bytes(bytes)),
            }
        }
        self.parts = kept;
        self.several = false;
    }
}

/// The marker and the content of a segment that was read.
fn parts_of(segment: &[u8]) -> Option<(u8, &[u8])> {
    let start = segment.iter().position(|byte| *byte != 0xFF)?;
    Some((segment[start], segment.get(start + 3..)?))
}

fn is_exif(segment: &[u8]) -> bool {
    parts_of(segment)
        .is_some_and(|(kind, content)| kind == marker::APP1 && content.starts_with(EXIF))
}

/// What has to stay of a segment that says more, if anything: a JFIF header without its small picture, an EXIF
/// of the way up alone.
fn needed(segment: &[u8]) -> Option<Vec<u8>> {
    let (kind, content) = parts_of(segment)?;
    match kind {
        marker::APP0 if content.starts_with(JFIF) => {
            let mut header = content.get(..JFIF_LENGTH)?.to_vec();
            header[JFIF_LENGTH - 2..].fill(0);
            Some(whole(kind, &header))
        }
        marker::APP1 => {
            let way = orientation(content)?;
            let turned = way != Orientation::NoTransforms;
            turned.then(|| whole(kind, &[EXIF, &exif_of(way)].concat()))
        }
        _ => None,
    }
}

fn whole(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len() as u16 + 2;
    let mut segment = vec![0xFF, kind];
    segment.extend(length.to_be_bytes());
    segment.extend(content);
    segment
}
