//! The ledger in the directory: how it is read, and how a change is committed, all of it or nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use distri::{
    Code, Context, Error, Result,
    directory::{
        CollectionSpec, Condition, Directory, Document, Filter, Json, Operation, Refusal,
        Transaction, Who,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    audit::Entry,
    bytes::{GrantHash, GrantId, RedeemId},
    grant::GrantCore,
    ledger::{Change, GrantRecord, Kept, OPEN_MS, View, ViewRecord},
    refusal::LedgerError,
};

pub(crate) const GRANTS: &str = "permissions-grants";
pub(crate) const CORES: &str = "permissions-cores";
pub(crate) const VIEWS: &str = "permissions-views";
pub(crate) const AUDIT: &str = "permissions-audit";
pub(crate) const QUOTAS: &str = "permissions-quotas";

/// Nobody but the nodes reads or writes them: what owners and viewers may know, the service tells.
pub(crate) fn collections() -> Vec<CollectionSpec> {
    let own = |name| CollectionSpec::new(name).read(Who::Node).write(Who::Node);
    vec![
        // It changes with each view: what does not is no part of it, and not in its indexes.
        own(GRANTS).index(["holds", "expires_ms"]),
        own(CORES).index(["owner"]).index(["viewer"]),
        own(VIEWS),
        own(AUDIT).unique(["grant", "index"]),
        own(QUOTAS),
    ]
}

/// Cores of grants that a node keeps at hand; some 300 bytes each.
const CORES_MAX: usize = 4096;

/// Cores that were read before, by their hash. They never change.
#[derive(Debug, Default)]
pub(crate) struct Cores(Mutex<BTreeMap<GrantHash, GrantCore>>);

impl Cores {
    fn find(&self, hash: &GrantHash) -> Option<GrantCore> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(hash).cloned()
    }

    fn keep(&self, hash: GrantHash, core: GrantCore) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CORES_MAX {
            // Hashes are in no order that means anything, so it is any.
            known.pop_first();
        }
        known.insert(hash, core);
    }
}

/// A grant as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) value: GrantRecord,
    pub(crate) revision: u64,
    /// When it was changed last, by the directory's clock.
    pub(crate) updated_ms: u64,
}

/// How many grants of a caller have not ended.
#[distri::message]
struct QuotaRecord {
    live: u64,
}

/// Why a change was not committed.
#[derive(Debug)]
pub(crate) enum Missed {
    /// The clock has not come so far.
    Early,
    /// The clock is past it.
    Late,
    /// Somebody else was faster: read again.
    Raced,
    /// A view that was to be released has been, as the same: the id of its record.
    Seen(String),
    /// The caller has as many grants as it may.
    Quota,
    /// Something else.
    Failed(Error),
}

/// What is done to a view along with a change of its grant.
pub(crate) enum ViewChange<'a> {
    None,
    /// These are the views that the change releases.
    Released(&'a [&'a View]),
    /// The view of this id stood so before.
    Closed(RedeemId, &'a Document<ViewRecord>),
}

/// The collections, as a service reads and writes them.
pub(crate) struct Store {
    directory: Directory,
    cores: Arc<Cores>,
}

impl Store {
    pub(crate) fn of(cx: &Context, cores: Arc<Cores>) -> Self {
        Self::at(cx.directory(), cores)
    }

    pub(crate) fn at(directory: Directory, cores: Arc<Cores>) -> Self {
        Self { directory, cores }
    }

    /// Reads what is at hand, perhaps a little old, or as it is now.
    fn reads(&self, fresh: bool) -> Directory {
        if fresh {
            self.directory.clone()
        } else {
            self.directory.local()
        }
    }

    pub(crate) async fn grant(&self, grant: GrantId, fresh: bool) -> Result<Option<Held>> {
        let grants = self.reads(fresh).collection::<Kept<GrantId>>(GRANTS);
        match grants.get(grant.to_string()).await? {
            Some(found) => self.held(found).await.map(Some),
            None => Ok(None),
        }
    }

