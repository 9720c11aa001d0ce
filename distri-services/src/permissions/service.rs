//! The `permissions` service: the ledger, for owners and viewers elsewhere.
//!
//! Every node serves every grant. What is signed is checked before anything is proposed to the log; a
//! change is one transaction, which holds only if the grant is as it was read and the directory's clock
//! within the grant's time. What was read may be a little old: whatever would be refused because of it
//! is read again first.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use distri::{
    Code, Context, Error, NodeHandle, Result, Stream,
    directory::{CollectionSpec, Directory, Document, Filter},
    service::Role,
};
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    attempts::Attempts,
    audit::{Dated, Entry, Head},
    bytes::GrantId,
    cloud::{CloudKeys, CloudSecrets},
    contended::{self, Contended},
    grant::GrantCore,
    ledger::{Change, GrantRecord, GrantStatus},
    lines::Lines,
    operations::{Ack, Ask, Grant, List, Operation, Redeem, Rekey, Revoke, SetViews, Signed},
    receipt::Released,
    redeeming::Redeeming,
    refusal::LedgerError,
    releasing::{Answer, TOGETHER_MAX},
    split::Share,
    store::{self, AUDIT, CORES, Cores, Held, Missed, Store, ViewChange},
    turns::Turns,
    watching::tell_all,
};

/// How often a change is tried again when other nodes change the same grant meanwhile. One of those
/// who try at once succeeds each time, so as many nodes are served in a row.
pub(crate) const TRIES: u32 = 64;

/// Entries of a page.
pub(crate) const PAGE: u32 = 200;

// So that a page never ends amid those with which it begins.
const _: () = assert!(PAGE as usize > TOGETHER_MAX);

/// Grants of a page: each is read for itself.
const LISTED: u32 = 50;

/// Grants that one watch follows, at most. More take several watches.
pub const WATCHED_MAX: usize = 256;

/// Entries on their way to one who watches.
const AHEAD: usize = 64;

/// `[services.permissions]` in `distri.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PermissionsConfig {
    /// How many grants of one caller may stand that have not ended. More lets one caller fill more of
    /// the directory. Default 10,000.
    pub grants_max: u64,
    /// Operations a second that one caller may ask of one node, in the long run. Reading is not
    /// counted; nodes are not. More lets one caller write more into the log. Default 50.
    pub rate: u32,
    /// Operations that one caller may ask of one node at once, after a pause. Default 200.
    pub burst: u32,
    /// How often the leader looks for grants that are over, to delete the cloud's half. No view is
    /// released after a grant's time in any case. Default 30 s.
    #[serde(with = "distri::config::duration")]
    pub sweep: Duration,
}

impl Default for PermissionsConfig {
    fn default() -> Self {
        Self {
            grants_max: 10_000,
            rate: 50,
            burst: 200,
            sweep: Duration::from_secs(30),
        }
    }
}

/// Keeps the grants, counts the views, and releases the cloud's halves.
#[derive(Clone, Debug)]
pub struct Permissions {
    config: Arc<PermissionsConfig>,
    secrets: Arc<CloudSecrets>,
    cores: Arc<Cores>,
    turns: Arc<Turns>,
    lines: Arc<Lines<Answer>>,
    contended: Arc<Contended>,
    attempts: Arc<Mutex<Attempts>>,
    /// The node keeps a directory. Where it does not, the ledger is linked and of no use.
    has_directory: bool,
}

/// A page of a grant's audit.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPage {
    /// Entries, in order.
    pub entries: Vec<Dated>,
    /// Where the audit ends, as the grant says.
    pub head: Head,
}

/// A page of grants.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantPage {
    /// Grants.
    pub grants: Vec<GrantStatus>,
    /// Gives the next page; none after the last.
    pub cursor: Option<String>,
}

/// Whose key of a grant.
#[distri::message]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The owner's.
    Owner,
    /// The viewer's.
    Viewer,
}

