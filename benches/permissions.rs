//! The ledger of grants beside plain writes of the directory: three nodes on one disk, synced before
//! acknowledged, nodes and client in one process on the same cores.
//!
//! ```text
//! cargo bench --manifest-path benches/Cargo.toml --no-default-features --features permissions \
//!     --bench permissions
//! ```

#[path = "../distri-services/tests/permissions/granting.rs"]
mod granting;
#[path = "permissions/measure.rs"]
mod measure;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(measure::measure());
}
