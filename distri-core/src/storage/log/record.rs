//! The bytes of a segment: its header, and records.
//!
//! ```text
//! header  magic 8 | version u32 | segment number u64 | crc u32
//! record  length u32 | synced u32 | body crc u32 | kind u8, 0, 0, 0 | head crc u32 | body | zeros
//! ```
//!
//! Little endian; records begin at multiples of four. The head's checksum is also over the segment's
//! number and the record's offset, so bytes of another place are never taken for a record of this
//! one. `synced` is how many bytes of the segment were known to be durable when the record was
//! written: a record proves everything before that, see [`super::replay`].

use bytes::{Buf, BufMut, Bytes};

use super::Entry;

/// The format written here, and the newest that can be read.
pub(super) const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"distrlog";

/// Of the header of a segment. The same in all versions, so that any of them can be named.
pub(super) const HEADER: usize = 24;

/// Of the head of a record.
pub(super) const HEAD: usize = 20;

/// Records begin at multiples of this, which is what makes looking for them quick.
pub(super) const ALIGNMENT: usize = 4;

/// A body is an entry at most: two numbers and a payload.
pub(super) const BODY_MAX: usize = 16 + super::PAYLOAD_MAX;

/// The encoded header of segment `number`.
pub(super) fn header(number: u64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..20].copy_from_slice(&number.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..20]);
    bytes[20..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// What is wrong with a header.
#[derive(Debug, PartialEq)]
pub(super) enum HeaderError {
    Damaged(&'static str),
    Version(u32),
}

/// Checks that `bytes` are the header of segment `number`.
pub(super) fn check_header(bytes: &[u8; HEADER], number: u64) -> Result<(), HeaderError> {
    let mut rest = &bytes[8..];
    let (version, found, crc) = (rest.get_u32_le(), rest.get_u64_le(), rest.get_u32_le());
    if &bytes[..8] != MAGIC {
        Err(HeaderError::Damaged("it does not begin as a log segment"))
    } else if crc32fast::hash(&bytes[..20]) != crc {
        Err(HeaderError::Damaged("the checksum of the header is wrong"))
    } else if version > VERSION {
        Err(HeaderError::Version(version))
    } else if found != number {
        Err(HeaderError::Damaged("the header is of another segment"))
    } else {
        Ok(())
    }
}

/// One thing that happened to the log.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Record {
    /// The first of every segment: what the segments before it amount to.
    State(View),
    Entry(Entry),
    Vote(Bytes),
    Committed(Bytes),
    /// Only entries up to this one remain.
    Truncate(Option<u64>),
    Purge(LogId),
    /// The last of every segment but the last: nothing follows.
    Seal,
    /// Says only what is synced: a log that was closed needs no trust in its last batch.
    Mark,
}

/// Term and index.
pub(super) type LogId = (u64, u64);

/// What a stream of records amounts to, without the entries.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct View {
    pub(super) vote: Option<Bytes>,
    pub(super) committed: Option<Bytes>,
    pub(super) purged: Option<LogId>,
    /// The index of the last entry, purged or not.
    pub(super) last: Option<u64>,
}

impl View {
    /// The only index that may come next; any may if nothing was ever there.
    pub(super) fn next(&self) -> Option<u64> {
        self.last.map(|last| last.saturating_add(1))
    }

    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::State(view) => self.clone_from(view),
            Record::Entry(entry) => self.last = Some(entry.index),
            Record::Vote(vote) => self.vote = Some(vote.clone()),
            Record::Committed(committed) => self.committed = Some(committed.clone()),
            Record::Truncate(after) => {
                self.last = self.last.min(*after).max(self.purged_index());
            }
            Record::Purge(id) => {
                if Some(id.1) > self.purged_index() {
                    self.purged = Some(*id);
                }
                self.last = self.last.max(self.purged_index());
            }
            Record::Seal | Record::Mark => {}
        }
    }

    pub(super) fn purged_index(&self) -> Option<u64> {
        self.purged.map(|(_, index)| index)
    }
}

impl Record {
    const STATE: u8 = 1;
    const ENTRY: u8 = 2;
    const VOTE: u8 = 3;
    const COMMITTED: u8 = 4;
    const TRUNCATE: u8 = 5;
    const PURGE: u8 = 6;
    const SEAL: u8 = 7;
    const MARK: u8 = 8;

