//! A message cut into parts of which some suffice: bytes in, bytes out.
//!
//! The *whole* is label and payload, compressed if that makes it shorter. It is cut into as many rows
//! as parts are needed; further parts are computed from those (see `field`), so that any so many give
//! all. Each part says of which whole it is, by a hash of it, so that parts of different messages are
//! never joined, and what was joined is proven to be what was cut.
//!
//! This is no secret sharing: each part is sealed under the key of the message, and whoever has
//! that key reads a piece of the message from any part.
//!
//! ```text
//! part    set (16), number (1), parts (1), needed (1), length of the whole (4), row
//! whole   compressed or not (1), the payload's own length (4), length of the label (4), label, payload
//! set     SHA-256("distri stego parts 1" ‖ needed ‖ whole), the first half
//! ```

mod field;

use sha2::{Digest, Sha256};

use super::{
    Limits, decode,
    error::{Error, Measure},
    pack,
};

/// Parts in a set, at most: a part's number is a byte.
pub(crate) const PARTS_MAX: usize = 255;

/// What a part is longer than its row.
const PREFIX: usize = 16 + 1 + 1 + 1 + 4;

/// One of the parts of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    set: [u8; 16],
    number: u8,
    pub(crate) parts: u8,
    pub(crate) needed: u8,
    /// Bytes of the whole, which rows are padded beyond.
    length: u32,
    row: Vec<u8>,
}

impl Part {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(PREFIX + self.row.len());
        bytes.extend_from_slice(&self.set);
        bytes.extend_from_slice(&[self.number, self.parts, self.needed]);
        bytes.extend_from_slice(&self.length.to_be_bytes());
        bytes.extend_from_slice(&self.row);
        bytes
    }

    /// `None` if these bytes are no part of anything.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (set, rest) = bytes.split_first_chunk()?;
        let ([number, parts, needed], rest) = rest.split_first_chunk()?;
        let (length, row) = rest.split_first_chunk()?;
        let part = Self {
            set: *set,
            number: *number,
            parts: *parts,
            needed: *needed,
            length: u32::from_be_bytes(*length),
            row: row.to_vec(),
        };
        let makes_sense = part.needed > 0
            && part.needed <= part.parts
            && part.number < part.parts
            && part.row.len() == row_length(part.length as usize, part.needed.into());
        makes_sense.then_some(part)
    }

    /// Whether both are of one message, cut in the same way.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        (self.set, self.needed, self.length) == (other.set, other.needed, other.length)
    }
}

fn row_length(whole: usize, needed: usize) -> usize {
    whole.div_ceil(needed)
}

/// Cuts label and payload into so many `parts`, any `needed` of which give them back. There are no
/// fewer parts than needed, and no more than [`PARTS_MAX`].
///
/// # Errors
///
/// [`Error::TooLarge`] for a payload of 4 GiB and more.
pub(crate) fn cut(
    label: &[u8],
    payload: &[u8],
    compress: bool,
    parts: usize,
    needed: usize,
) -> Result<Vec<Part>, Error> {
    let whole = whole(label, payload, compress)?;
    let length = length_of(whole.len())?;
    let row = row_length(whole.len(), needed);
    let mut padded = whole.clone();
    padded.resize(row * needed, 0);
    let known: Vec<(u8, &[u8])> = (0..needed)
        .map(|number| (number as u8, &padded[number * row..(number + 1) * row]))
        .collect();
    let set = set_of(&whole, needed as u8);
    let part = |number: usize| Part {
        set,
        number: number as u8,
        parts: parts as u8,
        needed: needed as u8,
        length,
        row: match known.get(number) {
            Some((_, row)) => row.to_vec(),
            None => field::row_at(number as u8, &known),
        },
    };
    Ok((0..parts).map(part).collect())
}

/// Label and payload of which these are parts, all of one message.
///
/// # Errors
///
/// [`Error::PartsMissing`] if they are too few, [`Error::Damaged`] if they give something else than
/// what was cut.
pub(crate) fn join(parts: &[Part], limits: &Limits) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let Some(first) = parts.first() else {
        return Err(Error::NoMessage);
    };
    let needed = usize::from(first.needed);
    let mut known: Vec<(u8, &[u8])> = Vec::with_capacity(needed);
    for part in parts {
        if known.iter().all(|(number, _)| *number != part.number) {
            known.push((part.number, &part.row));
        }
    }
    if known.len() < needed {
        return Err(Error::PartsMissing {
            has: known.len() as u32,
            needed: first.needed.into(),
            parts: first.parts.into(),
        });
    }
    known.truncate(needed);
    let mut whole = Vec::with_capacity(needed * first.row.len());
    for number in 0..first.needed {
        match known.iter().find(|(known, _)| *known == number) {
            Some((_, row)) => whole.extend_from_slice(row),
            None => whole.extend_from_slice(&field::row_at(number, &known)),
        }
    }
    whole.truncate(first.length as usize);
    if set_of(&whole, first.needed) != first.set {
        return Err(Error::Damaged);
    }
    open(&whole, limits)
}

