//! One rule at a time.

use super::*;

#[test]
fn what_was_saved_is_found_again_on_both_disks() {
    let folder = tempfile::tempdir().unwrap();
    let disks: [Arc<dyn Disk>; 2] = [
        Arc::new(FsDisk::open(folder.path().join("node")).unwrap()),
        memory(1).1,
    ];
    for disk in disks {
        for options in [small(), threaded()] {
            let (log, recovered) = Log::open(disk.clone(), options).unwrap();
            assert_eq!(recovered.last, log.last());
            let next = log.last().map_or(0, |(_, index)| index + 1);
            let vote = Bytes::from(format!("vote {next}"));

            append(&log, entries(1, next..next + 50)).unwrap();
            wait(log.save_vote(vote.clone())).unwrap();
            log.save_committed("committed".into()).unwrap();
            wait(log.truncate_after(Some(next + 39))).unwrap();
            wait(log.purge(1, next + 9)).unwrap();
            wait(log.close()).unwrap();

            let (log, recovered) = Log::open(disk.clone(), options).unwrap();
            let expected = Recovered {
                vote: Some(vote),
                committed: Some("committed".into()),
                purged: Some((1, next + 9)),
                last: Some((1, next + 39)),
                first_index: Some(next + 10),
            };
            assert_eq!(recovered, expected);
            assert_eq!(all(&log), entries(1, next + 10..next + 40));
        }
    }
}

#[test]
fn entries_are_read_from_memory_and_from_segments_alike() {
    let (_, disk) = memory(1);
    let (log, _) = Log::open(disk, small()).unwrap();

    append(&log, entries(3, 5..105)).unwrap();

    assert_eq!(all(&log), entries(3, 5..105));
    assert_eq!(log.read(7..9, usize::MAX).unwrap(), entries(3, 7..9));
    assert_eq!(log.read(7..90, 0).unwrap(), entries(3, 7..8));
    assert_eq!(
        log.read(103..200, usize::MAX).unwrap(),
        entries(3, 103..105)
    );
    assert_eq!(log.read(105..200, usize::MAX).unwrap(), []);
}

#[test]
fn an_entry_can_be_read_before_it_is_durable() {
    let (_, disk) = memory(1);
    let (log, _) = Log::open(disk, threaded()).unwrap();
    let (release, hold) = mpsc::channel::<()>();
    let (held, holding) = mpsc::channel();
    log.append(
        entries(1, 1..2),
        Box::new(move |_| {
            held.send(()).unwrap();
            hold.recv().unwrap();
        }),
    );
    holding.recv().unwrap();

    // The writer is held; nothing after this can be durable.
    log.append(entries(1, 2..200), Box::new(|_| {}));

    assert_eq!(all(&log), entries(1, 1..200));
    release.send(()).unwrap();
    wait(log.close()).unwrap();
}

#[test]
fn entries_that_do_not_follow_are_refused_and_the_log_goes_on() {
    let (_, disk) = memory(1);
    let (log, _) = Log::open(disk, small()).unwrap();
    append(&log, entries(1, 4..6)).unwrap();

    let gap = append(&log, vec![entry(1, 6), entry(1, 8)]).unwrap_err();
    let again = append(&log, vec![entry(1, 5)]).unwrap_err();

    assert_eq!(
        gap.to_string(),
        "could not append the entry with index 8: expected index 7"
    );
    assert_eq!(
        again.to_string(),
        "could not append the entry with index 5: expected index 6"
    );
    assert!(log.poisoned().is_none());
    append(&log, entries(1, 6..7)).unwrap();
    assert_eq!(all(&log), entries(1, 4..7));
}

#[test]
fn truncated_entries_are_replaced() {
    let (_, disk) = memory(1);
    let (log, _) = Log::open(disk.clone(), small()).unwrap();
    append(&log, entries(1, 0..40)).unwrap();

    wait(log.truncate_after(Some(100))).unwrap();
    assert_eq!(log.last(), Some((1, 39)));
    wait(log.truncate_after(Some(9))).unwrap();
    append(&log, entries(2, 10..30)).unwrap();

    let expected = [entries(1, 0..10), entries(2, 10..30)].concat();
    assert_eq!(all(&log), expected);
    drop(log);
    let (log, _) = Log::open(disk, small()).unwrap();
    assert_eq!(all(&log), expected);
    wait(log.truncate_after(None)).unwrap();
    assert_eq!((log.last(), log.first_index()), (None, None));
    append(&log, entries(3, 0..3)).unwrap();
    assert_eq!(all(&log), entries(3, 0..3));
}

