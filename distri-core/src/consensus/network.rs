//! Raft's messages, sent: calls of the service `distri-raft` on the node that they are for.
//!
//! Every call has a deadline, since a message that hangs would hold up all that follow it.

use std::{
    future::{Future, IntoFuture},
    io,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use openraft::{
    OptionalSend, RaftNetworkFactory, RaftNetworkV2,
    alias::{SnapshotOf, VoteOf},
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::{Backoff, RPCOption},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    forms::{LogIdForm, Member, NodeNumber, Types, VoteForm, decode, encode},
    machine::{SNAPSHOT_CHUNK, SnapshotFile, with_files},
    messages::{
        APPEND, AppendAnswer, AppendForm, PRE_VOTE, Packet, SNAPSHOT, SnapshotPacket, TRANSFER,
        TransferAnswer, TransferForm, VOTE, VoteAnswer, VoteAsk, descriptor,
    },
};
use crate::{
    client::Client,
    error::{Code, Error},
    id::PublicKey,
    message::Blob,
    storage::SnapshotId,
};

/// Pauses between tries to reach a node that cannot be reached.
const BACKOFF: Duration = Duration::from_millis(50);

/// How long an answer is waited for at least. openraft waits less for those that it needs sooner, and
/// gives them up itself; others it would only ask for again, over the same link. As short a deadline
/// for each heartbeat as openraft's would wake the node once more for each.
const ANSWER: Duration = Duration::from_millis(500);

/// How long a snapshot may take to travel. A larger one than a link can carry in this time cannot
/// be sent; a shorter time would notice a dead receiver sooner.
const SNAPSHOT_TIME: Duration = Duration::from_secs(600);

/// Makes the way to each node.
pub(crate) struct Network {
    pub(crate) client: Client,
    pub(crate) inline: bool,
}

/// The way to one node.
pub(crate) struct Path {
    client: Client,
    to: NodeNumber,
    key: PublicKey,
    inline: bool,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Path;

    async fn new_client(&mut self, target: NodeNumber, node: &Member) -> Path {
        Path {
            client: self.client.clone(),
            to: target,
            key: node.key,
            inline: self.inline,
        }
    }
}

impl Path {
    async fn ask<A: Serialize, R: DeserializeOwned>(
        &self,
        method: usize,
        body: &A,
        option: &RPCOption,
    ) -> Result<R, RPCError<Types>> {
        let failed = |error: io::Error| RPCError::Network(NetworkError::new(&error));
        let packet = Packet {
            to: self.to,
            body: encode(body).map_err(failed)?,
        };
        let answer: Bytes = self
            .client
            .call::<_, Packet>(descriptor(), method, packet)
            .to(self.key)
            .timeout(option.hard_ttl().max(ANSWER))
            .await
            .map_err(|error| as_rpc(&error))?
            .body;
        decode(&answer, "the answer").map_err(failed)
    }
}

fn as_rpc(error: &Error) -> RPCError<Types> {
    match error.code() {
        Code::Unavailable | Code::UnknownService | Code::UnknownMethod | Code::Denied => {
            RPCError::Unreachable(Unreachable::from_string(error))
        }
        _ => RPCError::Network(NetworkError::from_string(error)),
    }
}

impl RaftNetworkV2<Types> for Path {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let form = AppendForm {
            vote: (&rpc.vote).into(),
            previous: rpc.prev_log_id.as_ref().map(LogIdForm::from),
            committed: rpc.leader_commit.as_ref().map(LogIdForm::from),
            entries: rpc.entries.into_iter().map(Into::into).collect(),
        };
        let answer: AppendAnswer = self.ask(APPEND, &form, &option).await?;
        Ok(answer.into())
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let answer: VoteAnswer = self.ask(VOTE, &VoteAsk::from(rpc), &option).await?;
        Ok(answer.into())
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let answer: VoteAnswer = self.ask(PRE_VOTE, &VoteAsk::from(rpc), &option).await?;
        Ok(answer.into())
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types>,
        snapshot: SnapshotOf<Types, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let failed = |error: io::Error| StreamingError::Network(NetworkError::new(&error));
        let file = snapshot_blob(&snapshot.snapshot, self.inline).map_err(failed)?;
        let SnapshotId { term, index } = snapshot.snapshot.id;
        let packet = SnapshotPacket {
            to: self.to,
            at: (term, index),
            vote: encode(&VoteForm::from(&vote)).map_err(failed)?,
            file,
        };
        let sending = self
            .client
            .call::<_, Packet>(descriptor(), SNAPSHOT, packet)
            .to(self.key)
            .timeout(SNAPSHOT_TIME);
        let mut sending = pin!(sending.into_future());
        let answer = tokio::select! {
            biased;
            answer = &mut sending => answer,
            closed = cancel => return Err(StreamingError::Closed(closed)),
        };
        let packet = answer.map_err(|error| StreamingError::from(as_rpc(&error)))?;
        let vote: VoteForm = decode(&packet.body, "the answer").map_err(failed)?;
        Ok(SnapshotResponse::new(vote.into()))
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let form = TransferForm {
            from: req.from_leader().into(),
            to: *req.to_node_id(),
            last: req.last_log_id().map(LogIdForm::from),
        };
        let answer: TransferAnswer = self.ask(TRANSFER, &form, &option).await?;
        Ok(answer.into())
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(BACKOFF)))
    }
}

/// The bytes of a snapshot file, read as they are sent.
fn snapshot_blob(file: &SnapshotFile, inline: bool) -> io::Result<Blob> {
    let reader = Arc::new(file.folder.send(file.id)?);
    let length = reader.length();
    let chunks = futures_util::stream::unfold(0, move |offset| {
        let reader = reader.clone();
        async move {
            if offset >= length {
                return None;
            }
            let read = with_files(inline, move || Ok(reader.read(offset, SNAPSHOT_CHUNK)?)).await;
            match read {
                Ok(chunk) if chunk.is_empty() => None,
                Ok(chunk) => {
                    let next = offset + chunk.len() as u64;
                    Some((Ok(chunk), next))
                }
                Err(error) => {
                    let error = Error::internal("the snapshot cannot be read", error);
                    Some((Err(error), length))
                }
            }
        }
    });
    Ok(Blob::from_chunks(Some(length), chunks))
}
