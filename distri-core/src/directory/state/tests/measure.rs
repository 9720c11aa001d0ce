//! How fast, and how much memory a document takes. Not a test: run
//! `cargo test --release -p distri-core --lib state::tests::measure -- --ignored --nocapture`.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "measures by the clock and prints what it measured"
)]

use std::time::Instant;

use super::support::*;
use crate::directory::{Actor, Batch, Filter, Proposal, Query, RequestId};

const DOCUMENTS: u64 = 100_000;

/// Resident bytes of this process, where the system tells.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0
}

fn batch_of_puts(serial: u64) -> Batch {
    // Spread over the ids, so that it is not the easy case of rising ones.
    let id = (serial * 7919) % DOCUMENTS;
    let proposal = Proposal {
        request: Some(RequestId {
            session: u128::from(serial % 64),
            serial,
            acknowledged: serial.saturating_sub(64),
        }),
        actor: Actor::Node,
        command: transact([put(
            &format!("user/{id:08}"),
            &format!(
                r#"{{"owner":"user-{}","size":{id},"text":"{}"}}"#,
                id % 97,
                "x".repeat(210)
            ),
        )]),
    };
    batch(1_000_000 + serial / 10, &[proposal])
}

fn per_second(count: u64, since: Instant) -> f64 {
    count as f64 / since.elapsed().as_secs_f64()
}

#[test]
#[ignore = "measures"]
fn puts_gets_and_memory() {
    let mut directory = Directory::of_things();
    let before = resident();
    for from in (0..DOCUMENTS).step_by(10_000) {
        let batches: Vec<_> = (from..from + 10_000).map(batch_of_puts).collect();
        let start = Instant::now();
        for batch in &batches {
            directory.state.apply(batch).unwrap();
        }
        println!(
            "{:>8} documents: {:>9.0} puts/s",
            from + 10_000,
            per_second(10_000, start)
        );
    }
    println!(
        "{:.0} bytes a document",
        (resident() - before) / DOCUMENTS as f64
    );

    let batches: Vec<_> = (0..20_000).map(|n| batch_of_puts(DOCUMENTS + n)).collect();
    let start = Instant::now();
    for batch in &batches {
        directory.state.apply(batch).unwrap();
    }
    println!(
        "{:>9.0} puts/s over what is there",
        per_second(20_000, start)
    );

    let frozen = directory.state.freeze();
    let start = Instant::now();
    for batch in &batches {
        directory.state.apply(batch).unwrap();
    }
    println!("{:>9.0} repeated puts/s", per_second(20_000, start));
    drop(frozen);

    let ids: Vec<_> = (0..DOCUMENTS)
        .map(|n| format!("user/{:08}", (n * 104_729) % DOCUMENTS))
        .collect();
    let start = Instant::now();
    for id in &ids {
        assert!(directory.get(id).is_some());
    }
    println!("{:>9.0} gets/s", per_second(DOCUMENTS, start));

    let view = directory.state.view("things").unwrap();
    let start = Instant::now();
    let count = view
        .count(&Actor::Node, &Filter::eq("owner", "user-5"))
        .unwrap();
    println!(
        "{:>9.0} documents/s looked at in a scan that finds {count}",
        per_second(DOCUMENTS, start)
    );
    let start = Instant::now();
    let mut query = Query::new("things");
    query.filter = Filter::prefix("@id", "user/0005");
    let page = view.find(&Actor::Node, &query).unwrap();
    println!(
        "{:?} for a page of {} by prefix",
        start.elapsed(),
        page.documents.len()
    );

    let start = Instant::now();
    let blocks: Vec<_> = directory.state.freeze().collect();
    let bytes: usize = blocks.iter().map(Vec::len).sum();
    println!("{:?} to write a snapshot of {bytes} bytes", start.elapsed());
    let start = Instant::now();
    let restored = directory.restored();
    println!("{:?} to write and read it", start.elapsed());
    assert_eq!(restored.state.fingerprint(), directory.state.fingerprint());
}