impl Permissions {
    /// The service as `config` has it.
    ///
    /// # Errors
    /// [`Code::FailedPrecondition`] if nothing could ever be done under it.
    #[allow(
        clippy::unused_async,
        reason = "a service is opened by an async function"
    )]
    pub async fn open(node: &NodeHandle, config: PermissionsConfig) -> Result<Self> {
        if config.rate == 0 || config.burst == 0 {
            let message = "services.permissions.rate and burst must be at least 1, or nothing \
                           would ever be done";
            return Err(Error::new(Code::FailedPrecondition, message));
        }
        let service = Self {
            attempts: Arc::new(Mutex::new(Attempts::new(config.rate, config.burst))),
            config: Arc::new(config),
            secrets: Arc::default(),
            cores: Arc::default(),
            turns: Arc::default(),
            lines: Arc::default(),
            contended: Arc::default(),
            has_directory: node.keeps_directory(),
        };
        if service.has_directory {
            drop(node.spawn(service.clone().sweep(node.clone())));
        }
        Ok(service)
    }

    fn collections(&self) -> Vec<CollectionSpec> {
        if self.has_directory {
            store::collections()
        } else {
            Vec::new()
        }
    }

    pub(crate) fn secrets(&self) -> &CloudSecrets {
        &self.secrets
    }

    /// The ledger, as a call of `cx` reads and writes it.
    pub(crate) fn store(&self, cx: &Context) -> Store {
        Store::of(cx, self.cores.clone())
    }

    pub(crate) fn store_at(&self, directory: Directory) -> Store {
        Store::at(directory, self.cores.clone())
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.turns
    }

    pub(crate) fn lines(&self) -> &Lines<Answer> {
        &self.lines
    }

    pub(crate) fn contended(&self) -> &Contended {
        &self.contended
    }

    pub(crate) fn grants_max(&self) -> u64 {
        self.config.grants_max
    }

    pub(crate) fn sweeps_every(&self) -> Duration {
        self.config.sweep
    }

    fn needs_directory(&self) -> Result<()> {
        if self.has_directory {
            return Ok(());
        }
        let message = "the ledger of grants needs a directory, and this node keeps none: make a \
                       cluster with `init`, or join one";
        Err(Error::new(Code::FailedPrecondition, message))
    }

    /// Counts an operation of the caller against its rate.
    fn attempt(&self, cx: &Context) -> Result<()> {
        self.needs_directory()?;
        let caller = cx.caller();
        if caller.role == Role::Node {
            return Ok(());
        }
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.take(Instant::now(), caller.key).map_err(|wait| {
            Error::new(Code::Busy, "too many operations on grants in a short time")
                .with_retry_after(wait)
        })
    }

    /// Refuses a share that is not the one that was signed, or that the cloud could not open.
    async fn check_share(
        &self,
        node: &NodeHandle,
        record: &GrantRecord,
        share: &Share,
        signed: super::ShareHash,
        epoch: u32,
    ) -> Result<()> {
        let cloud_epoch = share.cloud_epoch;
        let unusable = LedgerError::ShareUnusable { cloud_epoch };
        if share.hash() != signed {
            return Err(unusable.into());
        }
        let secret = self.secrets.for_new(node, cloud_epoch).await?;
        match secret.open(record, epoch, share) {
            Ok(_) => Ok(()),
            Err(_) => Err(unusable.into()),
        }
    }

    /// Reads a grant, decides, and commits; again from the start if others were faster.
    async fn change<T: Operation>(
        &self,
        cx: &Context,
        op: &Signed<T>,
        (grant, seq): (GrantId, u64),
        decide: impl Fn(&Held) -> Result<Change, LedgerError>,
    ) -> Result<GrantStatus> {
        let store = self.store(cx);
        let _turn = self.turns.take(grant).await;
        for _ in 0..TRIES {
            let found = known(&store, grant).await?;
            op.verify(found.value.core.owner)
                .map_err(|error| LedgerError::of_seal(error, 0))?;
            if found.value.has_done(seq, &op.signature) {
                return Ok(found.value.status());
            }
            let change = decide(&found)?;
            match self.commit(&store, Some(&found), &change).await {
                Ok(()) => return Ok(change.record.status()),
                Err(Missed::Raced) => {}
                Err(missed) => return Err(self.failed(missed, &change)),
            }
        }
        Err(too_busy())
    }

    pub(crate) async fn commit(
        &self,
        store: &Store,
        before: Option<&Held>,
        change: &Change,
    ) -> Result<(), Missed> {
        let max = self.config.grants_max;
        store.commit(before, change, ViewChange::None, max).await
    }

    pub(crate) fn failed(&self, missed: Missed, change: &Change) -> Error {
        match missed {
            Missed::Early => LedgerError::NotYet {
                from_ms: change.from_ms.unwrap_or_default(),
            }
            .into(),
            Missed::Late => LedgerError::Expired {
                at_ms: change.until_ms.unwrap_or_default(),
            }
            .into(),
            Missed::Quota => LedgerError::TooMany {
                limit: self.config.grants_max,
            }
            .into(),
            Missed::Raced | Missed::Seen(_) => too_busy(),
            Missed::Failed(error) => error,
        }
    }

    /// The grant that is asked about, if the one who asks may know.
    async fn asked(&self, cx: &Context, ask: &Signed<Ask>) -> Result<Held> {
        self.needs_directory()?;
        let found = known(&self.store(cx), ask.body.grant).await?;
        may_ask(cx, ask, &found.value)?;
        Ok(found)
    }
}

