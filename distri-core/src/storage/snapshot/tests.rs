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

/// The disk with one snapshot, and the length of its file.
fn with_one() -> (MemoryDisk, u64) {
    let (memory, disk) = memory(1);
    write(&disk, ID).unwrap();
    let length = memory.open(&ID.name()).unwrap().length().unwrap();
    (memory, length)
}

#[test]
fn a_crash_at_any_operation_leaves_the_whole_snapshot_or_the_one_before() {
    let older = SnapshotId { term: 3, index: 60 };
    for seed in 0..200 {
        for operations in 0.. {
            let context = format!("seed {seed}, power lost at operation {operations}");
            let (memory, disk) = memory(seed);
            write(&disk, older).unwrap();
            memory.stop_after(operations);
            let result = write(&disk, ID);
            memory.crash();

            let (_, newest) = Snapshots::open(disk.clone()).unwrap();

            let newest = newest.expect("the older one was durable");
            assert!(newest == ID || result.is_err(), "{context}");
            check(&*disk, newest).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(
                !disk
                    .names()
                    .unwrap()
                    .iter()
                    .any(|name| name.ends_with(UNFINISHED))
            );
            if result.is_ok() {
                break;
            }
        }
    }
}

#[test]
fn any_flipped_byte_is_found_with_file_and_offset() {
    let (disk, length) = with_one();
    for offset in 0..length {
        let copy: Arc<dyn Disk> = Arc::new(disk.copy(1));
        let file = copy.open(&ID.name()).unwrap();
        let mut byte = [0];
        file.read_at(offset, &mut byte).unwrap();
        file.write_at(offset, &[byte[0] ^ 1 << (offset % 8)])
            .unwrap();

        let error = check(&*copy, ID).unwrap_err();

        let StorageError::Corrupt {
            file, offset: at, ..
        } = &error
        else {
            panic!("byte {offset}: {error}");
        };
        assert_eq!(
            (file, *at <= offset),
            (&ID.name(), true),
            "byte {offset}: {error}"
        );
    }
}

#[test]
fn a_shortened_or_lengthened_snapshot_is_found_and_no_older_one_takes_its_place() {
    let (disk, length) = with_one();
    write(
        &(Arc::new(disk.clone()) as Arc<dyn Disk>),
        SnapshotId { term: 1, index: 1 },
    )
    .unwrap();
    for other in (0..length).chain([length + 1, length + 100]) {
        let copy = disk.copy(1);
        copy.open(&ID.name()).unwrap().set_length(other).unwrap();

        let error = Snapshots::open(Arc::new(copy)).unwrap_err();

        assert!(
            matches!(error, StorageError::Corrupt { .. }),
            "{other} bytes: {error}"
        );
    }
}

#[test]
fn an_unfinished_snapshot_leaves_nothing_and_hides_nothing() {
    let (memory, disk) = memory(1);
    let mut writer = SnapshotWriter::create(disk.clone(), ID, b"").unwrap();
    writer.block(b"block").unwrap();
    assert_eq!(memory.names().unwrap().len(), 1);
    drop(writer);
    assert_eq!(memory.names().unwrap().len(), 0);

    // A process that dies cannot clean up, neither at once nor later.
    let writer = SnapshotWriter::create(disk.clone(), ID, b"").unwrap();
    disk.sync().unwrap();
    memory.crash();
    assert_eq!(memory.names().unwrap().len(), 1);
    assert_eq!(Snapshots::open(disk.clone()).unwrap().1, None);
    assert_eq!(memory.names().unwrap().len(), 0);
    let next = SnapshotWriter::create(disk, ID, b"").unwrap();
    drop(writer);
    next.finish().unwrap();
}

