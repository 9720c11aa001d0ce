//! The directory beside etcd: three nodes each, on one disk, synced before acknowledged, in one run.
//!
//! ```text
//! apt-get download etcd-server && dpkg -x etcd-server_*.deb /tmp/etcd     # or any etcd 3.4 or later
//! ETCD=/tmp/etcd/usr/bin/etcd cargo bench --manifest-path benches/Cargo.toml \
//!     --no-default-features --features directory --bench directory
//! … --bench directory -- --only put --rounds 5   # parts: idle put get watch failover bulk
//! … --bench directory -- --systems distri        # one of them alone
//! ```
//!
//! Every node is a process of its own, and so is the client, all on the same cores; the client has 64
//! connections (of distri each to all three nodes, of etcd spread over them, the first to the leader).
//! distri's links are TLS, etcd's plain. The systems take turns within each round; the table shows
//! medians over rounds. Values have 256 bytes. Building needs `protoc`, for etcd's client. Without
//! `ETCD` only distri is measured.

mod directory {
    pub(crate) mod cluster;
    pub(crate) mod measure;
    pub(crate) mod over_distri;
    pub(crate) mod over_etcd;
}

use std::collections::BTreeMap;

use directory::{
    measure::{self, Figures},
    over_distri::{self, Distri},
    over_etcd::Etcd,
};

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        // Cargo adds it.
        .filter(|argument| argument != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", folder, ref entry @ ..] => over_distri::serve(folder, entry),
        _ => compare(&words),
    }
}

/// What is asked for on the command line.
struct Wish {
    rounds: usize,
    only: Vec<String>,
    systems: Vec<&'static str>,
}

impl Wish {
    fn read(words: &[&str]) -> Self {
        let mut wish = Self {
            rounds: 3,
            only: Vec::new(),
            systems: match Etcd::binary() {
                Some(_) => vec!["distri", "etcd"],
                None => vec!["distri"],
            },
        };
        for pair in words.chunks(2) {
            match *pair {
                ["--rounds", count] => wish.rounds = count.parse().expect("--rounds NUMBER"),
                ["--only", part] => wish.only.push(part.to_owned()),
                ["--systems", name] => wish.systems.retain(|system| *system == name),
                _ => panic!("unknown arguments {pair:?}"),
            }
        }
        wish
    }

    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }
}

fn compare(words: &[&str]) {
    let wish = Wish::read(words);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut all: BTreeMap<(usize, String), BTreeMap<&'static str, Vec<f64>>> = BTreeMap::new();
    let mut order = Vec::<String>::new();
    for round in 0..wish.rounds {
        for &system in &wish.systems {
            eprintln!("round {} of {}: {system}", round + 1, wish.rounds);
            let wanted = |part: &str| wish.wants(part);
            let figures: Figures = runtime.block_on(async {
                match system {
                    "distri" => measure::run::<Distri>(system, &wanted).await,
                    _ => measure::run::<Etcd>(system, &wanted).await,
                }
            });
            for (name, value) in figures.0 {
                let place = order.iter().position(|known| *known == name).unwrap_or_else(|| {
                    order.push(name.clone());
                    order.len() - 1
                });
                let by_system = all.entry((place, name)).or_default();
                by_system.entry(system).or_default().push(value);
            }
        }
    }
    println!("{:<58} {:>12} {:>12} {:>8}", "medians", "distri", "etcd", "ratio");
    for ((_, name), mut by_system) in all {
        let mut median = |system: &str| {
            let values = by_system.get_mut(system)?;
            values.sort_by(f64::total_cmp);
            Some(values[values.len() / 2])
        };
        let (ours, theirs) = (median("distri"), median("etcd"));
        let show = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
        let ratio = ours.zip(theirs).map(|(ours, theirs)| ours / theirs);
        println!("{name:<58} {:>12} {:>12} {:>8}", show(ours), show(theirs), show(ratio));
    }
}
