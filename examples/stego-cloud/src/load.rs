//! `load`: measures a cloud. Clients, each with links of its own, hide and reveal photographs one
//! after the other and check every one; what that took, who did it and what failed is the result.
//!
//! Nodes that run elsewhere are measured once ([`report`]); of nodes that it starts itself, clouds
//! of each size with crowds of each size ([`grid`]), as a table and as a picture ([`plot`]).

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use clap::{Args, value_parser};
use distri::cli::{Exit, Failure, Global};
use distri_services::stego::HideOptions;

use crate::{
    batch::Batch,
    files,
    hide::time,
    photographs,
    work::{PATIENCE, Stego},
};

mod grid;
mod nodes;
mod plot;
mod report;

/// What `load` takes.
#[derive(Args)]
pub(crate) struct LoadArgs {
    /// How many clients, each with links of its own; with --nodes, several numbers [default: 4;
    /// with --nodes: 5,50,500]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = value_parser!(u16).range(1..=10_000))]
    clients: Vec<u16>,
    /// How many images each client hides and reveals [default: 25; with --nodes: 10]
    #[arg(long, value_parser = value_parser!(u32).range(1..=1_000_000))]
    images: Option<u32>,
    /// Start clouds of so many nodes on this machine, with a directory in which each image is noted,
    /// and measure each with each number of clients [default: call nodes that run elsewhere]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = value_parser!(u16).range(1..=15))]
    nodes: Vec<u16>,
    /// Draw the table of --nodes into this file, as SVG [default: draw nothing]
    #[arg(long, value_name = "FILE", requires = "nodes")]
    plot: Option<PathBuf>,
    /// The image to hide in [default: coffee.png of this program, 600 × 400; with --nodes: the same
    /// at 96 × 64]
    #[arg(long, value_name = "FILE")]
    cover: Option<PathBuf>,
    /// The file to hide [default: cat.jpg of this program, 61,875 bytes; with --nodes: its first
    /// 1,024]
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
    /// Give each piece of work up after so long [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
}

/// What all measurements of one run have in common.
struct Work {
    images: u32,
    cover: Bytes,
    payload: Bytes,
    patience: Duration,
}

pub(crate) async fn run(args: LoadArgs, global: &Global) -> Result<(), Failure> {
    let input = |path: &Option<PathBuf>, usual: Bytes| -> Result<Bytes, Failure> {
        path.as_deref().map_or(Ok(usual), files::read)
    };
    let is_grid = !args.nodes.is_empty();
    let (cover, payload) = if is_grid {
        photographs::small()?
    } else {
        (photographs::cover().bytes, photographs::secret().bytes)
    };
    let work = Work {
        images: args.images.unwrap_or(if is_grid { 10 } else { 25 }),
        cover: input(&args.cover, cover)?,
        payload: input(&args.payload, payload)?,
        patience: args.timeout.unwrap_or(PATIENCE),
    };
    if is_grid {
        if !global.node.is_empty() {
            let message = "--nodes starts nodes and --node names one that runs: give one of them";
            return Err(Failure::usage(message));
        }
        let sizes = grid::Sizes {
            nodes: args.nodes,
            clients: some_or(args.clients, &[5, 50, 500]),
        };
        return grid::run(&sizes, &work, args.plot.as_deref(), global).await;
    }
    match *some_or(args.clients, &[4]) {
        [clients] => report::run(clients, &work, global).await,
        _ => Err(Failure::usage(
            "one number of clients is measured at a time; with --nodes, several",
        )),
    }
}

fn some_or(given: Vec<u16>, usual: &[u16]) -> Vec<u16> {
    if given.is_empty() {
        usual.to_vec()
    } else {
        given
    }
}

impl Work {
    /// The work for these clients.
    fn batch(&self, clients: &[distri::Client], album: Option<String>) -> Batch {
        let stego = |client| Stego::new(client).patience(self.patience);
        Batch {
            clients: clients.iter().map(stego).collect(),
            images: self.images,
            cover: self.cover.clone(),
            payload: self.payload.clone(),
            options: HideOptions::default(),
            album,
        }
    }
}

/// What a run that had failures returns to the shell.
fn failed(failed: u64, calls: u64) -> Result<(), Failure> {
    if failed == 0 {
        return Ok(());
    }
    let (failed, calls) = (crate::show::count(failed), crate::show::count(calls));
    let message = format!("{failed} of {calls} calls failed");
    Err(Failure::new(Exit::Failed, message))
}
