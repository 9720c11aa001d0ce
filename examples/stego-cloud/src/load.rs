//! `load`: measures a cloud. Clients, each with links of its own, hide and reveal photographs one
//! after the other and check every one; what that took, who did it and what failed is the result.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use bytes::Bytes;
use clap::Args;
use distri::{
    Client,
    cli::{Exit, Failure, Global},
    id::PublicKey,
};
use distri_services::stego::HideOptions;
use serde_json::{Value, json};

use crate::{
    batch::{Batch, Outcome, Turn},
    files,
    hide::time,
    photographs,
    progress::Progress,
    show::{self, Align, Page, Table},
    tally::{Pieces, Tally},
    work::{PATIENCE, Stego},
};

/// What `load` takes.
#[derive(Args)]
pub(crate) struct LoadArgs {
    /// How many clients, each with links of its own
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    clients: u16,
    /// How many images each client hides and reveals
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    images: u32,
    /// The image to hide in [default: coffee.png of this program, 600 × 400]
    #[arg(long, value_name = "FILE")]
    cover: Option<PathBuf>,
    /// The file to hide [default: cat.jpg of this program, 61,875 bytes]
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
    /// Give each piece of work up after so long [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
}

/// How long nodes that have not answered yet are waited for before the measurement begins.
const NODES: Duration = Duration::from_secs(3);

/// Room for the bars in the table of nodes, and for their names.
const BAR: usize = 30;
const NAME: usize = 20;

/// How many kinds of failure people are shown.
const PROBLEMS: usize = 8;

pub(crate) async fn run(args: LoadArgs, global: &Global) -> Result<(), Failure> {
    let input = |path: &Option<PathBuf>, usual: Bytes| -> Result<Bytes, Failure> {
        path.as_deref().map_or(Ok(usual), files::read)
    };
    let cover = input(&args.cover, photographs::cover().bytes)?;
    let payload = input(&args.payload, photographs::secret().bytes)?;
    let mut clients = Vec::new();
    for _ in 0..args.clients {
        let client = global.connect().await?;
        // The measurement is as true with a node that is still silent; it only has fewer nodes.
        let _ = client.wait_for_nodes(client.nodes().len(), NODES).await;
        clients.push(client);
    }
    let mut names = Names::default();
    clients.iter().for_each(|client| names.learn(client));
    let patience = args.timeout.unwrap_or(PATIENCE);
    let batch = Batch {
        clients: clients
            .iter()
            .map(|client| Stego::new(client).patience(patience))
            .collect(),
        images: args.images,
        cover,
        payload,
        options: HideOptions::default(),
        turn: Turn::default(),
    };
    let outcome = measure(batch).await?;
    clients.iter().for_each(|client| names.learn(client));
    let tally = Tally::of(&outcome.records);
    let result = Measured {
        args: &args,
        outcome: &outcome,
        tally: &tally,
        names: &names,
    };
    result.report(global)?;
    match tally.failed() {
        0 => Ok(()),
        failed => {
            let calls = show::count(tally.hide.calls() + tally.reveal.calls());
            let message = format!("{} of {calls} calls failed", show::count(failed));
            Err(Failure::new(Exit::Failed, message))
        }
    }
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
    args: &'a LoadArgs,
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
            self.args.clients,
            show::plural(self.args.clients.into()),
            show::count(self.args.images.into()),
            show::plural(self.args.images.into()),
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
            "clients": self.args.clients,
            "images_per_client": self.args.images,
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
        let calls = |key| {
            self.tally
                .nodes
                .get(key)
                .map_or(0, |sides| sides.iter().sum())
        };
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
