//! The directory beside etcd: three nodes each, on one disk, synced before acknowledged, in one run.
//!
//! ```text
//! apt-get download etcd-server && dpkg -x etcd-server_*.deb /tmp/etcd     # or any etcd 3.4 or later
//! ETCD=/tmp/etcd/usr/bin/etcd cargo bench --manifest-path benches/Cargo.toml --bench directory
//! … --bench directory -- --only put --rounds 5        # parts: put get watch failover bulk
//! ```
//!
//! Every node is a process of its own, and so is the client, which keeps at most 64 connections. The
//! systems take turns within each round; the table shows medians over rounds. Values have 256 bytes.
//! Without `ETCD` only distri is measured.

mod directory {
    pub(crate) mod cluster;
    pub(crate) mod measure;
    pub(crate) mod over_distri;
    pub(crate) mod over_etcd;
}

use std::collections::BTreeMap;

use directory::{
    cluster,
    measure::{self, Figures, System},
};

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        // Cargo adds it.
        .filter(|argument| argument != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", folder, ref entry @ ..] => cluster::serve(folder, entry),
        _ => compare(&words),
    }
}

fn compare(words: &[&str]) {
    let mut rounds = 3;
    let mut only = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match (*word, words.next()) {
            ("--rounds", Some(count)) => rounds = count.parse().expect("--rounds NUMBER"),
            ("--only", Some(part)) => only.push((*part).to_owned()),
            (other, _) => panic!("unknown argument {other}"),
        }
    }
    let wanted =
        |part: &str| only.is_empty() || only.iter().any(|only| part.contains(only.as_str()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut all: BTreeMap<(usize, String), BTreeMap<&'static str, Vec<f64>>> = BTreeMap::new();
        let mut order = Vec::<String>::new();
        for round in 0..rounds {
            for system in System::available() {
                eprintln!("round {} of {rounds}: {}", round + 1, system.name());
                let figures: Figures = measure::run(system, &wanted).await;
                for (name, value) in figures.0 {
                    let place = order
                        .iter()
                        .position(|known| *known == name)
                        .unwrap_or_else(|| {
                            order.push(name.clone());
                            order.len() - 1
                        });
                    all.entry((place, name))
                        .or_default()
                        .entry(system.name())
                        .or_default()
                        .push(value);
                }
            }
        }
        println!(
            "{:<44} {:>12} {:>12} {:>8}",
            "medians", "distri", "etcd", "ratio"
        );
        for ((_, name), mut by_system) in all {
            let mut median = |system: &str| {
                let values = by_system.get_mut(system)?;
                values.sort_by(f64::total_cmp);
                Some(values[values.len() / 2])
            };
            let (ours, theirs) = (median("distri"), median("etcd"));
            let show =
                |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
            let ratio = ours.zip(theirs).map(|(ours, theirs)| ours / theirs);
            println!(
                "{name:<44} {:>12} {:>12} {:>8}",
                show(ours),
                show(theirs),
                show(ratio)
            );
        }
    });
}
