//! From coefficients to coded data. The choices that the standard leaves open (how many blocks a run
//! takes, how many bits wait for it) are those of the IJG's library, which most files were written with.

use super::{
    BLOCK, Fault, Frame, Jpeg, JpegError, Part, Plane, Tables,
    bits::BitWriter,
    broken,
    huffman::{Encoder, Spec},
    scan::{Next, Pass, Scan, Tabled},
};

/// The longest run of blocks without anything new.
const RUN_MAX: u32 = 0x7FFF;
/// Bits of refinement that wait for the end of a run.
const WAITING_MAX: usize = 1000 - BLOCK + 1;

impl Jpeg<'_> {
    /// The file with `planes`, which have the shapes of this file's own.
    ///
    /// # Errors
    ///
    /// [`Fault::Data`] if a coefficient, or the difference of two, is beyond what files can say.
    pub(crate) fn write(&self, planes: &[Plane], tables: Tables) -> Result<Vec<u8>, JpegError> {
        let specs = self.specs(planes, tables)?;
        let encoders: Vec<_> = specs.iter().map(Encoder::new).collect();
        let mut out = Vec::new();
        for part in &self.parts {
            match part {
                Part::Bytes(bytes) | Part::Aside(bytes) => out.extend_from_slice(bytes),
                Part::Rest(bytes) => out.extend_from_slice(bytes),
                Part::Tables(bytes, numbers)
                    if specs[numbers.clone()] == self.specs[numbers.clone()] =>
                {
                    out.extend_from_slice(bytes);
                }
                Part::Tables(_, numbers) => {
                    let mut content = Vec::new();
                    for spec in &specs[numbers.clone()] {
                        spec.write(&mut content);
                    }
                    let length = u16::try_from(content.len() + 2);
                    let length = length.map_err(|_| broken(Fault::Table))?;
                    out.extend([0xFF, 0xC4]);
                    out.extend(length.to_be_bytes());
                    out.extend(content);
                }
                Part::Scan(header, scan) => {
                    out.extend_from_slice(header);
                    let mut coder = Coder::new(
                        scan,
                        Written {
                            bits: BitWriter::new(&mut out),
                            encoders: &encoders,
                        },
                    );
                    coder.encode(&self.frame, planes)?;
                    coder.out.bits.end();
                }
            }
        }
        Ok(out)
    }

    /// The tables to write `planes` with.
    fn specs(&self, planes: &[Plane], tables: Tables) -> Result<Vec<Spec>, JpegError> {
        let after = self.counts(planes)?;
        let before = match tables {
            Tables::AsBefore => Some(self.counts(&self.planes)?),
            #[cfg(test)]
            Tables::Best => None,
        };
        let spec = |(number, spec): (usize, &Spec)| {
            let best = |counts: &[u32; 256]| Spec::best(spec.place, counts);
            let fits = Encoder::new(spec).suffices(&after[number]);
            let made = before
                .as_ref()
                .is_none_or(|before| best(&before[number]) == *spec);
            if fits && !made {
                spec.clone()
            } else {
                best(&after[number])
            }
        };
        Ok(self.specs.iter().enumerate().map(spec).collect())
    }

    /// How often each symbol of each table occurs.
    fn counts(&self, planes: &[Plane]) -> Result<Vec<[u32; 256]>, JpegError> {
        let mut counts = vec![[0; 256]; self.specs.len()];
        for part in &self.parts {
            if let Part::Scan(_, scan) = part {
                Coder::new(scan, Counted(&mut counts)).encode(&self.frame, planes)?;
            }
        }
        Ok(counts)
    }
}

/// Where symbols and bits go.
trait Out {
    /// A symbol of the table with this number.
    fn symbol(&mut self, table: usize, symbol: u8);
    fn bits(&mut self, value: u32, count: u32);
    fn restart(&mut self, number: u8);
}

struct Counted<'a>(&'a mut [[u32; 256]]);

impl Out for Counted<'_> {
    #[inline]
    fn symbol(&mut self, table: usize, symbol: u8) {
        self.0[table][usize::from(symbol)] += 1;
    }

    fn bits(&mut self, _: u32, _: u32) {}

    fn restart(&mut self, _: u8) {}
}

struct Written<'a> {
    bits: BitWriter<'a>,
    encoders: &'a [Encoder],
}

impl Out for Written<'_> {
    #[inline]
    fn symbol(&mut self, table: usize, symbol: u8) {
        let (code, length) = self.encoders[table].code(symbol);
        self.bits.put(code, length);
    }

    #[inline]
    fn bits(&mut self, value: u32, count: u32) {
        self.bits.put(value, count);
    }

    fn restart(&mut self, number: u8) {
        self.bits.restart(number);
    }
}

struct Coder<'a, O> {
    scan: &'a Scan,
    out: O,
    /// The last DC coefficient of each component.
    before: [i32; 3],
    /// Blocks without anything new that are not yet written, and the bits that refine them.
    run: u32,
    waiting: Vec<bool>,
}

impl<'a, O: Out> Coder<'a, O> {
    fn new(scan: &'a Scan, out: O) -> Self {
        Self {
            scan,
            out,
            before: [0; 3],
            run: 0,
            waiting: Vec::new(),
        }
    }

    fn encode(&mut self, frame: &Frame, planes: &[Plane]) -> Result<(), JpegError> {
        let pass = self.scan.pass(frame);
        self.scan.walk(frame, planes, |next| match next {
            Next::Restart(number) => {
                self.end_run()?;
                self.before = [0; 3];
                self.out.restart(number);
                Ok(())
            }
            Next::Block { component, at } => {
                let tabled = self.scan.components[component];
                let block = &planes[tabled.index].coefficients[at];
                match pass {
                    Pass::Sequential => {
                        self.dc(component, tabled, block)?;
                        self.sequential(tabled, block)
                    }
                    Pass::DcFirst => self.dc(component, tabled, block),
                    Pass::DcRefine => {
                        self.out
                            .bits(u32::from(block[0] >> self.scan.low & 1 == 1), 1);
                        Ok(())
                    }
                    Pass::AcFirst => self.ac_first(block),
                    Pass::AcRefine => self.ac_refine(block),
                }
            }
        })?;
        self.end_run()
    }