#[test]
fn a_purge_beyond_the_end_empties_the_log_and_moves_it() {
    let (_, disk) = memory(1);
    let (log, _) = Log::open(disk.clone(), small()).unwrap();
    append(&log, entries(1, 0..40)).unwrap();

    wait(log.purge(7, 1000)).unwrap();

    assert_eq!((log.last(), log.first_index()), (Some((7, 1000)), None));
    assert!(append(&log, entries(7, 40..41)).is_err());
    wait(log.truncate_after(None)).unwrap();
    assert_eq!(log.last(), Some((7, 1000)));
    append(&log, entries(7, 1001..1010)).unwrap();
    drop(log);
    let (log, recovered) = Log::open(disk, small()).unwrap();
    assert_eq!(all(&log), entries(7, 1001..1010));
    assert_eq!(recovered.purged, Some((7, 1000)));
}

#[test]
fn purged_segments_are_removed_and_what_they_said_is_kept() {
    let (_, disk) = memory(1);
    let (log, _) = Log::open(disk.clone(), small()).unwrap();
    wait(log.save_vote("vote".into())).unwrap();
    log.save_committed("hint".into()).unwrap();
    append(&log, entries(1, 0..200)).unwrap();
    let before = disk.names().unwrap();

    wait(log.purge(1, 198)).unwrap();

    let after = disk.names().unwrap();
    assert!(before.len() > 10, "{before:?}");
    assert!(after.len() <= 2, "{after:?}");
    drop(log);
    let (log, recovered) = Log::open(disk, small()).unwrap();
    assert_eq!(recovered.vote, Some("vote".into()));
    assert_eq!(recovered.committed, Some("hint".into()));
    assert_eq!(all(&log), entries(1, 199..200));
}

#[test]
fn segments_of_replaced_entries_are_removed_with_those_before_them() {
    let (_, disk) = memory(1);
    let (log, _) = Log::open(disk.clone(), small()).unwrap();
    append(&log, entries(1, 0..100)).unwrap();
    wait(log.truncate_after(Some(4))).unwrap();
    append(&log, entries(2, 5..30)).unwrap();

    wait(log.purge(2, 29)).unwrap();

    assert_eq!(disk.names().unwrap().len(), 1);
    drop(log);
    assert_eq!(Log::open(disk, small()).unwrap().1.last, Some((2, 29)));
}

#[test]
fn a_folder_has_one_owner_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let open = || -> Arc<dyn Disk> { Arc::new(FsDisk::open(folder.path()).unwrap()) };
    let in_memory = memory(1).1;
    for (first, second) in [(open(), open()), (in_memory.clone(), in_memory)] {
        let (log, _) = Log::open(first, threaded()).unwrap();

        let refused = Log::open(second.clone(), threaded()).unwrap_err();

        assert!(matches!(refused, StorageError::Locked { .. }), "{refused}");
        assert!(refused.to_string().contains("is in use"));
        drop(log);
        Log::open(second, threaded()).unwrap();
    }
}

#[test]
fn a_closed_log_refuses_and_keeps_what_was_queued() {
    let (_, disk) = memory(1);
    let (log, _) = Log::open(disk.clone(), threaded()).unwrap();
    log.append(entries(1, 0..100), Box::new(|_| {}));

    wait(log.close()).unwrap();

    let refused = wait(log.save_vote("late".into())).unwrap_err();
    assert!(matches!(refused, StorageError::Closed));
    assert!(append(&log, entries(1, 100..101)).is_err());
    assert!(log.read(0..1, 1).is_err());
    assert!(matches!(wait(log.close()), Err(StorageError::Closed)));
    let (log, _) = Log::open(disk, threaded()).unwrap();
    assert_eq!(all(&log), entries(1, 0..100));
}

#[test]
fn sizes_beyond_the_limits_are_refused() {
    let (_, disk) = memory(1);
    let (log, _) = Log::open(
        disk,
        LogOptions {
            inline: true,
            ..LogOptions::default()
        },
    )
    .unwrap();
    let large = |size| Bytes::from(vec![7; size]);
    let with = |payload| Entry {
        term: 1,
        index: 1,
        payload,
    };

    let payload = append(&log, vec![with(large(super::super::PAYLOAD_MAX + 1))]).unwrap_err();
    let vote = wait(log.save_vote(large(super::super::SMALL_MAX + 1))).unwrap_err();
    let hint = log
        .save_committed(large(super::super::SMALL_MAX + 1))
        .unwrap_err();

    assert_eq!(
        payload.to_string(),
        "could not store a payload of 16777217 bytes: expected at most 16777216"
    );
    assert!(matches!(vote, StorageError::TooLarge { .. }));
    assert!(matches!(hint, StorageError::TooLarge { .. }));
    append(&log, vec![with(large(super::super::PAYLOAD_MAX))]).unwrap();
    wait(log.save_vote(large(super::super::SMALL_MAX))).unwrap();
    assert_eq!(all(&log)[0].payload.len(), super::super::PAYLOAD_MAX);
}
