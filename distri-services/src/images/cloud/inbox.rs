//! Letters that wait for those who are away.

use distri::{
    Context, NodeHandle, Result, Stream,
    directory::{
        CollectionSpec, Directory, Document, Event, Filter, Operation, Refusal, Transaction,
    },
    id::PublicKey,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::{
    NoSettings, ShareRefusal, TRIES, WAITING, caller, now_ms, only_nodes,
    users::{self, json},
};
use crate::images::record::{LetterId, SealedLetter};

const LETTERS: &str = "image-letters";
const COUNTS: &str = "image-letter-counts";

/// Letters that wait for one recipient, at most.
pub const RECIPIENT_MAX: u64 = 200;

/// Letters of one sender that wait for one recipient, at most.
pub const PAIR_MAX: u64 = 16;

/// How long a letter waits, at most.
pub const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Letters past their end that are removed with each one that is sent: more than come in, so that
/// none stays for ever though nobody asks for it.
const SWEPT: u32 = 4;

/// Carries letters.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImageInbox {
    /// The node keeps no directory, so there is nothing to keep it in.
    idle: bool,
}

/// A letter as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptLetter {
    to: PublicKey,
    /// Under which it is counted for its sender.
    pair: String,
    expires_ms: u64,
    letter: SealedLetter,
}

/// How many letters wait.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Count {
    n: u64,
}

/// Letters in the order in which they arrived.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The letters.
    pub letters: Vec<Arrived>,
    /// Whether more wait: ask again after the last one.
    pub more: bool,
}

/// A letter, and where it stands in the order.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// What is asked for after this does not hold it.
    pub cursor: u64,
    /// The letter.
    pub letter: SealedLetter,
}

/// Carries sealed letters between users; keeps them for those who are away.
#[distri::service(init = Self::open, collections = Self::collections)]
impl ImageInbox {
    /// Keeps `letter` until its recipient acknowledges it, 30 days at most, or `keep_ms` if that is
    /// less. The same letter again changes nothing.
    #[method(idempotent)]
    async fn send(&self, cx: &Context, letter: SealedLetter, keep_ms: Option<u64>) -> Result<()> {
        letter.check()?;
        let (from, to) = (caller(cx).await?, letter.to);
        let directory = cx.directory();
        let longest = u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX);
        let kept = KeptLetter {
            to,
            pair: pair(from, to),
            expires_ms: now_ms().saturating_add(keep_ms.unwrap_or(longest).min(longest)),
            letter,
        };
        let mut swept = false;
        for _ in 0..TRIES {
            let change = Transaction::new()
                .require(users::is_registered(to))
                .insert(LETTERS, id(to, kept.letter.id), json(&kept)?)
                .then(count(pair_count(&kept.pair), 1, PAIR_MAX)?)
                .then(count(recipient_count(to), 1, RECIPIENT_MAX)?);
            let Err(error) = directory.transaction(change).await else {
                sweep(&directory, Filter::All, SWEPT).await;
                return Ok(());
            };
            match error.details() {
                Some(Refusal::Condition { .. }) => {
                    return Err(ShareRefusal::NoUser { user: to }.into());
                }
                Some(Refusal::Exists { .. }) => return same(&directory, &kept).await,
                Some(Refusal::Missing { id, .. }) => begin_count(&directory, id).await?,
                Some(Refusal::Bounds { id, .. }) => {
                    if swept {
                        return Err(full(&id, to).into());
                    }
                    let own = Filter::eq("to", to.to_string());
                    sweep(&directory, own, RECIPIENT_MAX as u32).await;
                    swept = true;
                }
                _ => return Err(error),
            }
        }
        Err(ShareRefusal::Contended.into())
    }

    /// Letters for the caller that arrived after the cursor `after`, the oldest first.
    #[method(idempotent)]
    async fn receive(&self, cx: &Context, after: Option<u64>) -> Result<Received> {
        let to = caller(cx).await?;
        let page = waiting(&cx.directory(), to, after.unwrap_or(0)).await?;
        Ok(Received {
            more: page.cursor.is_some(),
            letters: page.documents.into_iter().map(arrived).collect(),
        })
    }

    /// As `receive`, and then whatever arrives. Each letter is told at least once until it is
    /// acknowledged.
    #[method(idempotent, timeout = "24h", concurrency = 4096)]
    async fn follow(&self, cx: &Context, after: Option<u64>) -> Result<Stream<Arrived>> {
        let to = caller(cx).await?;
        let directory = cx.node().directory();
        let first = waiting(&directory, to, after.unwrap_or(0)).await?;
        let (sender, stream) = Stream::channel(WAITING);
        let out = sender.clone();
        drop(cx.node().spawn(sender.drive(async move {
            let mut page = first;
            let revision = page.revision;
            loop {
                let last = page.documents.last().map(|found| found.created_revision);
                for document in page.documents {
                    out.send(arrived(document)).await?;
                }
                let (Some(_), Some(last)) = (page.cursor, last) else {
                    break;
                };
                page = waiting(&directory, to, last).await?;
            }
            let letters = directory.collection::<KeptLetter>(LETTERS);
            let own = Filter::eq("to", to.to_string());
            let mut watch = letters.watch().filter(own).after(revision).await?;
            loop {
                for event in watch.next().await?.events {
                    if let Event::Put(document) = event {
                        out.send(arrived(document)).await?;
                    }
                }
            }
        })));
        Ok(stream)
    }

    /// Removes letters that the caller has read. Those that are gone already are no error.
    #[method(idempotent)]
    async fn acknowledge(&self, cx: &Context, letters: Vec<LetterId>) -> Result<()> {
        let to = caller(cx).await?;
        let directory = cx.directory();
        for letter in letters.into_iter().take(RECIPIENT_MAX as usize) {
            let kept = directory.collection::<KeptLetter>(LETTERS);
            if let Some(document) = kept.get(id(to, letter)).await? {
                remove(&directory, document).await?;
            }
        }
        Ok(())
    }
}

