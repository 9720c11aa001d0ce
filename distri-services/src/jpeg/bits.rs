//! Bits of coded data, in which every byte 0xFF is followed by a zero and a marker ends it.

use super::{Fault, JpegError, broken};

/// Takes bits from coded data.
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, from the highest down.
    buffer: u64,
    bits: u32,
    /// How many of them are made up, because the data has ended.
    missing: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            at: 0,
            buffer: 0,
            bits: 0,
            missing: 0,
        }
    }

    /// Sees to it that 48 bits and more are at hand; zeros, if there are no others.
    #[inline]
    pub(super) fn fill(&mut self) {
        if self.bits >= 48 {
            return;
        }
        if let Some(next) = self.data[self.at..].first_chunk::<8>() {
            let word = u64::from_be_bytes(*next);
            let inverse = !word;
            let full = inverse.wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080;
            if full == 0 {
                // Bits of a byte that is only taken in part are the same when it is taken whole.
                self.buffer |= word >> self.bits;
                let bytes = (63 - self.bits) / 8;
                self.at += bytes as usize;
                self.bits += 8 * bytes;
                return;
            }
        }
        self.fill_slowly();
    }

    #[cold]
    fn fill_slowly(&mut self) {
        // What was taken in part is taken again.
        self.buffer &= !(u64::MAX >> self.bits);
        while self.bits <= 56 {
            let byte = match (self.data.get(self.at), self.data.get(self.at + 1)) {
                (Some(0xFF), Some(0)) => {
                    self.at += 2;
                    0xFF
                }
                (Some(0xFF), _) | (None, _) => {
                    self.missing += 8;
                    0
                }
                (Some(byte), _) => {
                    self.at += 1;
                    *byte
                }
            };
            self.buffer |= u64::from(byte) << (56 - self.bits);
            self.bits += 8;
        }
    }

    /// The next `count` bits, 1 to 16, which stay. Call [`fill`](Self::fill) before.
    #[inline]
    pub(super) fn peek(&self, count: u32) -> usize {
        (self.buffer >> (64 - count)) as usize
    }

    #[inline]
    pub(super) fn skip(&mut self, count: u32) {
        debug_assert!(
            count <= self.bits,
            "bits are filled up before they are taken"
        );
        self.buffer <<= count;
        self.bits -= count;
    }

    /// The next bits as a number, up to 16, or zero for none. Call [`fill`](Self::fill) before.
    #[inline]
    pub(super) fn take(&mut self, count: u32) -> i32 {
        if count == 0 {
            return 0;
        }
        let taken = self.peek(count) as i32;
        self.skip(count);
        taken
    }

    #[inline]
    pub(super) fn bit(&mut self) -> bool {
        self.fill();
        self.take(1) == 1
    }

    /// A number of so many bits that may be negative (T.81, F.2.2.1).
    #[inline]
    pub(super) fn signed(&mut self, count: u32) -> i32 {
        let taken = self.take(count);
        if count > 0 && taken < 1 << (count - 1) {
            taken - (1 << count) + 1
        } else {
            taken
        }
    }

    /// Fails if more was taken than there is.
    #[inline]
    pub(super) fn check(&self) -> Result<(), JpegError> {
        if self.bits < self.missing {
            return Err(broken(Fault::Short));
        }
        Ok(())
    }

    /// Ends at a marker: gives where it is, if nothing but padding is left before it.
    pub(super) fn end(&mut self) -> Result<usize, JpegError> {
        self.check()?;
        let marker = |data: &[u8]| matches!(data, [0xFF, second, ..] if *second != 0);
        // What lies ahead may have been taken in already.
        if self.bits - self.missing >= 8 || !marker(&self.data[self.at..]) {
            return Err(broken(Fault::Data));
        }
        (self.buffer, self.bits, self.missing) = (0, 0, 0);
        Ok(self.at)
    }

    /// Goes on behind the restart marker of this number.
    pub(super) fn restart(&mut self, number: u8) -> Result<(), JpegError> {
        let at = self.end()?;
        if self.data[at + 1] != 0xD0 + number {
            return Err(broken(Fault::Data));
        }
        self.at = at + 2;
        Ok(())
    }
}

/// Puts bits into coded data.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    buffer: u64,
    bits: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            out,
            buffer: 0,
            bits: 0,
        }
    }

    /// The lowest `count` bits of `value`, up to 32.
    #[inline]
    pub(super) fn put(&mut self, value: u32, count: u32) {
        let value = u64::from(value) & ((1 << count) - 1);
        self.buffer = self.buffer << count | value;
        self.bits += count;
        if self.bits >= 32 {
            self.bits -= 32;
            let word = (self.buffer >> self.bits) as u32;
            for byte in word.to_be_bytes() {
                self.byte(byte);
            }
        }
    }

    #[inline]
    fn byte(&mut self, byte: u8) {
        self.out.push(byte);
        if byte == 0xFF {
            self.out.push(0);
        }
    }

    /// Pads the last byte with ones.
    pub(super) fn end(&mut self) {
        let padding = (8 - self.bits % 8) % 8;
        self.put((1 << padding) - 1, padding);
        while self.bits > 0 {
            self.bits -= 8;
            let byte = (self.buffer >> self.bits) as u8;
            self.byte(byte);
        }
    }

    pub(super) fn restart(&mut self, number: u8) {
        self.end();
        self.out.extend([0xFF, 0xD0 + number]);
    }
}
