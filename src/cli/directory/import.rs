//! `directory import`: what `export` wrote, with many documents under way at once.
//!
//! Documents go in batches, each one transaction. Where a batch is refused, its documents are
//! written one after the other, so that the one at fault is known and those before it are there.

use std::{collections::HashSet, path::PathBuf};

use clap::Args;
use distri_core::{
    Error,
    directory::{CollectionSpec, Directory, Json, Operation, Refusal, Transaction},
};
use serde_json::json;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader},
    task::JoinSet,
};

use super::{Session, Start, export::Line, table::documents};
use crate::cli::{Exit, Failure, ProgressLine, output::tell};

/// Documents of one batch; a transaction takes twice as many.
const BATCH: usize = 64;

/// Bytes of one batch, but for its last document. A command takes four times as many.
const BATCH_BYTES: usize = 1 << 20;

/// Batches under way. More wait longer for each other than they save.
const IN_FLIGHT: usize = 8;

/// Bytes of a line: a document, its id and what is around them, each byte escaped at worst.
const LINE_MAX: u64 = 8 << 20;

/// What `directory import` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct ImportArgs {
    /// What `export` wrote; - is stdin
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Keep what is there already [default: refuse]
    #[arg(long, conflicts_with = "overwrite")]
    if_missing: bool,
    /// Replace what is there already [default: refuse]
    #[arg(long)]
    overwrite: bool,
}

const AFTER: &str = "\
A line is {\"collection\":\"c\",\"id\":\"x\",\"value\":{…}}, or {\"collection\":\"c\",\"spec\":{\"name\":\"c\"}}
to create a collection. Documents become those of whoever imports them. After a failure, those
before the line it names are there: --if-missing goes on where it stopped.";

/// What happens where there is something already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Refuse,
    IfMissing,
    Overwrite,
}

pub(super) async fn run(args: ImportArgs, start: Start<'_>) -> Result<(), Failure> {
    let mode = match (args.if_missing, args.overwrite) {
        (true, _) => Mode::IfMissing,
        (false, true) => Mode::Overwrite,
        (false, false) => Mode::Refuse,
    };
    let source = Source::open(&args.file).await?;
    let session = start.connect().await?;
    let mut import = Import {
        session: &session,
        mode,
        batch: Batch::default(),
        under_way: JoinSet::new(),
        keys_under_way: HashSet::new(),
        done: Done::default(),
        foreign: 0,
    };
    let result = import.all(source).await;
    import.report(result.is_ok())?;
    result
}

/// Where lines come from.
struct Source {
    reader: Box<dyn AsyncBufRead + Unpin + Send>,
    /// How long it is, where that is known.
    length: Option<u64>,
    read: u64,
    lines: u64,
}

impl Source {
    async fn open(path: &PathBuf) -> Result<Self, Failure> {
        let is_stdin = path.as_os_str() == "-";
        let failed = |error: std::io::Error| {
            Failure::usage(format!("could not read `{}`: {error}", path.display()))
        };
        let (reader, length): (Box<dyn AsyncBufRead + Unpin + Send>, _) = if is_stdin {
            // A file that the shell opened has a length too.
            let behind = tokio::fs::metadata("/dev/stdin").await.ok();
            let length = behind.filter(std::fs::Metadata::is_file);
            let stdin = BufReader::new(tokio::io::stdin());
            (Box::new(stdin), length.map(|behind| behind.len()))
        } else {
            let file = tokio::fs::File::open(path).await.map_err(failed)?;
            let length = file.metadata().await.map_err(failed)?.len();
            (Box::new(BufReader::new(file)), Some(length))
        };
        Ok(Self {
            reader,
            length,
            read: 0,
            lines: 0,
        })
    }

    /// The next line with something on it.
    async fn next(&mut self) -> Result<Option<Line>, Failure> {
        loop {
            let mut text = Vec::new();
            let read = (&mut self.reader)
                .take(LINE_MAX)
                .read_until(b'\n', &mut text)
                .await;
            let read = read.map_err(|error| self.wrong(&format!("could not be read: {error}")))?;
            if read == 0 {
                return Ok(None);
            }
            self.read += read as u64;
            self.lines += 1;
            if read as u64 == LINE_MAX {
                return Err(self.wrong("is longer than any document may be"));
            }
            if !text.trim_ascii().is_empty() {
                let line = serde_json::from_slice(&text);
                return line.map(Some).map_err(|error: serde_json::Error| {
                    // It counts the lines of this one text.
                    let what = error
                        .to_string()
                        .replace(" at line 1 column", ", at column");
                    self.wrong(&format!("is no line of an export: {what}"))
                });
            }
        }
    }