impl ImageInbox {
    #[allow(
        clippy::unused_async,
        reason = "a service is opened by an async function"
    )]
    async fn open(node: &NodeHandle, _: NoSettings) -> Result<Self> {
        let idle = !node.keeps_directory();
        Ok(Self { idle })
    }

    fn collections(&self) -> Vec<CollectionSpec> {
        let letters = CollectionSpec::new(LETTERS)
            .index(["to"])
            .index(["expires_ms"]);
        only_nodes(self.idle, [letters, CollectionSpec::new(COUNTS)])
    }
}

type Page = distri::directory::Page<KeptLetter>;

async fn waiting(directory: &Directory, to: PublicKey, after: u64) -> Result<Page> {
    let filter = Filter::eq("to", to.to_string())
        .and(Filter::gt("@created_revision", json(&after)?))
        .and(Filter::gt("expires_ms", json(&now_ms())?));
    let letters = directory.collection::<KeptLetter>(LETTERS);
    letters
        .find(filter)
        .sort("@created_revision")
        .limit(50)
        .await
}

fn arrived(document: Document<KeptLetter>) -> Arrived {
    Arrived {
        cursor: document.created_revision,
        letter: document.value.letter,
    }
}

/// The letter is there: is it this one?
async fn same(directory: &Directory, kept: &KeptLetter) -> Result<()> {
    let letters = directory.collection::<KeptLetter>(LETTERS);
    let there = letters.get(id(kept.to, kept.letter.id)).await?;
    if there.is_none_or(|there| there.value.letter == kept.letter) {
        // Gone means read in between.
        return Ok(());
    }
    let id = kept.letter.id.to_string();
    Err(ShareRefusal::LetterExists { id }.into())
}

/// Removes letters that nobody asked for in time. What fails is left for the next time.
async fn sweep(directory: &Directory, among: Filter, most: u32) {
    let Ok(now) = json(&now_ms()) else { return };
    let letters = directory.collection::<KeptLetter>(LETTERS);
    let over = among.and(Filter::le("expires_ms", now));
    if let Ok(page) = letters.find(over).sort("expires_ms").limit(most).await {
        for document in page.documents {
            if remove(directory, document).await.is_err() {
                return;
            }
        }
    }
}

/// Removes one letter and counts it no longer, both or neither.
async fn remove(directory: &Directory, document: Document<KeptLetter>) -> Result<()> {
    let KeptLetter { to, pair, .. } = document.value;
    let change = Transaction::new()
        .then(Operation::Delete {
            collection: LETTERS.into(),
            id: document.id,
            revision: Some(document.revision),
        })
        .then(count(pair_count(&pair), -1, PAIR_MAX)?)
        .then(count(recipient_count(to), -1, RECIPIENT_MAX)?);
    match directory.transaction(change).await {
        Ok(_) => Ok(()),
        // Somebody else was faster.
        Err(error) if matches!(error.details(), Some(Refusal::Missing { .. })) => Ok(()),
        Err(error) => Err(error),
    }
}

fn count(id: String, by: i64, max: u64) -> Result<Operation> {
    Ok(Operation::Add {
        collection: COUNTS.into(),
        id,
        field: "n".into(),
        by: json(&by)?,
        min: Some(json(&0)?),
        max: Some(json(&max)?),
    })
}

async fn begin_count(directory: &Directory, id: String) -> Result<()> {
    let counts = directory.collection::<Count>(COUNTS);
    match counts.insert(id, &Count { n: 0 }).await {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.details(), Some(Refusal::Exists { .. })) => Ok(()),
        Err(error) => Err(error),
    }
}

fn full(count: &str, to: PublicKey) -> ShareRefusal {
    if count == recipient_count(to) {
        let limit = RECIPIENT_MAX;
        return ShareRefusal::InboxFull { to, limit };
    }
    let limit = PAIR_MAX;
    ShareRefusal::PairFull { to, limit }
}

fn recipient_count(to: PublicKey) -> String {
    format!("to/{to}")
}

fn pair_count(pair: &str) -> String {
    format!("pair/{pair}")
}

/// Sender and recipient as one name. It is no secret from whoever knows both keys.
fn pair(from: PublicKey, to: PublicKey) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("distri/images/pair/v1");
    hasher.update(from.as_bytes()).update(to.as_bytes());
    hasher.finalize().to_hex()[..32].to_owned()
}

fn id(to: PublicKey, letter: LetterId) -> String {
    format!("{to}/{letter}")
}
