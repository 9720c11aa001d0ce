//! The stego cloud: hides photographs in photographs, on a cloud of nodes, and lets people share them
//! for a limited number of views.
//!
//! Without arguments it shows itself: [`demo`] starts three nodes and two people in this process, who
//! share a photograph. [`commands`] lists everything else: [`people`] are the verbs of those who share
//! pictures, [`page`] is the same in a browser; [`hide`], [`reveal`], [`capacity`] and [`load`] call nodes
//! that run elsewhere; and `node` is one: distri's own command, with the standard services linked in.
//!
//! Where to read on: [`work`] calls the service, [`batch`] does so for many photographs at a time,
//! [`tally`] counts what came of it, [`cloud`] is three nodes in one process, [`show`] the look.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};
use distri::cli::{self, Failure, Global};

mod advice;
mod batch;
mod capacity;
mod cloud;
mod commands;
mod completions;
mod demo;
mod files;
mod hide;
mod key;
mod load;
mod page;
mod people;
mod photographs;
mod progress;
mod reveal;
mod show;
mod tally;
mod work;

use commands::Command;

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

const AFTER_HELP: &str = "\
Without a command it tells a story, of a photograph that one person lets another see twice: on three
nodes here, one of which is stopped in the middle of it.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration,
            3 no node could serve, 4 timed out or outcome unknown, 130 interrupted";

fn main() -> ExitCode {
    let parsed = commands::grouped(Program::command())
        .try_get_matches()
        .and_then(|matches| Program::from_arg_matches(&matches));
    let Program {
        demo,
        command,
        global,
    } = match parsed {
        Ok(program) => program,
        // Help and version are results, and what is wrong is told as clap tells it.
        Err(error) => error.exit(),
    };
    let Some(command) = command else {
        return cli::run_async(&global, demo::run(demo, &global));
    };
    if let Some(flag) = demo.flag_given() {
        let message = format!("{flag} belongs to the demonstration: write it without a command");
        return cli::run_async(&global, async { Err(Failure::usage(message)) });
    }
    command.run(&global, Program::command())
}
