//! Raft's messages, received: the service `distri-raft`, open to nodes of the cloud only.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use openraft::{
    alias::SnapshotOf,
    raft::{AppendEntriesResponse, TransferLeaderRequest},
};

use super::{
    forms::{NodeNumber, Types, VoteForm, decode, encode},
    group::Group,
    machine::{SnapshotFile, meta_of, with_files},
    messages::{
        APPEND, AppendAnswer, AppendForm, PRE_VOTE, Packet, SNAPSHOT, SnapshotPacket, TRANSFER,
        TransferAnswer, TransferForm, VOTE, VoteAnswer, VoteAsk, descriptor,
    },
};
use crate::{
    error::{Code, Error, Result},
    service::{Context, Reply, Request, Service, ServiceDescriptor},
    storage::SnapshotId,
    world,
};

/// The service.
pub(crate) struct RaftService {
    group: Group,
}

impl RaftService {
    pub(crate) fn new(group: Group) -> Self {
        Self { group }
    }

    fn for_me(&self, to: NodeNumber) -> Result<()> {
        let me = self.group.number();
        if to == me {
            return Ok(());
        }
        let message = format!("the message is for node {to}, this is node {me}");
        Err(Error::new(Code::FailedPrecondition, message))
    }

    async fn answer(&self, method: usize, body: &[u8]) -> Result<Bytes> {
        let raft = self.group.raft();
        let answer = match method {
            APPEND => {
                let form: AppendForm = decode(body, "a message").map_err(bad_message)?;
                let request = form.try_into().map_err(bad_message)?;
                let came = world::now();
                let answer = raft.append_entries(request).await.map_err(stopped)?;
                if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
                    self.group.heard().note(came);
                }
                encode(&AppendAnswer::from(answer))
            }
            VOTE | PRE_VOTE => {
                let ask: VoteAsk = decode(body, "a message").map_err(bad_message)?;
                let answer = if method == VOTE {
                    raft.vote(ask.into()).await
                } else {
                    raft.pre_vote(ask.into()).await
                };
                encode(&VoteAnswer::from(answer.map_err(stopped)?))
            }
            _ => {
                let form: TransferForm = decode(body, "a message").map_err(bad_message)?;
                let request = TransferLeaderRequest::new(
                    form.from.into(),
                    form.to,
                    form.last.map(Into::into),
                );
                let answer = raft.handle_transfer_leader(request).await;
                encode(&TransferAnswer::from(answer.map_err(stopped)?))
            }
        };
        answer.map_err(|error| Error::internal("the answer does not encode", error))
    }

    async fn receive(&self, packet: SnapshotPacket) -> Result<Bytes> {
        let SnapshotPacket {
            vote, at, mut file, ..
        } = packet;
        let vote: VoteForm = decode(&vote, "a vote").map_err(bad_message)?;
        let length = file
            .len()
            .ok_or_else(|| Error::invalid_argument("a snapshot came without its length"))?;
        let id = SnapshotId {
            term: at.0,
            index: at.1,
        };
        let snapshots = self.group.snapshots().clone();
        let inline = self.group.inline();
        let broken = |error| Error::internal("the snapshot cannot be kept", error);
        let mut writer = with_files(inline, {
            let snapshots = snapshots.clone();
            move || Ok(snapshots.receive(id, length)?)
        })
        .await
        .map_err(broken)?;
        while let Some(chunk) = file.next_chunk().await? {
            writer = with_files(inline, move || {
                writer.write(writer.received(), &chunk)?;
                Ok(writer)
            })
            .await
            .map_err(broken)?;
        }
        let (meta, snapshot) = with_files(inline, move || {
            writer.finish()?;
            let meta = meta_of(snapshots.read(id)?.metadata())?;
            let folder = snapshots;
            Ok((meta, SnapshotFile { folder, id }))
        })
        .await
        .map_err(broken)?;
        let snapshot = SnapshotOf::<Types, _> { meta, snapshot };
        let answer = self
            .group
            .raft()
            .install_full_snapshot(vote.into(), snapshot)
            .await
            .map_err(stopped)?;
        encode(&VoteForm::from(&answer.vote)).map_err(broken)
    }
}

fn bad_message(error: std::io::Error) -> Error {
    Error::new(Code::InvalidArgument, "a message between nodes is wrong").with_source(error)
}

fn stopped(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(
        Code::Unavailable,
        "this node's part in the cluster has stopped",
    )
    .with_source(error)
}

#[async_trait]
impl Service for RaftService {
    fn descriptor(&self) -> &'static ServiceDescriptor {
        descriptor()
    }

    async fn call(self: Arc<Self>, _cx: Context, mut request: Request) -> Result<Reply> {
        let (to, body) = match request.method() {
            SNAPSHOT => {
                let packet: SnapshotPacket = request.arguments()?;
                self.for_me(packet.to)?;
                (packet.to, self.receive(packet).await?)
            }
            method @ (APPEND | VOTE | PRE_VOTE | TRANSFER) => {
                let packet: Packet = request.arguments()?;
                self.for_me(packet.to)?;
                (packet.to, self.answer(method, &packet.body).await?)
            }
            _ => return Err(request.unknown_method()),
        };
        request.reply(&Packet { to, body })
    }
}
