//! Bits change on disk: what was durable is never dropped in silence.

use super::{super::record, program::Model, *};

/// The files of a log of several segments, with every kind of record; how it was left is up to
/// `leave`.
fn log_files(leave: impl FnOnce(&MemoryDisk, Log)) -> (MemoryDisk, Model) {
    let (memory, disk) = memory(1);
    let (log, _) = Log::open(disk.clone(), small()).unwrap();
    append(&log, entries(1, 0..20)).unwrap();
    wait(log.purge(1, 9)).unwrap();
    wait(log.truncate_after(Some(15))).unwrap();
    append(&log, entries(2, 16..30)).unwrap();
    log.save_committed("hint".into()).unwrap();
    wait(log.save_vote("vote".into())).unwrap();
    leave(&memory, log);
    let (log, recovered) = Log::open(Arc::new(memory.copy(1)), small()).unwrap();
    let model = Model::of(&log, &recovered);
    (memory, model)
}

fn length(disk: &dyn Disk, name: &str) -> u64 {
    disk.open(name).unwrap().length().unwrap()
}

/// A copy of the disk with one bit changed.
fn flipped(disk: &MemoryDisk, name: &str, offset: u64) -> Arc<dyn Disk> {
    let copy = disk.copy(1);
    let file = copy.open(name).unwrap();
    let mut byte = [0];
    file.read_at(offset, &mut byte).unwrap();
    file.write_at(offset, &[byte[0] ^ 1 << (offset % 8)])
        .unwrap();
    Arc::new(copy)
}

fn segments(disk: &dyn Disk) -> Vec<String> {
    let mut names = disk.names().unwrap();
    names.sort();
    names
}

/// Where the last record that is no zeros begins: the mark, after a close.
fn last_record(disk: &dyn Disk, name: &str) -> u64 {
    let mut bytes = vec![0; length(disk, name) as usize];
    disk.open(name).unwrap().read_at(0, &mut bytes).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    (end.next_multiple_of(record::ALIGNMENT) - record::HEAD) as u64
}

#[test]
fn any_flipped_byte_of_a_closed_log_is_found_with_file_and_offset() {
    let (disk, model) = log_files(|_, log| wait(log.close()).unwrap());
    let names = segments(&disk);
    assert!(names.len() > 3, "{names:?}");

    let mark = last_record(&disk, names.last().unwrap());
    for name in &names {
        let is_last = Some(name) == names.last();
        for offset in 0..length(&disk, name) {
            let context = format!("byte {offset} of {name}");
            let copy = flipped(&disk, name, offset);
            match Log::open(copy.clone(), small()) {
                Err(StorageError::Corrupt {
                    file, offset: at, ..
                }) => {
                    assert_eq!((&file, at <= offset), (name, true), "{context}: at {at}");
                    assert!(offset - at < 200, "{context}: found at {at}");
                }
                Err(other) => panic!("{context}: {other}"),
                Ok((log, recovered)) => {
                    assert!(is_last && offset >= mark, "{context} was not noticed");
                    assert_eq!(Model::of(&log, &recovered), model, "{context}");
                }
            }
        }
    }
}

#[test]
fn without_a_close_only_the_last_batch_is_taken_for_torn() {
    let (disk, model) = log_files(|memory, _log| memory.crash());
    let names = segments(&disk);
    let name = names.last().unwrap();
    let last_batch = last_record(&disk, name);
    let mut repaired = 0;

    for offset in 0..length(&disk, name) {
        match Log::open(flipped(&disk, name, offset), small()) {
            Ok((log, recovered)) => {
                assert!(offset >= last_batch - 100, "byte {offset} was not noticed");
                repaired += u32::from(Model::of(&log, &recovered) != model);
            }
            Err(error) => assert!(matches!(error, StorageError::Corrupt { .. }), "{error}"),
        }
    }

    assert!(repaired > 0, "the last batch is there");
}

