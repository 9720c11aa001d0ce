//! The disk fails: the log says so, stops, and starts again with all it acknowledged.

use super::{
    program::{Dice, Model, Run},
    *,
};

#[derive(Debug, Clone, Copy)]
enum Fault {
    Write(u64),
    Sync(u64),
    Full(u64),
    ReadOnly,
}

impl Fault {
    fn set(self, disk: &MemoryDisk) {
        match self {
            Self::Write(nth) => disk.fail_write(nth),
            Self::Sync(nth) => disk.fail_sync(nth),
            Self::Full(bytes) => disk.fill_after(bytes),
            Self::ReadOnly => disk.make_read_only(),
        }
    }
}

fn all_faults() -> impl Iterator<Item = Fault> {
    let nth = (1..40).flat_map(|nth| [Fault::Write(nth), Fault::Sync(nth)]);
    let full = (0..40).map(|n| Fault::Full(n * 37));
    nth.chain(full).chain([Fault::ReadOnly])
}

/// The state after the fault, as a process finds it that starts on the same disk.
fn fail_and_reopen(seed: u64, fault: Fault) {
    let context = format!("seed {seed}, {fault:?}");
    let (memory, disk) = memory(seed);
    let mut dice = Dice(seed);
    let (log, _) = Log::open(disk.clone(), small()).unwrap();
    let mut run = Run::new(Model::default(), 0);
    for _ in 0..3 {
        assert!(run.batch(&log, &mut dice), "{context}");
    }
    fault.set(&memory);
    let failed = (0..60).any(|_| !run.batch(&log, &mut dice));

    assert!(failed, "{context}: the fault was never met");
    let failure = log.poisoned().expect("a failed log says so");
    assert!(
        matches!(failure, StorageError::Poisoned { .. }),
        "{context}"
    );
    memory.heal();
    let syncs = memory.syncs();
    let later = wait(log.save_vote("later".into())).unwrap_err();
    assert_eq!(format!("{later:?}"), format!("{failure:?}"), "{context}");
    assert!(append(&log, Vec::new()).is_err(), "{context}");
    assert!(log.read(0..9, 9).is_err(), "{context}");
    assert!(wait(log.close()).is_err(), "{context}");
    assert_eq!(
        memory.syncs(),
        syncs,
        "{context}: a failed log writes no more"
    );

    let (log, recovered) = Log::open(disk.clone(), small()).unwrap();
    let found = Model::of(&log, &recovered);
    run.check(&found, &context);

    // What was found is durable, though the system may have forgotten to write it.
    let mut next_life = Run::new(found, run.number());
    if dice.below(2) == 0 {
        assert!(next_life.batch(&log, &mut dice), "{context}");
    }
    memory.crash();
    let (log, recovered) = Log::open(disk, small()).unwrap();
    next_life.check(&Model::of(&log, &recovered), &context);
}

#[test]
fn after_any_fault_nothing_is_acknowledged_and_a_new_start_finds_what_was() {
    for seed in 0..20 {
        for fault in all_faults() {
            fail_and_reopen(seed, fault);
        }
    }
}

#[test]
fn a_failure_names_the_file_and_the_cause() {
    let (memory, disk) = memory(1);
    let (log, _) = Log::open(disk, small()).unwrap();
    memory.fill_after(0);

    let error = append(&log, entries(1, 0..20)).unwrap_err();

    let inner = error.into_inner().unwrap();
    assert_eq!(inner.to_string(), "the log stopped after a failed write");
    let cause = inner.source().unwrap();
    let expected = "could not allocate `log-0000000000000001.distri`";
    assert_eq!(cause.to_string(), expected);
    let system = cause.source().unwrap().to_string();
    assert_eq!(system, std::io::ErrorKind::StorageFull.to_string());
}

#[test]
fn a_failed_sync_fails_all_that_wait_in_the_queue_in_their_order() {
    let (memory, disk) = memory(1);
    let (log, _) = Log::open(disk, threaded()).unwrap();
    let held = hold(&log);
    let (tx, rx) = mpsc::channel();
    for n in 1..20 {
        let tx = tx.clone();
        let done = move |result: std::io::Result<()>| tx.send((n, result.is_ok())).unwrap();
        log.append(entries(1, n..n + 1), Box::new(done));
    }
    memory.fail_sync(1);

    drop(held);

    let told: Vec<_> = (1..20).map(|_| rx.recv().unwrap()).collect();
    assert_eq!(told, (1..20).map(|n| (n, false)).collect::<Vec<_>>());
}

#[test]
fn a_callback_that_panics_does_not_stop_the_log() {
    let (_, disk) = memory(1);
    let (log, _) = Log::open(disk, threaded()).unwrap();

    log.append(entries(1, 0..1), Box::new(|_| panic!("as this test wants")));

    append(&log, entries(1, 1..2)).unwrap();
    assert_eq!(all(&log), entries(1, 0..2));
}
