//! The quantised coefficients of a JPEG file, read and written back.
//!
//! [`Jpeg::read`] takes a file apart into what it says, in the order in which it says it: segments,
//! which are kept byte for byte, Huffman tables, and scans, whose coefficients it decodes.
//! [`Jpeg::write`] puts it together again around coefficients that may have changed. What was not
//! changed comes back as it was: markers, metadata, quantisation tables, the order of scans, restarts,
//! whatever follows the end. So do Huffman tables, unless they were made for the coefficients; then they
//! are made for the new ones, the same way: see [`Tables`].
//!
//! Sequential and progressive Huffman files of 8 bits with one to three components are read (T.81, with
//! the restrictions of JFIF); others are refused by name. It is strict: a file that bends the rules is
//! refused rather than guessed at, because what is written must be what was read. Nothing here knows
//! pixels.

mod bits;
mod decode;
mod encode;
mod huffman;
mod markers;
mod metadata;
mod scan;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, ops::Range};

use serde::{Deserialize, Serialize};

use self::{huffman::Spec, scan::Scan};
pub(crate) use self::{markers::Tables, metadata::exif_of};

/// Coefficients in a block.
pub(crate) const BLOCK: usize = 64;

/// Row and column of each coefficient of a block, in the order of files, as row · 8 + column.
pub(crate) const ZIGZAG: [u8; BLOCK] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Why a file is not read or written here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JpegError {
    /// The file, or what it says of itself, is not what the standard asks for.
    #[error("the file is broken: {0}")]
    Broken(Fault),
    /// It is a JPEG of a kind that is not read here.
    #[error("{0} is not supported")]
    Unsupported(Kind),
    /// Its coefficients take more memory than allowed.
    #[error("its coefficients take {is} bytes, more than the {limit} allowed")]
    TooLarge {
        /// What they would take.
        is: u64,
        /// What they may take.
        limit: u64,
    },
}

/// What is broken about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// It ends before it should.
    Short,
    /// A segment's length or content makes no sense.
    Segment,
    /// A scan that nothing prepared for, or that its frame does not allow.
    Scan,
    /// A Huffman table that is none, or is missing.
    Table,
    /// Coded coefficients that no encoder writes.
    Data,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Short => "it ends too soon",
            Self::Segment => "a segment makes no sense",
            Self::Scan => "a scan does not fit its frame",
            Self::Table => "a Huffman table is wrong or missing",
            Self::Data => "its coded coefficients make no sense",
        })
    }
}

/// Kinds of JPEG that are not read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Arithmetic coding.
    Arithmetic,
    /// Lossless or hierarchical.
    Lossless,
    /// Other than 8 bits a sample.
    Depth,
    /// Four components: CMYK, or with transparency.
    FourComponents,
    /// A height that is only told after the first scan.
    HeightLater,
    /// Quantisation tables that change between scans.
    LaterQuantisation,
    /// Scans that leave some bits of coefficients out.
    Incomplete,
    /// Several pictures in one file (MPF, as of some phones), all of which are to be kept: the first one says
    /// where in the file the others are, and would be wrong once its length changes.
    SeveralPictures,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Arithmetic => "arithmetic coding",
            Self::Lossless => "lossless or hierarchical coding",
            Self::Depth => "a depth other than 8 bits",
            Self::FourComponents => "a JPEG of four components",
            Self::HeightLater => "a height that is told after the picture",
            Self::LaterQuantisation => "a change of quantisation between scans",
            Self::Incomplete => "a JPEG without all of its scans",
            Self::SeveralPictures => "a file of several pictures",
        })
    }
}

const fn broken(fault: Fault) -> JpegError {
    JpegError::Broken(fault)
}

/// A file taken apart.
pub(crate) struct Jpeg<'a> {
    pub(crate) frame: Frame,
    /// Coefficients of each component of the frame.
    pub(crate) planes: Vec<Plane>,
    /// Whether it names further pictures in the same file (MPF).
    pub(crate) several: bool,
    parts: Vec<Part<'a>>,
    /// Each definition of a Huffman table, in the order of the file.
    specs: Vec<Spec>,
}

/// What a file says of its picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Pixels in a row, rows.
    pub(crate) width: u16,
    pub(crate) height: u16,
    progressive: bool,
    components: Vec<Component>,
    /// The largest sampling factors, across and down.
    across: usize,
    down: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Component {
    id: u8,
    /// Blocks in a unit of an interleaved scan, across and down.
    across: usize,
    down: usize,
    quantisation: usize,
}

/// The coefficients of one component.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Plane {
    /// Blocks that show something of the picture.
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    /// Blocks in a row of `coefficients`: interleaved scans fill up their units.
    pub(crate) stride: usize,
    /// The step of each coefficient, in the order of files.
    pub(crate) steps: [u16; BLOCK],
    /// Block after block, each in the order of files.
    pub(crate) coefficients: Vec<[i16; BLOCK]>,
}

impl Plane {
    /// The block in a column and row.
    pub(crate) fn at(&self, column: usize, row: usize) -> usize {
        row * self.stride + column
    }
}

/// A piece of a file.
enum Part<'a> {
    /// Bytes as they are: segments with their markers that are needed to show the picture, the start, the end.
    Bytes(Cow<'a, [u8]>),
    /// A segment with its marker that says more: EXIF, XMP, IPTC, comments, small pictures.
    Aside(Cow<'a, [u8]>),
    /// What follows the end.
    Rest(&'a [u8]),
    /// A segment of definitions of Huffman tables, by their numbers.
    Tables(&'a [u8], Range<usize>),
    /// A header with its marker, and the scan that follows.
    Scan(&'a [u8], Scan),
}

impl Frame {
    /// Units of interleaved scans, across and down.
    fn units(&self) -> (usize, usize) {
        let width = usize::from(self.width).div_ceil(8 * self.across);
        (width, usize::from(self.height).div_ceil(8 * self.down))
    }

    /// Whether the picture has colours.
    pub(crate) fn is_coloured(&self) -> bool {
        self.components.len() > 1
    }
}

impl Jpeg<'_> {
    /// Whether `other` is the same file but for coefficients and Huffman tables.
    pub(crate) fn differs_only_in_coefficients(&self, other: &Jpeg<'_>) -> bool {
        let shapes = |jpeg: &Jpeg<'_>| -> Vec<_> {
            let planes = jpeg.planes.iter();
            planes
                .map(|plane| (plane.columns, plane.rows, plane.stride, plane.steps))
                .collect()
        };
        let same = |(a, b): (&Part<'_>, &Part<'_>)| match (a, b) {
            (Part::Bytes(a), Part::Bytes(b)) | (Part::Aside(a), Part::Aside(b)) => a == b,
            (Part::Rest(a), Part::Rest(b)) | (Part::Scan(a, _), Part::Scan(b, _)) => a == b,
            (Part::Tables(_, a), Part::Tables(_, b)) => a == b,
            _ => false,
        };
        self.frame == other.frame
            && shapes(self) == shapes(other)
            && self.parts.len() == other.parts.len()
            && self.parts.iter().zip(&other.parts).all(same)
    }
}
