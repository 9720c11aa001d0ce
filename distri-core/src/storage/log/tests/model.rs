//! The log is a vector of entries and a few values, whatever happens in which order.

use super::{
    program::{Dice, Model, Run},
    *,
};

/// Some entries read back are those of the model, as many as were asked for.
fn check_reads(log: &Log, expected: &Model, dice: &mut Dice, context: &str) {
    let end = expected.last().map_or(1, |(_, index)| index + 3);
    for _ in 0..4 {
        let range = dice.below(end)..dice.below(end);
        let bytes_max = dice.below(300) as usize;
        let in_range = |entry: &&Entry| range.contains(&entry.index);
        let expected: Vec<Entry> = expected.entries().filter(in_range).cloned().collect();

        let found = log.read(range.clone(), bytes_max).unwrap();
        let whole = log.read(range, usize::MAX).unwrap();

        assert_eq!(whole, expected, "{context}");
        assert!(expected.starts_with(&found), "{context}");
        assert_eq!(found.is_empty(), expected.is_empty(), "{context}");
        let bytes: usize = found.iter().map(|entry| entry.payload.len()).sum();
        assert!(bytes <= bytes_max || found.len() == 1, "{context}: {bytes}");
    }
}

fn check_lives(seed: u64, disk: &Arc<dyn Disk>, options: LogOptions) {
    let context = format!("seed {seed} with {options:?} on {disk:?}");
    let mut dice = Dice(seed);
    let mut run = Run::new(Model::default(), 0);
    for _life in 0..4 {
        let (log, recovered) = Log::open(disk.clone(), options).unwrap();
        assert_eq!(&Model::of(&log, &recovered), run.expected(), "{context}");
        for _ in 0..10 {
            run.direct(&log, &mut dice);
            assert_eq!(&Model::now(&log), run.expected(), "{context}");
            check_reads(&log, run.expected(), &mut dice, &context);
        }
        if dice.below(2) == 0 {
            wait(log.close()).unwrap();
        }
    }
}

#[test]
fn a_log_in_memory_is_as_its_model_says_through_many_lives() {
    for seed in 0..200 {
        check_lives(seed, &memory(seed).1, small());
        check_lives(seed, &memory(seed).1, threaded());
    }
}

#[test]
fn a_log_in_files_is_as_its_model_says_through_many_lives() {
    for seed in 0..6 {
        for options in [small(), threaded()] {
            let folder = tempfile::tempdir().unwrap();
            let disk: Arc<dyn Disk> = Arc::new(FsDisk::open(folder.path()).unwrap());
            check_lives(seed, &disk, options);
        }
    }
}