    /// A grant that was found, with its core.
    pub(crate) async fn held(&self, found: Document<Kept<GrantId>>) -> Result<Held> {
        let core = self.core(found.value.core, found.value.hash).await?;
        Ok(Held {
            revision: found.revision,
            updated_ms: found.updated_ms,
            value: found.value.with(core),
        })
    }

    async fn core(&self, grant: GrantId, hash: GrantHash) -> Result<GrantCore> {
        if let Some(core) = self.cores.find(&hash) {
            return Ok(core);
        }
        // It was committed with the grant, so it is at hand, unless the grant was read elsewhere.
        for fresh in [false, true] {
            let cores = self.reads(fresh).collection::<GrantCore>(CORES);
            if let Some(found) = cores.get(grant.to_string()).await?
                && found.value.hash() == hash
            {
                self.cores.keep(hash, found.value.clone());
                return Ok(found.value);
            }
        }
        let message = format!("the directory has the grant {grant} without its core");
        Err(Error::new(Code::DataLoss, message))
    }

    pub(crate) async fn view(
        &self,
        grant: GrantId,
        redeem: RedeemId,
        fresh: bool,
    ) -> Result<Option<Document<ViewRecord>>> {
        let views = self.reads(fresh).collection::<ViewRecord>(VIEWS);
        views.get(view_id(grant, redeem)).await
    }

    /// An entry of a grant's audit.
    pub(crate) async fn entry(
        &self,
        grant: GrantId,
        index: u64,
        fresh: bool,
    ) -> Result<Option<Document<Entry>>> {
        let entries = self.reads(fresh).collection::<Entry>(AUDIT);
        entries.get(entry_id(grant, index)).await
    }

    /// The core by its hash, if it is at hand: that of `grant`.
    pub(crate) fn known_core(&self, grant: GrantId, hash: &GrantHash) -> Option<GrantCore> {
        self.cores.find(hash).filter(|core| core.grant == grant)
    }

