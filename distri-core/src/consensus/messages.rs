//! Raft's messages as nodes send them to each other: the service `distri-raft` and its forms.

use std::sync::OnceLock;

use bytes::Bytes;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::forms::{EntryForm, LogIdForm, NodeNumber, Types, VoteForm};
use crate::{
    message::Blob,
    service::{Access, MethodDescriptor, ServiceDescriptor},
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