/// Refuses whoever may not know of a grant. Who may never changes.
fn may_ask(cx: &Context, ask: &Signed<Ask>, record: &GrantRecord) -> Result<()> {
    let Ask { reader, link, .. } = ask.body;
    ask.verify(reader)
        .map_err(|error| LedgerError::of_seal(error, 0))?;
    let core = &record.core;
    if link != cx.caller().key || ![core.owner, core.viewer].contains(&reader) {
        return Err(LedgerError::NotYours.into());
    }
    Ok(())
}

/// Grants to look at images, kept by the cloud: who may look, how often, until when. The cloud has one
/// half of each image's key and releases it at most as often as the owner says; it never sees the
/// image nor the whole key. Every change is signed by whom it is up to, and stands in an audit.
#[distri::service(init = Permissions::open, collections = Self::collections, concurrency = 1024)]
impl Permissions {
    /// The keys of the cloud: to which halves are sealed, and under which receipts are signed.
    #[method(idempotent)]
    async fn cloud(&self, cx: &Context) -> Result<CloudKeys> {
        Ok(self.secrets.newest(cx.node()).await?.keys())
    }

    /// The keys of the cloud of an earlier epoch ([`Released::cloud_epoch`]): under which receipts are signed
    /// for grants that were made before the cluster's secret was renewed.
    #[method(idempotent)]
    async fn cloud_of(&self, cx: &Context, epoch: u32) -> Result<CloudKeys> {
        let newest = self.secrets.newest(cx.node()).await?;
        if epoch > newest.epoch() {
            let message = format!("the cloud has no epoch {epoch} of its secret");
            return Err(Error::new(Code::NotFound, message));
        }
        Ok(self.secrets.of(cx.node(), epoch).await?.keys())
    }

    /// Makes a grant.
    #[method(idempotent)]
    async fn grant(&self, cx: &Context, op: Signed<Grant>, share: Share) -> Result<GrantStatus> {
        self.attempt(cx)?;
        let core = &op.body.core;
        op.verify(core.owner)
            .and_then(|_| core.check())
            .map_err(|error| LedgerError::of_seal(error, share.cloud_epoch))?;
        let newest = self.secrets.newest(cx.node()).await?;
        let quota = newest.name_of(cx.caller().key);
        let change = GrantRecord::begin(&op, share.clone(), quota)?;
        let (record, signed) = (&change.record, op.body.share);
        self.check_share(cx.node(), record, &share, signed, op.body.epoch)
            .await?;
        let store = self.store(cx);
        for _ in 0..TRIES {
            match self.commit(&store, None, &change).await {
                Ok(()) => return Ok(change.record.status()),
                Err(Missed::Raced) => {
                    let grant = core.grant;
                    let Some(found) = store.grant(grant, true).await? else {
                        continue;
                    };
                    // The same operation, sent again, has been done; whatever came after it.
                    let first =
                        found.value.hash == change.record.hash && found.value.seq >= op.body.seq;
                    if first {
                        return Ok(found.value.status());
                    }
                    return Err(LedgerError::Taken { grant }.into());
                }
                Err(missed) => return Err(self.failed(missed, &change)),
            }
        }
        Err(too_busy())
    }

