//! A node's part in the cluster: it proposes, reads, leads or follows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use openraft::{
    ChangeMembers, Config, Raft, ReadPolicy, ServerState, SnapshotPolicy,
    async_runtime::watch::WatchReceiver,
    errors::{ClientWriteError, Fatal, LinearizableReadError, RaftError},
};

use super::{
    Replicated,
    forms::{Member, NodeNumber, Payload, Types},
    machine::{Growth, Machine},
    network::Network,
    pace::Heard,
    store::Store,
};
use crate::{
    client::Client,
    storage::{Disk, Log, LogOptions, Snapshots, StorageError},
    watch,
};

mod time;

/// How soon a leader is missed.
///
/// A follower campaigns `election.end` plus a part of `election` after it last heard of the leader,
/// since until then the leader may still count on it. Shorter fails over sooner; longer rides out
/// pauses of the disk, the network and the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// How often a leader tells that it is there.
    pub(crate) heartbeat: Duration,
    /// Between these a follower draws how long it waits.
    pub(crate) election: std::ops::Range<Duration>,
}

/// What a node's part needs.
pub(crate) struct GroupOptions {
    pub(crate) number: NodeNumber,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) state: Arc<dyn Replicated>,
    /// Calls to the other nodes.
    pub(crate) client: Client,
    pub(crate) timing: Timing,
    /// The log grows by so much before a snapshot is made.
    pub(crate) snapshot_after: u64,
    /// Files are touched in place instead of on threads: for disks that are memory.
    pub(crate) inline: bool,
}

/// A node's part in the cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Group {
    inner: Arc<Inner>,
}

struct Inner {
    number: NodeNumber,
    raft: Raft<Types, Machine>,
    log: Log,
    snapshots: Arc<Snapshots>,
    growth: Arc<Growth>,
    inline: bool,
    timing: Timing,
    heard: Heard,
    /// The node is stopping in order.
    leaving: watch::Sender<bool>,
}

/// Why something was not done, or may not have been.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Unfinished {
    /// Nothing was done; the leader may.
    #[error("this node does not lead")]
    NotLeader(Option<NodeNumber>),
    /// It may have been done or not.
    #[error("the leader changed meanwhile")]
    Unknown,
    /// The majority did not answer; nothing was done.
    #[error("no majority of the voters answers")]
    NoMajority,
    /// The node's part has ended.
    #[error("this node's part in the cluster has stopped: {0}")]
    Stopped(String),
    /// A change of members that cannot be made now, in words.
    #[error("{0}")]
    Refused(String),
}

/// How a node stands in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) term: u64,
    pub(crate) leader: Option<NodeNumber>,
    pub(crate) leads: bool,
    pub(crate) last_index: u64,
    pub(crate) applied_index: u64,
    /// Voters are taking over from other voters.
    pub(crate) changing: bool,
    pub(crate) members: BTreeMap<NodeNumber, MemberView>,
    /// Why the node's part has ended, if it has.
    pub(crate) stopped: Option<String>,
}

/// A node in the cluster, as another sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberView {
    pub(crate) member: Member,
    pub(crate) votes: bool,
    /// Up to which entry it has the leader's log; only the leader knows.
    pub(crate) matched: Option<u64>,
}

