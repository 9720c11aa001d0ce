//! The form of a PNG's pixels: which filters, which compressor, chunks of which size.
//!
//! It does not show in a picture, and names the program that wrote the file. [`Manner::of`] reads it from a cover,
//! so that an image can be written as that program would have; [`Manner::common`] is that of libpng. What stands
//! around the pixels is `png_chunks`' business.

use flate2::{Decompress, FlushDecompress};

use super::{
    cover::{Format, Picture, PixelType},
    error::Size,
    png_chunks::{Chunks, SIGNATURE, Source, write_chunk},
    png_deflate::{Compressor, Sample},
    png_file::{self, Compression, code},
    png_rows::{self, Filter, Filters},
};

/// How the pixels of a PNG look in its file.
#[distri::message]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Form {
    /// As this service writes them, fast.
    Fast,
    /// As libpng writes them, with its own settings.
    Common,
    /// As in the cover: same order of rows, filters and size of chunks, and a compressor that makes as many bytes
    /// of the cover's rows as the cover has, within 3 %.
    AsCover,
    /// Like in the cover, as far as that was possible: no compressor here comes so near, and the nearest was taken; or
    /// the cover's samples are of another type (a palette, shallow greys, one transparent colour), and
    /// filters are libpng's.
    NearCover,
}

/// By how much the length of what a compressor makes may be off.
const NEAR: f64 = 0.03;

/// Raw bytes that compressors are tried on: several blocks of each of them.
const SAMPLE: usize = 256 * 1024;

/// Bytes in an IDAT chunk of libpng's.
const COMMON_CHUNK: usize = 8192;

/// Bytes in an IDAT chunk of libpng's, ImageMagick's and Pillow's.
const USUAL_CHUNKS: [usize; 3] = [COMMON_CHUNK, 32_768, 65_536];

/// Smaller chunks than this, which no program writes, would make a file of nothing but their heads.
const CHUNK_MIN: usize = 256;

/// What libpng's streams begin with: 32 KiB of window, level 6.
const COMMON_HEADER: [u8; 2] = [0x78, 0x9C];

/// A way to write pixels.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    interlaced: bool,
    /// Of each row in the order of the file. `None`: those of libpng.
    filters: Option<Vec<Filter>>,
    header: [u8; 2],
    compressor: Compressor,
    /// Bytes in a chunk at most.
    chunk: usize,
    form: Form,
}

impl Manner {
    /// That of libpng.
    pub(crate) fn common() -> Self {
        Self {
            interlaced: false,
            filters: None,
            header: COMMON_HEADER,
            compressor: Compressor::COMMON,
            chunk: COMMON_CHUNK,
            form: Form::Common,
        }
    }

    /// That in which `compression` has an image of the cover `source` written, of samples of the type `pixels`.
    /// `None`: this service's own, fast one.
    pub(crate) fn for_image(
        compression: Compression,
        source: &Source<'_>,
        pixels: PixelType,
    ) -> Option<Self> {
        match compression {
            Compression::ByProfile | Compression::Fast => None,
            Compression::AsCover if source.format == Format::Png => {
                Some(Self::of(source.file, pixels).unwrap_or_else(Self::common))
            }
            Compression::Small | Compression::AsCover => Some(Self::common()),
        }
    }

    /// That of the PNG `file`, which was decoded without complaint, for samples of the type `pixels`. `None` if
    /// there is nothing to be learnt from it.
    pub(crate) fn of(file: &[u8], pixels: PixelType) -> Option<Self> {
        let header = Header::of(file)?;
        let parts: Vec<&[u8]> = Chunks::of(file)
            .filter(|chunk| &chunk.kind == b"IDAT")
            .map(|chunk| chunk.content)
            .collect();
        let chunk = match parts[..] {
            // Whether it is the only one because all go into one, or because it is short, does not show.
            [part] => USUAL_CHUNKS
                .into_iter()
                .find(|usual| part.len() <= *usual)
                .unwrap_or(usize::MAX),
            _ => parts.iter().map(|part| part.len()).max()?.max(CHUNK_MIN),
        };
        let stream = Unpacked::of(&parts, &header)?;
        let sample = Sample {
            header: stream.header,
            packed: &stream.packed,
            used: stream.used,
            raw: &stream.raw,
        };
        let (compressor, off) = Compressor::of(&sample);
        let same = png_file::has_samples_of(file, pixels);
        Some(Self {
            interlaced: header.interlaced,
            filters: same.then_some(stream.filters),
            // A window below 512 bytes is none that compressors have.
            header: match stream.header {
                [0x08, _] => [0x18, 0x19],
                header => header,
            },
            compressor,
            chunk,
            form: match off <= NEAR && same {
                true => Form::AsCover,
                false => Form::NearCover,
            },
        })
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// `picture` as a PNG with nothing around its pixels.
    pub(crate) fn write(&self, picture: &Picture) -> Vec<u8> {
        let (depth, colour) = code(picture.pixels);
        let mut header = Vec::with_capacity(13);
        header.extend(picture.size.width.to_be_bytes());
        header.extend(picture.size.height.to_be_bytes());
        header.extend([depth as u8, colour as u8, 0, 0, self.interlaced.into()]);
        let mut file = SIGNATURE.to_vec();
        write_chunk(&mut file, b"IHDR", &header);

        let filters = match &self.filters {
            Some(filters) => Filters::Given(filters),
            None => Filters::Smallest,
        };
        let (mut stream, mut checksum) = (self.compressor.start(), Adler::default());
        let mut waiting = self.header.to_vec();
        png_rows::write(picture, self.interlaced, &filters, &mut |row| {
            checksum.add(row);
            stream.write(row, &mut waiting);
            self.give(&mut waiting, &mut file);
        });
        stream.finish(&mut waiting);
        waiting.extend(checksum.value().to_be_bytes());
        self.give(&mut waiting, &mut file);
        if !waiting.is_empty() {
            write_chunk(&mut file, b"IDAT", &waiting);
        }
        write_chunk(&mut file, b"IEND", &[]);
        file
    }

    /// Writes the full chunks that `waiting` holds.
    fn give(&self, waiting: &mut Vec<u8>, file: &mut Vec<u8>) {
        if waiting.len() < self.chunk {
            return;
        }
        let mut full = waiting.chunks_exact(self.chunk);
        for content in &mut full {
            write_chunk(file, b"IDAT", content);
        }
        *waiting = full.remainder().to_vec();
    }
}

/// What the first chunk of a file says.
struct Header {
    size: Size,
    depth: u8,
    colour: u8,
    interlaced: bool,
}

impl Header {
    fn of(file: &[u8]) -> Option<Self> {
        let first = Chunks::of(file)
            .next()
            .filter(|chunk| &chunk.kind == b"IHDR")?;
        let content: &[u8; 13] = first.content.try_into().ok()?;
        let [
            w0,
            w1,
            w2,
            w3,
            h0,
            h1,
            h2,
            h3,
            depth,
            colour,
            _,
            _,
            interlace,
        ] = *content;
        Some(Self {
            size: Size {
                width: u32::from_be_bytes([w0, w1, w2, w3]),
                height: u32::from_be_bytes([h0, h1, h2, h3]),
            },
            depth,
            colour,
            interlaced: interlace == 1,
        })
    }

