//! The stego cloud: hides photographs in photographs, on a cloud of nodes.
//!
//! Without arguments it shows itself: [`demo`] starts three nodes in this process and has them
//! work. The other commands ([`hide`], [`reveal`], [`capacity`], [`load`]) call nodes that run
//! elsewhere, and `node` is one: distri's own command, with the stego service linked in.
//!
//! Where to read on: [`work`] calls the service, [`batch`] does so for many photographs at a time,
//! [`tally`] counts what came of it, [`cloud`] is three nodes in one process, [`show`] the look.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use distri::cli::{self, Failure, Global};

mod batch;
mod capacity;
mod cloud;
mod demo;
mod files;
mod hide;
mod key;
mod load;
mod photographs;
mod progress;
mod reveal;
mod show;
mod tally;
mod work;

#[derive(Parser)]
#[command(version, about, after_help = AFTER_HELP)]
struct Program {
    #[command(flatten)]
    demo: demo::DemoArgs,
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    global: Global,
}

#[derive(Subcommand)]
enum Command {
    /// Hide a file in an image
    Hide(hide::HideArgs),
    /// Get a hidden file back
    Reveal(reveal::RevealArgs),
    /// Say how much an image can hide
    Capacity(capacity::CapacityArgs),
    /// Measure a cloud: clients hide and reveal photographs
    Load(load::LoadArgs),
    #[command(flatten)]
    Stock(cli::Command),
}

const AFTER_HELP: &str = "\
Without a command it starts three nodes here, has them hide and reveal a photograph, stops one of
them in the middle of the work, and says what happened.";

fn main() -> ExitCode {
    let Program {
        demo,
        command,
        global,
    } = Program::parse();
    let Some(command) = command else {
        return cli::run_async(&global, demo::run(demo, &global));
    };
    if let Some(flag) = demo.flag_given() {
        let message = format!("{flag} belongs to the demonstration: write it without a command");
        return cli::run_async(&global, async { Err(Failure::usage(message)) });
    }
    match command {
        Command::Hide(args) => cli::run_async(&global, hide::run(args, &global)),
        Command::Reveal(args) => cli::run_async(&global, reveal::run(args, &global)),
        Command::Capacity(args) => cli::run_async(&global, capacity::run(args, &global)),
        Command::Load(args) => cli::run_async(&global, load::run(args, &global)),
        Command::Stock(stock) => cli::run(stock, &global),
    }
}
