//! What tells one run of a network from another: everything that was delivered, and when.

#![warn(
    clippy::disallowed_methods,
    reason = "a machine, though inside a driver"
)]

use std::{fs::File, io::Write};

use tokio::time::Instant;

use super::link::Side;

/// Names the file into which every delivery is written, for those who look for the first in which
/// two runs differ.
const TRACE: &str = "DISTRI_TRACE";

/// A hash over all deliveries so far.
pub(super) struct Trace {
    start: Instant,
    deliveries: u64,
    hash: u64,
    file: Option<File>,
}

impl Trace {
    pub(super) fn new(now: Instant) -> Self {
        let file = std::env::var_os(TRACE).map(|path| {
            let opened = File::options().create(true).append(true).open(&path);
            opened.unwrap_or_else(|error| panic!("{TRACE} is {}: {error}", path.display()))
        });
        Self {
            start: now,
            deliveries: 0,
            hash: 0xcbf2_9ce4_8422_2325,
            file,
        }
    }

    /// How many deliveries there were, and the hash over them.
    pub(super) fn so_far(&self) -> (u64, u64) {
        (self.deliveries, self.hash)
    }

    /// Takes in what was read at an end of a link.
    pub(super) fn delivered(&mut self, now: Instant, (nr, side): (u64, Side), bytes: &[u8]) {
        self.deliveries += 1;
        let after = now - self.start;
        self.mix(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX));
        self.mix(nr << 1 | side as u64);
        self.mix(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
        if let Some(file) = &mut self.file {
            let hash = self.hash;
            let length = bytes.len();
            // A trace that cannot be written is missed by the one who looks at it.
            let _ = writeln!(file, "{after:?} link {nr} {side:?} {length} {hash:016x}");
        }
    }

    /// Multiplies, and folds what came of it.
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.hash ^ word) * 0x9e37_79b9_7f4a_7c15;
        self.hash = (product as u64) ^ ((product >> 64) as u64) ^ self.hash.rotate_left(23);
    }
}