    fn dc(
        &mut self,
        component: usize,
        tabled: Tabled,
        block: &[i16; BLOCK],
    ) -> Result<(), JpegError> {
        let table = tabled.dc.ok_or(broken(Fault::Table))?;
        let value = i32::from(block[0] >> self.scan.low);
        let difference = value - self.before[component];
        self.before[component] = value;
        let size = size(difference);
        if size > 11 {
            return Err(broken(Fault::Data));
        }
        self.out.symbol(table, size as u8);
        self.out.bits(low_bits(difference), size);
        Ok(())
    }

    #[inline]
    fn sequential(&mut self, tabled: Tabled, block: &[i16; BLOCK]) -> Result<(), JpegError> {
        let table = tabled.ac.ok_or(broken(Fault::Table))?;
        let mut zeros = 0;
        for value in &block[1..] {
            if *value == 0 {
                zeros += 1;
                continue;
            }
            while zeros > 15 {
                self.out.symbol(table, 0xF0);
                zeros -= 16;
            }
            let value = i32::from(*value);
            let size = ac_size(value)?;
            self.out.symbol(table, zeros << 4 | size as u8);
            self.out.bits(low_bits(value), size);
            zeros = 0;
        }
        if zeros > 0 {
            self.out.symbol(table, 0);
        }
        Ok(())
    }

    /// The table of a scan that has one component and no DC coefficients.
    fn table(&self) -> Result<usize, JpegError> {
        let only = self.scan.components.first();
        only.and_then(|tabled| tabled.ac)
            .ok_or(broken(Fault::Table))
    }

    /// What the scan sees of a block: sizes without the bits that come later.
    fn seen(&self, block: &[i16; BLOCK]) -> [u16; BLOCK] {
        block.map(|value| value.unsigned_abs() >> self.scan.low)
    }

    fn ac_first(&mut self, block: &[i16; BLOCK]) -> Result<(), JpegError> {
        let (table, seen) = (self.table()?, self.seen(block));
        let mut zeros = 0;
        for at in usize::from(self.scan.first)..=usize::from(self.scan.last) {
            if seen[at] == 0 {
                zeros += 1;
                continue;
            }
            self.end_run()?;
            while zeros > 15 {
                self.out.symbol(table, 0xF0);
                zeros -= 16;
            }
            let value = i32::from(seen[at]) * i32::from(block[at].signum());
            let size = ac_size(value)?;
            self.out.symbol(table, zeros << 4 | size as u8);
            self.out.bits(low_bits(value), size);
            zeros = 0;
        }
        if zeros > 0 {
            self.run += 1;
            if self.run == RUN_MAX {
                self.end_run()?;
            }
        }
        Ok(())
    }

    fn ac_refine(&mut self, block: &[i16; BLOCK]) -> Result<(), JpegError> {
        let (table, seen) = (self.table()?, self.seen(block));
        let range = usize::from(self.scan.first)..=usize::from(self.scan.last);
        let newest = range.clone().rev().find(|at| seen[*at] == 1).unwrap_or(0);
        let mut zeros = 0;
        // Bits that refine this block since its last symbol.
        let mut refining = [false; BLOCK];
        let mut count = 0;
        for at in range {
            if seen[at] == 0 {
                zeros += 1;
                continue;
            }
            while zeros > 15 && at <= newest {
                self.end_run()?;
                self.out.symbol(table, 0xF0);
                zeros -= 16;
                self.refine(&refining[..count]);
                count = 0;
            }
            if seen[at] > 1 {
                refining[count] = seen[at] & 1 == 1;
                count += 1;
                continue;
            }
            self.end_run()?;
            self.out.symbol(table, zeros << 4 | 1);
            self.out.bits(u32::from(block[at] > 0), 1);
            self.refine(&refining[..count]);
            count = 0;
            zeros = 0;
        }
        if zeros > 0 || count > 0 {
            self.run += 1;
            self.waiting.extend_from_slice(&refining[..count]);
            if self.run == RUN_MAX || self.waiting.len() > WAITING_MAX {
                self.end_run()?;
            }
        }
        Ok(())
    }

    fn refine(&mut self, bits: &[bool]) {
        for bit in bits {
            self.out.bits(u32::from(*bit), 1);
        }
    }

    /// Writes that so many blocks have nothing new, and what refines them.
    fn end_run(&mut self) -> Result<(), JpegError> {
        if self.run == 0 {
            return Ok(());
        }
        let table = self.table()?;
        let size = self.run.ilog2();
        self.out.symbol(table, (size as u8) << 4);
        self.out.bits(self.run, size);
        self.run = 0;
        let waiting = std::mem::take(&mut self.waiting);
        self.refine(&waiting);
        Ok(())
    }
}

/// Bits that a number takes, its sign apart.
#[inline]
fn size(value: i32) -> u32 {
    32 - value.unsigned_abs().leading_zeros()
}

#[inline]
fn ac_size(value: i32) -> Result<u32, JpegError> {
    match size(value) {
        size @ 1..=10 => Ok(size),
        _ => Err(broken(Fault::Data)),
    }
}

/// The bits of a number as files have them: of a negative one, those of the number below.
#[inline]
fn low_bits(value: i32) -> u32 {
    (value + (value >> 31)) as u32
}
