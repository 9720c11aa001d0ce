//! What a batch comes to: counts, how long pieces of work took, who did them.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use distri::id::PublicKey;

use crate::{
    batch::{Piece, Record},
    work::Repeats,
};

/// A batch, counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) hide: Pieces,
    pub(crate) note: Pieces,
    pub(crate) reveal: Pieces,
    /// Images that each node hid or revealed.
    pub(crate) nodes: BTreeMap<PublicKey, u64>,
    /// What went wrong, and how often; the most frequent first.
    pub(crate) problems: Vec<(String, u64)>,
    /// Bytes of stego images made.
    pub(crate) bytes: u64,
}

/// The pieces of one kind.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    /// How long each took that was done, sorted.
    times: Vec<Duration>,
    pub(crate) failed: u64,
    pub(crate) repeats: Repeats,
    /// Pieces that were done only after the node that had them first went away.
    pub(crate) rescued: u64,
}

impl Tally {
    pub(crate) fn of(records: &[Record]) -> Self {
        let mut tally = Self::default();
        let mut problems = BTreeMap::new();
        for record in records {
            tally.add(record, &mut problems);
        }
        tally.problems = problems.into_iter().collect();
        tally.problems.sort_by_key(|(_, count)| Reverse(*count));
        tally.hide.times.sort_unstable();
        tally.note.times.sort_unstable();
        tally.reveal.times.sort_unstable();
        tally
    }

    fn add(&mut self, record: &Record, problems: &mut BTreeMap<String, u64>) {
        let pieces = match record.piece {
            Piece::Hide => &mut self.hide,
            Piece::Note => &mut self.note,
            Piece::Reveal => &mut self.reveal,
        };
        let success = match &record.outcome {
            Ok(success) => success,
            Err(problem) => {
                pieces.failed += 1;
                *problems.entry(problem.to_string()).or_default() += 1;
                return;
            }
        };
        pieces.times.push(success.took);
        pieces.repeats.lost += success.repeats.lost;
        pieces.repeats.busy += success.repeats.busy;
        pieces.rescued += u64::from(success.repeats.lost > 0);
        match record.piece {
            Piece::Hide => self.bytes += success.bytes,
            Piece::Note => return,
            Piece::Reveal => {}
        }
        *self.nodes.entry(success.node).or_default() += 1;
    }

    /// Photographs that came back as they had been.
    pub(crate) fn images(&self) -> u64 {
        self.reveal.done()
    }

    pub(crate) fn done(&self) -> u64 {
        self.hide.done() + self.note.done() + self.reveal.done()
    }

    pub(crate) fn failed(&self) -> u64 {
        self.hide.failed + self.note.failed + self.reveal.failed
    }
}

impl Pieces {
    pub(crate) fn done(&self) -> u64 {
        self.times.len() as u64
    }

    pub(crate) fn calls(&self) -> u64 {
        self.done() + self.failed
    }

    /// The time within which `percent` of 100 pieces were done (nearest rank).
    pub(crate) fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.times.len() * percent).div_ceil(100).max(1);
        self.times.get(rank - 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Problem, Success};

    fn done(piece: Piece, node: u8, millis: u64, lost: u32) -> Record {
        let success = Success {
            node: PublicKey::from_bytes([node; 32]),
            took: Duration::from_millis(millis),
            repeats: Repeats { lost, busy: 0 },
            bytes: 1000,
        };
        Record {
            piece,
            outcome: Ok(success),
        }
    }

    #[test]
    fn percentiles_are_times_that_occurred() {
        let records: Vec<_> = (1..=200)
            .rev()
            .map(|ms| done(Piece::Hide, 1, ms, 0))
            .collect();

        let hide = Tally::of(&records).hide;

        assert_eq!(hide.percentile(50), Some(Duration::from_millis(100)));
        assert_eq!(hide.percentile(99), Some(Duration::from_millis(198)));
        assert_eq!(hide.percentile(100), Some(Duration::from_millis(200)));
        assert_eq!(Pieces::default().percentile(50), None);
    }

    #[test]
    fn images_are_counted_at_the_node_that_did_the_work() {
        let tally = Tally::of(&[
            done(Piece::Hide, 1, 5, 0),
            done(Piece::Reveal, 2, 5, 1),
            done(Piece::Hide, 2, 5, 0),
        ]);

        assert_eq!(tally.nodes[&PublicKey::from_bytes([1; 32])], 1);
        assert_eq!(tally.nodes[&PublicKey::from_bytes([2; 32])], 2);
        assert_eq!(tally.reveal.rescued, 1);
        assert_eq!((tally.images(), tally.bytes), (1, 2000));
    }

    #[test]
    fn equal_problems_are_told_once_with_their_number_the_most_frequent_first() {
        let failed = |problem| Record {
            piece: Piece::Reveal,
            outcome: Err(problem),
        };
        let error = distri::Error::new(distri::Code::Unavailable, "gone");

        let tally = Tally::of(&[
            failed(Problem::Call { error }),
            failed(Problem::Differs),
            failed(Problem::Differs),
        ]);

        assert_eq!(tally.failed(), 3);
        let counts = tally.problems.into_iter().map(|(_, count)| count);
        assert_eq!(counts.collect::<Vec<_>>(), [2, 1]);
    }
}