fn whole(label: &[u8], payload: &[u8], compress: bool) -> Result<Vec<u8>, Error> {
    let packed = if compress { pack::pack(payload) } else { None };
    let bytes = packed.as_deref().unwrap_or(payload);
    let mut whole = Vec::with_capacity(9 + label.len() + bytes.len());
    whole.push(u8::from(packed.is_some()));
    whole.extend_from_slice(&length_of(payload.len())?.to_be_bytes());
    whole.extend_from_slice(&length_of(label.len())?.to_be_bytes());
    whole.extend_from_slice(label);
    whole.extend_from_slice(bytes);
    Ok(whole)
}

fn open(whole: &[u8], limits: &Limits) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let fields = || {
        let ([packed], rest) = whole.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (label, rest) = rest.split_first_chunk()?;
        let (label, bytes) = rest.split_at_checked(u32::from_be_bytes(*label) as usize)?;
        Some((*packed, u32::from_be_bytes(*length), label, bytes))
    };
    let (packed, length, label, bytes) = fields().ok_or(Error::Damaged)?;
    let payload = match packed {
        0 => bytes.to_vec(),
        1 => {
            decode::check_file_length(length.into(), limits)?;
            pack::unpack(bytes, length as usize).ok_or(Error::Damaged)?
        }
        _ => return Err(Error::Damaged),
    };
    Ok((label.to_vec(), payload))
}

fn length_of(bytes: usize) -> Result<u32, Error> {
    u32::try_from(bytes).map_err(|_| Error::TooLarge {
        what: Measure::File,
        is: bytes as u64,
        limit: u32::MAX.into(),
    })
}

fn set_of(whole: &[u8], needed: u8) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(b"distri stego parts 1");
    hash.update([needed]);
    hash.update(whole);
    let digest: [u8; 32] = hash.finalize().into();
    *digest.first_chunk().expect("half of it")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Parts of a set in any order, some of them twice.
    fn some_parts() -> impl Strategy<Value = (usize, usize, Vec<usize>)> {
        (1usize..=12)
            .prop_flat_map(|parts| (Just(parts), 1..=parts))
            .prop_flat_map(|(parts, needed)| {
                let kept = prop::collection::vec(0..parts, 0..=2 * parts);
                (Just(parts), Just(needed), kept)
            })
    }

    proptest! {
        #[test]
        fn any_parts_give_all_or_say_how_many_are_missing(
            (parts, needed, kept) in some_parts(),
            label in prop::collection::vec(any::<u8>(), 0..40),
            payload in prop::collection::vec(any::<u8>(), 0..2000),
            repeat in 1usize..4,
            compress: bool,
        ) {
            let payload = payload.repeat(repeat);
            let cut = cut(&label, &payload, compress, parts, needed).unwrap();
            prop_assert_eq!(cut.len(), parts);

            let kept_parts: Vec<Part> = kept
                .iter()
                .map(|number| Part::from_bytes(&cut[*number].to_bytes()).unwrap())
                .collect();
            let joined = join(&kept_parts, &Limits::default());

            let mut different = kept.clone();
            different.sort_unstable();
            different.dedup();
            match different.len() {
                0 => prop_assert_eq!(joined, Err(Error::NoMessage)),
                has if has < needed => prop_assert_eq!(joined, Err(Error::PartsMissing {
                    has: has as u32,
                    needed: needed as u32,
                    parts: parts as u32,
                })),
                _ => prop_assert_eq!(joined, Ok((label, payload))),
            }
        }

        #[test]
        fn any_bytes_are_a_part_or_none_and_join_without_harm(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            if let Some(part) = Part::from_bytes(&bytes) {
                prop_assert_eq!(part.to_bytes(), bytes);
                prop_assert!(join(&[part], &Limits::default()).is_err());
            }
        }
    }

    #[test]
    fn as_many_parts_as_a_byte_counts() {
        let payload: Vec<u8> = (0..=255).collect();
        let cut = cut(b"", &payload, false, PARTS_MAX, 100).unwrap();

        let joined = join(&cut[PARTS_MAX - 100..], &Limits::default());

        assert_eq!(joined, Ok((Vec::new(), payload)));
    }

    #[test]
    fn a_part_that_was_altered_is_damage() {
        let mut parts = cut(b"label", &[7; 500], false, 5, 3).unwrap();
        parts[4].row[11] ^= 1;

        let joined = join(&parts[2..], &Limits::default());

        assert_eq!(joined, Err(Error::Damaged));
    }

    #[test]
    fn parts_of_two_messages_are_not_beside_each_other() {
        let one = cut(b"", &[7; 500], false, 5, 3).unwrap();
        let again = cut(b"", &[7; 500], false, 6, 3).unwrap();
        let otherwise = cut(b"", &[7; 500], false, 5, 4).unwrap();
        let other = cut(b"", &[8; 500], false, 5, 3).unwrap();

        assert!(one[0].is_beside(&one[4]) && one[0].is_beside(&again[5]));
        assert!(!one[0].is_beside(&other[0]) && !one[0].is_beside(&otherwise[0]));
    }

    #[test]
    fn no_more_memory_is_taken_than_limits_allow() {
        let parts = cut(b"", &[0; 100_000], true, 2, 1).unwrap();
        let limits = Limits {
            file_max: 50_000,
            ..Limits::default()
        };

        assert!(matches!(
            join(&parts[1..], &limits),
            Err(Error::TooLarge { .. })
        ));
    }
}
