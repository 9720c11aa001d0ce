//! Syndrome-trellis codes: how a message is put into bits so that the dear ones stay as they are
//! (Filler, Judas, Fridrich: *Minimizing Additive Distortion in Steganography Using Syndrome-Trellis
//! Codes*, IEEE TIFS 6(3), 2011).
//!
//! Sender and receiver agree on a banded binary matrix. What is read from n bits is that matrix
//! times them, q bits in all, one for each *block* of about n / q elements; each element has a
//! *column* of [`Height`] bits, which says to which of the next messages bits it adds. Of the many
//! ways to change bits so that a given message is read, the trellis finds the cheapest.
//!
//! A greater height comes nearer to the least possible distortion and takes twice as long for each
//! step. Pure: bits and costs in, bits out. What a cost is, is `adaptive`'s business.

mod columns;
mod lanes;
mod plain;
mod trellis;

use std::ops::Range;

pub(crate) use self::trellis::{NEVER, Trellis};

/// How many bits of the message an element adds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Height(u8);

/// The lowest code: an eighth of the work of the usual one, a tenth more distortion.
pub(crate) const HEIGHT_MIN: u8 = 7;
/// The highest code: four times the work of the usual one, 3 % less distortion.
pub(crate) const HEIGHT_MAX: u8 = 12;

impl Height {
    pub(crate) fn new(height: u8) -> Option<Self> {
        (HEIGHT_MIN..=HEIGHT_MAX)
            .contains(&height)
            .then_some(Self(height))
    }

    pub(crate) fn get(self) -> u8 {
        self.0
    }
}

/// A code of one height, for blocks of all widths.
pub(crate) struct Code {
    height: Height,
    /// Columns of blocks that are wider than those that were searched for.
    many: Vec<u16>,
}

/// The elements of each block, if there are so many blocks and elements: block i ends at
/// (i + 1) · elements / blocks, rounded down. Counted along, because there are as many divisions as
/// bits of a message otherwise, several times over.
pub(crate) fn blocks(blocks: usize, elements: usize) -> impl Iterator<Item = Range<usize>> {
    let (width, left) = match blocks {
        0 => (0, 0),
        _ => (elements / blocks, elements % blocks),
    };
    let (mut start, mut sum) = (0, 0);
    (0..blocks).map(move |_| {
        sum += left;
        let wide = sum >= blocks;
        if wide {
            sum -= blocks;
        }
        let end = start + width + usize::from(wide);
        std::mem::replace(&mut start, end)..end
    })
}

impl Code {
    /// A code for blocks of up to `width` elements.
    pub(crate) fn new(height: Height, width: usize) -> Self {
        let many = if width <= columns::SEARCHED {
            Vec::new()
        } else {
            columns::many(height.0, width)
        };
        Self { height, many }
    }

    fn half(&self) -> usize {
        1 << (self.height.0 - 1)
    }

    fn columns(&self, width: usize) -> &[u16] {
        if width <= columns::SEARCHED {
            columns::few(self.height.0, width)
        } else {
            &self.many[..width]
        }
    }

    /// Reads the message of `read.len()` bits, one a byte, that `samples` carry, of which `bit` tells
    /// the bit.
    pub(crate) fn read<T: Copy>(&self, samples: &[T], bit: impl Fn(T) -> u8, read: &mut [u8]) {
        let mut state = 0;
        for (block, read) in blocks(read.len(), samples.len()).zip(read) {
            let columns = self.columns(block.len());
            for (sample, column) in samples[block].iter().zip(columns) {
                state ^= column & u16::from(bit(*sample)).wrapping_neg();
            }
            *read = (state & 1) as u8;
            state >>= 1;
        }
    }

    /// Changes `bits` so that they carry `message`, at least cost. `costs` has a byte for each
    /// bit; [`NEVER`] is for bits that stay. Fills `changes` with ones where it changed.
    ///
    /// At least one element in each block must be free to change; false if that was not enough,
    /// which takes blocks whose only free elements are the same few.
    pub(crate) fn write(
        &self,
        trellis: &mut Trellis,
        costs: &[u8],
        bits: &mut [u8],
        message: &[u8],
        changes: &mut [u8],
    ) -> bool {
        self.write_after(0, trellis, costs, bits, message, changes)
    }

    /// The same, after so many bits that stay as they are.
    pub(crate) fn write_after(
        &self,
        lead: usize,
        trellis: &mut Trellis,
        costs: &[u8],
        bits: &mut [u8],
        message: &[u8],
        changes: &mut [u8],
    ) -> bool {
        let mut read = vec![0; lead + message.len()];
        self.read(bits, |bit| bit, &mut read);
        let mut target = vec![0; lead];
        target.extend(read[lead..].iter().zip(message).map(|(a, b)| a ^ b));
        if !trellis.search(self, costs, &target, changes)
            && plain::search(self, costs, &target, changes).is_none()
        {
            return false;
        }
        for (bit, change) in bits.iter_mut().zip(&*changes) {
            *bit ^= change;
        }
        true
    }
}

#[cfg(test)]
mod tests;