    fn kind(&self) -> u8 {
        match self {
            Self::State(_) => Self::STATE,
            Self::Entry(_) => Self::ENTRY,
            Self::Vote(_) => Self::VOTE,
            Self::Committed(_) => Self::COMMITTED,
            Self::Truncate(_) => Self::TRUNCATE,
            Self::Purge(_) => Self::PURGE,
            Self::Seal => Self::SEAL,
            Self::Mark => Self::MARK,
        }
    }

    fn body_length(&self) -> usize {
        let optional =
            |bytes: &Option<Bytes>| 1 + bytes.as_ref().map_or(0, |bytes| 4 + bytes.len());
        match self {
            Self::State(view) => optional(&view.vote) + optional(&view.committed) + 17 + 9,
            Self::Entry(entry) => 16 + entry.payload.len(),
            Self::Vote(bytes) | Self::Committed(bytes) => bytes.len(),
            Self::Truncate(_) => 9,
            Self::Purge(_) => 16,
            Self::Seal | Self::Mark => 0,
        }
    }

    /// How many bytes of a segment it takes.
    pub(super) fn size(&self) -> usize {
        size_of_body(self.body_length())
    }

    /// Appends the record to `out`, for `place`.
    pub(super) fn encode(&self, place: Place, synced: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_bytes(0, HEAD);
        self.encode_body(out);
        let length = out.len() - start - HEAD;
        out.resize(start + size_of_body(length), 0);
        let body_crc = crc32fast::hash(&out[start + HEAD..]);
        let mut head = &mut out[start..start + HEAD];
        head.put_u32_le(length as u32);
        head.put_u32_le(synced);
        head.put_u32_le(body_crc);
        head.put_u32_le(u32::from(self.kind()));
        let crc = head_crc(place, &out[start..start + HEAD - 4]);
        out[start + HEAD - 4..start + HEAD].copy_from_slice(&crc.to_le_bytes());
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::State(view) => {
                put_optional(out, view.vote.as_ref());
                put_optional(out, view.committed.as_ref());
                let (term, index) = view.purged.unwrap_or_default();
                out.put_u8(view.purged.is_some().into());
                out.put_u64_le(term);
                out.put_u64_le(index);
                out.put_u8(view.last.is_some().into());
                out.put_u64_le(view.last.unwrap_or_default());
            }
            Self::Entry(entry) => {
                out.put_u64_le(entry.term);
                out.put_u64_le(entry.index);
                out.put_slice(&entry.payload);
            }
            Self::Vote(bytes) | Self::Committed(bytes) => out.put_slice(bytes),
            Self::Truncate(after) => {
                out.put_u8(after.is_some().into());
                out.put_u64_le(after.unwrap_or_default());
            }
            Self::Purge((term, index)) => {
                out.put_u64_le(*term);
                out.put_u64_le(*index);
            }
            Self::Seal | Self::Mark => {}
        }
    }

    fn decode_body(kind: u8, mut body: Bytes) -> Option<Self> {
        Some(match kind {
            Self::STATE => {
                let vote = take_optional(&mut body)?;
                let committed = take_optional(&mut body)?;
                let has_purged = body.try_get_u8().ok()? != 0;
                let purged = take_id(&mut body)?;
                let has_last = body.try_get_u8().ok()? != 0;
                let last = body.try_get_u64_le().ok()?;
                Self::State(View {
                    vote,
                    committed,
                    purged: has_purged.then_some(purged),
                    last: has_last.then_some(last),
                })
            }
            Self::ENTRY => {
                let (term, index) = take_id(&mut body)?;
                return Some(Self::Entry(Entry {
                    term,
                    index,
                    payload: body,
                }));
            }
            // Copied, as they outlive the piece of the file they are in.
            Self::VOTE => return Some(Self::Vote(Bytes::copy_from_slice(&body))),
            Self::COMMITTED => return Some(Self::Committed(Bytes::copy_from_slice(&body))),
            Self::TRUNCATE => {
                let some = body.try_get_u8().ok()? != 0;
                let index = body.try_get_u64_le().ok()?;
                Self::Truncate(some.then_some(index))
            }
            Self::PURGE => Self::Purge(take_id(&mut body)?),
            Self::SEAL => Self::Seal,
            Self::MARK => Self::Mark,
            _ => return None,
        })
        .filter(|_| body.is_empty())
    }
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u32,
}

/// A head whose checksum is right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    length: u32,
    /// How many bytes of the segment were durable when this was written.
    pub(super) synced: u32,
    body_crc: u32,
    kind: u8,
}

