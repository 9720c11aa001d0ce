//! What the log promises, on both disks.

#![allow(
    clippy::disallowed_methods,
    reason = "tests hold threads, and wait for them with a deadline"
)]

use std::{
    future::Future,
    sync::{Arc, mpsc},
};

use bytes::Bytes;

use super::{Entry, Log, LogOptions, Recovered};
use crate::storage::{Disk, FsDisk, MemoryDisk, StorageError};

mod basics;
mod crash;
mod damage;
mod faults;
mod model;
mod program;
mod queueing;

/// Segments of a few records, and callers that write themselves.
fn small() -> LogOptions {
    LogOptions {
        segment_bytes: 600,
        allocate_bytes: 256,
        cache_bytes: 64,
        inline: true,
        ..LogOptions::default()
    }
}

fn threaded() -> LogOptions {
    LogOptions {
        inline: false,
        ..small()
    }
}

fn memory(seed: u64) -> (MemoryDisk, Arc<dyn Disk>) {
    let disk = MemoryDisk::new(seed);
    (disk.clone(), Arc::new(disk))
}

fn entry(term: u64, index: u64) -> Entry {
    Entry {
        term,
        index,
        payload: format!("entry {index} of term {term}").into(),
    }
}

fn entries(term: u64, indices: std::ops::Range<u64>) -> Vec<Entry> {
    indices.map(|index| entry(term, index)).collect()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// Appends, and waits until that is durable.
fn append(log: &Log, entries: Vec<Entry>) -> std::io::Result<()> {
    let (tx, rx) = mpsc::channel();
    log.append(entries, Box::new(move |result| tx.send(result).unwrap()));
    rx.recv().unwrap()
}

/// Holds the writer's thread in a callback, after an entry with index 0, until dropped.
fn hold(log: &Log) -> mpsc::Sender<()> {
    let (held, released) = mpsc::channel::<()>();
    let (tx, rx) = mpsc::channel();
    let done = move |result: std::io::Result<()>| {
        tx.send(result.is_ok()).unwrap();
        // Ends when the other side is dropped.
        let _ = released.recv();
    };
    log.append(entries(1, 0..1), Box::new(done));
    assert!(rx.recv().unwrap());
    held
}

fn all(log: &Log) -> Vec<Entry> {
    log.read(0..u64::MAX, usize::MAX).unwrap()
}
