//! From coded data to coefficients.

use super::{
    BLOCK, Fault, Frame, JpegError, Plane,
    bits::BitReader,
    broken,
    huffman::{Decoder, Spec},
    scan::{Next, Pass, Scan},
};

/// More bits than any coefficient of 8-bit samples has (T.81, tables F.1 and F.2).
const DC_BITS_MAX: u8 = 11;
const AC_BITS_MAX: u8 = 10;

impl Scan {
    /// Decodes what `data` begins with into `planes`. Gives its length.
    pub(super) fn decode(
        &self,
        frame: &Frame,
        specs: &[Spec],
        planes: &mut [Plane],
        data: &[u8],
    ) -> Result<usize, JpegError> {
        let decoder = |number: Option<usize>| number.map(|number| Decoder::new(&specs[number]));
        let tables: Vec<_> = self
            .components
            .iter()
            .map(|tabled| (decoder(tabled.dc), decoder(tabled.ac)))
            .collect();
        let pass = self.pass(frame);
        let mut bits = BitReader::new(data);
        let mut blocks = Blocks {
            scan: self,
            run: 0,
            before: [0; 3],
        };
        // The shapes are needed while the coefficients are written.
        let mut taken: Vec<_> = planes
            .iter_mut()
            .map(|plane| std::mem::take(&mut plane.coefficients))
            .collect();
        let walked = self.walk(frame, planes, |next| match next {
            Next::Restart(number) => {
                if blocks.run > 0 {
                    return Err(broken(Fault::Data));
                }
                blocks.before = [0; 3];
                bits.restart(number)
            }
            Next::Block { component, at } => {
                let block = &mut taken[self.components[component].index][at];
                let missing = || broken(Fault::Table);
                let (dc, ac) = &tables[component];
                let (dc, ac) = (
                    dc.as_ref().ok_or_else(missing),
                    ac.as_ref().ok_or_else(missing),
                );
                match pass {
                    Pass::Sequential => {
                        blocks.dc(component, dc?, &mut bits, block)?;
                        sequential(ac?, &mut bits, block)?;
                    }
                    Pass::DcFirst => blocks.dc(component, dc?, &mut bits, block)?,
                    Pass::DcRefine => block[0] |= i16::from(bits.bit()) << self.low,
                    Pass::AcFirst => blocks.ac_first(ac?, &mut bits, block)?,
                    Pass::AcRefine => blocks.ac_refine(ac?, &mut bits, block)?,
                }
                bits.check()
            }
        });
        for (plane, coefficients) in planes.iter_mut().zip(taken) {
            plane.coefficients = coefficients;
        }
        walked?;
        if blocks.run > 0 {
            return Err(broken(Fault::Data));
        }
        bits.end()
    }
}

/// The coefficients behind the first, in a file that is not progressive.
fn sequential(
    table: &Decoder,
    bits: &mut BitReader<'_>,
    block: &mut [i16; BLOCK],
) -> Result<(), JpegError> {
    let mut at = 1;
    while at < BLOCK {
        let symbol = table.next(bits)?;
        let (zeros, size) = (usize::from(symbol >> 4), symbol & 0x0F);
        if size == 0 {
            match zeros {
                0 => return Ok(()),
                15 => {
                    at += 16;
                    continue;
                }
                _ => return Err(broken(Fault::Data)),
            }
        }
        at += zeros;
        if at >= BLOCK || size > AC_BITS_MAX {
            return Err(broken(Fault::Data));
        }
        block[at] = bits.signed(u32::from(size)) as i16;
        at += 1;
    }
    // Zeros beyond the block.
    if at > BLOCK {
        Err(broken(Fault::Data))
    } else {
        Ok(())
    }
}

struct Blocks<'a> {
    scan: &'a Scan,
    /// Further blocks of which this scan gives nothing new.
    run: u32,
    /// The last DC coefficient of each component of the scan.
    before: [i32; 3],
}

impl Blocks<'_> {
    fn dc(
        &mut self,
        component: usize,
        table: &Decoder,
        bits: &mut BitReader<'_>,
        block: &mut [i16; BLOCK],
    ) -> Result<(), JpegError> {
        let size = table.next(bits)?;
        if size > DC_BITS_MAX {
            return Err(broken(Fault::Data));
        }
        let value = self.before[component] + bits.signed(u32::from(size));
        self.before[component] = value;
        let shifted = i16::try_from(value << self.scan.low);
        block[0] = shifted.map_err(|_| broken(Fault::Data))?;
        Ok(())
    }

    fn ac_first(
        &mut self,
        table: &Decoder,
        bits: &mut BitReader<'_>,
        block: &mut [i16; BLOCK],
    ) -> Result<(), JpegError> {
        if self.run > 0 {
            self.run -= 1;
            return Ok(());
        }
        let (mut at, last) = (usize::from(self.scan.first), usize::from(self.scan.last));
        while at <= last {
            let symbol = table.next(bits)?;
            let (zeros, size) = (usize::from(symbol >> 4), symbol & 0x0F);
            match (zeros, size) {
                (15, 0) => at += 16,
                (_, 0) => {
                    self.run = (1 << zeros) + bits.take(zeros as u32) as u32 - 1;
                    return Ok(());
                }
                _ => {
                    at += zeros;
                    if at > last || size > AC_BITS_MAX {
                        return Err(broken(Fault::Data));
                    }
                    let value = bits.signed(u32::from(size)) << self.scan.low;
                    block[at] = i16::try_from(value).map_err(|_| broken(Fault::Data))?;
                    at += 1;
                }
            }
        }
        if at > last + 1 {
            Err(broken(Fault::Data))
        } else {
            Ok(())
        }
    }

    fn ac_refine(
        &mut self,
        table: &Decoder,
        bits: &mut BitReader<'_>,
        block: &mut [i16; BLOCK],
    ) -> Result<(), JpegError> {
        let (mut at, last) = (usize::from(self.scan.first), usize::from(self.scan.last));
        let one = 1i16 << self.scan.low;
        let refine = |bits: &mut BitReader<'_>, value: &mut i16| {
            if bits.bit() && value.unsigned_abs() & one.unsigned_abs() == 0 {
                *value += if *value > 0 { one } else { -one };
            }
        };
        while self.run == 0 && at <= last {
            let symbol = table.next(bits)?;
            let (mut zeros, size) = (symbol >> 4, symbol & 0x0F);
            let fresh = match (zeros, size) {
                (15, 0) => 0,
                (_, 0) => {
                    self.run = (1 << zeros) + bits.take(u32::from(zeros)) as u32;
                    break;
                }
                (_, 1) => {
                    if bits.take(1) == 1 {
                        one
                    } else {
                        -one
                    }
                }
                _ => return Err(broken(Fault::Data)),
            };
            while at <= last {
                if block[at] != 0 {
                    refine(bits, &mut block[at]);
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                at += 1;
            }
            if at > last {
                // Zeros beyond the last, or a new coefficient without a place.
                return Err(broken(Fault::Data));
            }
            block[at] = fresh;
            at += 1;
        }
        if self.run > 0 {
            for value in &mut block[at..=last] {
                if *value != 0 {
                    refine(bits, value);
                }
            }
            self.run -= 1;
        }
        Ok(())
    }
}
