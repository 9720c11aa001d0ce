//! `directory watch` and `find --follow`: changes, as they are made.

use std::io;

use clap::Args;
use distri_core::directory::{Document, Event, Filter, Json, Watch};
use serde_json::json;

use super::{Session, Start, find::Pages, input, table};
use crate::cli::{Exit, Failure};

/// What `directory watch` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = super::find::FILTERS)]
pub(super) struct WatchArgs {
    /// The collection
    collection: String,
    /// Tests that must all hold [default: none]
    filter: Vec<String>,
    /// Also changes after this revision [default: from now on]
    #[arg(long, value_name = "REV")]
    after: Option<u64>,
}

pub(super) async fn run(args: WatchArgs, start: Start<'_>) -> Result<(), Failure> {
    let filter = input::filter(&args.filter)?;
    let session = start.connect().await?;
    until_interrupted(watch(&args.collection, filter, args.after, &session)).await
}

/// Prints what matches, and then how it changes, with nothing missed in between.
pub(super) async fn all(
    collection: &str,
    filter: Filter,
    session: &Session,
) -> Result<(), Failure> {
    let mut pages = Pages::new(collection, filter.clone(), session);
    // Of the first page: what is changed while later ones are read is told again.
    let mut revision = None;
    while let Some(page) = pages.next().await? {
        revision.get_or_insert(page.revision);
        for document in page.documents {
            session.print(collection, &Event::Put(document))?;
        }
    }
    until_interrupted(watch(collection, filter, revision, session)).await
}

async fn watch(
    collection: &str,
    filter: Filter,
    after: Option<u64>,
    session: &Session,
) -> Result<(), Failure> {
    let mut watch = session.collection(collection).watch().filter(filter);
    if let Some(after) = after {
        watch = watch.after(after);
    }
    let begun = watch.await;
    let mut watch: Watch<Json> = begun.map_err(|error| session.refused(error))?;
    loop {
        let events = watch.next().await.map_err(|error| session.refused(error))?;
        for event in &events.events {
            session.print(collection, event)?;
        }
    }
}

/// Ctrl-C is how one has enough.
async fn until_interrupted(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => Err(Failure::silent(Exit::Interrupted)),
    }
}

impl Session {
    fn print(&self, collection: &str, event: &Event) -> Result<(), Failure> {
        if self.json {
            return self.output.json_line(&as_json(event));
        }
        let line = match event {
            Event::Put(document) => put(collection, document),
            Event::Deleted {
                id,
                revision,
                expired,
            } => {
                let why = if *expired { "  (expired)" } else { "" };
                format!("{revision:>8}  deleted  {collection}/{id}{why}")
            }
            // Of a newer version.
            _ => return Ok(()),
        };
        if !self.output.is_terminal() {
            return self.output.line(&line);
        }
        let width = terminal_size::terminal_size_of(io::stdout())
            .map_or(80, |(width, _)| usize::from(width.0));
        self.output.line(&table::cut(&line, width))
    }
}

fn put(collection: &str, document: &Document) -> String {
    let what = if document.revision == document.created_revision {
        "added"
    } else {
        "changed"
    };
    format!(
        "{:>8}  {what:<7}  {collection}/{}  {}",
        document.revision,
        document.id,
        table::content(&document.value)
    )
}

fn as_json(event: &Event) -> serde_json::Value {
    match event {
        Event::Put(document) => json!({ "event": "put", "document": document }),
        Event::Deleted {
            id,
            revision,
            expired,
        } => json!({
            "event": "deleted",
            "id": id,
            "revision": revision,
            "expired": expired,
        }),
        // Of a newer version.
        _ => json!({ "event": "unknown" }),
    }
}
