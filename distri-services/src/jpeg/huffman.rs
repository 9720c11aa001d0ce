//! Huffman tables: as files define them, to decode by, to encode by, and the best for given counts.

use super::{Fault, JpegError, bits::BitReader, broken};

/// The longest code that files may have.
const LENGTH_MAX: usize = 16;
/// Codes up to this length are looked up at once.
const QUICK: u32 = 9;

/// A table as a file defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    /// Class (0 for DC, 1 for AC) and number, as in the file.
    pub(super) place: u8,
    /// Codes of each length from 1 on.
    lengths: [u8; LENGTH_MAX],
    /// In the order of their codes.
    symbols: Vec<u8>,
}

impl Spec {
    /// The next definition in a segment of them.
    pub(super) fn read(segment: &mut &[u8]) -> Result<Self, JpegError> {
        let table = || broken(Fault::Table);
        let ([place], rest) = segment.split_first_chunk().ok_or(table())?;
        let (lengths, rest) = rest.split_first_chunk::<LENGTH_MAX>().ok_or(table())?;
        let count: usize = lengths.iter().map(|count| usize::from(*count)).sum();
        let (symbols, rest) = rest.split_at_checked(count).ok_or(table())?;
        if place & 0xF0 > 0x10 || place & 0x0F > 3 || count > 256 {
            return Err(table());
        }
        let mut free = 1u32;
        for count in lengths {
            let used = u32::from(*count);
            free = (2 * free).checked_sub(used).ok_or(table())?;
        }
        let mut seen = [false; 256];
        for symbol in symbols {
            if std::mem::replace(&mut seen[usize::from(*symbol)], true) {
                return Err(table());
            }
        }
        *segment = rest;
        Ok(Self {
            place: *place,
            lengths: *lengths,
            symbols: symbols.to_vec(),
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.place);
        out.extend(self.lengths);
        out.extend(&self.symbols);
    }

    pub(super) fn is_dc(&self) -> bool {
        self.place < 0x10
    }

    /// Each symbol with its code and that code's length.
    fn codes(&self) -> impl Iterator<Item = (u8, u32, u32)> + '_ {
        let lengths = (1..).zip(self.lengths);
        let lengths = lengths.flat_map(|(length, count)| (0..count).map(move |_| length));
        let (mut code, mut before) = (0u32, 0u32);
        lengths.zip(&self.symbols).map(move |(length, symbol)| {
            code <<= length - before;
            before = length;
            code += 1;
            (*symbol, code - 1, length)
        })
    }

    /// The best table for symbols that occur so often: the way of T.81, annex K.2, with ties decided as
    /// the IJG's library does, so that its tables come out.
    pub(super) fn best(place: u8, counts: &[u32; 256]) -> Self {
        // One more, so that no code consists of ones alone.
        let mut weights = [0u64; 257];
        for (weight, count) in weights.iter_mut().zip(counts) {
            *weight = u64::from(*count);
        }
        weights[256] = 1;
        let mut sizes = [0usize; 257];
        let mut others = [None; 257];
        loop {
            let least = |apart: Option<usize>| {
                let there = (0..257).filter(|i| weights[*i] > 0 && Some(*i) != apart);
                // Of equals the last.
                there.rev().min_by_key(|i| weights[*i])
            };
            let Some(first) = least(None) else { break };
            let Some(second) = least(Some(first)) else {
                break;
            };
            weights[first] += weights[second];
            weights[second] = 0;
            let mut at = first;
            sizes[at] += 1;
            while let Some(next) = others[at] {
                at = next;
                sizes[at] += 1;
            }
            others[at] = Some(second);
            at = second;
            sizes[at] += 1;
            while let Some(next) = others[at] {
                at = next;
                sizes[at] += 1;
            }
        }
        let mut lengths = [0usize; 258];
        for size in sizes.iter().filter(|size| **size > 0) {
            lengths[*size] += 1;
        }
        // Codes that are too long move up in pairs (K.3).
        for long in (LENGTH_MAX + 1..258).rev() {
            while lengths[long] > 0 {
                let mut short = long - 2;
                while lengths[short] == 0 {
                    short -= 1;
                }
                lengths[long] -= 2;
                lengths[long - 1] += 1;
                lengths[short + 1] += 2;
                lengths[short] -= 1;
            }
        }
        // The one that was added has one of the longest.
        if let Some(longest) = (1..=LENGTH_MAX).rev().find(|length| lengths[*length] > 0) {
            lengths[longest] -= 1;
        }
        let mut symbols: Vec<u8> = (0..=255).filter(|s| sizes[usize::from(*s)] > 0).collect();
        symbols.sort_by_key(|symbol| sizes[usize::from(*symbol)]);
        Self {
            place,
            lengths: std::array::from_fn(|i| lengths[i + 1] as u8),
            symbols,
        }
    }
}

