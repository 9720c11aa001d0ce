//! `directory export`: collections as lines of JSON.
//!
//! A line is a collection, `{"collection":NAME,"spec":{…}}`, or a document of one that was said
//! before, `{"collection":NAME,"id":ID,"value":…,"owner":KEY}`. `import` reads the same.

use clap::Args;
use distri_core::directory::{CollectionInfo, CollectionSpec, Document, Filter, Json, Refusal};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Session, Start, find::Pages, table::documents};
use crate::cli::{Failure, ProgressLine, output::tell};

/// What `directory export` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct ExportArgs {
    /// The collections [default: all that may be read]
    collections: Vec<String>,
    /// Also documents that end with a lease [default: off]
    #[arg(long)]
    leased: bool,
}

const AFTER: &str = "\
export > all.jsonl                  everything
export images owners | gzip > b.gz  two collections

Documents are read a thousand at a time: what is changed meanwhile may be told as before or after.";

/// A line of an export.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub(super) collection: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) spec: Option<CollectionSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[serde(
        default,
        deserialize_with = "there",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) value: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<String>,
}

/// A value that is there, be it `null`.
fn there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

pub(super) async fn run(args: ExportArgs, start: Start<'_>) -> Result<(), Failure> {
    let session = start.connect().await?;
    let collections = chosen(&args.collections, &session).await?;
    let mut work = Work {
        session: &session,
        leased: args.leased,
        progress: ProgressLine::new(),
        total: collections.iter().map(|found| found.documents).sum(),
        written: 0,
        left_out: 0,
    };
    for collection in &collections {
        work.export(collection).await?;
    }
    work.progress.clear();
    let names: Vec<&str> = collections
        .iter()
        .map(|found| found.spec.name.as_str())
        .collect();
    tell(&format!(
        "wrote {} of {}",
        documents(work.written),
        match names.as_slice() {
            [name] => (*name).to_owned(),
            names => format!("{} collections", names.len()),
        }
    ));
    if work.left_out > 0 {
        tell(&format!(
            "left out {} that end with a lease: --leased takes them along, without it",
            documents(work.left_out)
        ));
    }
    Ok(())
}

async fn chosen(names: &[String], session: &Session) -> Result<Vec<CollectionInfo>, Failure> {
    let asked = session.directory.collections().await;
    let all = asked.map_err(|error| session.refused(error))?;
    if names.is_empty() {
        // Names that begin so are the directory's own, of this cluster and no other.
        let own = |found: &CollectionInfo| found.spec.name.starts_with('_');
        return Ok(all.into_iter().filter(|found| !own(found)).collect());
    }
    names
        .iter()
        .map(|name| {
            let found = all.iter().find(|found| found.spec.name == *name).cloned();
            found
                .ok_or_else(|| session.refused(Refusal::NoCollection { name: name.clone() }.into()))
        })
        .collect()
}

struct Work<'a> {
    session: &'a Session,
    leased: bool,
    progress: ProgressLine,
    total: u64,
    written: u64,
    left_out: u64,
}

impl Work<'_> {
    async fn export(&mut self, collection: &CollectionInfo) -> Result<(), Failure> {
        let name = &collection.spec.name;
        let output = &self.session.output;
        output.json_line(&Line {
            collection: name.clone(),
            spec: Some(collection.spec.clone()),
            id: None,
            value: None,
            owner: None,
        })?;
        let mut pages = Pages::new(name, Filter::All, self.session);
        while let Some(page) = pages.next().await? {
            let mut text = String::new();
            for document in page.documents {
                if document.lease.is_some() && !self.leased {
                    self.left_out += 1;
                    continue;
                }
                text.push_str(&line(name, document)?);
                text.push('\n');
                self.written += 1;
            }
            // The progress line would stand in the middle of what a terminal shows.
            if !output.is_terminal() {
                let fraction = self.written as f32 / self.total.max(1) as f32;
                let note = format!("{}, {name}", documents(self.written));
                self.progress.show(fraction, &note);
            }
            output.bytes(text.as_bytes())?;
        }
        Ok(())
    }
}

fn line(collection: &str, document: Document) -> Result<String, Failure> {
    let line = Line {
        collection: collection.to_owned(),
        spec: None,
        id: Some(document.id),
        value: Some(document.value),
        owner: document.owner.map(|key| key.to_string()),
    };
    serde_json::to_string(&line).map_err(|error| Failure::new(crate::cli::Exit::Failed, error))
}