#[test]
fn a_snapshot_that_cannot_be_written_is_not_there() {
    for nth in 1.. {
        let (memory, disk) = memory(nth);
        if nth % 2 == 0 {
            memory.fail_write(nth / 2);
        } else {
            memory.fail_sync(nth.div_ceil(2));
        }

        let result = write(&disk, ID);

        match result {
            Ok(()) if nth > 6 => break,
            Ok(()) => {}
            // Only after the last sync, of the folder, it may be there, and is whole then.
            Err(StorageError::Io { .. }) if memory.names().unwrap().is_empty() => {}
            Err(StorageError::Io { .. }) => check(&*disk, ID).unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn sizes_beyond_the_limits_are_refused_and_the_largest_are_not() {
    let (_, disk) = memory(1);
    let large = vec![7; BLOCK_MAX + 1];
    let metadata = vec![8; METADATA_MAX + 1];
    let refused = SnapshotWriter::create(disk.clone(), ID, &metadata).unwrap_err();
    assert!(matches!(refused, StorageError::TooLarge { .. }));
    let mut writer = SnapshotWriter::create(disk.clone(), ID, &metadata[1..]).unwrap();

    let refused = writer.block(&large).unwrap_err();
    for _ in 0..3 {
        writer.block(&large[1..]).unwrap();
    }
    writer.block(b"").unwrap();
    writer.finish().unwrap();

    let expected = "could not store a block of 1048577 bytes: expected at most 1048576";
    assert_eq!(refused.to_string(), expected);
    let reader = SnapshotReader::open(&*disk, ID).unwrap();
    assert_eq!(reader.metadata().len(), METADATA_MAX);
    let blocks: Vec<Bytes> = reader.collect::<Result<_, _>>().unwrap();
    assert_eq!(blocks, vec![&large[1..]; 3]);
}

#[test]
fn a_receiver_takes_bytes_in_order_only_and_no_more_than_announced() {
    let (from, length) = with_one();
    let to = memory(2).1;
    let bytes = RawReader::open(&from, ID)
        .unwrap()
        .read(0, usize::MAX)
        .unwrap();
    let mut writer = RawWriter::create(to.clone(), ID, length).unwrap();

    let early = writer.write(1, &bytes[1..]).unwrap_err();
    let more = writer
        .write(0, &[bytes.as_ref(), b"!"].concat())
        .unwrap_err();

    assert!(
        matches!(
            early,
            StorageError::OutOfOrder {
                expected: 0,
                found: 1,
                ..
            }
        ),
        "{early}"
    );
    assert!(matches!(more, StorageError::TooLarge { .. }), "{more}");
    writer.write(0, &bytes[..9]).unwrap();
    assert!(writer.write(0, &bytes[..9]).is_err());
    writer.write(9, &bytes[9..]).unwrap();
    writer.finish().unwrap();
    check(&*to, ID).unwrap();
}

#[test]
fn a_receiver_keeps_nothing_that_is_not_whole_and_sound() {
    let (from, length) = with_one();
    let bytes = RawReader::open(&from, ID)
        .unwrap()
        .read(0, usize::MAX)
        .unwrap();
    let receive = |bytes: &[u8], id, length| {
        let (memory, disk) = memory(2);
        let mut writer = RawWriter::create(disk, id, length).unwrap();
        writer.write(0, bytes).unwrap();
        let result = writer.finish();
        assert_eq!(memory.names().unwrap().is_empty(), result.is_err());
        result
    };

    receive(&bytes, ID, length).unwrap();
    for offset in 0..bytes.len() {
        let mut bad = bytes.to_vec();
        bad[offset] ^= 0x10;
        receive(&bad, ID, length).unwrap_err();
        receive(&bytes[..offset], ID, length).unwrap_err();
        receive(&bytes[..offset], ID, offset as u64).unwrap_err();
    }
    let other = receive(&bytes, SnapshotId { term: 3, index: 71 }, length).unwrap_err();
    assert!(
        other
            .to_string()
            .ends_with("the header is of another snapshot"),
        "{other}"
    );
}

#[test]
fn two_may_write_the_same_snapshot_and_a_removed_one_can_be_read_on() {
    let (_, disk) = memory(1);
    let (snapshots, _) = Snapshots::open(disk.clone()).unwrap();
    let first = snapshots.write(ID, b"first").unwrap();
    let second = snapshots.write(ID, b"second").unwrap();
    second.finish().unwrap();
    let reader = snapshots.read(ID).unwrap();
    first.finish().unwrap();

    assert_eq!(reader.metadata().as_ref(), b"second");
    assert_eq!(reader.count(), 0);
    let reader = snapshots.send(ID).unwrap();
    snapshots
        .remove_older(SnapshotId { term: 0, index: 71 })
        .unwrap();
    assert_eq!(snapshots.newest().unwrap(), None);
    assert!(!reader.read(0, 10).unwrap().is_empty());
}