impl Group {
    /// Opens the log and the snapshots, brings the state to where it was, and takes part.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub(crate) async fn start(options: GroupOptions) -> Result<Self, StorageError> {
        let GroupOptions {
            number,
            disk,
            state,
            client,
            timing,
            snapshot_after,
            inline,
        } = options;
        let (log, snapshots) = super::machine::with_files(inline, move || {
            // The log first: it holds the folder.
            let log = Log::open(
                disk.clone(),
                LogOptions {
                    inline,
                    // Zeros written ahead speed up a disk, not memory.
                    allocate_bytes: if inline {
                        0
                    } else {
                        LogOptions::default().allocate_bytes
                    },
                    ..LogOptions::default()
                },
            );
            Ok(log.and_then(|(log, _)| Ok((log, Snapshots::open(disk)?.0))))
        })
        .await
        .map_err(StorageError::io("open", "the data folder"))??;
        let snapshots = Arc::new(snapshots);
        let growth = Arc::new(Growth::new(snapshot_after));
        let machine = Machine::new(state, snapshots.clone(), growth.clone(), inline);
        let network = Network { client, inline };
        let config = Arc::new(config(&timing));
        let raft = Raft::new(number, config, network, Store::new(log.clone()), machine)
            .await
            .map_err(|error| StorageError::io("start from", "the log")(io::Error::other(error)))?;
        let inner = Inner {
            number,
            raft,
            log,
            snapshots,
            growth,
            inline,
            timing,
            heard: Heard::default(),
            leaving: watch::Sender::new(false),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Makes this node the first of a new cluster, unless its log shows that it is in one.
    pub(crate) async fn found(&self, me: Member) -> Result<(), Unfinished> {
        if self.raft().is_initialized().await.map_err(fatal)? {
            return Ok(());
        }
        let members = BTreeMap::from([(self.number(), me)]);
        self.raft()
            .initialize(members)
            .await
            .map_err(|error| Unfinished::Refused(error.to_string()))
    }

    pub(crate) fn number(&self) -> NodeNumber {
        self.inner.number
    }

    pub(super) fn raft(&self) -> &Raft<Types, Machine> {
        &self.inner.raft
    }

    pub(super) fn snapshots(&self) -> &Arc<Snapshots> {
        &self.inner.snapshots
    }

    pub(super) fn inline(&self) -> bool {
        self.inner.inline
    }

    /// False once this node's part has ended, also by a disk that failed.
    pub(crate) fn is_running(&self) -> bool {
        self.raft().metrics().borrow_watched().running_state.is_ok()
    }

    /// The node is about to stop: what it would do with the help of others is left to them.
    pub(crate) fn leave(&self) {
        self.inner.leaving.send_replace(true);
    }

    /// Waits until the node is about to stop.
    pub(crate) async fn leaving(&self) {
        let mut leaving = self.inner.leaving.subscribe();
        while !*leaving.borrow_and_update() {
            if leaving.changed().await.is_err() {
                return;
            }
        }
    }

    /// How this node stands.
    pub(crate) fn view(&self) -> View {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<NodeNumber> = membership.voter_ids().collect();
        let members = membership
            .nodes()
            .map(|(number, member)| {
                let matched = metrics
                    .replication
                    .as_ref()
                    .and_then(|replication| replication.get(number))
                    .and_then(|at| at.as_ref().map(|at| at.index));
                let view = MemberView {
                    member: member.clone(),
                    votes: voters.contains(number),
                    matched,
                };
                (*number, view)
            })
            .collect();
        View {
            term: metrics.current_term,
            leader: metrics.current_leader,
            leads: metrics.state == ServerState::Leader
                && metrics.current_leader == Some(self.number()),
            last_index: metrics.last_log_index.unwrap_or(0),
            applied_index: metrics.last_applied.as_ref().map_or(0, |at| at.index),
            changing: membership.get_joint_config().len() > 1,
            members,
            stopped: metrics
                .running_state
                .as_ref()
                .err()
                .map(ToString::to_string),
        }
    }

    /// Who leads, as far as this node knows.
    pub(crate) fn leader(&self) -> Option<NodeNumber> {
        let metrics = self.raft().server_metrics();
        metrics.borrow_watched().current_leader
    }

    /// The term, as far as this node knows.
    pub(crate) fn term(&self) -> u64 {
        self.raft()
            .server_metrics()
            .borrow_watched()
            .vote
            .leader_id
            .term
    }

    /// The member with this number.
    pub(crate) fn member(&self, number: NodeNumber) -> Option<Member> {
        let metrics = self.raft().server_metrics();
        let metrics = metrics.borrow_watched();
        metrics
            .membership_config
            .membership()
            .get_node(&number)
            .cloned()
    }

    /// Waits until `done` gives something, asked anew whenever leadership or members change.
    pub(crate) async fn wait_for<R>(&self, mut done: impl FnMut(&Self) -> Option<R>) -> Option<R> {
        let mut changes = self.raft().server_metrics();
        loop {
            if let Some(result) = done(self) {
                return Some(result);
            }
            changes.changed().await.ok()?;
        }
    }

    /// Waits until another node than `known` leads.
    pub(crate) async fn leader_other_than(&self, known: NodeNumber) -> NodeNumber {
        let other = |group: &Self| group.leader().filter(|leader| *leader != known);
        match self.wait_for(other).await {
            Some(leader) => leader,
            // This node's part has ended; whoever waits ends by other means.
            None => std::future::pending().await,
        }
    }

    /// Waits until this node leads where it did not (`led`), or does not where it did. False if
    /// its part has ended.
    pub(crate) async fn leadership_changed(&self, led: bool) -> bool {
        let leads = |group: &Self| group.leader() == Some(group.number());
        self.wait_for(|group| (leads(group) != led).then_some(()))
            .await
            .is_some()
    }

    /// Puts `payload` into the log and waits until it has been applied here.
    ///
    /// # Errors
    /// Only after [`Unfinished::Unknown`] and [`Unfinished::Stopped`] may it yet be applied.
    pub(crate) async fn propose(&self, payload: Bytes) -> Result<Vec<Bytes>, Unfinished> {
        match self.raft().client_write(Payload(payload)).await {
            Ok(response) => Ok(response.data.0),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to))) => {
                Err(Unfinished::NotLeader(to.leader_id))
            }
            Err(RaftError::APIError(_)) => Err(Unfinished::Unknown),
            Err(RaftError::Fatal(error)) => Err(fatal(error)),
        }
    }

    /// The index up to which a node must have applied the log to read what is true now. Only the
    /// leader knows, after a majority has confirmed that it still leads.
    pub(crate) async fn read_index(&self) -> Result<u64, Unfinished> {
        match self.raft().get_read_linearizer(ReadPolicy::ReadIndex).await {
            Ok(linearizer) => Ok(linearizer.read_log_id().index()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(to))) => {
                Err(Unfinished::NotLeader(to.leader_id))
            }
            Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
                Err(Unfinished::NoMajority)
            }
            Err(RaftError::Fatal(error)) => Err(fatal(error)),
        }
    }

    /// Waits until the log has been applied here up to `index`.
    pub(crate) async fn applied_to(&self, index: u64) -> Result<(), Unfinished> {
        let mut applied = self.raft().watch_apply_progress();
        loop {
            let now = applied.get().map_or(0, |at| at.index);
            if now >= index {
                return Ok(());
            }
            if applied.changed().await.is_err() {
                return Err(Unfinished::Stopped("it was shut down".to_owned()));
            }
        }
    }

    /// Adds a node that follows the log without voting.
    pub(crate) async fn add_learner(
        &self,
        number: NodeNumber,
        member: Member,
    ) -> Result<(), Unfinished> {
        let added = self.raft().add_learner(number, member, false).await;
        added.map(drop).map_err(membership)
    }

    /// Makes `voters` those who vote; others follow. Goes on with a change that was interrupted.
    pub(crate) async fn set_voters(&self, voters: BTreeSet<NodeNumber>) -> Result<(), Unfinished> {
        let change = ChangeMembers::ReplaceAllVoters(voters);
        let changed = self.raft().change_membership(change, true).await;
        changed.map(drop).map_err(membership)
    }

    /// Takes out nodes that do not vote.
    pub(crate) async fn remove(&self, nodes: BTreeSet<NodeNumber>) -> Result<(), Unfinished> {
        let change = ChangeMembers::RemoveNodes(nodes);
        let changed = self.raft().change_membership(change, true).await;
        changed.map(drop).map_err(membership)
    }

    /// Asks `to` to lead from now on. Returns when the request is on its way.
    pub(crate) async fn transfer(&self, to: NodeNumber) -> Result<(), Unfinished> {
        let asked = self.raft().trigger().transfer_leader(to).await;
        asked.map_err(fatal)
    }

    /// Makes a snapshot each time the log has grown enough. Runs until dropped.
    pub(crate) async fn keep_short(&self) {
        loop {
            self.inner.growth.due.notified().await;
            if let Err(error) = self.raft().trigger().snapshot().await {
                tracing::warn!(%error, "no snapshot can be made");
                return;
            }
        }
    }

    /// When the leader was last heard of.
    pub(super) fn heard(&self) -> &Heard {
        &self.inner.heard
    }

    /// Ends this node's part. What was acknowledged stays.
    pub(crate) async fn shutdown(&self) {
        if let Err(error) = self.raft().shutdown().await {
            tracing::warn!(%error, "the node's part in the cluster ended badly");
        }
        if let Err(error) = self.inner.log.close().await {
            tracing::warn!(
                error = crate::error::chain(&error),
                "the log could not be closed"
            );
        }
    }
}

fn config(timing: &Timing) -> Config {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Config {
        cluster_name: "distri".to_owned(),
        heartbeat_interval: millis(timing.heartbeat),
        election_timeout_min: millis(timing.election.start),
        election_timeout_max: millis(timing.election.end),
        // Made by `keep_short`, by bytes rather than by entries, of which one may hold thousands
        // of commands.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 64,
        install_snapshot_timeout: 60_000,
        replication_lag_threshold: 1_000,
        enable_pre_vote: Some(true),
        // A leader that restarts within its term would answer reads from where its log was known to
        // be committed when it stopped, which may be less than what it had acknowledged: seen here
        // in a test. Elected anew, it first commits an entry of its new term.
        enable_leader_restore: Some(false),
        ..Config::default()
    }
}

fn fatal(error: Fatal<Types>) -> Unfinished {
    Unfinished::Stopped(error.to_string())
}

fn membership(error: RaftError<Types, ClientWriteError<Types>>) -> Unfinished {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(to)) => {
            Unfinished::NotLeader(to.leader_id)
        }
        RaftError::APIError(error) => Unfinished::Refused(error.to_string()),
        RaftError::Fatal(error) => fatal(error),
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("number", &self.number())
            .finish_non_exhaustive()
    }
}
