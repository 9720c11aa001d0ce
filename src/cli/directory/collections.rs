//! `directory collections`: which there are; makes and drops them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use distri_core::directory::{CollectionInfo, CollectionSpec, Field, IndexSpec, Who};
use serde_json::json;

use super::{Session, Start, input};
use crate::cli::{Failure, failure::program, output::tell};

/// What `directory collections` takes.
#[derive(Clone, Debug, Args)]
pub(super) struct CollectionsArgs {
    #[command(subcommand)]
    command: Option<Change>,
}

/// What it does but list.
#[derive(Clone, Debug, Subcommand)]
enum Change {
    /// Create a collection, or make one as it is said here
    Create(CreateArgs),
    /// Drop a collection with its documents
    Drop {
        /// Its name
        name: String,
    },
}

/// What `directory collections create` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = WHO)]
struct CreateArgs {
    /// Its name: a-z, 0-9, - and _
    name: String,
    /// Fields by which searches are fast: a, or a,b; repeatable [default: none]
    #[arg(long, value_name = "FIELDS", value_parser = index)]
    index: Vec<Index>,
    /// Fields in which no two documents are equal; repeatable [default: none]
    #[arg(long, value_name = "FIELDS", value_parser = index)]
    unique: Vec<Index>,
    /// JSON Schema that documents must meet [default: none]
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Who may read [default: authenticated]
    #[arg(long, value_name = "WHO", value_parser = input::who)]
    read: Option<Who>,
    /// Who may insert, change and delete [default: authenticated]
    #[arg(long, value_name = "WHO", value_parser = input::who)]
    write: Option<Who>,
}

const WHO: &str = "\
WHO is public, authenticated (keys that the nodes list), owner (whoever inserted the document), node
(no client), or a role. A collection that is there already becomes as it is said here.";

/// The fields of one index. A type of its own, for clap would take a list as many values.
#[derive(Clone, Debug)]
struct Index(Vec<Field>);

fn index(text: &str) -> Result<Index, String> {
    input::fields(text).map(Index)
}

pub(super) async fn run(args: CollectionsArgs, start: Start<'_>) -> Result<(), Failure> {
    match args.command {
        None => list(&start.connect().await?).await,
        Some(Change::Create(args)) => create(args, start).await,
        Some(Change::Drop { name }) => drop(name, start).await,
    }
}

async fn list(session: &Session) -> Result<(), Failure> {
    let asked = session.directory.collections().await;
    let collections = asked.map_err(|error| session.refused(error))?;
    if session.json {
        return session.output.json(&collections);
    }
    if collections.is_empty() {
        tell(&format!(
            "no collections; `{} directory collections create NAME` makes one",
            program()
        ));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = collections.iter().map(row).collect();
    session.output.table(
        &[
            "COLLECTION",
            "DOCUMENTS",
            "READ",
            "WRITE",
            "SCHEMA",
            "INDEXES",
        ],
        &rows,
    )
}

fn row(collection: &CollectionInfo) -> Vec<String> {
    let spec = &collection.spec;
    let indexes: Vec<String> = spec.indexes.iter().map(index_text).collect();
    let or_dash = |text: String| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text
        }
    };
    vec![
        spec.name.clone(),
        collection.documents.to_string(),
        who_text(&spec.read),
        who_text(&spec.write),
        if spec.schema.is_some() { "yes" } else { "-" }.to_owned(),
        or_dash(indexes.join("  ")),
    ]
}

fn index_text(index: &IndexSpec) -> String {
    let fields: Vec<&str> = index.fields.iter().map(Field::as_str).collect();
    let unique = if index.unique { " (unique)" } else { "" };
    format!("{}{unique}", fields.join(","))
}

fn who_text(who: &Who) -> String {
    match who {
        Who::Public => "public".to_owned(),
        Who::Authenticated => "authenticated".to_owned(),
        Who::Role(role) => role.clone(),
        Who::Owner => "owner".to_owned(),
        Who::Node => "node".to_owned(),
        // Of a newer version.
        _ => "?".to_owned(),
    }
}

async fn create(args: CreateArgs, start: Start<'_>) -> Result<(), Failure> {
    let name = args.name.clone();
    let spec = spec(args)?;
    let session = start.connect().await?;
    let created = session.directory.create(spec).await;
    created.map_err(|error| session.refused(error))?;
    if session.json {
        return session.output.json(&json!({ "collection": name }));
    }
    session.output.line(&format!("created {name}"))
}

fn spec(args: CreateArgs) -> Result<CollectionSpec, Failure> {
    let mut spec = CollectionSpec::new(args.name);
    for Index(fields) in args.index {
        spec = spec.index(fields.iter().map(Field::as_str));
    }
    for Index(fields) in args.unique {
        spec = spec.unique(fields.iter().map(Field::as_str));
    }
    if let Some(path) = args.schema {
        spec = spec.schema(input::json(&format!("@{}", path.display()))?);
    }
    if let Some(who) = args.read {
        spec = spec.read(who);
    }
    if let Some(who) = args.write {
        spec = spec.write(who);
    }
    Ok(spec)
}

async fn drop(name: String, start: Start<'_>) -> Result<(), Failure> {
    let session = start.connect().await?;
    let dropped = session.directory.drop_collection(name.as_str()).await;
    dropped.map_err(|error| session.refused(error))?;
    if session.json {
        return session.output.json(&json!({ "collection": name }));
    }
    session
        .output
        .line(&format!("dropped {name} and its documents"))
}