impl Head {
    /// The head in `bytes`, if they are one that was written for `place`.
    pub(super) fn decode(place: Place, bytes: &[u8; HEAD]) -> Option<Self> {
        let mut rest = &bytes[..];
        let (length, synced) = (rest.get_u32_le(), rest.get_u32_le());
        let (body_crc, kind, crc) = (rest.get_u32_le(), rest.get_u32_le(), rest.get_u32_le());
        // Cheap and enough to pass over almost all that is no head; zeros are none.
        let kind = u8::try_from(kind).ok().filter(|&kind| kind != 0)?;
        let sound = length as usize <= BODY_MAX && head_crc(place, &bytes[..HEAD - 4]) == crc;
        sound.then_some(Self {
            length,
            synced,
            body_crc,
            kind,
        })
    }

    /// How many bytes of the segment the record takes.
    pub(super) fn size(&self) -> usize {
        size_of_body(self.length as usize)
    }

    /// The record of which this is the head; `bytes` are all of it, head and zeros at the end too.
    pub(super) fn decode_record(&self, bytes: Bytes) -> Result<Record, &'static str> {
        let mut body = bytes.slice(HEAD..);
        if crc32fast::hash(&body) != self.body_crc {
            return Err("the checksum of a record is wrong");
        }
        body.truncate(self.length as usize);
        Record::decode_body(self.kind, body).ok_or("a record of no known kind and form")
    }
}

fn size_of_body(length: usize) -> usize {
    (HEAD + length).next_multiple_of(ALIGNMENT)
}

fn head_crc(place: Place, head: &[u8]) -> u32 {
    let mut seed = [0; 12];
    seed[..8].copy_from_slice(&place.segment.to_le_bytes());
    seed[8..].copy_from_slice(&place.offset.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seed);
    hasher.update(head);
    hasher.finalize()
}

fn put_optional(out: &mut Vec<u8>, bytes: Option<&Bytes>) {
    out.put_u8(bytes.is_some().into());
    if let Some(bytes) = bytes {
        out.put_u32_le(bytes.len() as u32);
        out.put_slice(bytes);
    }
}

fn take_optional(body: &mut Bytes) -> Option<Option<Bytes>> {
    if body.try_get_u8().ok()? == 0 {
        return Some(None);
    }
    let length = body.try_get_u32_le().ok()? as usize;
    (length <= body.len()).then(|| Some(Bytes::copy_from_slice(&body.split_to(length))))
}

fn take_id(body: &mut Bytes) -> Option<LogId> {
    Some((body.try_get_u64_le().ok()?, body.try_get_u64_le().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLACE: Place = Place {
        segment: 5,
        offset: 24,
    };

    fn every_record() -> Vec<Record> {
        let view = View {
            vote: Some("vote".into()),
            committed: None,
            purged: Some((3, 4)),
            last: Some(9),
        };
        vec![
            Record::State(View::default()),
            Record::State(view),
            Record::Entry(Entry {
                term: 1,
                index: 2,
                payload: "payload".into(),
            }),
            Record::Vote("vote".into()),
            Record::Committed(Bytes::new()),
            Record::Truncate(None),
            Record::Truncate(Some(7)),
            Record::Purge((8, 9)),
            Record::Seal,
            Record::Mark,
        ]
    }

    fn head(place: Place, bytes: &[u8]) -> Option<Head> {
        Head::decode(place, bytes.first_chunk()?)
    }

    #[test]
    fn every_record_comes_back_as_it_was_with_its_size() {
        for record in every_record() {
            let mut bytes = Vec::new();
            record.encode(PLACE, 17, &mut bytes);

            let head = head(PLACE, &bytes).unwrap();

            assert_eq!((head.size(), head.synced), (bytes.len(), 17));
            assert_eq!((record.size(), bytes.len() % ALIGNMENT), (bytes.len(), 0));
            assert_eq!(head.decode_record(bytes.into()).unwrap(), record);
        }
    }

    #[test]
    fn a_record_is_one_only_where_it_was_written() {
        for record in every_record() {
            let mut bytes = Vec::new();
            record.encode(PLACE, 17, &mut bytes);

            for offset in (0..400).step_by(ALIGNMENT) {
                let elsewhere = Place { offset, ..PLACE };
                assert_eq!(head(elsewhere, &bytes).is_some(), offset == PLACE.offset);
            }
            assert!(
                head(
                    Place {
                        segment: 6,
                        ..PLACE
                    },
                    &bytes
                )
                .is_none()
            );
        }
    }

    proptest! {
        #[test]
        fn any_body_is_a_record_or_an_error(kind: u8, body: Vec<u8>) {
            let _ = Record::decode_body(kind, body.into());
        }
    }
}
