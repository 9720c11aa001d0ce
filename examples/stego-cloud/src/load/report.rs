//! One measurement of a cloud that runs elsewhere, told in full.

use std::{collections::BTreeMap, time::Duration};

use distri::{
    Client,
    cli::{Failure, Global},
    id::PublicKey,
};
use serde_json::{Value, json};

use super::Work;
use crate::{
    batch::{Batch, Outcome},
    progress::Progress,
    show::{self, Align, Page, Table},
    tally::{Pieces, Tally},
};

/// How long nodes that have not answered yet are waited for before the measurement begins.
const NODES: Duration = Duration::from_secs(3);

/// Room for the bars in the table of nodes, and for their names.
const BAR: usize = 30;
const NAME: usize = 20;

/// How many kinds of failure people are shown.
const PROBLEMS: usize = 8;

pub(super) async fn run(count: u16, work: &Work, global: &Global) -> Result<(), Failure> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let client = global.connect().await?;
        // The measurement is as true with a node that is still silent; it only has fewer nodes.
        let _ = client.wait_for_nodes(client.nodes().len(), NODES).await;
        clients.push(client);
    }
    let mut names = Names::default();
    clients.iter().for_each(|client| names.learn(client));
    let outcome = measure(work.batch(&clients, None)).await?;
    clients.iter().for_each(|client| names.learn(client));
    let tally = Tally::of(&outcome.records);
    let result = Measured {
        clients: count,
        images: work.images,
        outcome: &outcome,
        tally: &tally,
        names: &names,
    };
    result.report(global)?;
    super::failed(tally.failed(), tally.hide.calls() + tally.reveal.calls())
}

async fn measure(batch: Batch) -> Result<Outcome, Failure> {
    let whole = batch.pieces();
    let mut progress = Progress::bar_or_lines();
    let mut done = 0;
    let note = format!("of {} calls", show::count(whole));
    let outcome = batch
        .run(|_| {
            done += 1;
            progress.show(done, whole, &note);
        })
        .await;
    progress.clear();
    outcome
}

/// What nodes call themselves, also those that are gone by the end.
#[derive(Default)]
struct Names(BTreeMap<PublicKey, String>);

impl Names {
    fn learn(&mut self, client: &Client) {
        for node in client.nodes() {
            let name = self.0.entry(node.key).or_default();
            if !node.name.is_empty() {
                *name = node.name;
            }
        }
    }
}

/// A measurement, ready to be told.
struct Measured<'a> {
    clients: u16,
    images: u32,
    outcome: &'a Outcome,
    tally: &'a Tally,
    names: &'a Names,
}

