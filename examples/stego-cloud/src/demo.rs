//! The demonstration: Alice shares a photograph with Bob, over a cloud of three nodes, all of it in this
//! process and none of it pretended. It tells what happened, checks it, and fails if anything differs.
//!
//! `cast` is who takes part, `folder` what stays on disk, `sharing` and `looking` are the two halves of
//! the story, `told` how it looks.

use std::{
    env,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use distri::{
    Error,
    cli::{Exit, Failure, Global},
};

use crate::show::{self, Align, Table};

pub(crate) mod cast;
pub(crate) mod folder;
mod looking;
mod sharing;
mod told;

use cast::Cast;
use folder::Folder;
use told::{Teller, Way};

/// What the demonstration takes.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Folder for the pictures and the story [default: out/stego-cloud]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

const OUT: &str = "out/stego-cloud";

/// Bytes of the picture that are looked for where it must not be: more than chance ever repeats.
const TRACE: usize = 16;

impl DemoArgs {
    /// The flag that was given, if one was.
    pub(crate) fn flag_given(&self) -> Option<&'static str> {
        self.out.as_ref().map(|_| "--out")
    }
}

/// Refuses flags that would be dropped in silence: whoever gives them has left out a command.
fn refuse_flags_of_commands(global: &Global) -> Result<(), Failure> {
    let flags = [
        ("--node", !global.node.is_empty()),
        ("--set", !global.set.is_empty()),
        ("--json", global.json),
    ];
    match flags.into_iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(Failure::usage(format!(
            "{flag} belongs to a command: the demonstration has a cloud of its own"
        ))),
        None => Ok(()),
    }
}

/// The settings of those in the story. Logs are told if they are asked for, else a node that is killed
/// would be news.
pub(crate) fn settings(global: &Global) -> Global {
    let mut global = global.clone();
    if global.verbose == 0 && global.log.is_none() {
        global.log = Some("off".to_owned());
    }
    // So little is under way at once that the end of a link ends a delivery in its middle.
    global
        .set
        .push(("limits.channel_window".to_owned(), "64KiB".to_owned()));
    global
}

pub(crate) async fn run(args: DemoArgs, global: &Global) -> Result<(), Failure> {
    refuse_flags_of_commands(global)?;
    let out = args.out.unwrap_or_else(|| OUT.into());
    let folder = Folder::make(&out)?;
    let began = Instant::now();
    let mut story = Story::begin(folder, &settings(global)).await?;

    story.publish().await?;
    let found = story.find().await?;
    let request = story.request(&found).await?;
    story.approve(request).await?;
    story.deliver(request).await?;
    story.look(request).await?;
    let killed = story.look_without_the_leader(request).await?;
    story.look_in_vain(request).await?;
    story.extend_and_revoke(request).await?;
    story.audit(request, killed).await?;
    story.ask_again(&found).await?;

    let Story {
        cast,
        tell,
        way,
        folder,
        ..
    } = story;
    cast.stop().await;
    conclude(tell, &way, &folder, began.elapsed())
}

/// The story under way.
struct Story {
    cast: Cast,
    folder: Folder,
    tell: Teller,
    way: Way,
    /// The photograph as it may leave Alice's computer.
    published: Vec<u8>,
    /// The image in which it is delivered.
    delivered: Vec<u8>,
}

impl Story {
    async fn begin(folder: Folder, global: &Global) -> Result<Self, Failure> {
        let mut tell = Teller::stdout();
        tell.title("A cloud of three nodes, and two people with a computer each")?;
        let cast = Cast::found(&folder, global).await?;
        let mut table = Table::new(&[
            ("", Align::Left),
            ("", Align::Left),
            ("address", Align::Left),
            ("key", Align::Left),
        ]);
        for node in cast.cloud.nodes() {
            table.row([
                node.name().to_owned(),
                "node".to_owned(),
                node.address().to_string(),
                node.key().short(),
            ]);
        }
        for (name, actor) in [("Alice", &cast.alice), ("Bob", &cast.bob)] {
            table.row([
                name.to_owned(),
                "person".to_owned(),
                actor.address(),
                actor.person()?.key().short(),
            ]);
        }
        tell.table(&table)?;
        Ok(Self {
            cast,
            folder,
            tell,
            way: Way::default(),
            published: Vec::new(),
            delivered: Vec::new(),
        })
    }

