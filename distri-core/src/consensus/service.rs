//! Raft's messages, received: the service `distri-raft`, open to nodes of the cloud only.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use openraft::{
    alias::SnapshotOf,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    forms::{EntryForm, LogIdForm, NodeNumber, Types, VoteForm, decode, encode},
    group::Group,
    machine::{SnapshotFile, meta_of, with_files},
};
use crate::{
    error::{Code, Error, Result},
    message::Blob,
    service::{Access, Context, MethodDescriptor, Reply, Request, Service, ServiceDescriptor},
    storage::SnapshotId,
};

pub(super) const APPEND: usize = 0;
pub(super) const VOTE: usize = 1;
pub(super) const PRE_VOTE: usize = 2;
pub(super) const TRANSFER: usize = 3;
pub(super) const SNAPSHOT: usize = 4;

/// A message for the node with the number `to`: a node that holds another number refuses it, so
/// that an address or key used anew is never taken for its predecessor.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Packet {
    pub(super) to: NodeNumber,
    #[schemars(with = "Vec<u8>")]
    pub(super) body: Bytes,
}

/// A snapshot with the vote under which it is sent.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct SnapshotPacket {
    pub(super) to: NodeNumber,
    /// Term and index of the last entry in it.
    pub(super) at: (u64, u64),
    #[schemars(with = "Vec<u8>")]
    pub(super) vote: Bytes,
    pub(super) file: Blob,
}

#[derive(Serialize, Deserialize)]
pub(super) struct AppendForm {
    pub(super) vote: VoteForm,
    pub(super) previous: Option<LogIdForm>,
    pub(super) committed: Option<LogIdForm>,
    pub(super) entries: Vec<EntryForm>,
}

#[derive(Serialize, Deserialize)]
pub(super) enum AppendAnswer {
    Success,
    Partial(Option<LogIdForm>),
    Conflict,
    HigherVote(VoteForm),
}

#[derive(Serialize, Deserialize)]
pub(super) struct VoteAsk {
    vote: VoteForm,
    last: Option<LogIdForm>,
    transfer: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct VoteAnswer {
    vote: VoteForm,
    granted: bool,
    last: Option<LogIdForm>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct TransferForm {
    pub(super) from: VoteForm,
    pub(super) to: NodeNumber,
    pub(super) last: Option<LogIdForm>,
}

#[derive(Serialize, Deserialize)]
pub(super) enum TransferAnswer {
    Accepted,
    VoteChanged {
        expected: VoteForm,
        actual: VoteForm,
    },
    NotFlushed {
        expected: Option<LogIdForm>,
        actual: Option<LogIdForm>,
    },
}

pub(super) fn descriptor() -> &'static ServiceDescriptor {
    static DESCRIPTOR: OnceLock<ServiceDescriptor> = OnceLock::new();
    DESCRIPTOR.get_or_init(|| {
        let method = |name: &str, docs: &str| {
            MethodDescriptor::new::<Packet, Packet>(name)
                .docs(docs)
                .access(Access::Node)
        };
        ServiceDescriptor::new("distri-raft")
            .docs("How the nodes keep one log.")
            .method(method("append", "Entries for the log."))
            .method(method("vote", "Asks for a vote."))
            .method(method("pre_vote", "Asks whether a vote would be given."))
            .method(method("transfer", "Hands leadership over."))
            .method(
                MethodDescriptor::new::<SnapshotPacket, Packet>("snapshot")
                    .docs("The whole state, for a node that lacks what the log no longer has.")
                    .access(Access::Node),
            )
    })
}

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
                let answer = raft.append_entries(request).await.map_err(stopped)?;
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

impl TryFrom<AppendForm> for AppendEntriesRequest<Types> {
    type Error = std::io::Error;

    fn try_from(form: AppendForm) -> std::io::Result<Self> {
        Ok(Self {
            vote: form.vote.into(),
            prev_log_id: form.previous.map(Into::into),
            entries: form
                .entries
                .into_iter()
                .map(EntryForm::entry)
                .collect::<std::io::Result<_>>()?,
            leader_commit: form.committed.map(Into::into),
        })
    }
}

impl From<AppendEntriesResponse<Types>> for AppendAnswer {
    fn from(answer: AppendEntriesResponse<Types>) -> Self {
        match answer {
            AppendEntriesResponse::Success => Self::Success,
            AppendEntriesResponse::PartialSuccess(at) => {
                Self::Partial(at.as_ref().map(LogIdForm::from))
            }
            AppendEntriesResponse::Conflict => Self::Conflict,
            AppendEntriesResponse::HigherVote(vote) => Self::HigherVote((&vote).into()),
        }
    }
}

impl From<AppendAnswer> for AppendEntriesResponse<Types> {
    fn from(answer: AppendAnswer) -> Self {
        match answer {
            AppendAnswer::Success => Self::Success,
            AppendAnswer::Partial(at) => Self::PartialSuccess(at.map(Into::into)),
            AppendAnswer::Conflict => Self::Conflict,
            AppendAnswer::HigherVote(vote) => Self::HigherVote(vote.into()),
        }
    }
}

impl From<VoteRequest<Types>> for VoteAsk {
    fn from(request: VoteRequest<Types>) -> Self {
        Self {
            vote: (&request.vote).into(),
            last: request.last_log_id.as_ref().map(LogIdForm::from),
            transfer: request.leadership_transfer,
        }
    }
}

impl From<VoteAsk> for VoteRequest<Types> {
    fn from(ask: VoteAsk) -> Self {
        Self {
            vote: ask.vote.into(),
            last_log_id: ask.last.map(Into::into),
            leadership_transfer: ask.transfer,
        }
    }
}

impl From<VoteResponse<Types>> for VoteAnswer {
    fn from(response: VoteResponse<Types>) -> Self {
        Self {
            vote: (&response.vote).into(),
            granted: response.vote_granted,
            last: response.last_log_id.as_ref().map(LogIdForm::from),
        }
    }
}

impl From<VoteAnswer> for VoteResponse<Types> {
    fn from(answer: VoteAnswer) -> Self {
        Self {
            vote: answer.vote.into(),
            vote_granted: answer.granted,
            last_log_id: answer.last.map(Into::into),
        }
    }
}

impl From<TransferLeaderResponse<Types>> for TransferAnswer {
    fn from(response: TransferLeaderResponse<Types>) -> Self {
        match response {
            Ok(()) => Self::Accepted,
            Err(TransferLeaderError::VoteChanged { expected, actual }) => Self::VoteChanged {
                expected: (&expected).into(),
                actual: (&actual).into(),
            },
            Err(TransferLeaderError::LogNotFlushed { expected, actual }) => Self::NotFlushed {
                expected: expected.as_ref().map(LogIdForm::from),
                actual: actual.as_ref().map(LogIdForm::from),
            },
        }
    }
}

impl From<TransferAnswer> for TransferLeaderResponse<Types> {
    fn from(answer: TransferAnswer) -> Self {
        match answer {
            TransferAnswer::Accepted => Ok(()),
            TransferAnswer::VoteChanged { expected, actual } => {
                Err(TransferLeaderError::VoteChanged {
                    expected: expected.into(),
                    actual: actual.into(),
                })
            }
            TransferAnswer::NotFlushed { expected, actual } => {
                Err(TransferLeaderError::LogNotFlushed {
                    expected: expected.map(Into::into),
                    actual: actual.map(Into::into),
                })
            }
        }
    }
}