    /// A page of documents, as they are now.
    pub(crate) async fn find<T: DeserializeOwned + Send + 'static>(
        &self,
        collection: &str,
        filter: Filter,
        sort: &str,
        limit: u32,
    ) -> Result<distri::directory::Page<T>> {
        let collection = self.directory.collection::<T>(collection);
        collection.find(filter).sort(sort).limit(limit).await
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Commits a change of a grant that stood as `before`, with its entry in the audit.
    pub(crate) async fn commit(
        &self,
        before: Option<&Held>,
        change: &Change,
        view: ViewChange<'_>,
        grants_max: u64,
    ) -> Result<(), Missed> {
        let failed = |error| Missed::Failed(error);
        let Change {
            record, entries, ..
        } = change;
        let mut transaction = Transaction::new();
        for condition in clock(change) {
            transaction = transaction.require(condition);
        }
        let id = record.core.grant.to_string();
        let kept = record.clone().with(record.core.grant);
        let kept = json(&kept).map_err(failed)?;
        transaction = match before {
            None => transaction.insert(GRANTS, id.clone(), kept).insert(
                CORES,
                id,
                json(&record.core).map_err(failed)?,
            ),
            Some(before) => transaction.then(Operation::Replace {
                collection: GRANTS.to_owned(),
                id,
                revision: before.revision,
                value: kept,
            }),
        };
        for entry in entries {
            transaction = transaction.insert(
                AUDIT,
                entry_id(entry.grant, entry.index),
                json(entry).map_err(failed)?,
            );
        }
        transaction = match view {
            ViewChange::None => transaction,
            ViewChange::Released(views) => {
                for view in views {
                    let id = view_id(view.redeem.grant, view.redeem.redeem);
                    let record = ViewRecord::of(view);
                    transaction = transaction.insert(VIEWS, id, json(&record).map_err(failed)?);
                }
                transaction
            }
            ViewChange::Closed(redeem, before) => transaction.then(Operation::Replace {
                collection: VIEWS.to_owned(),
                id: view_id(record.core.grant, redeem),
                revision: before.revision,
                value: json(&before.value.closed()).map_err(failed)?,
            }),
        };
        let held = before.is_some_and(|before| before.value.share.is_some());
        let by = i64::from(record.share.is_some()) - i64::from(held);
        if by != 0 {
            transaction = transaction.then(Operation::Add {
                collection: QUOTAS.to_owned(),
                id: record.quota.clone(),
                field: "live".to_owned(),
                by: Json::from(by),
                // One that ends is never kept from it.
                min: None,
                max: (by > 0).then(|| Json::from(grants_max)),
            });
        }
        match self.directory.transaction(transaction).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.missed(error, change).await),
        }
    }

    async fn missed(&self, error: Error, change: &Change) -> Missed {
        match error.details() {
            Some(Refusal::Condition { index, .. }) => {
                if index == 0 && change.from_ms.is_some() {
                    Missed::Early
                } else {
                    Missed::Late
                }
            }
            Some(Refusal::Exists { collection, id, .. }) if collection == VIEWS => Missed::Seen(id),
            Some(Refusal::Revision { .. } | Refusal::Exists { .. } | Refusal::NotUnique { .. }) => {
                Missed::Raced
            }
            Some(Refusal::Missing { collection, id }) if collection == QUOTAS => {
                let quotas = self.directory.collection::<QuotaRecord>(QUOTAS);
                match quotas.insert(id, &QuotaRecord { live: 0 }).await {
                    Ok(_) => Missed::Raced,
                    Err(error) if matches!(error.details(), Some(Refusal::Exists { .. })) => {
                        Missed::Raced
                    }
                    Err(error) => Missed::Failed(error),
                }
            }
            Some(Refusal::Bounds { .. }) => Missed::Quota,
            _ => Missed::Failed(error),
        }
    }

    /// Makes sure that a view that was released may be released again, now.
    pub(crate) async fn confirm(
        &self,
        grant: &Held,
        view: &Document<ViewRecord>,
        redeem: RedeemId,
    ) -> Result<(), Missed> {
        let record = &grant.value;
        let opened_ms = view.created_ms;
        let clock = |from_ms, until_ms| Condition::Clock { from_ms, until_ms };
        let core = &record.core;
        let transaction = Transaction::new()
            .require(clock(Some(core.not_before_ms), None))
            .require(clock(None, Some(record.expires_ms)))
            .require(clock(None, Some(opened_ms.saturating_add(OPEN_MS))))
            .require(Condition::Matches {
                collection: GRANTS.to_owned(),
                id: core.grant.to_string(),
                filter: Filter::eq("revoked", false)
                    .and(Filter::eq("epoch", record.epoch))
                    .and(Filter::eq("expires_ms", record.expires_ms))
                    .and(Filter::ne("holds", "nothing")),
            })
            .require(Condition::Revision {
                collection: VIEWS.to_owned(),
                id: view.id.clone(),
                revision: view.revision,
            });
        match self.directory.transaction(transaction).await {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.details() {
                Some(Refusal::Condition { index: 0, .. }) => Missed::Early,
                Some(Refusal::Condition { index: 1, .. }) => Missed::Late,
                Some(Refusal::Condition { index: 2, .. }) => {
                    Missed::Failed(LedgerError::Closed { redeem }.into())
                }
                Some(Refusal::Condition { .. }) => Missed::Raced,
                _ => Missed::Failed(error),
            }),
        }
    }
}

/// Which clock a change needs: the first condition is the one that may come true by waiting.
fn clock(change: &Change) -> Vec<Condition> {
    let clock = |from_ms, until_ms| Condition::Clock { from_ms, until_ms };
    let from = change.from_ms.map(|from| clock(Some(from), None));
    let until = change.until_ms.map(|until| clock(None, Some(until)));
    from.into_iter().chain(until).collect()
}

pub(crate) fn view_id(grant: GrantId, redeem: RedeemId) -> String {
    format!("{grant}.{redeem}")
}

fn entry_id(grant: GrantId, index: u64) -> String {
    format!("{grant}.{index:012}")
}

fn json<T: Serialize>(value: &T) -> Result<Json> {
    Json::of(value).map_err(|error| Error::internal("a record cannot be written as JSON", error))
}