    /// Changes how often a viewer may look, and until when.
    #[method(idempotent)]
    async fn set_views(&self, cx: &Context, op: Signed<SetViews>) -> Result<GrantStatus> {
        self.attempt(cx)?;
        self.change(cx, &op, (op.body.grant, op.body.seq), |grant| {
            grant.value.set_views(grant.updated_ms, &op)
        })
        .await
    }

    /// Withdraws a grant, for good. The cloud's half is deleted.
    #[method(idempotent)]
    async fn revoke(&self, cx: &Context, op: Signed<Revoke>) -> Result<GrantStatus> {
        self.attempt(cx)?;
        self.change(cx, &op, (op.body.grant, op.body.seq), |grant| {
            grant.value.revoke(grant.updated_ms, &op)
        })
        .await
    }

    /// Gives new halves of the key to a grant that is used up or over, or not. The stego image stays.
    #[method(idempotent)]
    async fn rekey(&self, cx: &Context, op: Signed<Rekey>, share: Share) -> Result<GrantStatus> {
        self.attempt(cx)?;
        let store = self.store(cx);
        let found = known(&store, op.body.grant).await?;
        op.verify(found.value.core.owner)
            .map_err(|error| LedgerError::of_seal(error, share.cloud_epoch))?;
        let signed = op.body.share;
        self.check_share(cx.node(), &found.value, &share, signed, op.body.epoch)
            .await?;
        self.change(cx, &op, (op.body.grant, op.body.seq), |grant| {
            grant.value.rekey(grant.updated_ms, &op, share.clone())
        })
        .await
    }

    /// Spends a view and releases the cloud's half for it. Asked again for the same view, by whatever
    /// node, it costs nothing and gives the same, until the view is acknowledged or 15 minutes old.
    #[method(idempotent)]
    async fn redeem(&self, cx: &Context, op: Signed<Redeem>) -> Result<Released> {
        self.attempt(cx)?;
        op.body
            .epk
            .check("view's")
            .map_err(|error| LedgerError::of_seal(error, 0))?;
        Redeeming::new(self, cx, op).run().await
    }

    /// Closes a view: the viewer has looked.
    #[method(idempotent)]
    async fn ack(&self, cx: &Context, op: Signed<Ack>) -> Result<()> {
        self.attempt(cx)?;
        let Ack { grant, redeem, .. } = op.body;
        let store = self.store(cx);
        if let Some(leader) = self.contended.elsewhere(cx, grant) {
            let ledger = PermissionsClient::new(cx);
            let asked = ledger.ack(op.clone()).to(leader);
            match asked.timeout(contended::PATIENCE).await {
                Ok(()) => return Ok(()),
                Err(error) if error.details::<LedgerError>().is_some() => return Err(error),
                // It is not to be reached: what it has done all the same is seen here.
                Err(_) => {}
            }
        }
        let _turn = self.turns.take(grant).await;
        for _ in 0..TRIES {
            let found = known(&store, grant).await?;
            op.verify(found.value.core.viewer)
                .map_err(|error| LedgerError::of_seal(error, 0))?;
            let Some(view) = store.view(grant, redeem, true).await? else {
                return Err(LedgerError::UnknownView { redeem }.into());
            };
            let at_ms = found.updated_ms;
            let Some(change) = found.value.acknowledge(at_ms, &op, &view.value)? else {
                return Ok(());
            };
            let closed = ViewChange::Closed(redeem, &view);
            let max = self.config.grants_max;
            match store.commit(Some(&found), &change, closed, max).await {
                Ok(()) => return Ok(()),
                Err(Missed::Raced) => {}
                Err(missed) => return Err(self.failed(missed, &change)),
            }
        }
        Err(too_busy())
    }

    /// How a grant stands, for its owner and its viewer.
    #[method(idempotent)]
    async fn status(&self, cx: &Context, ask: Signed<Ask>) -> Result<GrantStatus> {
        Ok(self.asked(cx, &ask).await?.value.status())
    }