/// A table to decode by.
pub(super) struct Decoder {
    /// For the next [`QUICK`] bits: length and symbol of the code that they begin with, or zero.
    quick: Box<[u16; 1 << QUICK]>,
    /// For each length: the code behind the last one, as 16 bits, and what to add to a code for its
    /// symbol's place.
    ends: [(u32, i32); LENGTH_MAX + 1],
    symbols: Vec<u8>,
}

impl Decoder {
    pub(super) fn new(spec: &Spec) -> Self {
        let mut quick = Box::new([0; 1 << QUICK]);
        let mut ends = [(0, 0); LENGTH_MAX + 1];
        for (place, (symbol, code, length)) in spec.codes().enumerate() {
            ends[length as usize] = ((code + 1) << (16 - length), place as i32 - code as i32);
            if let Some(rest) = QUICK.checked_sub(length) {
                let first = (code << rest) as usize;
                quick[first..first + (1 << rest)].fill((length as u16) << 8 | u16::from(symbol));
            }
        }
        Self {
            quick,
            ends,
            symbols: spec.symbols.clone(),
        }
    }

    /// The next symbol. At least 32 bits are left in the buffer for what belongs to it.
    #[inline]
    pub(super) fn next(&self, bits: &mut BitReader<'_>) -> Result<u8, JpegError> {
        bits.fill();
        let quick = self.quick[bits.peek(QUICK)];
        if quick != 0 {
            bits.skip(u32::from(quick >> 8));
            return Ok(quick as u8);
        }
        let next = bits.peek(16) as u32;
        for length in QUICK as usize + 1..=LENGTH_MAX {
            let (end, offset) = self.ends[length];
            if next < end {
                let place = (next >> (16 - length)) as i32 + offset;
                bits.skip(length as u32);
                let symbol = usize::try_from(place)
                    .ok()
                    .and_then(|p| self.symbols.get(p));
                return symbol.copied().ok_or(broken(Fault::Data));
            }
        }
        Err(broken(Fault::Data))
    }
}

/// A table to encode by: code and length for each symbol; length 0 for those without.
pub(super) struct Encoder(Box<[(u16, u8); 256]>);

impl Encoder {
    pub(super) fn new(spec: &Spec) -> Self {
        let mut codes = Box::new([(0, 0); 256]);
        for (symbol, code, length) in spec.codes() {
            codes[usize::from(symbol)] = (code as u16, length as u8);
        }
        Self(codes)
    }

    #[inline]
    pub(super) fn code(&self, symbol: u8) -> (u32, u32) {
        let (code, length) = self.0[usize::from(symbol)];
        (u32::from(code), u32::from(length))
    }

    /// Whether each symbol that occurs has a code.
    pub(super) fn suffices(&self, counts: &[u32; 256]) -> bool {
        counts
            .iter()
            .zip(&*self.0)
            .all(|(count, code)| *count == 0 || code.1 > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_table_gives_frequent_symbols_short_codes_and_none_more_than_sixteen_bits() {
        let mut counts = [0; 256];
        for (i, count) in counts.iter_mut().enumerate().take(30) {
            *count = 1 << i;
        }

        let spec = Spec::best(0x10, &counts);

        let codes: Vec<_> = spec.codes().collect();
        assert_eq!(codes.len(), 30);
        assert_eq!(codes[0].2, 1);
        assert!(
            codes
                .iter()
                .all(|(_, code, length)| { *length <= 16 && *code < (1 << length) - 1 })
        );
        let mut file = Vec::new();
        spec.write(&mut file);
        assert_eq!(Spec::read(&mut &file[..]), Ok(spec));
    }

    #[test]
    fn no_symbols_and_one_symbol_have_tables_too() {
        let mut counts = [0; 256];
        assert!(Spec::best(0, &counts).symbols.is_empty());
        counts[7] = 9;
        assert_eq!(
            Spec::best(0, &counts).codes().collect::<Vec<_>>(),
            [(7, 0, 1)]
        );
    }

    #[test]
    fn tables_with_more_codes_than_there_are_bits_are_refused() {
        let mut file = vec![0x00, 3];
        file.extend([0; 15]);
        file.extend([1, 2, 3]);
        assert_eq!(Spec::read(&mut &file[..]), Err(broken(Fault::Table)));
    }

    #[test]
    fn every_code_is_decoded() {
        let mut counts = [1; 256];
        counts[3] = 100_000;
        let spec = Spec::best(0x10, &counts);
        let (encoder, decoder) = (Encoder::new(&spec), Decoder::new(&spec));
        let mut file = Vec::new();
        let mut writer = super::super::bits::BitWriter::new(&mut file);
        for symbol in 0..=255 {
            let (code, length) = encoder.code(symbol);
            writer.put(code, length);
        }
        writer.end();
        file.extend([0xFF, 0xD9]);

        let mut reader = BitReader::new(&file);

        for symbol in 0..=255 {
            assert_eq!(decoder.next(&mut reader), Ok(symbol));
        }
        assert_eq!(reader.end(), Ok(file.len() - 2));
    }
}