    fn wrong(&self, what: &str) -> Failure {
        Failure::usage(format!("line {} {what}", self.lines.max(1)))
    }

    fn fraction(&self) -> Option<f32> {
        let length = self.length.filter(|length| *length > 0)?;
        Some(self.read as f32 / length as f32)
    }
}

/// A document to be written, and the line on which it stands.
#[derive(Clone)]
struct Item {
    line: u64,
    collection: String,
    id: String,
    value: Json,
}

#[derive(Default)]
struct Batch {
    items: Vec<Item>,
    bytes: usize,
}

/// How many documents came to what.
#[derive(Clone, Copy, Default)]
struct Done {
    written: u64,
    skipped: u64,
}

/// What became of a batch.
struct Written {
    items: Vec<Item>,
    done: Done,
    /// The line at which it went wrong, and why.
    failure: Option<(u64, Error)>,
}

struct Import<'a> {
    session: &'a Session,
    mode: Mode,
    batch: Batch,
    under_way: JoinSet<Written>,
    /// Of documents in batches under way. Two changes of one document must not overtake each other.
    keys_under_way: HashSet<(String, String)>,
    done: Done,
    /// Documents that were another's.
    foreign: u64,
}

impl Import<'_> {
    async fn all(&mut self, mut source: Source) -> Result<(), Failure> {
        let progress = ProgressLine::new();
        while let Some(line) = source.next().await? {
            match line {
                Line {
                    collection,
                    spec: Some(spec),
                    id: None,
                    value: None,
                    ..
                } if spec.name == collection => {
                    // What comes before it may need it as it was.
                    self.finish().await?;
                    self.create(spec, source.lines).await?;
                }
                Line {
                    collection,
                    spec: None,
                    id: Some(id),
                    value: Some(value),
                    owner,
                } => {
                    let me = self.session.client.key().to_string();
                    self.foreign += u64::from(owner.is_some_and(|owner| owner != me));
                    let line = source.lines;
                    self.add(Item {
                        line,
                        collection,
                        id,
                        value,
                    })
                    .await?;
                }
                _ => return Err(source.wrong("is neither a document nor a collection")),
            }
            if let Some(fraction) = source.fraction() {
                let count = self.done.written + self.done.skipped;
                progress.show(fraction, &documents(count));
            }
        }
        self.finish().await
    }

    async fn create(&self, spec: CollectionSpec, line: u64) -> Result<(), Failure> {
        let asked = self.session.directory.collections().await;
        let there = asked.map_err(|error| self.session.refused(error))?;
        let there = there.into_iter().find(|found| found.spec.name == spec.name);
        let is_same = there.as_ref().map(|there| same(&there.spec, &spec));
        match (is_same, self.mode) {
            (Some(true), _) | (Some(false), Mode::IfMissing) => Ok(()),
            (Some(false), Mode::Refuse) => {
                let message = format!(
                    "line {line}: the collection `{}` is there, with other indexes, schema or \
                     access",
                    spec.name
                );
                Err(Failure::new(Exit::Failed, message)
                    .with_remedy("--if-missing leaves it as it is, --overwrite changes it"))
            }
            (None, _) | (Some(false), Mode::Overwrite) => {
                let created = self.session.directory.create(spec).await;
                created.map_err(|error| self.session.refused(error))
            }
        }
    }

    async fn add(&mut self, item: Item) -> Result<(), Failure> {
        let key = (item.collection.clone(), item.id.clone());
        let is_repeated = self.batch.items.iter().any(|other| {
            (other.collection.as_str(), other.id.as_str()) == (key.0.as_str(), key.1.as_str())
        });
        if is_repeated || self.keys_under_way.contains(&key) {
            self.finish().await?;
        }
        self.batch.bytes += item.value.as_str().len() + item.id.len();
        self.batch.items.push(item);
        if self.batch.items.len() >= BATCH || self.batch.bytes >= BATCH_BYTES {
            self.send().await?;
        }
        Ok(())
    }

    /// Sends the batch off, as soon as there is room for it.
    async fn send(&mut self) -> Result<(), Failure> {
        let Batch { items, .. } = std::mem::take(&mut self.batch);
        if items.is_empty() {
            return Ok(());
        }
        if self.under_way.len() >= IN_FLIGHT {
            self.one_done().await?;
        }
        let keys = items
            .iter()
            .map(|item| (item.collection.clone(), item.id.clone()));
        self.keys_under_way.extend(keys);
        let (directory, mode) = (self.session.directory.clone(), self.mode);
        self.under_way.spawn(write(directory, mode, items));
        Ok(())
    }

    /// Waits until all that was sent is done.
    async fn finish(&mut self) -> Result<(), Failure> {
        self.send().await?;
        while !self.under_way.is_empty() {
            self.one_done().await?;
        }
        Ok(())
    }

    async fn one_done(&mut self) -> Result<(), Failure> {
        let Some(joined) = self.under_way.join_next().await else {
            return Ok(());
        };
        let written = joined.map_err(|error| Failure::new(Exit::Failed, error))?;
        self.count(&written);
        let Some(mut first) = written.failure else {
            return Ok(());
        };
        // The failure to tell is the one furthest up; those under way may still have one.
        while let Some(joined) = self.under_way.join_next().await {
            let Ok(written) = joined else { continue };
            self.count(&written);
            if let Some(other) = written.failure
                && other.0 < first.0
            {
                first = other;
            }
        }
        Err(self.told(first))
    }

    fn count(&mut self, written: &Written) {
        self.done.written += written.done.written;
        self.done.skipped += written.done.skipped;
        for item in &written.items {
            self.keys_under_way
                .remove(&(item.collection.clone(), item.id.clone()));
        }
    }

    fn told(&self, (line, error): (u64, Error)) -> Failure {
        let is_there = matches!(error.details(), Some(Refusal::Exists { .. }));
        let failure = self.session.refused(error).at(format!("line {line}"));
        if is_there {
            return failure.with_remedy("--if-missing leaves it as it is, --overwrite replaces it");
        }
        failure
    }

    fn report(&self, is_whole: bool) -> Result<(), Failure> {
        let Done { written, skipped } = self.done;
        if self.session.json && is_whole {
            let report = json!({ "written": written, "skipped": skipped });
            return self.session.output.json(&report);
        }
        let mut text = format!("wrote {}", documents(written));
        if skipped > 0 {
            text.push_str(&format!(", left {skipped} as they were"));
        }
        if self.foreign > 0 && written > 0 {
            text.push_str("\nthose of other owners are this client's now, if they were not there");
        }
        if !self.session.json {
            tell(&text);
        }
        Ok(())
    }
}

