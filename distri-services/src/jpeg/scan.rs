//! Scans: which coefficients, which bits of them, in which order. Decoding and encoding both follow
//! [`Scan::walk`].

use super::{BLOCK, Fault, Frame, JpegError, Kind, Plane, broken};

/// One pass over some of the coefficients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) components: Vec<Tabled>,
    /// The first and last coefficient of each block, in the order of files.
    pub(super) first: u8,
    pub(super) last: u8,
    /// The lowest bit that an earlier scan gave, or zero, and the lowest that this one gives.
    pub(super) high: u8,
    pub(super) low: u8,
    /// Units between restarts; zero for none.
    pub(super) restart: u16,
}

/// A component in a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tabled {
    /// Its place in the frame.
    pub(super) index: usize,
    /// The numbers of the definitions of its Huffman tables.
    pub(super) dc: Option<usize>,
    pub(super) ac: Option<usize>,
}

/// What a scan codes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Everything, in a file that is not progressive.
    Sequential,
    DcFirst,
    DcRefine,
    AcFirst,
    AcRefine,
}

/// What is next in a scan.
pub(super) enum Next {
    /// The block at this place of the plane of this component of the scan.
    Block { component: usize, at: usize },
    /// A restart with this number.
    Restart(u8),
}

impl Scan {
    pub(super) fn pass(&self, frame: &Frame) -> Pass {
        match (frame.progressive, self.first, self.high) {
            (false, ..) => Pass::Sequential,
            (true, 0, 0) => Pass::DcFirst,
            (true, 0, _) => Pass::DcRefine,
            (true, _, 0) => Pass::AcFirst,
            (true, ..) => Pass::AcRefine,
        }
    }

    /// Whether it is one that a file of this kind may have.
    pub(super) fn check(&self, frame: &Frame) -> Result<(), JpegError> {
        let wrong = || broken(Fault::Scan);
        let (dc, ac) = match self.pass(frame) {
            Pass::Sequential => {
                if (self.first, self.last, self.high, self.low) != (0, 63, 0, 0) {
                    return Err(wrong());
                }
                (true, true)
            }
            Pass::DcFirst | Pass::DcRefine => {
                if self.last != 0 {
                    return Err(wrong());
                }
                (self.high == 0, false)
            }
            Pass::AcFirst | Pass::AcRefine => {
                if self.last < self.first || self.last > 63 || self.components.len() != 1 {
                    return Err(wrong());
                }
                (false, true)
            }
        };
        if self.low > 13 || self.high > 0 && self.high != self.low + 1 {
            return Err(wrong());
        }
        let blocks = |tabled: &Tabled| {
            let component = frame.components[tabled.index];
            component.across * component.down
        };
        let unit: usize = self.components.iter().map(blocks).sum();
        // The standard's bound on a unit, which keeps units small.
        if self.components.is_empty() || self.components.len() > 1 && unit > 10 {
            return Err(wrong());
        }
        let missing = |tabled: &Tabled| dc && tabled.dc.is_none() || ac && tabled.ac.is_none();
        if self.components.iter().any(missing) {
            return Err(broken(Fault::Table));
        }
        Ok(())
    }

    /// Calls `each` with every block and restart, in order.
    pub(super) fn walk(
        &self,
        frame: &Frame,
        planes: &[Plane],
        mut each: impl FnMut(Next) -> Result<(), JpegError>,
    ) -> Result<(), JpegError> {
        let (mut left, mut restarts) = (self.restart, 0);
        let mut unit = |each: &mut dyn FnMut(Next) -> Result<(), JpegError>| {
            if self.restart > 0 {
                if left == 0 {
                    each(Next::Restart(restarts))?;
                    restarts = (restarts + 1) % 8;
                    left = self.restart;
                }
                left -= 1;
            }
            Ok(())
        };
        if let [tabled] = &self.components[..] {
            let plane = &planes[tabled.index];
            for row in 0..plane.rows {
                for column in 0..plane.columns {
                    unit(&mut each)?;
                    let at = plane.at(column, row);
                    each(Next::Block { component: 0, at })?;
                }
            }
            return Ok(());
        }
        let (units, rows) = frame.units();
        for row in 0..rows {
            for column in 0..units {
                unit(&mut each)?;
                for (component, tabled) in self.components.iter().enumerate() {
                    let (plane, shape) = (&planes[tabled.index], frame.components[tabled.index]);
                    for down in 0..shape.down {
                        for across in 0..shape.across {
                            let (column, row) =
                                (column * shape.across + across, row * shape.down + down);
                            let at = plane.at(column, row);
                            each(Next::Block { component, at })?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// Which bits of which coefficients have been given.
#[derive(Default)]
pub(super) struct Progress {
    /// For each component and coefficient the lowest bit that is known, if any.
    lowest: [[Option<u8>; BLOCK / 2]; 6],
    any: bool,
}

impl Progress {
    pub(super) fn is_empty(&self) -> bool {
        !self.any
    }

    fn of(&mut self, component: usize, coefficient: usize) -> &mut Option<u8> {
        &mut self.lowest[2 * component + coefficient / 32][coefficient % 32]
    }

    /// Notes a scan, which must give bits in order: each once, from the highest down.
    pub(super) fn add(&mut self, scan: &Scan, frame: &Frame) -> Result<(), JpegError> {
        self.any = true;
        let before = match scan.pass(frame) {
            Pass::DcRefine | Pass::AcRefine => Some(scan.high),
            Pass::Sequential | Pass::DcFirst | Pass::AcFirst => None,
        };
        for tabled in &scan.components {
            for coefficient in scan.first..=scan.last {
                let lowest = self.of(tabled.index, usize::from(coefficient));
                if *lowest != before {
                    return Err(broken(Fault::Scan));
                }
                *lowest = Some(scan.low);
            }
        }
        Ok(())
    }

    /// Whether every bit of every coefficient was given.
    pub(super) fn check_all(&mut self, components: usize) -> Result<(), JpegError> {
        let all = &self.lowest[..2 * components];
        if all.iter().flatten().all(|lowest| *lowest == Some(0)) {
            Ok(())
        } else {
            Err(JpegError::Unsupported(Kind::Incomplete))
        }
    }
}
