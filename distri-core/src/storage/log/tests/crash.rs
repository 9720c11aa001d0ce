//! Power is lost at every moment, and everything acknowledged is there.

use super::{
    program::{Dice, Model, Run},
    *,
};

/// How many batches a program has.
const BATCHES: usize = 12;

/// Runs a random program until it ends or something fails.
fn run(run: &mut Run, log: &Log, dice: &mut Dice) {
    for _ in 0..BATCHES {
        if !run.batch(log, dice) {
            return;
        }
    }
}

fn reopen(disk: &Arc<dyn Disk>, context: &str) -> (Log, Model) {
    let (log, recovered) =
        Log::open(disk.clone(), small()).unwrap_or_else(|error| panic!("{context}: {error}"));
    let model = Model::of(&log, &recovered);
    (log, model)
}

/// Runs the program of `seed` on a disk that stops after `operations`; returns how many it did.
fn live_and_crash(seed: u64, operations: u64) -> u64 {
    let context = format!("seed {seed}, power lost at operation {operations}");
    let (memory, disk) = memory(seed ^ operations << 32);
    let mut dice = Dice(seed);
    let mut first_life = Run::new(Model::default(), 0);
    memory.stop_after(operations);
    if let Ok((log, _)) = Log::open(disk.clone(), small()) {
        run(&mut first_life, &log, &mut dice);
    }
    let count = memory.operations();
    memory.crash();

    // The power is lost during the repair, too.
    for _ in 0..dice.below(3) {
        memory.stop_after(dice.below(8));
        drop(Log::open(disk.clone(), small()));
        memory.crash();
    }
    let (log, found) = reopen(&disk, &context);
    first_life.check(&found, &context);

    // What was reported once is durable, and a second life is as the first.
    let mut second_life = Run::new(found, first_life.number());
    memory.stop_after(dice.below(60));
    run(&mut second_life, &log, &mut dice);
    memory.crash();
    drop(log);
    let (_log, found) = reopen(&disk, &context);
    second_life.check(&found, &context);
    count
}

#[test]
fn a_crash_at_any_operation_leaves_all_that_was_acknowledged_and_a_prefix_of_the_rest() {
    for seed in 0..40 {
        let count = live_and_crash(seed, u64::MAX >> 32);
        for operations in 0..=count {
            live_and_crash(seed, operations);
        }
    }
}