#[test]
fn a_missing_or_shortened_segment_is_found() {
    let (disk, _) = log_files(|_, log| wait(log.close()).unwrap());
    let names = segments(&disk);
    let earlier = &names[..names.len() - 1];
    for name in earlier {
        let lost: Arc<dyn Disk> = Arc::new(disk.copy(1));
        lost.remove(name).unwrap();
        let error = Log::open(lost, small()).unwrap_err();
        let is_missing = matches!(&error, StorageError::Corrupt { file, .. } if file == name);
        assert!(is_missing, "without {name}: {error}");

        for shorter in 0..length(&disk, name) {
            let short: Arc<dyn Disk> = Arc::new(disk.copy(1));
            short.open(name).unwrap().set_length(shorter).unwrap();
            let error = Log::open(short, small()).unwrap_err();
            assert!(
                matches!(&error, StorageError::Corrupt { file, .. } if file == name),
                "{name} of {shorter} bytes: {error}",
            );
        }
    }
}

#[test]
fn a_newer_format_is_refused_by_name_and_version() {
    let (disk, _) = log_files(|_, log| drop(log));
    let name = segments(&disk).remove(0);
    let file = disk.open(&name).unwrap();
    let mut header = [0; record::HEADER];
    file.read_at(0, &mut header).unwrap();
    header[8] = 9;
    let crc = crc32fast::hash(&header[..20]);
    header[20..].copy_from_slice(&crc.to_le_bytes());
    file.write_at(0, &header).unwrap();

    let error = Log::open(Arc::new(disk.copy(1)), small()).unwrap_err();

    let expected = format!("`{name}` has format version 9: expected 1 or older");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn an_entry_damaged_while_the_log_is_open_is_refused_and_the_others_are_read() {
    let (memory, disk) = memory(1);
    let (log, _) = Log::open(disk, small()).unwrap();
    append(&log, entries(1, 0..100)).unwrap();
    let name = segments(&memory).remove(0);
    let file = memory.open(&name).unwrap();
    let mut bytes = vec![0; file.length().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    let text = b"entry 3 of";
    let at = bytes.windows(text.len()).position(|window| window == text);

    file.write_at(at.unwrap() as u64, b"X").unwrap();

    let error = log.read(0..9, usize::MAX).unwrap_err();
    assert!(
        matches!(&error, StorageError::Corrupt { file, .. } if *file == name),
        "{error}"
    );
    assert_eq!(log.read(4..9, usize::MAX).unwrap(), entries(1, 4..9));
    assert!(log.poisoned().is_none());
}

#[test]
fn a_payload_that_looks_like_the_log_is_only_a_payload() {
    let (memory, disk) = memory(1);
    let (log, _) = Log::open(disk.clone(), small()).unwrap();
    append(&log, entries(1, 0..3)).unwrap();
    let name = segments(&memory).remove(0);
    let mut bytes = vec![0; 200];
    memory.open(&name).unwrap().read_at(0, &mut bytes).unwrap();
    let copy = Entry {
        term: 2,
        index: 3,
        payload: bytes.into(),
    };

    append(&log, vec![copy.clone()]).unwrap();

    memory.crash();
    let (log, _) = Log::open(disk, small()).unwrap();
    assert_eq!(all(&log), [entries(1, 0..3), vec![copy]].concat());
}

#[test]
fn what_was_cut_off_never_comes_back() {
    let (memory, disk) = memory(1);
    let (log, _) = Log::open(disk, small()).unwrap();
    append(&log, entries(1, 0..1)).unwrap();
    append(&log, entries(1, 1..3)).unwrap();
    // Of the last write, only the second half reached the disk.
    let torn = memory.copy(1);
    let file = torn.open(&segments(&memory).remove(0)).unwrap();
    let mut bytes = vec![0; file.length().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    let text = b"entry 1 of";
    let at = bytes.windows(text.len()).position(|window| window == text);
    file.write_at(at.unwrap() as u64, b"entry X").unwrap();

    let torn = Arc::new(torn);
    let (log, _) = Log::open(torn.clone(), small()).unwrap();
    assert_eq!(all(&log), entries(1, 0..1));
    // As long as the lost one, so the next record would begin where the other half does.
    append(&log, entries(2, 1..2)).unwrap();

    // Not closed, as then the mark would be in between.
    torn.crash();
    let (log, _) = Log::open(torn, small()).unwrap();
    assert_eq!(all(&log), [entries(1, 0..1), entries(2, 1..2)].concat());
}