/// Writes a batch; where it is refused, its documents one by one.
async fn write(directory: Directory, mode: Mode, items: Vec<Item>) -> Written {
    let all = items.iter().fold(Transaction::new(), |transaction, item| {
        transaction.then(operation(item, mode))
    });
    let mut done = Done::default();
    let mut failure = None;
    match directory.transaction(all).await {
        Ok(_) => done.written = items.len() as u64,
        Err(error) if error.details::<Refusal>().is_some() => {
            for item in &items {
                let one = Transaction::new().then(operation(item, mode));
                match directory.transaction(one).await {
                    Ok(_) => done.written += 1,
                    Err(error)
                        if mode == Mode::IfMissing
                            && matches!(error.details(), Some(Refusal::Exists { .. })) =>
                    {
                        done.skipped += 1;
                    }
                    Err(error) => {
                        failure = Some((item.line, error));
                        break;
                    }
                }
            }
        }
        Err(error) => {
            let line = items.first().map_or(0, |item| item.line);
            failure = Some((line, error));
        }
    }
    Written {
        items,
        done,
        failure,
    }
}

fn operation(item: &Item, mode: Mode) -> Operation {
    let Item {
        collection,
        id,
        value,
        ..
    } = item.clone();
    if mode == Mode::Overwrite {
        Operation::Put {
            collection,
            id,
            value,
            lease: None,
        }
    } else {
        Operation::Insert {
            collection,
            id,
            value,
            lease: None,
        }
    }
}

/// Two declarations of a collection that say the same, however their schemas are spaced.
fn same(a: &CollectionSpec, b: &CollectionSpec) -> bool {
    let value = |spec: &CollectionSpec| serde_json::to_value(spec).ok();
    value(a) == value(b)
}
