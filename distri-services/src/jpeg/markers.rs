//! Segments: what a file says around its coefficients.

use std::borrow::Cow;

use super::{
    BLOCK, Component, Fault, Frame, Jpeg, JpegError, Kind, Part, Plane, broken,
    huffman::Spec,
    metadata,
    scan::{Progress, Scan, Tabled},
};

/// What to do about Huffman tables when coefficients have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tables {
    /// Tables that are the best ones for the coefficients that were read are made anew for those that are
    /// written, others are kept as long as they have a code for everything. So a file looks as if its
    /// own encoder had written it.
    AsBefore,
    /// All are made anew. For tests.
    #[cfg(test)]
    Best,
}

/// Scans that a file may have. Encoders write about ten; each takes a walk over all blocks, however few
/// bytes it has.
const SCANS_MAX: usize = 100;
/// Definitions of Huffman tables that a file may have: as many as its scans could use.
const DEFINITIONS_MAX: usize = 6 * SCANS_MAX;
/// Pieces that a file may fall into. Each segment that says more than the picture is one, and files of phones
/// have hundreds (XMP of many megabytes); as many as fit a large file would take more memory than its picture.
const PARTS_MAX: usize = 16_384;

pub(super) mod marker {
    pub(in crate::jpeg) const SOF0: u8 = 0xC0;
    pub(in crate::jpeg) const SOF1: u8 = 0xC1;
    pub(in crate::jpeg) const SOF2: u8 = 0xC2;
    pub(in crate::jpeg) const DHT: u8 = 0xC4;
    pub(in crate::jpeg) const SOI: u8 = 0xD8;
    pub(in crate::jpeg) const EOI: u8 = 0xD9;
    pub(in crate::jpeg) const SOS: u8 = 0xDA;
    pub(in crate::jpeg) const DQT: u8 = 0xDB;
    pub(in crate::jpeg) const DNL: u8 = 0xDC;
    pub(in crate::jpeg) const DRI: u8 = 0xDD;
    pub(in crate::jpeg) const APP0: u8 = 0xE0;
    /// EXIF and XMP.
    pub(in crate::jpeg) const APP1: u8 = 0xE1;
    /// Colour profiles, and the places of further pictures.
    pub(in crate::jpeg) const APP2: u8 = 0xE2;
    /// Adobe's: which colours the components are.
    pub(in crate::jpeg) const APP14: u8 = 0xEE;
    pub(in crate::jpeg) const APP15: u8 = 0xEF;
    /// Reserved for extensions.
    pub(in crate::jpeg) const JPG0: u8 = 0xF0;
    pub(in crate::jpeg) const JPG13: u8 = 0xFD;
    pub(in crate::jpeg) const COM: u8 = 0xFE;
}

impl<'a> Jpeg<'a> {
    /// Takes `file` apart, if its coefficients take no more than `memory_max` bytes.
    ///
    /// # Errors
    ///
    /// [`JpegError`], whatever `file` is.
    pub(crate) fn read(file: &'a [u8], memory_max: u64) -> Result<Self, JpegError> {
        if !file.starts_with(&[0xFF, marker::SOI]) {
            return Err(broken(Fault::Segment));
        }
        let mut reader = Reader {
            file,
            at: 2,
            memory_max,
            steps: [None; 4],
            tables: [None; 8],
            restart: 0,
            frame: None,
            planes: Vec::new(),
            parts: vec![Part::Bytes(Cow::Borrowed(&file[..2]))],
            specs: Vec::new(),
            progress: Progress::default(),
            scans: 0,
            several: false,
        };
        while reader.next()? {
            if reader.parts.len() > PARTS_MAX {
                return Err(broken(Fault::Segment));
            }
        }
        let rest = &file[reader.at..];
        if !rest.is_empty() {
            reader.parts.push(Part::Rest(rest));
        }
        let frame = reader.frame.ok_or(broken(Fault::Short))?;
        reader.progress.check_all(reader.planes.len())?;
        Ok(Self {
            frame,
            planes: reader.planes,
            several: reader.several,
            parts: reader.parts,
            specs: reader.specs,
        })
    }
}

struct Reader<'a> {
    file: &'a [u8],
    at: usize,
    memory_max: u64,
    steps: [Option<[u16; BLOCK]>; 4],
    /// The number of the latest definition for each place: four for DC, four for AC.
    tables: [Option<usize>; 8],
    restart: u16,
    frame: Option<Frame>,
    planes: Vec<Plane>,
    parts: Vec<Part<'a>>,
    specs: Vec<Spec>,
    progress: Progress,
    scans: usize,
    several: bool,
}

