//! What is offered, by whom.

use distri::{
    Context, NodeHandle, Result, Stream,
    directory::{CollectionSpec, Document, Event, Filter, Operation, Refusal, Transaction},
    id::PublicKey,
    signed::Signed,
};
use serde::{Deserialize, Serialize};

use super::{
    NoSettings, ShareRefusal, TRIES, WAITING, now_ms, only_nodes,
    users::{follows, is_registered, json},
};
use crate::{
    images::{
        media::{TITLE_MAX, clean_text},
        record::{Entry, Visibility},
    },
    permissions::ImageId,
};

const ENTRIES: &str = "image-entries";

/// Entries of one owner, those withdrawn included, at most.
pub const ENTRIES_MAX: u64 = 10_000;

/// Entries of one page, at most.
const PAGE_MAX: u32 = 100;

/// Keeps what is offered.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImageCatalog {
    /// The node keeps no directory, so there is nothing to keep it in.
    idle: bool,
}

/// An entry as it is kept. What is beside the record is for searching and is made of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptEntry {
    owner: PublicKey,
    listed: bool,
    title: String,
    /// When it was first offered; orders the catalogue.
    since_ms: u64,
    record: Signed<Entry>,
}

/// Which entries.
#[distri::message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct Search {
    /// Of this owner.
    pub owner: Option<PublicKey>,
    /// With this in the title, in whichever case.
    pub text: Option<String>,
    /// At most so many on a page, at most 100; 0, the default, is 24.
    pub limit: u32,
    /// Goes on where the page that gave this cursor ended.
    pub cursor: Option<String>,
}

/// Entries, the newest first.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogPage {
    /// Records, each with its owner's signature. Check them.
    pub entries: Vec<Signed<Entry>>,
    /// With this cursor the search goes on; `None` if all has been found.
    pub cursor: Option<String>,
    /// Changes after this are told by `changes`.
    pub revision: u64,
}

/// An entry that was changed.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// A later subscription goes on after this.
    pub revision: u64,
    /// The entry as it stands: offered, or withdrawn.
    pub record: Signed<Entry>,
}

/// Keeps what is offered, by whom, as its owners sign it.
#[distri::service(init = Self::open, collections = Self::collections)]
impl ImageCatalog {
    /// Keeps `record`: the first of an image, or the next. The same record again changes nothing.
    #[method(idempotent)]
    async fn publish(&self, cx: &Context, record: Signed<Entry>) -> Result<()> {
        let owner = record.key();
        Entry::of(&record, owner)?;
        for _ in 0..TRIES {
            let Some(change) = next(cx, &record).await? else {
                return Ok(());
            };
            let Err(error) = cx.directory().transaction(change).await else {
                return Ok(());
            };
            match error.details() {
                Some(Refusal::Exists { .. } | Refusal::Revision { .. }) => {}
                Some(Refusal::Condition { .. }) => {
                    return Err(ShareRefusal::NoUser { user: owner }.into());
                }
                _ => return Err(error),
            }
        }
        Err(ShareRefusal::Contended.into())
    }

    /// The entry `image` of `owner`, withdrawn ones and unlisted ones included.
    #[method(idempotent)]
    async fn entry(
        &self,
        cx: &Context,
        owner: PublicKey,
        image: ImageId,
    ) -> Result<Option<Signed<Entry>>> {
        let entries = cx.directory().collection::<KeptEntry>(ENTRIES);
        let entry = entries.get(id(owner, image)).await?;
        Ok(entry.map(|document| document.value.record))
    }

    /// What is offered to everybody, the newest first, a page at a time.
    #[method(idempotent)]
    async fn search(&self, cx: &Context, search: Search) -> Result<CatalogPage> {
        let mut filter = Filter::eq("listed", true);
        if let Some(owner) = search.owner {
            filter = filter.and(Filter::eq("owner", owner.to_string()));
        }
        if let Some(text) = search.text {
            let text = folded(&text);
            if !text.is_empty() {
                filter = filter.and(Filter::contains("title", text));
            }
        }
        let limit = if search.limit == 0 { 24 } else { search.limit };
        let mut find = cx
            .directory()
            .collection::<KeptEntry>(ENTRIES)
            .find(filter)
            .sort_descending("since_ms")
            .limit(limit.min(PAGE_MAX));
        if let Some(cursor) = search.cursor {
            find = find.cursor(cursor);
        }
        let page = find.await?;
        let records = page.documents.into_iter().map(|found| found.value.record);
        Ok(CatalogPage {
            entries: records.collect(),
            cursor: page.cursor,
            revision: page.revision,
        })
    }

