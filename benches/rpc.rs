//! distri beside tonic, tarpc and bare frames, in one run.
//!
//! ```text
//! cargo bench --manifest-path benches/Cargo.toml --bench rpc                 # about two minutes
//! cargo bench --manifest-path benches/Cargo.toml --bench rpc -- --quick
//! cargo bench --manifest-path benches/Cargo.toml --bench rpc -- --json rpc.json
//! cargo bench --manifest-path benches/Cargo.toml --bench rpc -- idle-links 10000
//! cargo bench --manifest-path benches/Cargo.toml --bench rpc -- instructions # needs valgrind
//! ```
//!
//! Every server is a process of its own with two workers, and so is the client; all on loopback. The
//! systems take turns within each round, and the table shows medians over rounds, so that a machine
//! that others use too slows all of them. `--rounds N` changes their number, `--only TEXT` runs the
//! cases and systems whose names contain the text (`--only set-up --only distri`).

mod rpc {
    pub(crate) mod bare;
    pub(crate) mod idle;
    pub(crate) mod instructions;
    pub(crate) mod measure;
    pub(crate) mod over_distri;
    pub(crate) mod over_tarpc;
    pub(crate) mod over_tonic;
    pub(crate) mod process;
    pub(crate) mod report;
    pub(crate) mod system;

    /// Bytes of an item of a stream.
    pub(crate) const ITEM: usize = 64 * 1024;
    /// Items of a stream.
    pub(crate) const ITEMS: usize = 4096;
}

use std::time::Duration;

use rpc::{
    idle, instructions,
    measure::{Case, Span, measure},
    process::{Server, load, runtime, serve},
    report::Report,
    system::System,
};

const FULL: Span = Span {
    warm_up: Duration::from_millis(80),
    measured: Duration::from_millis(400),
    set_ups: 25,
};

const QUICK: Span = Span {
    warm_up: Duration::from_millis(30),
    measured: Duration::from_millis(120),
    set_ups: 10,
};

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        // Cargo adds it.
        .filter(|argument| argument != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", name] => serve(System::from_name(name).expect("a system")),
        ["loop", way, calls] => instructions::calls(way, calls.parse().expect("a number")),
        ["instructions"] => instructions::count(),
        ["idle-links"] => idle::run(10_000),
        ["idle-links", count] => idle::run(count.parse().expect("a number")),
        _ => compare(&words),
    }
}

struct Options {
    span: Span,
    rounds: usize,
    json: Option<String>,
    only: Vec<String>,
}

impl Options {
    fn read(words: &[&str]) -> Self {
        let mut options = Self {
            span: FULL,
            rounds: 5,
            json: None,
            only: Vec::new(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().expect("a value").to_string();
            match *word {
                "--quick" => {
                    options.span = QUICK;
                    options.rounds = 3;
                }
                "--rounds" => options.rounds = value().parse().expect("a number"),
                "--json" => options.json = Some(value()),
                "--only" => options.only.push(value()),
                _ => panic!("{word}? The head of benches/rpc.rs says what there is"),
            }
        }
        options
    }

    /// Names that match none of the texts are left out, if any name of their kind matches one.
    fn choose<T: Copy>(&self, all: &[T], name: impl Fn(T) -> String) -> Vec<T> {
        let wanted = |one: &T| self.only.iter().any(|text| name(*one).contains(text));
        if all.iter().any(wanted) {
            all.iter().copied().filter(wanted).collect()
        } else {
            all.to_vec()
        }
    }
}

fn compare(words: &[&str]) {
    let options = Options::read(words);
    let cases = options.choose(&Case::ALL, Case::name);
    let systems = options.choose(&System::ALL, |system| system.name().to_owned());
    let servers: Vec<_> = systems
        .iter()
        .map(|system| (*system, Server::start(*system)))
        .collect();
    let before = load();
    let mut report = Report::default();
    let runtime = runtime();
    for round in 1..=options.rounds {
        for case in &cases {
            eprint!("\rround {round} of {}: {:20}", options.rounds, case.name());
            for (system, server) in &servers {
                if case.applies_to(*system) {
                    let measuring = measure(*system, server, *case, options.span);
                    report.add(*case, *system, runtime.block_on(measuring));
                }
            }
        }
    }
    let after = load();
    eprintln!();
    println!(
        "medians of {} rounds; load average {before:.1} before, {after:.1} after\n",
        options.rounds
    );
    report.print();
    if let Some(path) = options.json {
        let json = report.to_json((before, after));
        std::fs::write(&path, format!("{json:#}\n")).expect("to write the JSON file");
    }
}
