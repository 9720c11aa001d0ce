//! What openraft asks of the state: entries applied in order, snapshots made and installed.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{Stream, TryStreamExt};
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder,
    alias::{LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf},
    storage::{EntryResponder, RaftStateMachine},
};
use tokio::sync::Notify;

use super::{
    Replicated,
    forms::{Answers, LogIdForm, Payload, SnapshotForm, Types, decode, encode},
};
use crate::{
    storage::{SnapshotId, Snapshots},
    world,
};

/// The state as openraft uses it.
pub(crate) struct Machine {
    state: Arc<dyn Replicated>,
    snapshots: Arc<Snapshots>,
    last: Option<LogIdOf<Types>>,
    membership: StoredMembershipOf<Types>,
    growth: Arc<Growth>,
    inline: bool,
}

/// A snapshot in the folder that it is kept in.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotFile {
    pub(super) folder: Arc<Snapshots>,
    pub(super) id: SnapshotId,
}

impl SnapshotFile {
    /// Brings the file into `folder`, unless it is there.
    fn bring_to(&self, folder: &Arc<Snapshots>) -> io::Result<()> {
        if Arc::ptr_eq(&self.folder, folder) {
            return Ok(());
        }
        let reader = self.folder.send(self.id)?;
        let mut writer = folder.receive(self.id, reader.length())?;
        while writer.received() < reader.length() {
            let chunk = reader.read(writer.received(), SNAPSHOT_CHUNK)?;
            writer.write(writer.received(), &chunk)?;
        }
        writer.finish()?;
        Ok(())
    }
}

/// Bytes of a snapshot file that are read at once when it is copied or sent.
pub(super) const SNAPSHOT_CHUNK: usize = 256 * 1024;

/// How far the log has grown since the last snapshot.
pub(crate) struct Growth {
    /// A snapshot is made when the log has grown by so much since the last, and by as much as that
    /// one has.
    after: u64,
    /// Bytes applied since then.
    bytes: AtomicU64,
    /// Bytes that the last snapshot has.
    snapshot: AtomicU64,
    /// Told when a snapshot is due.
    pub(crate) due: Notify,
}

impl Growth {
    pub(crate) fn new(after: u64) -> Self {
        Self {
            after,
            bytes: AtomicU64::new(0),
            snapshot: AtomicU64::new(0),
            due: Notify::new(),
        }
    }

    fn grown(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let due = self.after.max(self.snapshot.load(Ordering::Relaxed));
        if before < due && before + bytes >= due {
            self.due.notify_one();
        }
    }

    fn snapshot_made(&self, size: u64) {
        self.snapshot.store(size, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }
}

impl Machine {
    pub(crate) fn new(
        state: Arc<dyn Replicated>,
        snapshots: Arc<Snapshots>,
        growth: Arc<Growth>,
        inline: bool,
    ) -> Self {
        Self {
            state,
            snapshots,
            last: None,
            membership: StoredMembershipOf::<Types>::default(),
            growth,
            inline,
        }
    }
}

/// Runs work on files: in place where the disk is memory, else on a thread for such work.
pub(super) async fn with_files<R: Send + 'static>(
    inline: bool,
    work: impl FnOnce() -> io::Result<R> + Send + 'static,
) -> io::Result<R> {
    if inline {
        work()
    } else {
        world::blocking(work).await.map_err(io::Error::other)?
    }
}

/// Makes one snapshot of a frozen state.
pub(crate) struct Builder {
    blocks: Option<Box<dyn Iterator<Item = Vec<u8>> + Send>>,
    form: SnapshotForm,
    last: Option<LogIdOf<Types>>,
    membership: StoredMembershipOf<Types>,
    snapshots: Arc<Snapshots>,
    growth: Arc<Growth>,
    inline: bool,
}

