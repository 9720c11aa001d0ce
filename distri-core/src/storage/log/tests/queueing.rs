//! Many ask at once: groups, order, and bounds.

use std::{sync::Mutex, thread};

use super::*;

/// No preallocation and one segment, so that a batch is one sync.
fn plain() -> LogOptions {
    LogOptions {
        allocate_bytes: 0,
        ..LogOptions::default()
    }
}

#[test]
fn many_appends_become_durable_with_one_sync_and_are_told_in_order() {
    let (memory, disk) = memory(1);
    let (log, _) = Log::open(disk, plain()).unwrap();
    let held = hold(&log);
    let before = (memory.syncs(), memory.operations());
    let next = Mutex::new(1);
    let (tx, rx) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..8 {
            let (tx, next, log) = (tx.clone(), &next, &log);
            scope.spawn(move || {
                for _ in 0..100 {
                    let mut next = next.lock().unwrap();
                    let (tx, index) = (tx.clone(), *next);
                    let done = move |result: std::io::Result<()>| {
                        result.unwrap();
                        tx.send(index).unwrap();
                    };
                    log.append(entries(1, index..index + 1), Box::new(done));
                    *next += 1;
                }
            });
        }
    });

    drop(held);

    let told: Vec<u64> = (0..800).map(|_| rx.recv().unwrap()).collect();
    assert_eq!(told, (1..801).collect::<Vec<_>>());
    let after = (memory.syncs(), memory.operations());
    assert_eq!(
        (after.0 - before.0, after.1 - before.1),
        (1, 2),
        "one write, one sync"
    );
    assert_eq!(all(&log), entries(1, 0..801));
}

#[test]
fn a_committed_hint_is_written_without_a_sync_of_its_own() {
    let (memory, disk) = memory(1);
    let (log, _) = Log::open(
        disk.clone(),
        LogOptions {
            inline: true,
            ..plain()
        },
    )
    .unwrap();
    append(&log, entries(1, 0..1)).unwrap();
    let before = memory.syncs();

    log.save_committed("one".into()).unwrap();
    log.save_committed("two".into()).unwrap();

    assert_eq!(memory.syncs(), before);
    assert_eq!(log.committed(), Some("two".into()));
    append(&log, Vec::new()).unwrap();
    assert_eq!(memory.syncs(), before + 1);
    memory.crash();
    let (_log, recovered) = Log::open(disk, plain()).unwrap();
    assert_eq!(recovered.committed, Some("two".into()));
}

#[test]
fn a_full_queue_refuses_until_there_is_room() {
    let (_, disk) = memory(1);
    let options = LogOptions {
        queue_bytes: 1000,
        ..plain()
    };
    let (log, _) = Log::open(disk, options).unwrap();
    let held = hold(&log);
    // Whatever its size, what comes before the limit is taken.
    log.append(entries(1, 1..100), Box::new(|result| result.unwrap()));

    let refused = append(&log, entries(1, 100..101)).unwrap_err();

    assert_eq!(refused.kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(log.last(), Some((1, 99)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut room = std::pin::pin!(log.room());
        let now = std::future::poll_fn(|cx| std::task::Poll::Ready(room.as_mut().poll(cx)));
        assert!(now.await.is_pending());
        drop(held);
        room.await;
    });
    append(&log, entries(1, 100..101)).unwrap();
}

#[test]
fn entries_leave_memory_when_they_are_written_and_the_cache_is_full() {
    let (_, disk) = memory(1);
    let options = LogOptions {
        cache_bytes: 1000,
        ..plain()
    };
    let (log, _) = Log::open(disk, options).unwrap();
    let held = hold(&log);
    log.append(entries(1, 1..500), Box::new(|_| {}));
    let cached = || log.driver.shared().cached_bytes();
    let waiting = cached();

    drop(held);
    wait(log.save_vote("vote".into())).unwrap();

    assert!(waiting > 5000, "{waiting}");
    assert!(cached() <= 1000, "{}", cached());
    wait(log.truncate_after(Some(490))).unwrap();
    wait(log.purge(1, 485)).unwrap();
    assert_eq!(all(&log), entries(1, 486..491));
    wait(log.purge(1, 490)).unwrap();
    assert_eq!(cached(), 0);
}

#[test]
fn an_append_longer_than_a_batch_is_told_when_all_of_it_is_durable() {
    let (memory, disk) = memory(1);
    let options = LogOptions {
        batch_bytes: 100,
        ..plain()
    };
    let (log, _) = Log::open(disk.clone(), options).unwrap();

    append(&log, entries(1, 0..500)).unwrap();

    memory.crash();
    drop(log);
    let (log, _) = Log::open(disk, options).unwrap();
    assert_eq!(all(&log), entries(1, 0..500));
}

#[test]
fn replaced_entries_are_not_found_where_those_before_them_were_written() {
    let (_, disk) = memory(1);
    let options = LogOptions {
        cache_bytes: 0,
        ..plain()
    };
    let (log, _) = Log::open(disk, options).unwrap();
    let held = hold(&log);
    let mut all_done = Vec::new();
    for term in 1..20 {
        all_done.push(log.truncate_after(Some(0)));
        log.append(entries(term, 1..9), Box::new(|result| result.unwrap()));
    }

    drop(held);

    for done in all_done {
        wait(done).unwrap();
    }
    append(&log, Vec::new()).unwrap();
    let expected = [entries(1, 0..1), entries(19, 1..9)].concat();
    assert_eq!(all(&log), expected);
}

#[test]
fn the_last_handle_may_be_dropped_in_a_callback() {
    let (_, disk) = memory(1);
    let (log, _) = Log::open(disk.clone(), threaded()).unwrap();
    let (tx, rx) = mpsc::channel();
    let handle = log.clone();
    let (go, wait_to_go) = mpsc::channel::<()>();
    log.append(
        entries(1, 0..5),
        Box::new(move |result| {
            wait_to_go.recv().unwrap();
            drop(handle);
            tx.send(result.is_ok()).unwrap();
        }),
    );
    // Not the last, as the callback has one; so this does not wait for the writer.
    drop(log);

    go.send(()).unwrap();

    assert!(rx.recv().unwrap());
    // The folder is free as soon as the writer has ended.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        match Log::open(disk.clone(), threaded()) {
            Ok((log, _)) => return assert_eq!(all(&log), entries(1, 0..5)),
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
        thread::yield_now();
    }
}

/// Prints how fast appends become durable:
/// `cargo test --release -p distri-core --lib how_fast -- --ignored --nocapture`
#[test]
#[ignore = "measures, and proves nothing"]
fn how_fast_appends_become_durable() {
    let folder = tempfile::tempdir_in(".").unwrap();
    for clients in [1_u64, 64] {
        let name = format!("clients-{clients}");
        let disk = Arc::new(FsDisk::open(folder.path().join(name)).unwrap());
        let (log, _) = Log::open(disk, LogOptions::default()).unwrap();
        let next = Mutex::new(0);
        let each = 20_000 / clients.min(8);
        let start = std::time::Instant::now();
        thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| {
                    for _ in 0..each {
                        let (tx, rx) = mpsc::sync_channel(1);
                        let mut next = next.lock().unwrap();
                        let entry = Entry {
                            term: 1,
                            index: *next,
                            payload: vec![7; 230].into(),
                        };
                        log.append(
                            vec![entry],
                            Box::new(move |result| tx.send(result).unwrap()),
                        );
                        *next += 1;
                        drop(next);
                        rx.recv().unwrap().unwrap();
                    }
                });
            }
        });
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{clients} at once: {:.0} appends/s",
            (clients * each) as f64 / seconds
        );
    }
}
