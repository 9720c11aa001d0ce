//! Medians over rounds, ratios within rounds, as a table for people and a file for machines.

use std::collections::BTreeMap;

use super::{
    measure::{Case, Outcome},
    system::System,
};

/// All outcomes of a run.
#[derive(Default)]
pub(crate) struct Report {
    outcomes: BTreeMap<(String, &'static str), Vec<Outcome>>,
}

type Figure = fn(&Outcome) -> f64;

const CALLS: Figure = |outcome| outcome.calls_per_second;
const MIB: Figure = |outcome| outcome.mib_per_second;
const P50: Figure = |outcome| outcome.p50_us;
const P99: Figure = |outcome| outcome.p99_us;
const CONNECTED: Figure = |outcome| outcome.connected_p50_us;
const SERVER_CPU: Figure = |outcome| outcome.server_cpu_us_per_call;
const CLIENT_CPU: Figure = |outcome| outcome.client_cpu_us_per_call;

const COLUMNS: [(&str, Case, Figure, usize); 15] = [
    ("1: p50 µs", Case::Small(1), P50, 1),
    ("p99", Case::Small(1), P99, 1),
    ("64: calls/s", Case::Small(64), CALLS, 0),
    ("p50 µs", Case::Small(64), P50, 0),
    ("p99", Case::Small(64), P99, 0),
    ("server µs/call", Case::Small(64), SERVER_CPU, 2),
    ("client", Case::Small(64), CLIENT_CPU, 2),
    ("1024: calls/s", Case::Small(1024), CALLS, 0),
    ("p50 µs", Case::Small(1024), P50, 0),
    ("p99", Case::Small(1024), P99, 0),
    ("1 MiB × 1: MiB/s", Case::Large(1), MIB, 0),
    ("× 16", Case::Large(16), MIB, 0),
    ("stream MiB/s", Case::Stream, MIB, 0),
    ("set-up µs", Case::SetUp, CONNECTED, 0),
    ("to first reply", Case::SetUp, P50, 0),
];

/// What a goal of ours compares, and the ratio to reach: at least, or at most.
struct Goal {
    what: &'static str,
    case: Case,
    figure: Figure,
    ours: System,
    theirs: System,
    at_least: bool,
    ratio: f64,
}

const fn goal(
    what: &'static str,
    (case, figure): (Case, Figure),
    theirs: System,
    at_least: bool,
    ratio: f64,
) -> Goal {
    Goal {
        what,
        case,
        figure,
        ours: System::Distri,
        theirs,
        at_least,
        ratio,
    }
}

const GOALS: [Goal; 12] = [
    goal(
        "64 in flight, calls/s",
        (Case::Small(64), CALLS),
        System::TonicTls,
        true,
        6.0,
    ),
    goal(
        "64 in flight, calls/s",
        (Case::Small(64), CALLS),
        System::Tarpc,
        true,
        2.0,
    ),
    goal(
        "64 in flight, calls/s",
        (Case::Small(64), CALLS),
        System::BareTask,
        true,
        1.0,
    ),
    goal(
        "1024 in flight, calls/s",
        (Case::Small(1024), CALLS),
        System::TonicTls,
        true,
        15.0,
    ),
    goal(
        "1024 in flight, calls/s",
        (Case::Small(1024), CALLS),
        System::Tarpc,
        true,
        2.0,
    ),
    goal(
        "1 in flight, p50",
        (Case::Small(1), P50),
        System::BareTask,
        false,
        1.15,
    ),
    goal(
        "1 MiB × 1",
        (Case::Large(1), MIB),
        System::BareTask,
        true,
        0.9,
    ),
    goal(
        "1 MiB × 16",
        (Case::Large(16), MIB),
        System::BareTask,
        true,
        0.9,
    ),
    goal("stream", (Case::Stream, MIB), System::BareTask, true, 0.9),
    goal(
        "set-up",
        (Case::SetUp, CONNECTED),
        System::BareTask,
        false,
        1.1,
    ),
    goal(
        "server CPU a call, 64 in flight",
        (Case::Small(64), SERVER_CPU),
        System::BareTask,
        false,
        1.5,
    ),
    goal(
        "server CPU a call, 1024 in flight",
        (Case::Small(1024), SERVER_CPU),
        System::BareTask,
        false,
        1.5,
    ),
];

impl Report {
    pub(crate) fn add(&mut self, case: Case, system: System, outcome: Outcome) {
        let key = (case.name(), system.name());
        self.outcomes.entry(key).or_default().push(outcome);
    }

    fn of(&self, case: Case, system: System) -> &[Outcome] {
        self.outcomes
            .get(&(case.name(), system.name()))
            .map_or(&[], Vec::as_slice)
    }

    pub(crate) fn print(&self) {
        print!("| 64 B on one link, …");
        COLUMNS.iter().for_each(|(title, ..)| print!(" | {title}"));
        print!(" |\n|---");
        COLUMNS.iter().for_each(|_| print!("|---:"));
        println!("|");
        for system in System::ALL {
            print!("| {}", system.title());
            for (_, case, figure, digits) in COLUMNS {
                match median(self.of(case, system).iter().map(figure)) {
                    Some(value) => print!(" | {value:.digits$}"),
                    None => print!(" | –"),
                }
            }
            println!(" |");
        }
        println!("\n| goal | of | ratio | wanted | |\n|---|---|---:|---:|---|");
        for goal in &GOALS {
            let (ours, theirs) = (
                self.of(goal.case, goal.ours),
                self.of(goal.case, goal.theirs),
            );
            let ratios = ours.iter().zip(theirs);
            // Within a round, so that what slows the machine for a while slows both.
            let ratios = ratios.map(|(ours, theirs)| (goal.figure)(ours) / (goal.figure)(theirs));
            let Some(ratio) = median(ratios) else {
                continue;
            };
            let (sign, reached) = if goal.at_least {
                ("≥", ratio >= goal.ratio)
            } else {
                ("≤", ratio <= goal.ratio)
            };
            let reached = if reached { "reached" } else { "missed" };
            println!(
                "| {} | {} | {ratio:.2} | {sign} {} | {reached} |",
                goal.what,
                goal.theirs.title(),
                goal.ratio
            );
        }
    }

    pub(crate) fn to_json(&self, loads: (f64, f64)) -> serde_json::Value {
        let cases: Vec<_> = self
            .outcomes
            .iter()
            .map(|((case, system), rounds)| {
                serde_json::json!({"case": case, "system": system, "rounds": rounds})
            })
            .collect();
        serde_json::json!({"load_before": loads.0, "load_after": loads.1, "outcomes": cases})
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], upper)
    } else {
        upper
    })
}
