//! What is promised to be watched is watched, and a run that fails says why.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use distri::{
    directory::{CollectionSpec, Who},
    testing::{Sim, simulate},
};
use serde_json::json;

/// Runs what must fail, and gives what it fails with.
pub(crate) fn failure(scenario: impl AsyncFn(Sim)) -> String {
    let failed = catch_unwind(AssertUnwindSafe(|| simulate([7], scenario)));
    let panic = failed.expect_err("the scenario fails");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
    }
}

#[test]
fn an_invariant_that_does_not_hold_ends_the_run_with_its_name() {
    let gone_on = Arc::<AtomicBool>::default();
    let after = gone_on.clone();

    let failure = failure(async move |sim| {
        let cluster = sim.cluster(3).start().await;
        cluster.always("all three are there", |cluster| {
            assert_eq!(cluster.up().len(), 3, "somebody is missing");
        });
        sim.sleep(Duration::from_secs(1)).await;
        cluster.crash(2);
        sim.sleep(Duration::from_secs(1)).await;
        after.store(true, Ordering::Relaxed);
    });

    assert!(
        failure.starts_with("`all three are there` does not hold"),
        "{failure}"
    );
    assert!(failure.contains("somebody is missing"), "{failure}");
    assert!(!gone_on.load(Ordering::Relaxed));
}

#[test]
fn a_panic_in_a_task_of_a_node_ends_the_run() {
    let failure = failure(async |sim| {
        let cluster = sim.cluster(1).start().await;
        cluster
            .node(0)
            .handle()
            .spawn(async { panic!("the service cannot count") });
        sim.sleep(Duration::from_secs(60)).await;
    });

    assert!(failure.contains("no task of a node panics"), "{failure}");
    assert!(failure.contains("the service cannot count"), "{failure}");
}

#[test]
fn a_scenario_that_waits_for_what_never_comes_ends() {
    let failure = failure(async |_| std::future::pending().await);

    assert!(failure.contains("the scenario ends"), "{failure}");
}

/// A disk that does not sync, as if the log had forgotten to: it is found, in one way or another.
#[test]
fn a_sync_that_is_not_made_is_found() {
    let failure = failure(async |sim| {
        let cluster = sim.cluster(3).start().await;
        let spec = CollectionSpec::new("things");
        cluster
            .collection(spec.read(Who::Public).write(Who::Public))
            .await;
        for index in 0..3 {
            cluster.disk(index).lie_about_syncs();
        }
        let client = cluster.client().await;
        let things = client.directory().collection("things");
        for number in 0..20 {
            things.put(format!("{number}"), &json!({})).await.unwrap();
        }
        for index in 0..3 {
            cluster.crash(index);
        }
        cluster.mend().await;
        cluster.must_agree().await;
        // Whatever is written now stands where something else was acknowledged.
        for number in 0..20 {
            let _ = things.put(format!("again {number}"), &json!({})).await;
        }
        cluster.must_agree().await;
    });

    let found = [
        "what was applied once stays",
        "was acknowledged",
        "corrupt",
        "damaged",
    ];
    assert!(
        found.iter().any(|found| failure.contains(found)),
        "{failure}"
    );
}