    /// What was changed of the listed entries after the revision `after`, and from now on whatever is
    /// changed. Each is told at least once, as it then stands.
    #[method(idempotent, timeout = "24h", concurrency = 4096)]
    async fn changes(&self, cx: &Context, after: Option<u64>) -> Result<Stream<Changed>> {
        let entries = cx.node().directory().collection::<KeptEntry>(ENTRIES);
        let missed = match after {
            Some(after) => {
                let filter = Filter::gt("@revision", json(&after)?);
                entries.find(filter).sort("@revision").limit(PAGE_MAX)
            }
            None => entries.find(Filter::eq("@id", "")),
        };
        let (sender, stream) = Stream::channel(WAITING);
        let first = missed.await?;
        let out = sender.clone();
        drop(cx.node().spawn(sender.drive(async move {
            let mut page = first;
            let revision = page.revision;
            loop {
                let last = page.documents.last().map(|found| found.revision);
                for document in page.documents {
                    out.send(changed(document)).await?;
                }
                let (Some(_), Some(last)) = (page.cursor, last) else {
                    break;
                };
                let filter = Filter::gt("@revision", json(&last)?);
                page = entries
                    .find(filter)
                    .sort("@revision")
                    .limit(PAGE_MAX)
                    .await?;
            }
            let mut watch = entries.watch().after(revision).await?;
            loop {
                for event in watch.next().await?.events {
                    if let Event::Put(document) = event {
                        out.send(changed(document)).await?;
                    }
                }
            }
        })));
        Ok(stream)
    }
}

impl ImageCatalog {
    #[allow(
        clippy::unused_async,
        reason = "a service is opened by an async function"
    )]
    async fn open(node: &NodeHandle, _: NoSettings) -> Result<Self> {
        let idle = !node.keeps_directory();
        Ok(Self { idle })
    }

    fn collections(&self) -> Vec<CollectionSpec> {
        let entries = CollectionSpec::new(ENTRIES)
            .index(["listed", "since_ms"])
            .index(["owner", "since_ms"]);
        only_nodes(self.idle, [entries])
    }
}

fn changed(document: Document<KeptEntry>) -> Changed {
    Changed {
        revision: document.revision,
        record: document.value.record,
    }
}

/// What has to be done so that `record` stands; `None` if it does.
async fn next(cx: &Context, record: &Signed<Entry>) -> Result<Option<Transaction>> {
    let (owner, entry) = (record.key(), record.unchecked());
    let entries = cx.directory().collection::<KeptEntry>(ENTRIES);
    let id = id(owner, entry.image);
    let held = entries.get(id.as_str()).await?;
    let offer = entry.offer.as_ref();
    let mut kept = KeptEntry {
        owner,
        listed: offer.is_some_and(|offer| offer.visibility == Visibility::Public),
        title: offer.map_or_else(String::new, |offer| folded(&offer.title)),
        since_ms: now_ms(),
        record: record.clone(),
    };
    let change = Transaction::new().require(is_registered(owner));
    if let Some(held) = held {
        let before = held.value.record;
        follows(&before, record)?;
        if before.seq() == record.seq() {
            return Ok(None);
        }
        kept.since_ms = held.value.since_ms;
        let (collection, revision, value) = (ENTRIES.into(), held.revision, json(&kept)?);
        return Ok(Some(change.then(Operation::Replace {
            collection,
            id,
            revision,
            value,
        })));
    }
    if record.seq() != 1 {
        let (expected, found) = (1, record.seq());
        return Err(ShareRefusal::Gap { expected, found }.into());
    }
    let count = entries
        .count(Filter::eq("owner", owner.to_string()))
        .await?;
    if count >= ENTRIES_MAX {
        let limit = ENTRIES_MAX;
        return Err(ShareRefusal::CatalogFull { owner, limit }.into());
    }
    Ok(Some(change.insert(ENTRIES, id, json(&kept)?)))
}

fn id(owner: PublicKey, image: ImageId) -> String {
    format!("{owner}/{image}")
}

/// A title as it is searched.
fn folded(title: &str) -> String {
    clean_text(title, TITLE_MAX).to_lowercase()
}
