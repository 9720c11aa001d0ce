//! Clouds of several sizes with crowds of several sizes, one after another: the table that shows
//! whether anything fails, how long it takes, and whether some wait longer than others.

use std::{path::Path, sync::Arc, time::Duration};

use distri::{
    Client,
    cli::{Exit, Failure, Global},
    config::ClientConfig,
    directory::Filter,
    transport::Endpoint,
};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{Work, nodes::Nodes, plot};
use crate::{
    files,
    progress::Progress,
    show::{self, Align, Page, Table},
    tally::Tally,
    work::Noted,
};

/// How many kinds of failure of a cell people are shown.
const PROBLEMS: usize = 3;

/// Clients that link at a time; more would only wait for each other's handshakes.
const LINKING: usize = 64;

/// How long a client may take to make its links while all others do so too.
const LINKED: Duration = Duration::from_secs(120);

/// Open files that are no links.
const OTHER_FILES: u64 = 100;

/// Clouds and crowds of these sizes.
pub(super) struct Sizes {
    pub(super) nodes: Vec<u16>,
    pub(super) clients: Vec<u16>,
}

/// What one cloud did for one crowd.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) nodes: u16,
    pub(super) clients: u16,
    /// Images that were asked for.
    pub(super) asked: u64,
    /// Images that were hidden, noted and revealed as they had been.
    pub(super) done: u64,
    /// Pieces of work that failed: hiding, noting, revealing.
    pub(super) failed: u64,
    pub(super) calls: u64,
    /// Images that the directory has noted in the end.
    pub(super) kept: u64,
    /// Pieces of work that had to be asked for again.
    pub(super) again: u64,
    /// How long hiding took, for half of the images, and for all but one in a hundred.
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    pub(super) took: Duration,
    problems: Vec<(String, u64)>,
}