impl Measured<'_> {
    fn report(&self, global: &Global) -> Result<(), Failure> {
        let mut page = Page::stdout();
        if global.json {
            return page.json(&self.as_json());
        }
        let title = format!(
            "{} client{} × {} image{} on {} node{}",
            self.clients,
            show::plural(self.clients.into()),
            show::count(self.images.into()),
            show::plural(self.images.into()),
            self.names.0.len(),
            show::plural(self.names.0.len() as u64),
        );
        page.line(&page.style().strong(&title))?;
        page.line("")?;
        page.table(&self.times())?;
        page.line("")?;
        page.table(&self.nodes())?;
        page.line("")?;
        page.line(&format!(
            "  {:.1} images/s and {:.1} MB/s of stego images for {}",
            self.rate(self.tally.images() as f64),
            self.rate(self.tally.bytes as f64 / 1e6),
            show::time(self.outcome.took),
        ))?;
        self.problems(&mut page)
    }

    fn times(&self) -> Table {
        let mut table = Table::new(&[
            ("work", Align::Left),
            ("calls", Align::Right),
            ("failed", Align::Right),
            ("made again", Align::Right),
            ("had to wait", Align::Right),
            ("p50", Align::Right),
            ("p99", Align::Right),
            ("max", Align::Right),
        ]);
        for (work, pieces) in self.pieces() {
            let percentile = |of| {
                pieces
                    .percentile(of)
                    .map_or_else(|| "-".to_owned(), show::time)
            };
            table.row([
                work.to_owned(),
                show::count(pieces.calls()),
                show::count(pieces.failed),
                show::count(pieces.repeats.lost.into()),
                show::count(pieces.repeats.busy.into()),
                percentile(50),
                percentile(99),
                percentile(100),
            ]);
        }
        table
    }

    fn nodes(&self) -> Table {
        let mut table = Table::new(&[
            ("node", Align::Left),
            ("key", Align::Left),
            ("calls", Align::Right),
            ("share", Align::Right),
            ("", Align::Left),
        ]);
        let whole = self.tally.done();
        for (key, name, calls) in self.shares() {
            table.row([
                if name.is_empty() {
                    "-".to_owned()
                } else {
                    show::tame(name, NAME)
                },
                key.short(),
                show::count(calls),
                show::percent(calls, whole),
                show::bar(calls, whole, BAR),
            ]);
        }
        table
    }

    fn problems(&self, page: &mut Page) -> Result<(), Failure> {
        let problems = &self.tally.problems;
        if problems.is_empty() {
            return Ok(());
        }
        page.line("")?;
        for (problem, count) in problems.iter().take(PROBLEMS) {
            let problem = show::tame(problem, 160);
            page.line(&format!(
                "  {} × {problem}",
                page.style().bad(&show::count(*count))
            ))?;
        }
        match problems.len().saturating_sub(PROBLEMS) {
            0 => Ok(()),
            more => page.line(&format!("  and {more} other kinds; --json has all")),
        }
    }

    fn as_json(&self) -> Value {
        let nodes: Vec<Value> = self
            .shares()
            .into_iter()
            .map(|(key, name, calls)| {
                json!({
                    "key": key.to_string(),
                    "name": name,
                    "calls": calls,
                    "share": calls as f64 / self.tally.done().max(1) as f64,
                })
            })
            .collect();
        let problems: Vec<Value> = self
            .tally
            .problems
            .iter()
            .map(|(what, count)| json!({ "what": what, "count": count }))
            .collect();
        let mut json = json!({
            "clients": self.clients,
            "images_per_client": self.images,
            "images": self.tally.images(),
            "failed": self.tally.failed(),
            "seconds": self.outcome.took.as_secs_f64(),
            "images_per_second": self.rate(self.tally.images() as f64),
            "megabytes_per_second": self.rate(self.tally.bytes as f64 / 1e6),
            "nodes": nodes,
            "failures": problems,
        });
        for (work, pieces) in self.pieces() {
            let millis = |percent| pieces.percentile(percent).map(|t| t.as_secs_f64() * 1e3);
            json[work] = json!({
                "calls": pieces.calls(),
                "failed": pieces.failed,
                "made_again": pieces.repeats.lost,
                "had_to_wait": pieces.repeats.busy,
                "p50_ms": millis(50),
                "p99_ms": millis(99),
                "max_ms": millis(100),
            });
        }
        json
    }

    fn pieces(&self) -> [(&'static str, &Pieces); 2] {
        [("hide", &self.tally.hide), ("reveal", &self.tally.reveal)]
    }

    /// Every node with its name and the calls that it served, also those that served none; sorted
    /// by name.
    fn shares(&self) -> Vec<(PublicKey, &str, u64)> {
        let calls = |key| self.tally.nodes.get(key).copied().unwrap_or_default();
        let nodes = self.names.0.iter();
        let mut shares: Vec<_> = nodes
            .map(|(key, name)| (*key, name.as_str(), calls(key)))
            .collect();
        shares.sort_by_key(|(key, name, _)| (*name, *key));
        shares
    }

    fn rate(&self, amount: f64) -> f64 {
        amount / self.outcome.took.as_secs_f64().max(1e-9)
    }
}
