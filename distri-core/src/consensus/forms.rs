//! Votes, log ids, memberships and entries as they are stored and sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
};

use bytes::Bytes;
use openraft::{
    EntryPayload, LogId, Membership, StoredMembership, Vote,
    impls::{InlineBatch, OneshotResponder},
    type_config::alias::{LogIdOf, StoredMembershipOf},
    vote::leader_id_std::{CommittedLeaderId, LeaderId},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{id::PublicKey, transport::Address};

/// The number of a node in the log. Never used twice: a node whose data is lost joins again under
/// another number, since two logs under one number could make two majorities.
pub(crate) type NodeNumber = u64;

/// A node as the log knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) key: PublicKey,
    /// Where it was when it was added; the directory knows where it is.
    pub(crate) address: Address,
}

// What openraft's suite makes members of.
#[cfg(test)]
impl Default for Member {
    fn default() -> Self {
        Self {
            key: PublicKey::from_bytes([0; 32]),
            address: Address::new(String::new()),
        }
    }
}

/// The types that openraft is made of here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Types;

impl openraft::RaftTypeConfig for Types {
    type D = Payload;
    type R = Answers;
    type NodeId = NodeNumber;
    type Node = Member;
    type Term = u64;
    // One leader a term.
    type LeaderId = LeaderId<u64, NodeNumber>;
    type Vote = Vote<Self::LeaderId>;
    type Payload = EntryPayload<Payload, NodeNumber, Member>;
    type Entry = openraft::type_config::alias::DefaultEntryOf<Self>;
    type AsyncRuntime = super::runtime::Runtime;
    type Responder<T>
        = OneshotResponder<Self, T>
    where
        T: openraft::OptionalSend + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: openraft::OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

/// What one entry says to the state.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Payload(pub(crate) Bytes);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What the state answered to the parts of one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answers(pub(crate) Vec<Bytes>);

/// A vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VoteForm {
    term: u64,
    voted_for: NodeNumber,
    committed: bool,
}

/// The place of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogIdForm {
    pub(crate) term: u64,
    pub(crate) index: u64,
}

/// Who votes, and who is there. Two sets of voters while one takes over from the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MembershipForm {
    voters: Vec<BTreeSet<NodeNumber>>,
    nodes: BTreeMap<NodeNumber, Member>,
}

/// A membership with the place of its entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredMembershipForm {
    at: Option<LogIdForm>,
    membership: MembershipForm,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PayloadForm {
    Blank,
    Normal(Bytes),
    Membership(MembershipForm),
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryForm {
    pub(crate) at: LogIdForm,
    pub(crate) payload: PayloadForm,
}

/// What a snapshot file says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotForm {
    pub(crate) last: Option<LogIdForm>,
    pub(crate) membership: StoredMembershipForm,
}

/// The compact form of `value`.
pub(crate) fn encode<T: Serialize>(value: &T) -> io::Result<Bytes> {
    postcard::to_stdvec(value)
        .map(Bytes::from)
        .map_err(io::Error::other)
}

/// Takes a `T` from its compact form; `what` names it in the error.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], what: &str) -> io::Result<T> {
    postcard::from_bytes(bytes).map_err(|error| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{what} does not decode: {error}"),
        )
    })
}

impl From<&Vote<LeaderId<u64, NodeNumber>>> for VoteForm {
    fn from(vote: &Vote<LeaderId<u64, NodeNumber>>) -> Self {
        Self {
            term: vote.leader_id.term,
            voted_for: vote.leader_id.voted_for,
            committed: vote.committed,
        }
    }
}

impl From<VoteForm> for Vote<LeaderId<u64, NodeNumber>> {
    fn from(form: VoteForm) -> Self {
        Self {
            leader_id: LeaderId {
                term: form.term,
                voted_for: form.voted_for,
            },
            committed: form.committed,
        }
    }
}

impl From<&LogIdOf<Types>> for LogIdForm {
    fn from(id: &LogIdOf<Types>) -> Self {
        Self {
            term: *id.leader_id,
            index: id.index,
        }
    }
}

impl From<LogIdForm> for LogIdOf<Types> {
    fn from(form: LogIdForm) -> Self {
        log_id(form.term, form.index)
    }
}

pub(crate) fn log_id(term: u64, index: u64) -> LogIdOf<Types> {
    LogId {
        leader_id: CommittedLeaderId::new(term),
        index,
    }
}

impl From<&Membership<NodeNumber, Member>> for MembershipForm {
    fn from(membership: &Membership<NodeNumber, Member>) -> Self {
        Self {
            voters: membership.get_joint_config().clone(),
            nodes: membership
                .nodes()
                .map(|(number, member)| (*number, member.clone()))
                .collect(),
        }
    }
}

impl TryFrom<MembershipForm> for Membership<NodeNumber, Member> {
    type Error = io::Error;

    fn try_from(form: MembershipForm) -> io::Result<Self> {
        if form.voters.is_empty() && form.nodes.is_empty() {
            return Ok(Self::default());
        }
        Self::new(form.voters, form.nodes).map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a membership is not one: {error}"),
            )
        })
    }
}

impl From<&StoredMembershipOf<Types>> for StoredMembershipForm {
    fn from(stored: &StoredMembershipOf<Types>) -> Self {
        Self {
            at: stored.log_id().as_ref().map(LogIdForm::from),
            membership: stored.membership().into(),
        }
    }
}

impl TryFrom<StoredMembershipForm> for StoredMembershipOf<Types> {
    type Error = io::Error;

    fn try_from(form: StoredMembershipForm) -> io::Result<Self> {
        Ok(StoredMembership::new(
            form.at.map(Into::into),
            form.membership.try_into()?,
        ))
    }
}

impl From<EntryPayload<Payload, NodeNumber, Member>> for PayloadForm {
    fn from(payload: EntryPayload<Payload, NodeNumber, Member>) -> Self {
        match payload {
            EntryPayload::Blank => Self::Blank,
            EntryPayload::Normal(Payload(bytes)) => Self::Normal(bytes),
            EntryPayload::Membership(membership) => Self::Membership((&membership).into()),
        }
    }
}

impl TryFrom<PayloadForm> for EntryPayload<Payload, NodeNumber, Member> {
    type Error = io::Error;

    fn try_from(form: PayloadForm) -> io::Result<Self> {
        Ok(match form {
            PayloadForm::Blank => Self::Blank,
            PayloadForm::Normal(bytes) => Self::Normal(Payload(bytes)),
            PayloadForm::Membership(membership) => Self::Membership(membership.try_into()?),
        })
    }
}

impl From<openraft::type_config::alias::EntryOf<Types>> for EntryForm {
    fn from(entry: openraft::type_config::alias::EntryOf<Types>) -> Self {
        Self {
            at: (&entry.log_id).into(),
            payload: entry.payload.into(),
        }
    }
}

impl EntryForm {
    /// The entry as openraft has it.
    pub(crate) fn entry(self) -> io::Result<openraft::type_config::alias::EntryOf<Types>> {
        Ok(openraft::Entry {
            log_id: self.at.into(),
            payload: self.payload.try_into()?,
        })
    }
}
