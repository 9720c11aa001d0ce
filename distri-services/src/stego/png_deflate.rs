//! Which compressor comes nearest to the one that wrote a PNG's pixels.
//!
//! A stream does not say who wrote it, but its header says roughly at which level, and compressing again what is in
//! it shows which level and strategy give as many bytes. Tried are zlib-rs, whose strategies and levels are those
//! of zlib, and fdeflate (of programs in Rust), which is known by the code that it begins with.

use std::{cell::RefCell, io, rc::Rc};

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Method, Status, Strategy};

/// A library and its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compressor {
    Zlib {
        /// 1 to 9.
        level: u8,
        strategy: Strategy,
        /// Logarithm of how far back matches go, 9 to 15.
        window: u8,
    },
    Fdeflate,
}

/// The beginning of a cover's stream.
pub(crate) struct Sample<'a> {
    /// The two bytes that it begins with.
    pub(crate) header: [u8; 2],
    /// The bytes behind them of which `raw` was made, and a few more.
    pub(crate) packed: &'a [u8],
    /// How many of those `raw` was made of.
    pub(crate) used: usize,
    /// What they unpack to.
    pub(crate) raw: &'a [u8],
}

/// zlib's `memLevel`: how long blocks get. The default, as of libpng.
const MEMORY: i32 = 8;

/// Bytes of fdeflate's code by which it is known.
const SAME_BEGINNING: usize = 32;

impl Compressor {
    /// That of libpng with its own settings.
    pub(crate) const COMMON: Self = Self::Zlib {
        level: 6,
        strategy: Strategy::Filtered,
        window: 15,
    };

    /// The compressor that comes nearest to the one that wrote `sample`, and by which share more or fewer bytes
    /// come out of it.
    pub(crate) fn of(sample: &Sample<'_>) -> (Self, f64) {
        if sample.is_of_fdeflate() {
            return (Self::Fdeflate, 0.0);
        }
        let used = sample.used.max(1) as f64;
        let off = |tried: Self| (tried.size(sample.raw) as f64 / used - 1.0).abs();
        let tried = candidates(sample.header).map(|tried| (tried, off(tried)));
        let nearest = tried.min_by(|a, b| a.1.total_cmp(&b.1));
        nearest.unwrap_or((Self::COMMON, 1.0))
    }

    pub(crate) fn start(self) -> Stream {
        match self {
            Self::Fdeflate => Stream::Fdeflate(Fdeflate::new()),
            Self::Zlib {
                level,
                strategy,
                window,
            } => Stream::Zlib(Box::new(Deflate::new_with_config(DeflateConfig {
                level: level.into(),
                method: Method::Deflated,
                // Below zero: without header and checksum.
                window_bits: -i32::from(window),
                mem_level: MEMORY,
                strategy,
            }))),
        }
    }

    fn size(self, raw: &[u8]) -> usize {
        let (mut stream, mut out) = (self.start(), Vec::new());
        stream.write(raw, &mut out);
        stream.finish(&mut out);
        out.len()
    }
}

impl Sample<'_> {
    /// fdeflate has one code for everything, which it writes first.
    fn is_of_fdeflate(&self) -> bool {
        let (mut stream, mut begins) = (Compressor::Fdeflate.start(), Vec::new());
        stream.write(&[], &mut begins);
        self.header == [0x78, 0x01]
            && begins.len() > SAME_BEGINNING
            && self.packed.starts_with(&begins)
    }
}

/// What may come near a stream with such a header, the likeliest first.
fn candidates(header: [u8; 2]) -> impl Iterator<Item = Compressor> {
    // Levels of zlib-rs, which are not as strong as the same ones of zlib.
    let levels: &[u8] = match header[1] >> 6 {
        0 => &[1, 2],
        1 => &[2, 3, 4, 5],
        2 => &[6, 5, 7],
        _ => &[9, 8, 7, 6],
    };
    let searching = levels.iter().flat_map(|level| {
        [Strategy::Filtered, Strategy::Default].map(|strategy| (*level, strategy))
    });
    // Strategies without a search say that they are fast, whatever the level.
    let others: &[(u8, Strategy)] = match header[1] >> 6 {
        0 => &[(6, Strategy::Rle), (6, Strategy::HuffmanOnly)],
        _ => &[],
    };
    let window = ((header[0] >> 4) + 8).clamp(9, 15);
    let all = searching.chain(others.iter().copied());
    all.map(move |(level, strategy)| Compressor::Zlib {
        level,
        strategy,
        window,
    })
}

/// A stream that is being compressed, without header and checksum.
pub(crate) enum Stream {
    Zlib(Box<Deflate>),
    Fdeflate(Fdeflate),
}

/// Bytes that come out of zlib at a time.
const BUFFER: usize = 32 * 1024;

impl Stream {
    /// Takes in `data`, and appends what comes out.
    pub(crate) fn write(&mut self, data: &[u8], out: &mut Vec<u8>) {
        self.run(data, DeflateFlush::NoFlush, out);
    }

    /// Appends the rest.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.run(&[], DeflateFlush::Finish, out);
    }

    fn run(&mut self, mut data: &[u8], flush: DeflateFlush, out: &mut Vec<u8>) {
        let zlib = match self {
            Self::Fdeflate(stream) => return stream.run(data, flush == DeflateFlush::Finish, out),
            Self::Zlib(zlib) => zlib,
        };
        let mut buffer = [0; BUFFER];
        loop {
            let before = (zlib.total_in(), zlib.total_out());
            let status = zlib.compress(data, &mut buffer, flush);
            let read = (zlib.total_in() - before.0) as usize;
            let written = (zlib.total_out() - before.1) as usize;
            data = &data[read..];
            out.extend_from_slice(&buffer[..written]);
            // A buffer that was not filled had nothing more to come.
            if status != Ok(Status::Ok) || written < BUFFER && data.is_empty() {
                return;
            }
        }
    }
}

/// fdeflate, which writes header and checksum by itself: they are taken away again.
pub(crate) struct Fdeflate {
    stream: Option<fdeflate::Compressor<Shared>>,
    out: Shared,
    taken: usize,
}

/// Bytes that are written and taken away by turns.
#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Fdeflate {
    const HEADER: usize = 2;
    const CHECKSUM: usize = 4;

    fn new() -> Self {
        let out = Shared::default();
        // Writing to memory does not fail.
        let stream = fdeflate::Compressor::new(out.clone()).ok();
        Self {
            stream,
            out,
            taken: 0,
        }
    }

    fn run(&mut self, data: &[u8], all: bool, out: &mut Vec<u8>) {
        if let Some(stream) = &mut self.stream {
            let _ = stream.write_data(data);
        }
        if all && let Some(stream) = self.stream.take() {
            let _ = stream.finish();
            let mut bytes = self.out.0.borrow_mut();
            let end = bytes.len().saturating_sub(Self::CHECKSUM);
            bytes.truncate(end);
        }
        let bytes = self.out.0.take();
        let header = Self::HEADER.saturating_sub(self.taken).min(bytes.len());
        self.taken += bytes.len();
        out.extend_from_slice(&bytes[header..]);
    }
}
