//! `directory put`, `merge`, `add`, `delete` and `transaction`.

use clap::Args;
use distri_core::directory::{Committed, Document, Json, Operation, Transaction};
use serde_json::json;

use super::{Session, Start, input};
use crate::cli::{Failure, output::tell};

/// What `directory put` takes.
#[derive(Clone, Debug, Args)]
pub(super) struct PutArgs {
    /// The collection
    collection: String,
    /// The document's id
    id: String,
    /// Its content: JSON, @FILE, or - for stdin
    value: String,
    /// Only where there is none with this id [default: off]
    #[arg(long, conflicts_with = "if_revision")]
    insert: bool,
    /// Only if it stands at this revision [default: any]
    #[arg(long, value_name = "REV")]
    if_revision: Option<u64>,
    /// Delete it when this lease ends [default: none]
    #[arg(long, value_name = "LEASE", conflicts_with = "if_revision")]
    lease: Option<u64>,
}

/// What `directory merge` takes.
#[derive(Clone, Debug, Args)]
pub(super) struct MergeArgs {
    /// The collection
    collection: String,
    /// The document's id
    id: String,
    /// Members to change, as JSON; null removes one. Or @FILE, or - for stdin
    patch: String,
}

/// What `directory add` takes.
#[derive(Clone, Debug, Args)]
pub(super) struct AddArgs {
    /// The collection
    collection: String,
    /// The document's id
    id: String,
    /// The field, such as size or stock.cats; one that is missing counts as 0
    field: String,
    /// How much to add; may be negative
    #[arg(allow_hyphen_values = true, value_parser = input::number)]
    by: Json,
    /// Refuse if the sum is less [default: none]
    #[arg(long, allow_hyphen_values = true, value_parser = input::number)]
    min: Option<Json>,
    /// Refuse if the sum is greater [default: none]
    #[arg(long, allow_hyphen_values = true, value_parser = input::number)]
    max: Option<Json>,
}

/// What `directory delete` takes.
#[derive(Clone, Debug, Args)]
pub(super) struct DeleteArgs {
    /// The collection
    collection: String,
    /// The document's id
    id: String,
    /// Only if it stands at this revision [default: any]
    #[arg(long, value_name = "REV")]
    if_revision: Option<u64>,
}

/// What `directory transaction` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = TRANSACTION)]
pub(super) struct TransactionArgs {
    /// Conditions and operations as JSON, @FILE, or - for stdin
    transaction: String,
}

const TRANSACTION: &str = r#"Takes effect only if all conditions hold and no operation is refused, as in
  {"conditions": [{"missing":  {"collection": "c", "id": "x"}},
                  {"revision": {"collection": "c", "id": "y", "revision": 7}}],
   "operations": [{"insert": {"collection": "c", "id": "x", "value": {"a": 1}}},
                  {"put":    {"collection": "c", "id": "y", "value": {"a": 2}}},
                  {"merge":  {"collection": "c", "id": "z", "patch": {"a": null}}},
                  {"add":    {"collection": "c", "id": "z", "field": "n", "by": 1}},
                  {"delete": {"collection": "c", "id": "w"}}]}"#;

pub(super) async fn put(args: PutArgs, start: Start<'_>) -> Result<(), Failure> {
    let PutArgs {
        collection,
        id,
        value,
        insert,
        if_revision,
        lease,
    } = args;
    let value = input::json(&value)?;
    let (place, name) = (collection.clone(), id.clone());
    let operation = match (insert, if_revision) {
        (true, _) => Operation::Insert {
            collection,
            id,
            value,
            lease,
        },
        (false, Some(revision)) => Operation::Replace {
            collection,
            id,
            revision,
            value,
        },
        (false, None) => Operation::Put {
            collection,
            id,
            value,
            lease,
        },
    };
    let session = start.connect().await?;
    let committed = session.one(operation).await?;
    session.report("put", &place, &name, committed.revision)
}

pub(super) async fn merge(args: MergeArgs, start: Start<'_>) -> Result<(), Failure> {
    let operation = Operation::Merge {
        patch: input::json(&args.patch)?,
        collection: args.collection,
        id: args.id,
    };
    let session = start.connect().await?;
    let committed = session.one(operation).await?;
    session.show_changed(&committed)
}

pub(super) async fn add(args: AddArgs, start: Start<'_>) -> Result<(), Failure> {
    let operation = Operation::Add {
        collection: args.collection,
        id: args.id,
        field: args.field,
        by: args.by,
        min: args.min,
        max: args.max,
    };
    let session = start.connect().await?;
    let committed = session.one(operation).await?;
    session.show_changed(&committed)
}

pub(super) async fn delete(args: DeleteArgs, start: Start<'_>) -> Result<(), Failure> {
    let operation = Operation::Delete {
        collection: args.collection.clone(),
        id: args.id.clone(),
        revision: args.if_revision,
    };
    let session = start.connect().await?;
    let committed = session.one(operation).await?;
    session.report("deleted", &args.collection, &args.id, committed.revision)
}

pub(super) async fn transaction(args: TransactionArgs, start: Start<'_>) -> Result<(), Failure> {
    let text = input::json(&args.transaction)?;
    let transaction: Transaction = text.to().map_err(|error| {
        Failure::usage(format!("this is no transaction: {error}"))
            .with_remedy("`directory transaction --help` shows one")
    })?;
    let session = start.connect().await?;
    let committed = session.transact(transaction).await?;
    if session.json {
        return session.output.json(&json!({
            "revision": committed.revision,
            "documents": committed.documents,
        }));
    }
    session
        .output
        .line(&format!("done at revision {}", committed.revision))
}

impl Session {
    async fn one(&self, operation: Operation) -> Result<Committed, Failure> {
        self.transact(Transaction::new().then(operation)).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<Committed, Failure> {
        let done = self.directory.transaction(transaction).await;
        done.map_err(|error| self.refused(error))
    }

    fn report(&self, what: &str, collection: &str, id: &str, revision: u64) -> Result<(), Failure> {
        if self.json {
            return self.output.json(&json!({
                "collection": collection,
                "id": id,
                "revision": revision,
            }));
        }
        self.output
            .line(&format!("{what} {collection}/{id} at revision {revision}"))
    }

    /// Prints the document that an operation left.
    fn show_changed(&self, committed: &Committed) -> Result<(), Failure> {
        match committed.documents.first() {
            Some(document) => self.show(document),
            None => Ok(()),
        }
    }

    /// Prints a document: for people its content, for programs all of it.
    pub(super) fn show(&self, document: &Document) -> Result<(), Failure> {
        if self.json {
            return self.output.json(document);
        }
        self.output.json(&document.value)?;
        if self.output.is_terminal() {
            tell(&super::table::about(document));
        }
        Ok(())
    }
}