impl<'a> Reader<'a> {
    /// Reads the next segment; false at the end of the picture.
    fn next(&mut self) -> Result<bool, JpegError> {
        let start = self.at;
        let short = || broken(Fault::Short);
        if *self.file.get(self.at).ok_or(short())? != 0xFF {
            return Err(broken(Fault::Segment));
        }
        // A marker may have any number of these before it.
        while *self.file.get(self.at).ok_or(short())? == 0xFF {
            self.at += 1;
        }
        let kind = self.file[self.at];
        self.at += 1;
        if kind == marker::EOI {
            self.keep(start);
            return Ok(false);
        }
        if kind < 0xC0 || (0xD0..=marker::SOI).contains(&kind) {
            return Err(broken(Fault::Segment));
        }
        let length = self.file.get(self.at..self.at + 2).ok_or(short())?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        if length < 2 {
            return Err(broken(Fault::Segment));
        }
        let content = self
            .file
            .get(self.at + 2..self.at + length)
            .ok_or(short())?;
        self.at += length;
        let whole = &self.file[start..self.at];
        match kind {
            marker::SOF0 | marker::SOF1 | marker::SOF2 => self.frame(kind, content)?,
            0xC3 | 0xC5..=0xC7 | 0xCD..=0xCF => return Err(JpegError::Unsupported(Kind::Lossless)),
            0xC8..=0xCC if kind != marker::DHT => {
                return Err(JpegError::Unsupported(Kind::Arithmetic));
            }
            marker::DNL => return Err(JpegError::Unsupported(Kind::HeightLater)),
            marker::DQT => self.quantisation(content)?,
            marker::DRI => {
                let interval = content.try_into().map_err(|_| broken(Fault::Segment))?;
                self.restart = u16::from_be_bytes(interval);
            }
            marker::DHT => {
                let definitions = self.definitions(content)?;
                self.parts.push(Part::Tables(whole, definitions));
                return Ok(true);
            }
            marker::SOS => {
                let scan = self.scan(content)?;
                self.parts.push(Part::Scan(whole, scan));
                return Ok(true);
            }
            _ if metadata::is_aside(kind, content) => {
                self.several |= metadata::names_pictures(kind, content);
                self.parts.push(Part::Aside(Cow::Borrowed(whole)));
                return Ok(true);
            }
            // What else has a length: kept, not understood.
            _ => {}
        }
        self.keep(start);
        Ok(true)
    }

    /// Keeps what lies between `start` and here, in one piece with what was kept just before.
    fn keep(&mut self, start: usize) {
        let mut start = start;
        if let Some(Part::Bytes(before)) = self.parts.last() {
            start -= before.len();
            self.parts.pop();
        }
        let bytes = &self.file[start..self.at];
        self.parts.push(Part::Bytes(Cow::Borrowed(bytes)));
    }

    fn quantisation(&mut self, mut content: &[u8]) -> Result<(), JpegError> {
        if !self.progress.is_empty() {
            return Err(JpegError::Unsupported(Kind::LaterQuantisation));
        }
        while let Some(([place], rest)) = content.split_first_chunk() {
            let wide = match place >> 4 {
                0 => 1,
                1 => 2,
                _ => return Err(broken(Fault::Segment)),
            };
            let (values, rest) = rest
                .split_at_checked(BLOCK * wide)
                .ok_or(broken(Fault::Segment))?;
            let value = |bytes: &[u8]| bytes.iter().fold(0, |v, b| v << 8 | u16::from(*b));
            let mut steps = [0; BLOCK];
            for (step, bytes) in steps.iter_mut().zip(values.chunks_exact(wide)) {
                *step = value(bytes);
            }
            if steps.contains(&0) {
                return Err(broken(Fault::Segment));
            }
            *self
                .steps
                .get_mut(usize::from(place & 0x0F))
                .ok_or(broken(Fault::Segment))? = Some(steps);
            content = rest;
        }
        Ok(())
    }

    fn definitions(&mut self, mut content: &[u8]) -> Result<std::ops::Range<usize>, JpegError> {
        let first = self.specs.len();
        while !content.is_empty() {
            if self.specs.len() == DEFINITIONS_MAX {
                return Err(broken(Fault::Table));
            }
            let spec = Spec::read(&mut content)?;
            let place = usize::from(spec.place & 3) + 4 * usize::from(!spec.is_dc());
            self.tables[place] = Some(self.specs.len());
            self.specs.push(spec);
        }
        Ok(first..self.specs.len())
    }

