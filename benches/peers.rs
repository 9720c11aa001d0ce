//! How fast an image goes from one peer to another: as it is delivered, checked and kept, over TCP with TLS
//! and over QUIC, beside a bare QUIC stream of the same library and a plain copy over TCP, without any
//! encryption, which is as fast as this machine gets. On loopback, in one process, in one run.
//!
//! ```text
//! cargo bench --manifest-path benches/Cargo.toml --no-default-features --features peers --bench peers
//! … --bench peers -- 48 9     # MiB a transfer (64 at most), rounds
//! ```
//!
//! The ways take turns within each round; the table shows the median over rounds, the least and the
//! greatest. Between ends that only receive, the bytes come from memory and are dropped; a delivery, and the
//! copy of a file, reads a file and ends with one that is synced.

#[path = "peers/bare.rs"]
mod bare;
#[path = "peers/product.rs"]
mod product;

use bytes::Bytes;
use distri::identity::Identity;
use distri::transport::iroh::{Iroh, IrohOptions};

use product::Way;

const MIB: usize = 1024 * 1024;

/// Wherever the system has a port.
const LOOPBACK: &str = "127.0.0.1:0";

fn main() {
    let numbers: Vec<usize> = std::env::args()
        .skip(1)
        // Cargo adds it.
        .filter(|argument| argument != "--bench")
        .map(|argument| argument.parse().expect("MIB ROUNDS, two numbers"))
        .collect();
    let mib = numbers.first().copied().unwrap_or(48).clamp(1, 64);
    let rounds = numbers.get(1).copied().unwrap_or(9).max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(run(mib, rounds));
}

async fn run(mib: usize, rounds: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = noise(mib * MIB);
    let source = folder.path().join("source");
    std::fs::write(&source, &file).expect("it is written");
    let target = folder.path().join("target");
    let cloud = product::node().await;
    let quic = Way::start(&cloud, &file, &source, true).await;
    let tcp = Way::start(&cloud, &file, &source, false).await;

    let mut rows: Vec<(&str, Vec<f64>)> = Vec::new();
    for _ in 0..rounds {
        let took = [
            ("bare stream of the library, QUIC", bare::quic(&file).await),
            ("link, QUIC", bare::link_over_quic(&file).await),
            ("blob of a service, QUIC", quic.blob(file.len()).await),
            ("image delivered, QUIC", quic.deliver(&target).await),
            ("link, TCP and TLS", bare::link_over_tcp(&file).await),
            ("blob of a service, TCP and TLS", tcp.blob(file.len()).await),
            ("image delivered, TCP and TLS", tcp.deliver(&target).await),
            ("plain copy of bytes, TCP", bare::tcp(&file).await),
            (
                "plain copy of a file, TCP",
                bare::tcp_file(&source, &target, file.len()).await,
            ),
            ("of a delivery, its hashes alone", product::hashes(&file)),
        ];
        for (name, took) in took {
            let rate = mib as f64 / took.as_secs_f64();
            match rows.iter_mut().find(|(row, _)| *row == name) {
                Some((_, rates)) => rates.push(rate),
                None => rows.push((name, vec![rate])),
            }
        }
    }
    println!("| {mib} MiB, {rounds} rounds | MiB/s | least | greatest |\n|---|---|---|---|");
    for (name, mut rates) in rows {
        rates.sort_by(f64::total_cmp);
        let (least, greatest) = (rates[0], rates[rates.len() - 1]);
        let median = rates[rates.len() / 2];
        println!("| {name} | {median:.0} | {least:.0} | {greatest:.0} |");
    }
}

/// Bytes that nothing makes shorter.
fn noise(length: usize) -> Bytes {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn quic_on_loopback(identity: Identity) -> Iroh {
    let mut options = IrohOptions::default();
    options.bind = LOOPBACK.parse().expect("an address");
    Iroh::with_options(identity, options)
}
