//! `directory`: reads, changes and follows the documents of the cloud.
//!
//! `find` searches (and `watch` is its `--follow`), `change` writes single documents, `collections`
//! makes and drops what they are in, `export` and `import` move them as lines of JSON, `lease`
//! grants and renews leases. `input` reads what was typed, `table` draws what was found.

use std::time::Duration;

use clap::{Args, Subcommand};
use distri_core::{
    Client, Code, Error,
    directory::{Collection, Directory, Json, Refusal},
};

use super::{Failure, Global, failure::program, output::Output, shell::quote, token::time_text};

mod change;
mod collections;
mod export;
mod find;
mod follow;
mod import;
mod input;
mod lease;
mod table;

use change::{AddArgs, DeleteArgs, MergeArgs, PutArgs, TransactionArgs};
use collections::CollectionsArgs;
use export::ExportArgs;
use find::{FindArgs, GetArgs};
use follow::WatchArgs;
use import::ImportArgs;
use lease::LeaseCommand;

/// What `directory` takes.
#[derive(Clone, Debug, Args)]
pub struct DirectoryArgs {
    /// Read what the node asked has, perhaps a little old [default: off]
    #[arg(long, global = true, help_heading = "Everywhere")]
    local: bool,
    /// Wait at most so long for each read or write [default: 15s]
    #[arg(long, value_name = "TIME", value_parser = time_text, global = true, help_heading = "Everywhere")]
    timeout: Option<Duration>,
    #[command(subcommand)]
    command: DirectoryCommand,
}

/// What `directory` does.
#[derive(Clone, Debug, Subcommand)]
enum DirectoryCommand {
    /// List, create or drop collections
    Collections(CollectionsArgs),
    /// Print a document
    Get(GetArgs),
    /// Find documents: find COLLECTION 'size>=1000' name^=cat
    Find(FindArgs),
    /// Print changes as they are made
    Watch(WatchArgs),
    /// Add a document, or replace one
    Put(PutArgs),
    /// Change members of a document, and leave the others
    Merge(MergeArgs),
    /// Add to a number in a document
    Add(AddArgs),
    /// Delete a document
    Delete(DeleteArgs),
    /// Do several changes all together or not at all
    Transaction(TransactionArgs),
    /// Grant, renew or end leases
    #[command(subcommand)]
    Lease(LeaseCommand),
    /// Write collections to stdout, a line of JSON for each document
    Export(ExportArgs),
    /// Read what `export` wrote
    Import(ImportArgs),
}

/// What a command of `directory` has before it has read what was typed: mistakes are told without
/// a node.
#[derive(Clone, Copy)]
struct Start<'a> {
    global: &'a Global,
    local: bool,
    timeout: Option<Duration>,
}

/// What it works with from then on.
struct Session {
    client: Client,
    directory: Directory,
    output: Output,
    /// Print for programs.
    json: bool,
}

pub(super) async fn run(args: DirectoryArgs, global: &Global) -> Result<(), Failure> {
    let start = Start {
        global,
        local: args.local,
        timeout: args.timeout,
    };
    match args.command {
        DirectoryCommand::Collections(args) => collections::run(args, start).await,
        DirectoryCommand::Get(args) => find::get(args, start).await,
        DirectoryCommand::Find(args) => find::run(args, start).await,
        DirectoryCommand::Watch(args) => follow::run(args, start).await,
        DirectoryCommand::Put(args) => change::put(args, start).await,
        DirectoryCommand::Merge(args) => change::merge(args, start).await,
        DirectoryCommand::Add(args) => change::add(args, start).await,
        DirectoryCommand::Delete(args) => change::delete(args, start).await,
        DirectoryCommand::Transaction(args) => change::transaction(args, start).await,
        DirectoryCommand::Lease(command) => lease::run(command, start).await,
        DirectoryCommand::Export(args) => export::run(args, start).await,
        DirectoryCommand::Import(args) => import::run(args, start).await,
    }
}

impl Start<'_> {
    async fn connect(self) -> Result<Session, Failure> {
        let client = self.global.connect().await?;
        let mut directory = client.directory();
        if self.local {
            directory = directory.local();
        }
        if let Some(timeout) = self.timeout {
            directory = directory.timeout(timeout);
        }
        Ok(Session {
            directory,
            client,
            output: Output::new(self.global),
            json: self.global.json,
        })
    }
}

impl Session {
    /// The documents of a collection, as they are.
    fn collection(&self, name: &str) -> Collection<Json> {
        self.directory.collection(name)
    }

    /// Why the directory does not do what it was asked, with what to do about it.
    fn refused(&self, error: Error) -> Failure {
        let is_denied = error.code() == Code::Denied;
        let is_unknown = error.code() == Code::UnknownService;
        let is_late = error.code() == Code::DeadlineExceeded;
        let refusal = error.details::<Refusal>();
        let remedy = refusal.as_ref().and_then(remedy);
        let mut failure = Failure::from(error);
        if refusal.is_some() {
            failure = failure.of_all_nodes();
        }
        if let Some(remedy) = remedy {
            return failure.with_remedy(remedy);
        }
        if is_unknown {
            return failure.with_remedy(format!(
                "the nodes of this cloud keep no directory; `{} init` makes a cluster that does",
                program()
            ));
        }
        if is_late {
            return failure.with_remedy(format!(
                "a majority of the voters must be up, which `{} nodes` shows; --timeout 2m waits \
                 longer",
                program()
            ));
        }
        if is_denied {
            return failure.with_remedy(format!(
                "this client is {}; --set client.identity=FILE makes it another",
                self.client.key()
            ));
        }
        failure
    }
}

/// What to do about a refusal, where that is known.
fn remedy(refusal: &Refusal) -> Option<String> {
    let directory = format!("{} directory", program());
    Some(match refusal {
        Refusal::NoCollection { name } => {
            let name = quote(name);
            format!(
                "`{directory} collections create {name}` makes it, `{directory} collections` lists those there are"
            )
        }
        Refusal::Exists { .. } => "without --insert, `put` replaces it".to_owned(),
        Refusal::Revision { collection, id, .. } => format!(
            "somebody changed it meanwhile: `{directory} get --json {} {}` shows how it is now",
            quote(collection),
            quote(id)
        ),
        Refusal::Compacted { .. } => {
            "without --after, `find … --follow` reads all there is and goes on from there"
                .to_owned()
        }
        Refusal::NoLease { .. } => format!("`{directory} lease grant 1m` grants one"),
        _ => return None,
    })
}