    fn frame(&mut self, kind: u8, content: &[u8]) -> Result<(), JpegError> {
        let wrong = || broken(Fault::Segment);
        let ([depth, h1, h0, w1, w0, count], rest) = content.split_first_chunk().ok_or(wrong())?;
        let (width, height) = (
            u16::from_be_bytes([*w1, *w0]),
            u16::from_be_bytes([*h1, *h0]),
        );
        if self.frame.is_some() || rest.len() != 3 * usize::from(*count) || width == 0 {
            return Err(wrong());
        }
        if *depth != 8 {
            return Err(JpegError::Unsupported(Kind::Depth));
        }
        if height == 0 {
            return Err(JpegError::Unsupported(Kind::HeightLater));
        }
        match count {
            1..=3 => {}
            4 => return Err(JpegError::Unsupported(Kind::FourComponents)),
            _ => return Err(wrong()),
        }
        let mut components: Vec<Component> = Vec::with_capacity(rest.len() / 3);
        for [id, factors, quantisation] in rest.as_chunks::<3>().0 {
            let (across, down) = (usize::from(factors >> 4), usize::from(factors & 0x0F));
            let fits = (1..=4).contains(&across) && (1..=4).contains(&down) && *quantisation < 4;
            if !fits || components.iter().any(|other| other.id == *id) {
                return Err(wrong());
            }
            components.push(Component {
                id: *id,
                across,
                down,
                quantisation: usize::from(*quantisation),
            });
        }
        let frame = Frame {
            width,
            height,
            progressive: kind == marker::SOF2,
            across: components.iter().map(|c| c.across).max().unwrap_or(1),
            down: components.iter().map(|c| c.down).max().unwrap_or(1),
            components,
        };
        // Memory is taken only now that it is known how much.
        let (units, rows) = frame.units();
        let blocks = |c: &Component| (units * c.across) as u64 * (rows * c.down) as u64;
        let bytes = frame.components.iter().map(blocks).sum::<u64>() * 2 * BLOCK as u64;
        // Each block takes a bit at least, so a short file does not make a large picture.
        let plausible = self.file.len() as u64 * 8;
        if bytes > self.memory_max {
            let limit = self.memory_max;
            return Err(JpegError::TooLarge { is: bytes, limit });
        }
        if bytes / (2 * BLOCK as u64) > plausible {
            return Err(broken(Fault::Short));
        }
        for component in &frame.components {
            let shown = |pixels: u16, factor: usize, most: usize| {
                (usize::from(pixels) * factor).div_ceil(most).div_ceil(8)
            };
            self.planes.push(Plane {
                columns: shown(width, component.across, frame.across),
                rows: shown(height, component.down, frame.down),
                stride: units * component.across,
                steps: [0; BLOCK],
                coefficients: vec![[0; BLOCK]; units * component.across * rows * component.down],
            });
        }
        self.frame = Some(frame);
        Ok(())
    }

    fn scan(&mut self, content: &[u8]) -> Result<Scan, JpegError> {
        let wrong = || broken(Fault::Scan);
        let frame = self.frame.as_ref().ok_or(wrong())?;
        let ([count], rest) = content.split_first_chunk().ok_or(wrong())?;
        let (selectors, rest) = rest
            .split_at_checked(2 * usize::from(*count))
            .ok_or(wrong())?;
        let [first, last, bits]: [u8; 3] = rest.try_into().map_err(|_| wrong())?;
        let mut components: Vec<Tabled> = Vec::with_capacity(3);
        for [id, tables] in selectors.as_chunks::<2>().0 {
            let index = frame.components.iter().position(|c| c.id == *id);
            let index = index.ok_or(wrong())?;
            // Components come in the order of the frame, none twice.
            if components
                .last()
                .is_some_and(|before| before.index >= index)
            {
                return Err(wrong());
            }
            let (dc, ac) = (tables >> 4, tables & 0x0F);
            if dc > 3 || ac > 3 {
                return Err(wrong());
            }
            components.push(Tabled {
                index,
                dc: self.tables[usize::from(dc)],
                ac: self.tables[4 + usize::from(ac)],
            });
        }
        let scan = Scan {
            components,
            first,
            last,
            high: bits >> 4,
            low: bits & 0x0F,
            restart: self.restart,
        };
        scan.check(frame)?;
        self.scans += 1;
        if self.scans > SCANS_MAX {
            return Err(wrong());
        }
        self.progress.add(&scan, frame)?;
        for tabled in &scan.components {
            let steps = self.steps[frame.components[tabled.index].quantisation];
            self.planes[tabled.index].steps = steps.ok_or(wrong())?;
        }
        let data = &self.file[self.at..];
        self.at += scan.decode(frame, &self.specs, &mut self.planes, data)?;
        Ok(scan)
    }
}
