//! What snapshots promise.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::storage::{FsDisk, MemoryDisk};

const ID: SnapshotId = SnapshotId { term: 3, index: 70 };

fn memory(seed: u64) -> (MemoryDisk, Arc<dyn Disk>) {
    let disk = MemoryDisk::new(seed);
    (disk.clone(), Arc::new(disk))
}

/// Writes a snapshot with a few blocks that tell which it is.
fn write(disk: &Arc<dyn Disk>, id: SnapshotId) -> Result<(), StorageError> {
    let mut writer = SnapshotWriter::create(disk.clone(), id, &metadata(id))?;
    for block in blocks(id) {
        writer.block(&block)?;
    }
    writer.finish()
}

fn metadata(id: SnapshotId) -> Vec<u8> {
    format!("metadata of {id:?}").into()
}

fn blocks(id: SnapshotId) -> Vec<Vec<u8>> {
    (1..5_u64)
        .map(|n| format!("block {n} of {id:?}; ").repeat(n as usize).into())
        .collect()
}

fn check(disk: &dyn Disk, id: SnapshotId) -> Result<(), StorageError> {
    let reader = SnapshotReader::open(disk, id)?;
    assert_eq!(*reader.metadata(), metadata(id));
    let found: Vec<Bytes> = reader.collect::<Result<_, _>>()?;
    assert_eq!(found, blocks(id));
    Ok(())
}

#[test]
fn a_finished_snapshot_is_found_again_on_both_disks() {
    let folder = tempfile::tempdir().unwrap();
    let on_files: Arc<dyn Disk> = Arc::new(FsDisk::open(folder.path()).unwrap());
    for disk in [on_files, memory(1).1] {
        let (snapshots, none) = Snapshots::open(disk.clone()).unwrap();
        assert_eq!(none, None);
        let older = SnapshotId { term: 9, index: 69 };

        write(&disk, older).unwrap();
        write(&disk, ID).unwrap();

        assert_eq!(Snapshots::open(disk.clone()).unwrap().1, Some(ID));
        check(&*disk, ID).unwrap();
        check(&*disk, older).unwrap();
        snapshots.remove_older(ID).unwrap();
        assert_eq!(disk.names().unwrap().len(), 1);
        assert_eq!(snapshots.newest().unwrap(), Some(ID));
    }
}

#[test]
fn a_snapshot_sent_as_bytes_is_the_same() {
    let (from, to) = (memory(1).1, memory(2).1);
    write(&from, ID).unwrap();
    let reader = RawReader::open(&*from, ID).unwrap();

    let mut writer = RawWriter::create(to.clone(), ID, reader.length()).unwrap();
    while writer.received() < reader.length() {
        let at = writer.received();
        writer.write(at, &reader.read(at, 7).unwrap()).unwrap();
    }
    writer.finish().unwrap();

    check(&*to, ID).unwrap();
    assert_eq!(reader.read(reader.length() + 5, 10).unwrap(), "");
}