    /// What was done with a grant, after entry `after`, for its owner and its viewer.
    #[method(idempotent)]
    async fn audit(&self, cx: &Context, ask: Signed<Ask>, after: Option<u64>) -> Result<AuditPage> {
        let found = self.asked(cx, &ask).await?;
        let filter = Filter::eq("grant", ask.body.grant.to_string())
            .and(Filter::gt("index", after.unwrap_or(0)));
        let page = self.store(cx).find(AUDIT, filter, "index", PAGE).await?;
        Ok(AuditPage {
            entries: dated(page.documents, page.cursor.is_none()),
            head: found.value.head,
        })
    }

    /// The grants of which a key is the owner's or the viewer's.
    #[method(idempotent)]
    async fn list(
        &self,
        cx: &Context,
        ask: Signed<List>,
        part: Part,
        cursor: Option<String>,
    ) -> Result<GrantPage> {
        self.needs_directory()?;
        let List { reader, link } = ask.body;
        ask.verify(reader)
            .map_err(|error| LedgerError::of_seal(error, 0))?;
        if link != cx.caller().key {
            return Err(LedgerError::NotYours.into());
        }
        let field = match part {
            Part::Owner => "owner",
            Part::Viewer => "viewer",
        };
        let store = self.store(cx);
        let cores = store.directory().collection::<GrantCore>(CORES);
        let mut find = cores.find(Filter::eq(field, reader)).limit(LISTED);
        if let Some(cursor) = cursor {
            find = find.cursor(cursor);
        }
        let page = find.await?;
        let mut grants = Vec::new();
        for core in page.documents {
            grants.push(known(&store, core.value.grant).await?.value.status());
        }
        Ok(GrantPage {
            grants,
            cursor: page.cursor,
        })
    }

    /// Follows what is done with grants, after `cursor` ([`Dated::cursor`]; 0 tells all), for their
    /// owners and viewers: nothing is missed by one who was away, and nothing told twice but views that
    /// were released together, if the watch broke amid them.
    async fn watch(
        &self,
        cx: &Context,
        asks: Vec<Signed<Ask>>,
        cursor: Option<u64>,
    ) -> Result<Stream<Dated>> {
        if asks.is_empty() || asks.len() > WATCHED_MAX {
            let message = format!("a watch follows 1 to {WATCHED_MAX} grants");
            return Err(Error::invalid_argument(message));
        }
        self.needs_directory()?;
        let here = self.store(cx);
        for ask in &asks {
            let grant = ask.body.grant;
            // What is at hand says who may ask, however old it is.
            let found = match here.grant(grant, false).await? {
                Some(found) => found,
                None => known(&here, grant).await?,
            };
            may_ask(cx, ask, &found.value)?;
        }
        let grants = asks.iter().map(|ask| ask.body.grant.to_string());
        let filter = Filter::one_of("grant", grants);
        let (sender, stream) = Stream::channel(AHEAD);
        let store = self.store_at(cx.node().directory());
        let out = sender.clone();
        let told = async move { tell_all(&store, &filter, cursor.unwrap_or(0), &out).await };
        drop(cx.node().spawn(sender.drive(told)));
        Ok(stream)
    }
}

/// Entries as they are told, in order. `is_whole` says that the last of them has all with it that took
/// effect together with it.
pub(crate) fn dated(entries: Vec<Document<Entry>>, is_whole: bool) -> Vec<Dated> {
    let next = entries.iter().skip(1).map(|entry| Some(entry.revision));
    let next: Vec<Option<u64>> = next.chain([None]).collect();
    let dated = |(entry, next): (Document<Entry>, Option<u64>)| {
        let is_last = next.map_or(is_whole, |next| next != entry.revision);
        Dated {
            at_ms: entry.created_ms,
            cursor: entry.revision.saturating_sub(u64::from(!is_last)),
            entry: entry.value,
        }
    };
    entries.into_iter().zip(next).map(dated).collect()
}

async fn known(store: &Store, grant: GrantId) -> Result<Held> {
    let found = store.grant(grant, true).await?;
    found.ok_or_else(|| LedgerError::Unknown { grant }.into())
}

pub(crate) fn too_busy() -> Error {
    Error::new(Code::Busy, "others change this grant all the time")
}
