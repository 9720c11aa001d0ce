//! The command line that every distri program gets.
//!
//! [`main`] is what `distri::main!` calls. A program with commands of its own takes these along:
//!
//! ```no_run
//! use clap::{Parser, Subcommand};
//! use distri::cli;
//!
//! #[derive(Parser)]
//! struct Program {
//!     #[command(flatten)]
//!     global: cli::Global,
//!     #[command(subcommand)]
//!     command: Command,
//! }
//!
//! #[derive(Subcommand)]
//! enum Command {
//!     /// Says hello.
//!     Hello,
//!     #[command(flatten)]
//!     Stock(cli::Command),
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     let Program { global, command } = Program::parse();
//!     match command {
//!         Command::Stock(stock) => cli::run(stock, &global),
//!         Command::Hello => cli::run_async(&global, async {
//!             let client = global.connect().await?;
//!             println!("hello, {} nodes", client.nodes().len());
//!             Ok(())
//!         }),
//!     }
//! }
//! ```
//!
//! Results go to stdout, talk to stderr, and a closed pipe is not an error. What a command returns
//! to the shell is [`Exit`]. Each command has its module; shared are `global` (flags, and the
//! configuration they make), `failure` (how errors are told), `output` (what goes to stdout), `log`,
//! `schema` (what can be read off a method's JSON Schema), `member` (a node as one names it), `again`
//! (what is shown again and again), `serving` (what `node` and `peer` share), `time`, `amount` and `shell` (text forms) and [`ProgressLine`].

use std::{future::Future, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

mod again;
mod amount;
mod call;
mod config;
mod describe;
mod directory;
mod failure;
mod global;
#[cfg(feature = "node")]
mod home;
mod id;
mod log;
mod member;
mod new_cloud;
#[cfg(feature = "node")]
mod node;
mod nodes;
mod output;
#[cfg(feature = "peer")]
mod peer;
mod peers;
mod progress;
mod remove;
mod renew_secret;
mod schema;
mod services;
#[cfg(any(feature = "node", feature = "peer"))]
mod serving;
mod shell;
mod stats;
mod status;
#[cfg(any(feature = "node", feature = "peer"))]
mod stop;
pub mod time;
mod token;

pub use call::CallArgs;
pub use config::ConfigCommand;
pub use directory::DirectoryArgs;
pub use failure::{Exit, Failure};
pub use global::Global;
#[cfg(feature = "node")]
pub use home::{InitArgs, JoinArgs};
pub use id::IdArgs;
pub use new_cloud::NewCloudArgs;
#[cfg(feature = "node")]
pub use node::NodeArgs;
#[cfg(feature = "peer")]
pub use peer::PeerArgs;
pub use peers::PeersArgs;
pub use progress::ProgressLine;
pub use remove::RemoveArgs;
pub use services::ServicesArgs;
pub use stats::StatsArgs;
pub use status::{StatusArgs, TopArgs};
#[cfg(any(feature = "node", feature = "peer"))]
pub use stop::Stop;
pub use token::TokenArgs;

/// How a program calls itself in `--help` and `--version`.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Its name, as one types it.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it does, in one line; may be empty.
    pub about: &'static str,
}

/// The commands. In a program with others, `#[command(flatten)]` puts them beside.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Start a node with the services of this program
    #[cfg(feature = "node")]
    Node(NodeArgs),
    /// Start a peer: it hosts this program's services without being part of the cloud
    #[cfg(feature = "peer")]
    Peer(PeerArgs),
    /// Call a method: call SERVICE METHOD name=value …
    Call(CallArgs),
    /// List services, or show the methods of one
    Services(ServicesArgs),
    /// List the nodes of the cloud: what they do and how they are
    Nodes,
    /// List the peers of the cloud: where they are, as they say themselves
    Peers(PeersArgs),
    /// Show who is there, as the nodes see each other: alive, suspect, down
    Status(StatusArgs),
    /// Show it again and again, the busiest first
    Top(TopArgs),
    /// Show what a node, or all of them, have done: calls, failures, latencies, bytes
    Stats(StatsArgs),
    /// Make a cluster, whose first node is this folder's
    #[cfg(feature = "node")]
    Init(InitArgs),
    /// Print a token with which one node may join the cluster
    Token(TokenArgs),
    /// Make this folder's node a member of a cluster
    #[cfg(feature = "node")]
    Join(JoinArgs),
    /// Take a node out of the cluster, for good
    Remove(RemoveArgs),
    /// Make a new epoch of the cluster's secret, to which services seal from now on
    RenewSecret,
    /// Read, change and follow the documents of the cloud
    #[command(visible_alias = "dir")]
    Directory(DirectoryArgs),
    /// Print the key of this folder's node
    Id(IdArgs),
    /// Show or check the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write keys and configuration for a cloud of fixed nodes
    NewCloud(NewCloudArgs),
}

/// What `--help` says last.
const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration,\n            3 no node could serve, 4 timed out or outcome unknown, 130 interrupted";

/// A program with the stock commands and no others.
#[derive(Parser)]
#[command(after_help = EXIT_CODES)]
struct Program {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Runs a program that has the stock commands and no others: reads the command line, does what it
/// says, and tells errors.
pub fn main(about: About) -> ExitCode {
    let about_text = if about.about.is_empty() {
        "Services on distri"
    } else {
        about.about
    };
    let parser = Program::command()
        .name(about.name)
        .version(about.version)
        .about(about_text);
    let parsed = parser
        .try_get_matches()
        .and_then(|matches| Program::from_arg_matches(&matches));
    match parsed {
        Ok(Program { global, command }) => run(command, &global),
        Err(error) => {
            // Help and version are results and go to stdout; a pipe that is closed has had enough.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
        }
    }
}

/// Runs a stock command on a runtime of its own, and tells errors.
pub fn run(command: Command, global: &Global) -> ExitCode {
    match command {
        #[cfg(feature = "node")]
        Command::Node(args) => run_async(global, node::run(args, global)),
        #[cfg(feature = "peer")]
        Command::Peer(args) => run_async(global, peer::run(args, global)),
        Command::Call(args) => run_async(global, call::run(args, global)),
        Command::Services(args) => run_async(global, services::run(args, global)),
        Command::Nodes => run_async(global, nodes::run(global)),
        Command::Peers(args) => run_async(global, peers::run(args, global)),
        Command::Status(args) => run_async(global, status::status(args, global)),
        Command::Top(args) => run_async(global, status::top(args, global)),
        Command::Stats(args) => run_async(global, stats::run(args, global)),
        #[cfg(feature = "node")]
        Command::Init(args) => run_async(global, home::init(args, global)),
        Command::Token(args) => run_async(global, token::run(args, global)),
        #[cfg(feature = "node")]
        Command::Join(args) => run_async(global, home::join(args, global)),
        Command::Remove(args) => run_async(global, remove::run(args, global)),
        Command::RenewSecret => run_async(global, renew_secret::run(global)),
        Command::Directory(args) => run_async(global, directory::run(args, global)),
        Command::Id(args) => run_async(global, async { id::run(&args, global) }),
        Command::Config(command) => run_async(global, async { config::run(&command, global) }),
        Command::NewCloud(args) => run_async(global, async { new_cloud::run(&args, global) }),
    }
}

/// Runs a command of the program's own on a runtime of its own, and tells errors in the same way.
pub fn run_async(global: &Global, command: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return Failure::new(Exit::Failed, error).tell(global),
    };
    let result = runtime.block_on(command);
    // A thread that still waits for stdin must not keep the program.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(global),
    }
}