// The iterator is only ever touched through `&mut self`.
impl RaftSnapshotBuilder<Types> for std::sync::Mutex<Builder> {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<Types, SnapshotFile>> {
        let builder = self
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let blocks = builder
            .blocks
            .take()
            .ok_or_else(|| io::Error::other("this snapshot was made before"))?;
        let metadata = encode(&builder.form)?;
        let id = id_of(builder.last);
        let snapshots = builder.snapshots.clone();
        let growth = builder.growth.clone();
        let meta = openraft::SnapshotMeta {
            last_log_id: builder.last,
            last_membership: builder.membership.clone(),
        };
        let inline = builder.inline;
        let snapshot = with_files(inline, move || {
            let mut writer = snapshots.write(id, &metadata)?;
            let mut size = 0;
            for block in blocks {
                size += block.len() as u64;
                writer.block(&block)?;
            }
            writer.finish()?;
            growth.snapshot_made(size);
            snapshots.remove_older(id)?;
            Ok(SnapshotFile {
                folder: snapshots,
                id,
            })
        })
        .await?;
        Ok(SnapshotOf::<Types, _> { meta, snapshot })
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = std::sync::Mutex<Builder>;

    async fn applied_state(
        &mut self,
    ) -> io::Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>)> {
        Ok((self.last, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            #[cfg(feature = "testing")]
            observe(&entry);
            let answers = match entry.payload {
                EntryPayload::Blank => Vec::new(),
                EntryPayload::Normal(Payload(bytes)) => {
                    self.growth.grown(bytes.len() as u64);
                    self.state.apply(&bytes)?
                }
                EntryPayload::Membership(membership) => {
                    self.membership =
                        openraft::StoredMembership::new(Some(entry.log_id), membership);
                    Vec::new()
                }
            };
            self.last = Some(entry.log_id);
            if let Some(responder) = responder {
                responder.send(Answers(answers));
            }
        }
        self.state.applied();
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        std::sync::Mutex::new(Builder {
            blocks: Some(self.state.freeze()),
            form: SnapshotForm {
                last: self.last.as_ref().map(LogIdForm::from),
                membership: (&self.membership).into(),
            },
            last: self.last,
            membership: self.membership.clone(),
            snapshots: self.snapshots.clone(),
            growth: self.growth.clone(),
            inline: self.inline,
        })
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<Types>,
        snapshot: SnapshotFile,
    ) -> io::Result<()> {
        let (snapshots, state) = (self.snapshots.clone(), self.state.clone());
        let growth = self.growth.clone();
        with_files(self.inline, move || {
            snapshot.bring_to(&snapshots)?;
            let mut reader = snapshots.read(snapshot.id)?;
            let mut size = 0;
            let mut blocks = reader.by_ref().map(|block| {
                let block = block?;
                size += block.len() as u64;
                Ok(Vec::from(block))
            });
            state.restore(&mut blocks)?;
            growth.snapshot_made(size);
            snapshots.remove_older(snapshot.id)?;
            Ok(())
        })
        .await?;
        self.last = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.state.applied();
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> io::Result<Option<SnapshotOf<Types, SnapshotFile>>> {
        let snapshots = self.snapshots.clone();
        with_files(self.inline, move || {
            let Some(id) = snapshots.newest()? else {
                return Ok(None);
            };
            let reader = snapshots.read(id)?;
            let meta = meta_of(reader.metadata())?;
            let snapshot = SnapshotFile {
                folder: snapshots,
                id,
            };
            Ok(Some(SnapshotOf::<Types, _> { meta, snapshot }))
        })
        .await
    }
}

/// Tells a simulation which entry is applied here.
#[cfg(feature = "testing")]
fn observe(entry: &openraft::alias::EntryOf<Types>) {
    world::process::observe(|| {
        let payload = match &entry.payload {
            EntryPayload::Blank => &[][..],
            EntryPayload::Normal(Payload(bytes)) => bytes,
            // Its term and index say enough of a change of members.
            EntryPayload::Membership(_) => &[1][..],
        };
        world::process::Observation::Applied {
            index: entry.log_id.index,
            term: *entry.log_id.leader_id,
            hash: u64::from(crc32fast::hash(payload)) << 32 | payload.len() as u64,
        }
    });
}

/// Under which name a snapshot up to `last` is kept.
pub(super) fn id_of(last: Option<LogIdOf<Types>>) -> SnapshotId {
    let (term, index) = last.map_or((0, 0), |last| (*last.leader_id, last.index));
    SnapshotId { term, index }
}

/// What a snapshot says of itself, as openraft has it.
pub(super) fn meta_of(metadata: &[u8]) -> io::Result<SnapshotMetaOf<Types>> {
    let form: SnapshotForm = decode(metadata, "the snapshot's description")?;
    Ok(openraft::SnapshotMeta {
        last_log_id: form.last.map(Into::into),
        last_membership: form.membership.try_into()?,
    })
}
