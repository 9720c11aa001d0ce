//! Payloads made shorter, where that is possible, so that less of the cover has to change.

use std::io::{Read, Write};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};

/// If the beginning does not get shorter, the rest is not tried.
const PROBE: usize = 64 * 1024;

/// `payload` compressed (DEFLATE), or `None` if that would not be shorter.
pub(crate) fn pack(payload: &[u8]) -> Option<Vec<u8>> {
    let probe = &payload[..payload.len().min(PROBE)];
    let packed = deflate(probe).filter(|packed| packed.len() < probe.len())?;
    if probe.len() == payload.len() {
        return Some(packed);
    }
    deflate(payload).filter(|packed| packed.len() < payload.len())
}

fn deflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

/// What [`pack`] was given, which had `length` bytes; `None` if these bytes are of nothing so long.
/// Takes no more memory than for that length.
pub(crate) fn unpack(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut payload = Vec::new();
    let mut decoder = DeflateDecoder::new(packed).take(length as u64 + 1);
    decoder.read_to_end(&mut payload).ok()?;
    (payload.len() == length).then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_get_shorter_and_come_back() {
        for length in [100, 70_000, 300_000] {
            let text: Vec<u8> = b"to be or not to be, "
                .iter()
                .copied()
                .cycle()
                .take(length)
                .collect();

            let packed = pack(&text).unwrap();

            assert!(packed.len() * 2 < length);
            assert_eq!(unpack(&packed, length), Some(text));
            assert_eq!(unpack(&packed, length - 1), None);
            assert_eq!(unpack(&packed, length + 1), None);
        }
    }

    #[test]
    fn noise_stays_as_it_is() {
        let mut state = 1u64;
        let noise: Vec<u8> = (0..100_000)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();

        assert_eq!(pack(&noise), None);
        assert_eq!(pack(&[]), None);
    }

    #[test]
    fn what_was_never_packed_is_noticed() {
        assert_eq!(unpack(&[0xFF; 40], 10), None);
        assert_eq!(unpack(&[], 10), None);
    }
}