    /// Bits of a pixel.
    fn bits(&self) -> usize {
        let samples = match self.colour {
            2 => 3,
            4 => 2,
            6 => 4,
            _ => 1,
        };
        samples * usize::from(self.depth)
    }
}

/// What unpacking a cover's pixels shows.
struct Unpacked {
    header: [u8; 2],
    /// The beginning of the stream, behind its header, as far as compressors are compared with it.
    packed: Vec<u8>,
    used: usize,
    raw: Vec<u8>,
    filters: Vec<Filter>,
}

impl Unpacked {
    /// Unpacks the stream in `parts` as far as rows go, without keeping them.
    fn of(parts: &[&[u8]], header: &Header) -> Option<Self> {
        let lengths = || {
            let lengths = png_rows::row_lengths(header.size, header.bits(), header.interlaced);
            lengths.map(|length| length + 1)
        };
        let expected: u64 = lengths().map(|length| length as u64).sum();
        let mut stream = Decompress::new(true);
        let mut buffer = vec![0; 64 * 1024];
        let (mut raw, mut used) = (Vec::new(), 0);
        let (mut rows, mut filters) = (lengths(), Vec::new());
        let mut to_filter = Some(0);
        for part in parts {
            let mut part = *part;
            while stream.total_out() < expected {
                let (read, written) = (stream.total_in(), stream.total_out());
                let flush = FlushDecompress::None;
                stream.decompress(part, &mut buffer, flush).ok()?;
                let read = (stream.total_in() - read) as usize;
                let fresh = (stream.total_out() - written).min(expected - written) as usize;
                part = &part[read..];
                let fresh = &buffer[..fresh];
                if raw.len() < SAMPLE {
                    raw.extend_from_slice(fresh);
                    used = stream.total_in() as usize;
                }
                let mut at = 0;
                while let Some(place) = to_filter.filter(|place| at + place < fresh.len()) {
                    at += place;
                    filters.push(Filter::of(fresh[at])?);
                    to_filter = rows.next();
                }
                to_filter = to_filter.map(|place| place - (fresh.len() - at));
                if read == 0 && fresh.is_empty() {
                    break;
                }
            }
        }
        if stream.total_out() < expected {
            return None;
        }
        // What was unpacked, and the few bits behind it that end a block.
        let (mut packed, wanted) = (Vec::new(), used + 64);
        for part in parts {
            let room = part.len().min(wanted - packed.len());
            packed.extend_from_slice(&part[..room]);
        }
        let (header, packed) = packed.split_first_chunk::<2>()?;
        Some(Self {
            header: *header,
            packed: packed.to_vec(),
            used: used.saturating_sub(2),
            raw,
            filters,
        })
    }
}

/// The checksum that zlib's streams end with (RFC 1950).
struct Adler {
    low: u32,
    high: u32,
}

impl Default for Adler {
    fn default() -> Self {
        Self { low: 1, high: 0 }
    }
}

impl Adler {
    fn add(&mut self, bytes: &[u8]) {
        /// The largest prime below 2¹⁶, and bytes after which the sums still fit 32 bits.
        const PRIME: u32 = 65_521;
        const RUN: usize = 5552;
        for run in bytes.chunks(RUN) {
            for byte in run {
                self.low += u32::from(*byte);
                self.high += self.low;
            }
            self.low %= PRIME;
            self.high %= PRIME;
        }
    }

    fn value(&self) -> u32 {
        self.high << 16 | self.low
    }
}

#[cfg(test)]
mod tests;
