//! The bench of the ledger, in the profile of the tests: for ratios within one run, not for figures.

use crate::measure;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, and proves nothing"]
async fn redemptions_beside_plain_writes() {
    measure::measure().await;
}
