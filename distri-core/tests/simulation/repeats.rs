//! The same seed gives the same run: byte for byte, at the same times.

use std::{process::Command, time::Duration};

use distri::{
    directory::{CollectionSpec, Who},
    testing::{Chaos, Fingerprint, Sim, fingerprint},
};
use serde_json::{Value, json};

/// Names a file for another process of this test, and says which seed it runs.
const CHILD: &str = "DISTRI_TEST_FINGERPRINT";

/// A cluster in a storm, with clients that write and watch.
async fn stormy(sim: Sim) {
    let cluster = sim.cluster(3).start().await;
    let spec = CollectionSpec::new("things")
        .read(Who::Public)
        .write(Who::Public);
    cluster.collection(spec).await;
    let chaos = Chaos {
        members: 2,
        ..Chaos::default()
    };
    let storm = cluster.chaos(chaos.deeds(12));
    for number in 0..3 {
        let client = cluster.client().await;
        let mut dice = sim.dice();
        sim.spawn(async move {
            let directory = client.directory().timeout(Duration::from_secs(2));
            let things = directory.collection::<Value>("things");
            loop {
                let id = format!("{number}-{}", dice.below(5));
                let _ = things.put(id, &json!({ "n": dice.roll() })).await;
                tokio::time::sleep(Duration::from_millis(dice.below(50) as u64)).await;
            }
        });
    }
    storm.pass().await;
}

fn in_a_fresh_thread(seed: u64) -> Fingerprint {
    let run = std::thread::spawn(move || fingerprint(seed, stormy));
    run.join().unwrap()
}

fn in_a_fresh_process(seed: u64) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "repeats::a_run_for_another_process",
            "--nocapture",
        ])
        .env(CHILD, seed.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("fingerprint "));
    line.unwrap_or_else(|| panic!("no fingerprint in {said}"))
        .to_owned()
}

#[test]
fn the_same_seed_gives_the_same_run_in_each_thread_and_process() {
    for seed in 1..=4 {
        let first = in_a_fresh_thread(seed);
        println!("seed {seed}: {first}");

        let again = in_a_fresh_thread(seed);
        let elsewhere = in_a_fresh_process(seed);

        assert!(
            first.deliveries > 1000,
            "too little was done to prove anything"
        );
        assert_eq!(again, first, "seed {seed} in another thread");
        assert_eq!(
            elsewhere,
            first.to_string(),
            "seed {seed} in another process"
        );
    }
}

#[test]
fn different_seeds_give_different_runs() {
    assert_ne!(in_a_fresh_thread(1).hash, in_a_fresh_thread(2).hash);
}

/// Runs only as a part of another test.
#[test]
fn a_run_for_another_process() {
    if let Ok(seed) = std::env::var(CHILD) {
        println!("fingerprint {}", fingerprint(seed.parse().unwrap(), stormy));
    }
}