    /// Checks that no node has a trace of the photograph on its disk.
    fn cloud_lacks_the_picture(&self) -> Result<(), Failure> {
        self.cloud_lacks(self.trace()?)
    }

    /// Checks that no file of any node has these bytes.
    fn cloud_lacks(&self, trace: &[u8]) -> Result<(), Failure> {
        self.cast
            .cloud
            .data()
            .try_for_each(|folder| lacks(folder, trace))
    }

    /// Bytes that the photograph has and chance does not repeat.
    fn trace(&self) -> Result<&[u8], Failure> {
        let middle = self.published.len() / 2;
        let trace = self.published.get(middle..middle + TRACE);
        trace.ok_or_else(|| wrong("the photograph is empty"))
    }
}

/// Checks that no file below `folder` has these bytes, and that there are files.
fn lacks(folder: PathBuf, trace: &[u8]) -> Result<(), Failure> {
    let unread = |error| Failure::new(Exit::Failed, error);
    let (mut folders, mut read) = (vec![folder], 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(unread)? {
            let path = entry.map_err(unread)?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).map_err(unread)?;
            read += bytes.len();
            if bytes.windows(trace.len()).any(|window| window == trace) {
                return Err(wrong("a file has what must be in none"));
            }
        }
    }
    if read == 0 {
        return Err(wrong("there are no files to look into"));
    }
    Ok(())
}

fn conclude(mut tell: Teller, way: &Way, folder: &Folder, took: Duration) -> Result<(), Failure> {
    tell.line("")?;
    tell.table(&way.table())?;
    let place = folder.root().display().to_string();
    tell.title(&format!("Files in {}", show::tame(&place, 60)))?;
    tell.list(&[
        ("photograph.jpg", "as it came from Alice's camera"),
        ("preview.png", "what everybody sees of it"),
        ("cover.png", "a cup of coffee"),
        ("delivered.png", "the same to the eye, with the cat in it"),
        ("seen.jpg", "what Bob saw, twice and once more"),
        ("what-is-left.png", "what he sees now"),
        ("story", "the cloud, Alice and Bob, as they stand"),
    ])?;
    tell.title("What to try next")?;
    let program = program();
    let quoted = quoted(&place);
    for (arguments, what) in [
        (
            format!("ui --story {quoted}"),
            "all of them again: a page for Alice, one for Bob",
        ),
        (
            "new-cloud my-cloud".to_owned(),
            "a cloud of your own, and how to start it",
        ),
        ("--help".to_owned(), "what else there is"),
    ] {
        tell.command(&format!("{program} {arguments}"), what)?;
    }
    tell.end(&format!("Done in {}.", show::time(took)))
}

/// A word of a command line, for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@+=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The program as it was called, for commands to type next.
fn program() -> String {
    if env::var_os("CARGO_PKG_NAME").is_some_and(|name| name == env!("CARGO_PKG_NAME")) {
        return format!("cargo run -p {} --", env!("CARGO_PKG_NAME"));
    }
    let name = env::args_os()
        .next()
        .unwrap_or_else(|| env!("CARGO_BIN_NAME").into());
    name.to_string_lossy().into_owned()
}

/// A call that fails ends the demonstration, whatever it would mean for another command.
fn failed(error: Error) -> Failure {
    Failure::new(Exit::Failed, error)
}

fn wrong(what: &str) -> Failure {
    Failure::new(Exit::Failed, what.to_owned())
}
