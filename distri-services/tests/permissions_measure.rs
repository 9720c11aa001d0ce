//! The bench of the ledger, in the profile of the tests: for ratios within one run, not for figures.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod granting;
#[path = "../../benches/permissions/measure.rs"]
mod measure;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, and proves nothing"]
async fn redemptions_beside_plain_writes() {
    measure::measure().await;
}
