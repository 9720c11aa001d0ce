//! openraft's own suite for logs and state machines, on our storage, on a real disk and in memory.
//!
//! The suite never opens a store twice; what survives a crash is proved in [`crate::storage`].
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    io,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::{
    Replicated,
    forms::Types,
    machine::{Growth, Machine},
    store::Store,
};
use crate::storage::{Disk, FsDisk, Log, LogOptions, MemoryDisk, Snapshots};

/// A state that remembers what it was given.
#[derive(Default)]
struct Remembers(Mutex<Vec<Vec<u8>>>);

impl Replicated for Remembers {
    fn apply(&self, payload: &[u8]) -> io::Result<Vec<Bytes>> {
        self.0.lock().unwrap().push(payload.to_vec());
        Ok(vec![Bytes::copy_from_slice(payload)])
    }

    fn applied(&self) {}

    fn freeze(&self) -> Box<dyn Iterator<Item = Vec<u8>> + Send> {
        Box::new(self.0.lock().unwrap().clone().into_iter())
    }

    fn restore(&self, blocks: &mut dyn Iterator<Item = io::Result<Vec<u8>>>) -> io::Result<()> {
        *self.0.lock().unwrap() = blocks.collect::<io::Result<_>>()?;
        Ok(())
    }
}

fn stores(disk: Arc<dyn Disk>) -> (Store, Machine) {
    let inline = disk.in_memory();
    let options = LogOptions {
        inline,
        ..LogOptions::default()
    };
    let (log, _) = Log::open(disk.clone(), options).unwrap();
    let (snapshots, _) = Snapshots::open(disk).unwrap();
    let machine = Machine::new(
        Arc::new(Remembers::default()),
        Arc::new(snapshots),
        Arc::new(Growth::new(16 << 20)),
        inline,
    );
    (Store::new(log), machine)
}

struct OnDisk;

impl StoreBuilder<Types, Store, Machine, TempDir> for OnDisk {
    async fn build(&self) -> Result<(TempDir, Store, Machine), openraft::StorageError<Types>> {
        let folder = TempDir::new().unwrap();
        let (store, machine) = stores(Arc::new(FsDisk::open(folder.path()).unwrap()));
        Ok((folder, store, machine))
    }
}

struct InMemory;

impl StoreBuilder<Types, Store, Machine> for InMemory {
    async fn build(&self) -> Result<((), Store, Machine), openraft::StorageError<Types>> {
        let (store, machine) = stores(Arc::new(MemoryDisk::new(7)));
        Ok(((), store, machine))
    }
}

#[tokio::test]
async fn the_log_and_the_state_on_disk_keep_what_raft_relies_on() {
    Suite::<Types, Store, Machine, _, _>::test_all(OnDisk)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_log_and_the_state_in_memory_keep_what_raft_relies_on() {
    Suite::<Types, Store, Machine, _, _>::test_all(InMemory)
        .await
        .unwrap();
}