impl Cell {
    pub(super) fn rate(&self) -> f64 {
        self.done as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// How much longer the unlucky wait than the others.
    pub(super) fn unfairness(&self) -> f64 {
        self.p99.as_secs_f64() / self.p50.as_secs_f64().max(1e-9)
    }

    fn is_whole(&self) -> bool {
        self.failed == 0 && self.done == self.asked && self.kept == self.asked
    }
}

pub(super) async fn run(
    sizes: &Sizes,
    work: &Work,
    picture: Option<&Path>,
    global: &Global,
) -> Result<(), Failure> {
    if let Some(picture) = picture {
        files::check_writable(picture)?;
    }
    check_open_files(sizes)?;
    let mut page = Page::stdout();
    if !global.json {
        let title = format!(
            "{} image{} a client, each hidden, noted in the directory, revealed and compared",
            show::count(work.images.into()),
            show::plural(work.images.into()),
        );
        page.line(&page.style().strong(&title))?;
        page.line("")?;
    }
    let mut cells = Vec::new();
    for &count in &sizes.nodes {
        let nodes = tokio::task::spawn_blocking(move || Nodes::start(count)).await;
        let nodes = nodes.map_err(|error| Failure::new(Exit::Failed, error))??;
        for &clients in &sizes.clients {
            cells.push(measure(&nodes, count, clients, work).await?);
        }
    }
    if let Some(picture) = picture {
        files::write(picture, plot::draw(&cells, work.images).as_bytes())?;
    }
    report(&cells, work, &mut page, global)?;
    let sum = |of: fn(&Cell) -> u64| cells.iter().map(of).sum::<u64>();
    super::failed(sum(|cell| cell.failed), sum(|cell| cell.calls))?;
    match cells.iter().find(|cell| !cell.is_whole()) {
        None => Ok(()),
        Some(cell) => {
            let message = format!(
                "{} nodes kept {} of {} images",
                cell.nodes, cell.kept, cell.asked
            );
            Err(Failure::new(Exit::Failed, message))
        }
    }
}

async fn measure(nodes: &Nodes, count: u16, crowd: u16, work: &Work) -> Result<Cell, Failure> {
    let album = format!("album-{crowd}");
    let create = ["directory", "collections", "create", &album];
    nodes.admin(&[&create[..], &["--read", "public", "--write", "public"]].concat())?;
    let clients = link(crowd, &nodes.endpoints).await?;
    let batch = work.batch(&clients, Some(album.clone()));

    let (whole, mut done) = (batch.pieces(), 0);
    let mut progress = Progress::bar_or_lines();
    let note = format!(
        "{count} node{}, {crowd} clients",
        show::plural(count.into())
    );
    let outcome = batch
        .run(|_| {
            done += 1;
            progress.show(done, whole, &note);
        })
        .await;
    progress.clear();
    let outcome = outcome?;

    let noted = clients[0].directory().collection::<Noted>(album);
    let tally = Tally::of(&outcome.records);
    let repeats = |pieces: &crate::tally::Pieces| pieces.repeats.lost + pieces.repeats.busy;
    Ok(Cell {
        nodes: count,
        clients: crowd,
        asked: u64::from(crowd) * u64::from(work.images),
        done: tally.images(),
        failed: tally.failed(),
        calls: whole,
        kept: noted.count(Filter::All).await?,
        again: (repeats(&tally.hide) + repeats(&tally.reveal)).into(),
        p50: tally.hide.percentile(50).unwrap_or_default(),
        p99: tally.hide.percentile(99).unwrap_or_default(),
        took: outcome.took,
        problems: tally.problems,
    })
}

/// Clients that have all links that a client keeps.
async fn link(crowd: u16, nodes: &[Endpoint]) -> Result<Vec<Client>, Failure> {
    let room = Arc::new(Semaphore::new(LINKING));
    let mut linking = JoinSet::new();
    for _ in 0..crowd {
        let (nodes, room) = (nodes.to_vec(), room.clone());
        linking.spawn(async move {
            let _room = room.acquire_owned().await;
            let count = links_of_a_client(nodes.len());
            let client = Client::builder().nodes(nodes).connect().await?;
            client.wait_for_nodes(count, LINKED).await?;
            Ok::<_, distri::Error>(client)
        });
    }
    let mut clients = Vec::new();
    while let Some(linked) = linking.join_next().await {
        clients.push(linked.map_err(|error| Failure::new(Exit::Failed, error))??);
    }
    Ok(clients)
}

fn links_of_a_client(nodes: usize) -> usize {
    nodes.min(ClientConfig::default().links)
}

/// Says beforehand, where it can be known, that the links would be more than this process may have.
fn check_open_files(sizes: &Sizes) -> Result<(), Failure> {
    let most = |of: &[u16]| of.iter().copied().max().unwrap_or_default();
    let links = links_of_a_client(most(&sizes.nodes).into()) as u64;
    let needed = links * u64::from(most(&sizes.clients)) + OTHER_FILES;
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let allowed: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    match allowed {
        Some(allowed) if allowed < needed => Err(Failure::usage(format!(
            "the clients open {needed} files, and {allowed} are allowed"
        ))
        .with_remedy(format!("first: ulimit -n {needed}"))),
        Some(_) | None => Ok(()),
    }
}

fn report(cells: &[Cell], work: &Work, page: &mut Page, global: &Global) -> Result<(), Failure> {
    if global.json {
        let cells: Vec<Value> = cells.iter().map(as_json).collect();
        return page.json(&json!({
            "cores": cores(),
            "images_per_client": work.images,
            "cells": cells,
        }));
    }
    page.table(&table(cells))?;
    for cell in cells {
        let of = format!("{} nodes, {} clients", cell.nodes, cell.clients);
        for (problem, count) in cell.problems.iter().take(PROBLEMS) {
            let problem = show::tame(problem, 120);
            let count = page.style().bad(&show::count(*count));
            page.line(&format!("  {of}: {count} × {problem}"))?;
        }
        match cell.problems.len().saturating_sub(PROBLEMS) {
            0 => {}
            more => page.line(&format!("  {of}: {more} other kinds; --json has all"))?,
        }
    }
    page.line("")?;
    page.line(&format!(
        "  Nodes and clients shared {} core{}: more nodes have no more to work with.",
        cores(),
        show::plural(cores()),
    ))
}

fn table(cells: &[Cell]) -> Table {
    let mut table = Table::new(&[
        ("nodes", Align::Right),
        ("clients", Align::Right),
        ("images", Align::Right),
        ("failed", Align::Right),
        ("kept", Align::Right),
        ("again", Align::Right),
        ("hide p50", Align::Right),
        ("p99", Align::Right),
        ("p99/p50", Align::Right),
        ("images/s", Align::Right),
    ]);
    for cell in cells {
        table.row([
            cell.nodes.to_string(),
            show::count(cell.clients.into()),
            show::count(cell.asked),
            show::count(cell.failed),
            show::count(cell.kept),
            show::count(cell.again),
            show::time(cell.p50),
            show::time(cell.p99),
            format!("{:.1}", cell.unfairness()),
            show::count(cell.rate().round() as u64),
        ]);
    }
    table
}

fn as_json(cell: &Cell) -> Value {
    json!({
        "nodes": cell.nodes,
        "clients": cell.clients,
        "images": cell.asked,
        "done": cell.done,
        "failed": cell.failed,
        "kept": cell.kept,
        "made_again": cell.again,
        "hide_p50_ms": cell.p50.as_secs_f64() * 1e3,
        "hide_p99_ms": cell.p99.as_secs_f64() * 1e3,
        "seconds": cell.took.as_secs_f64(),
        "images_per_second": cell.rate(),
        "failures": cell.problems.iter().map(|(what, count)| json!({ "what": what, "count": count })).collect::<Vec<_>>(),
    })
}

/// What nodes and clients together have to work with.
pub(super) fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}
