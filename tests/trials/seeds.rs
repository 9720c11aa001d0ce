//! Which runs are made, and how one that failed is made again.

use std::ops::RangeInclusive;

/// Runs a trial for each seed, with so many faults; should one fail, says how to repeat it.
pub(crate) fn for_seeds(
    suite: RangeInclusive<u64>,
    deeds: usize,
    name: &str,
    trial: impl Fn(u64, usize),
) {
    struct Repeat<'a>(&'a str, u64, usize);
    impl Drop for Repeat<'_> {
        fn drop(&mut self) {
            let Self(name, seed, deeds) = self;
            if std::thread::panicking() {
                println!(
                    "seed {seed} failed; to repeat it:\n\
                     DISTRI_SEEDS={seed}..{seed} DISTRI_DEEDS={deeds} cargo test --test trials \
                     {name}"
                );
            }
        }
    }
    let deeds = number("DISTRI_DEEDS").map_or(deeds, |deeds| deeds as usize);
    for seed in asked().unwrap_or(suite) {
        println!("seed {seed}, {deeds} faults");
        let _repeat = Repeat(name, seed, deeds);
        trial(seed, deeds);
    }
}

/// `DISTRI_SEEDS`, as `first..last`.
fn asked() -> Option<RangeInclusive<u64>> {
    let asked = std::env::var("DISTRI_SEEDS").ok()?;
    let (first, last) = asked.split_once("..")?;
    let number = |text: &str| text.parse().expect("DISTRI_SEEDS is FIRST..LAST");
    Some(number(first)..=number(last))
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is a number")),
    )
}
