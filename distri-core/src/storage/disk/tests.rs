//! What both disks promise, and how the one in memory breaks.

use std::collections::BTreeSet;

use super::*;

fn content(disk: &dyn Disk, name: &str) -> io::Result<Vec<u8>> {
    let file = disk.open(name)?;
    let mut bytes = vec![0; file.length()? as usize];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

#[test]
fn both_disks_keep_the_same_promises() {
    let folder = tempfile::tempdir().unwrap();
    let on_files = FsDisk::open(folder.path().join("a/b")).unwrap();
    let disks: [Box<dyn Disk>; 2] = [Box::new(on_files), Box::new(MemoryDisk::new(1))];
    for disk in disks {
        let kind = |error: io::Error| error.kind();
        assert_eq!(kind(disk.open("a").unwrap_err()), io::ErrorKind::NotFound);
        assert_eq!(kind(disk.remove("a").unwrap_err()), io::ErrorKind::NotFound);
        assert_eq!(
            kind(disk.rename("a", "b").unwrap_err()),
            io::ErrorKind::NotFound
        );
        let file = disk.create("a").unwrap();
        assert_eq!(
            kind(disk.create("a").unwrap_err()),
            io::ErrorKind::AlreadyExists
        );

        file.write_at(3, b"abc").unwrap();
        assert_eq!(content(&*disk, "a").unwrap(), b"\0\0\0abc");
        file.set_length(4).unwrap();
        file.set_length(6).unwrap();
        assert_eq!(content(&*disk, "a").unwrap(), b"\0\0\0a\0\0");
        assert_eq!(
            kind(file.read_at(5, &mut [0; 2]).unwrap_err()),
            io::ErrorKind::UnexpectedEof
        );
        file.allocate(4, (2 << 20) + 5).unwrap();
        assert_eq!(file.length().unwrap(), (2 << 20) + 9);
        assert!(
            content(&*disk, "a").unwrap()[4..]
                .iter()
                .all(|&byte| byte == 0)
        );

        disk.create("b").unwrap().write_at(0, b"b").unwrap();
        disk.rename("b", "a").unwrap();
        disk.sync().unwrap();
        assert_eq!(disk.names().unwrap(), ["a"]);
        assert_eq!(content(&*disk, "a").unwrap(), b"b");
        disk.remove("a").unwrap();
        file.read_at(3, &mut [0]).unwrap();
        assert_eq!(disk.names().unwrap(), [""; 0]);

        let lock = disk.lock().unwrap();
        assert_eq!(kind(disk.lock().unwrap_err()), io::ErrorKind::WouldBlock);
        drop(lock);
        disk.lock().unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_folder_and_its_files_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node/raft");
    let disk = FsDisk::open(&path).unwrap();

    disk.create("a").unwrap();

    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder.path().join("node")), 0o700);
    assert_eq!(mode(path.clone()), 0o700);
    assert_eq!(mode(path.join("a")), 0o600);
}

#[test]
fn a_real_folder_takes_plain_names_only() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FsDisk::open(folder.path()).unwrap();

    for name in ["", ".", "..", "../a", "a/b", "a\\b"] {
        assert_eq!(
            disk.create(name).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}

/// What is in file `a` after a crash, for many seeds: all that a program must be ready for.
fn outcomes(write: impl Fn(&MemoryDisk, &dyn DiskFile)) -> BTreeSet<Option<Vec<u8>>> {
    (0..500)
        .map(|seed| {
            let disk = MemoryDisk::new(seed);
            let file = disk.create("a").unwrap();
            write(&disk, &*file);
            disk.crash();
            content(&disk, "a").ok()
        })
        .collect()
}

fn some(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}

#[test]
fn a_crash_keeps_loses_or_tears_each_unsynced_write_and_nothing_else() {
    let found = outcomes(|disk, file| {
        disk.sync().unwrap();
        file.write_at(0, b"..").unwrap();
        file.sync().unwrap();
        file.write_at(0, b"ab").unwrap();
        file.write_at(2, b"c").unwrap();
    });

    let all: BTreeSet<_> = [b"..".as_slice(), b"a.", b"ab", b"..c", b"a.c", b"abc"]
        .map(some)
        .into();
    assert_eq!(found, all);
}

#[test]
fn a_name_is_durable_after_a_sync_of_the_folder() {
    let unsynced = outcomes(|_, file| file.sync().unwrap());
    let synced = outcomes(|disk, _| disk.sync().unwrap());
    let removed = outcomes(|disk, _| {
        disk.sync().unwrap();
        disk.remove("a").unwrap();
    });
    let renamed = outcomes(|disk, file| {
        disk.create("b").unwrap().sync().unwrap();
        disk.sync().unwrap();
        file.write_at(0, b"a").unwrap();
        file.sync().unwrap();
        disk.rename("b", "a").unwrap();
    });

    assert_eq!(unsynced, [None, some(b"")].into());
    assert_eq!(synced, [some(b"")].into());
    assert_eq!(removed, [None, some(b"")].into());
    assert_eq!(renamed, [some(b""), some(b"a")].into());
}

#[test]
fn what_a_failed_sync_left_is_read_until_the_crash_and_a_second_sync_does_not_save_it() {
    let found = outcomes(|disk, file| {
        disk.sync().unwrap();
        file.write_at(0, b"lost").unwrap();
        disk.fail_sync(1);
        file.sync().unwrap_err();
        assert_eq!(content(disk, "a").unwrap(), b"lost");
        file.write_at(4, b"kept").unwrap();
        file.sync().unwrap();
    });

    assert_eq!(found, [some(b"\0\0\0\0kept")].into());
}

#[test]
fn a_full_disk_takes_what_fits_and_a_read_only_one_nothing() {
    let disk = MemoryDisk::new(1);
    let file = disk.create("a").unwrap();
    disk.fill_after(3);

    let full = file.write_at(0, b"abcdef").unwrap_err();
    file.write_at(0, b"ABC").unwrap();
    disk.make_read_only();
    let read_only = file.write_at(0, b"...").unwrap_err();

    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    assert_eq!(read_only.kind(), io::ErrorKind::ReadOnlyFilesystem);
    assert_eq!(content(&disk, "a").unwrap(), b"ABC");
    disk.heal();
    file.write_at(3, b"def").unwrap();
}

#[test]
fn a_stopped_disk_does_nothing_until_the_crash_and_old_files_never_again() {
    let disk = MemoryDisk::new(1);
    let file = disk.create("a").unwrap();
    disk.sync().unwrap();
    let lock = disk.lock().unwrap();
    disk.stop_after(1);

    file.sync().unwrap();
    assert!(file.sync().is_err() && disk.names().is_err() && disk.open("a").is_err());
    disk.crash();

    assert!(file.length().is_err() && file.write_at(0, b"a").is_err());
    let next = disk.lock().unwrap();
    drop(lock);
    assert!(
        disk.lock().is_err(),
        "the lock of the dead is not that of the living"
    );
    drop(next);
    assert_eq!(content(&disk, "a").unwrap(), b"");
}
