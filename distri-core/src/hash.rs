//! Maps by ids that are hashes already.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A map whose keys are 64 bits of a cryptographic hash: hashing them again would only cost time.
pub(crate) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<Already>>;

/// Takes a `u64` as it is.
#[derive(Default)]
pub(crate) struct Already(u64);

impl Hasher for Already {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Keys of other types are taken too, though nothing here has them.
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }
}
