//! What the leader sees to: that every member follows the log, that an odd number of them votes,
//! and that what is over is cleared away.
//!
//! Every node runs a steward; the one that leads acts. What it does next is said by [`plan`] alone,
//! from how things stand, so a change that was cut off by a crash or a new leader is simply gone on
//! with.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    folder::Folder,
    protocol::ADMIN,
    records::{
        CLUSTER, ClusterRecord, MEMBERS, MemberRecord, ROLES, RolesRecord, SECRETS, SecretsRecord,
        THE_CLUSTER, TOKENS, collections,
    },
    roster::all,
    secret::Secrets,
    service::{expired_tokens, json, missing},
};
use crate::{
    consensus::{Group, Member, NodeNumber, View},
    directory::{Actor, Command, Operation, Server, Transaction},
    error::Result,
    world,
};

/// How long the steward waits when nothing is under way. It is woken by changes of members and
/// leadership; this is for tokens that expire.
const IDLE: Duration = Duration::from_secs(10);

/// How long it waits while a node catches up, or after something failed.
const BUSY: Duration = Duration::from_millis(50);

/// A node may vote when it lacks no more of the log than this. Fewer entries make the majority
/// wait less for a node that has just begun to vote.
const CAUGHT_UP: u64 = 500;

/// The epoch of the secret that a cluster is founded with.
pub(crate) const FIRST_SECRET: u32 = 1;

/// Sees to the members of a cluster.
pub(crate) struct Steward {
    pub(crate) server: Server,
    pub(crate) group: Group,
    pub(crate) folder: Folder,
    pub(crate) secrets: Arc<Secrets>,
    /// This node as it is now.
    pub(crate) me: MemberRecord,
    /// No more nodes vote than this.
    pub(crate) voters_max: usize,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Let this member follow the log.
    Add(NodeNumber, Member),
    /// Let these vote.
    Voters(BTreeSet<NodeNumber>),
    /// Take these out of the log's membership.
    Remove(BTreeSet<NodeNumber>),
    /// Somebody has to catch up first.
    Wait,
    /// All is as it should be.
    Rest,
}

impl Steward {
    /// Runs until dropped, or until the node's part in the cluster has ended.
    pub(crate) async fn run(self) {
        let mut members = self.server.replica().subscribe(MEMBERS);
        // A node's part may end before the node, by a disk that failed.
        while self.group.is_running() {
            members.borrow_and_update();
            let wait = match self.turn().await {
                Ok(true) => BUSY,
                Ok(false) => IDLE,
                Err(error) => {
                    tracing::debug!(%error, "the cluster's members cannot be seen to now");
                    BUSY
                }
            };
            if wait == BUSY {
                world::pause(wait).await;
                continue;
            }
            let leads = self.group.view().leads;
            let leadership = self.group.leadership_changed(leads);
            let _ = tokio::time::timeout(wait, async {
                tokio::select! {
                    biased;
                    more = members.changed() => more.is_ok(),
                    more = leadership => more,
                }
            })
            .await;
        }
    }

    /// Does one thing that is to be done. True if there may be more.
    async fn turn(&self) -> Result<bool> {
        let leads = self.group.view().leads;
        if leads && self.folder.founder && self.found().await? {
            return Ok(true);
        }
        if self.register().await? {
            return Ok(true);
        }
        if !leads {
            return Ok(false);
        }
        for id in expired_tokens(&self.server, world::unix_ms()) {
            self.transact(Transaction::new().delete(TOKENS, id)).await?;
        }
        let records: Vec<(NodeNumber, MemberRecord)> = all(self.server.replica(), MEMBERS)
            .into_iter()
            .filter_map(|(id, record)| Some((id.parse().ok()?, record)))
            .collect();
        let members: BTreeMap<NodeNumber, Member> = records
            .iter()
            .filter(|(_, record)| !record.leaving)
            .map(|(number, record)| {
                let member = Member {
                    key: record.key,
                    address: record.address.clone(),
                };
                (*number, member)
            })
            .collect();
        let view = self.group.view();
        for (number, _) in records.iter().filter(|(_, record)| record.leaving) {
            if !view.members.contains_key(number) {
                let gone = Transaction::new().delete(MEMBERS, number.to_string());
                self.transact(gone).await?;
                return Ok(true);
            }
        }
        let step = plan(&view, self.group.number(), &members, self.voters_max);
        let done = match step.clone() {
            Step::Add(number, member) => self.group.add_learner(number, member).await,
            Step::Voters(voters) => self.group.set_voters(voters).await,
            Step::Remove(nodes) => self.group.remove(nodes).await,
            Step::Wait => return Ok(true),
            Step::Rest => return Ok(false),
        };
        match done {
            Ok(()) => tracing::info!(?step, "the cluster's members changed"),
            Err(error) => tracing::debug!(?step, %error, "the cluster's members cannot change now"),
        }
        Ok(true)
    }

    async fn transact(&self, transaction: Transaction) -> Result<()> {
        let command = Command::Transact(transaction);
        self.server.command(command).await.map(drop)
    }

    /// Writes down that there is a cluster. True if it was not written before.
    async fn found(&self) -> Result<bool> {
        let replica = self.server.replica();
        let known = replica.read(|state| state.get(&Actor::Node, CLUSTER, THE_CLUSTER));
        if matches!(known, Ok(Some(_))) {
            return Ok(false);
        }
        for spec in collections() {
            self.server.command(Command::CreateCollection(spec)).await?;
        }
        let cluster = ClusterRecord {
            id: self.folder.cluster.clone(),
            last_number: self.folder.number,
        };
        let mut transaction = Transaction::new()
            .require(missing(CLUSTER, THE_CLUSTER))
            .insert(CLUSTER, THE_CLUSTER, json(&cluster)?)
            .insert(MEMBERS, self.folder.number.to_string(), json(&self.me)?);
        if let Ok((_, mark)) = self.secrets.make(FIRST_SECRET) {
            let secrets = SecretsRecord {
                due: FIRST_SECRET,
                agreed: [(FIRST_SECRET, mark)].into(),
            };
            transaction = transaction.insert(CLUSTER, SECRETS, json(&secrets)?);
        }
        if let Some(admin) = self.folder.admin {
            let roles = RolesRecord {
                roles: vec![ADMIN.to_owned()],
            };
            transaction = transaction.insert(ROLES, admin.to_string(), json(&roles)?);
        }
        self.transact(transaction).await?;
        Ok(true)
    }

    /// Writes down where this node is, if it has moved or got another name.
    async fn register(&self) -> Result<bool> {
        let id = self.folder.number.to_string();
        let replica = self.server.replica();
        let Ok(Some(known)) = replica.read(|state| state.get(&Actor::Node, MEMBERS, &id)) else {
            // Not a member yet, or no more.
            return Ok(false);
        };
        let record: Option<MemberRecord> = known.value.to().ok();
        if record.is_none_or(|record| record.leaving || record == self.me) {
            return Ok(false);
        }
        self.transact(Transaction::new().then(Operation::Replace {
            collection: MEMBERS.to_owned(),
            id,
            revision: known.revision,
            value: json(&self.me)?,
        }))
        .await?;
        Ok(true)
    }
}

/// What a leader, the node `me`, does next so that the log's members are `members` and the greatest
/// odd number of them, up to `voters_max`, votes.
pub(crate) fn plan(
    view: &View,
    me: NodeNumber,
    members: &BTreeMap<NodeNumber, Member>,
    voters_max: usize,
) -> Step {
    if members.is_empty() {
        // Nothing has been written down yet.
        return Step::Rest;
    }
    for (number, member) in members {
        if !view.members.contains_key(number) {
            return Step::Add(*number, member.clone());
        }
    }
    let voting: BTreeSet<NodeNumber> = view
        .members
        .iter()
        .filter(|(_, at)| at.votes)
        .map(|(number, _)| *number)
        .collect();
    let lag = |number: &NodeNumber| {
        if *number == me {
            return Some(0);
        }
        let matched = view.members.get(number)?.matched?;
        Some(view.last_index.saturating_sub(matched))
    };
    // Who votes and stays, this node first, then those who lag least; then who has caught up.
    let mut able: Vec<NodeNumber> = members
        .keys()
        .filter(|number| voting.contains(number))
        .copied()
        .collect();
    able.sort_by_key(|number| (*number != me, lag(number).unwrap_or(u64::MAX), *number));
    let mut ready: Vec<NodeNumber> = members
        .keys()
        .filter(|number| {
            !voting.contains(number) && lag(number).is_some_and(|lag| lag <= CAUGHT_UP)
        })
        .copied()
        .collect();
    ready.sort_unstable();
    able.extend(ready);
    let wanted = odd(members.len().min(voters_max.max(1)));
    able.truncate(odd(able.len()).min(wanted));
    let voters: BTreeSet<NodeNumber> = able.into_iter().collect();
    if !voters.is_empty() && (voters != voting || view.changing) {
        return Step::Voters(voters);
    }
    let gone: BTreeSet<NodeNumber> = view
        .members
        .keys()
        .filter(|number| !members.contains_key(number) && !voting.contains(number))
        .copied()
        .collect();
    if !gone.is_empty() {
        return Step::Remove(gone);
    }
    if voters.len() < wanted {
        return Step::Wait;
    }
    Step::Rest
}

/// The greatest odd number up to `count`; 0 for 0.
fn odd(count: usize) -> usize {
    if count.is_multiple_of(2) {
        count.saturating_sub(1)
    } else {
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{consensus::MemberView, id::PublicKey, transport::Address};

    fn member(number: u64) -> Member {
        Member {
            key: PublicKey::from_bytes([u8::try_from(number).unwrap(); 32]),
            address: Address::new(format!("host-{number}:1")),
        }
    }

    fn members(numbers: &[u64]) -> BTreeMap<u64, Member> {
        numbers.iter().map(|n| (*n, member(*n))).collect()
    }

    /// A leader's view: `voters` vote, `learners` follow with the given index; the log is at 1000.
    fn view(voters: &[u64], learners: &[(u64, u64)]) -> View {
        let at = |number: u64, votes, matched| {
            let view = MemberView {
                member: member(number),
                votes,
                matched,
            };
            (number, view)
        };
        View {
            term: 1,
            leader: Some(1),
            leads: true,
            last_index: 1000,
            applied_index: 1000,
            changing: false,
            members: voters
                .iter()
                .map(|n| at(*n, true, Some(1000)))
                .chain(learners.iter().map(|(n, i)| at(*n, false, Some(*i))))
                .collect(),
            stopped: None,
        }
    }

    fn voters(numbers: &[u64]) -> Step {
        Step::Voters(numbers.iter().copied().collect())
    }

    #[test]
    fn a_new_member_follows_before_it_votes() {
        let step = plan(&view(&[1], &[]), 1, &members(&[1, 2]), 5);

        assert_eq!(step, Step::Add(2, member(2)));
    }

    #[test]
    fn two_nodes_have_one_vote_between_them_and_three_have_three() {
        let two = plan(&view(&[1], &[(2, 1000)]), 1, &members(&[1, 2]), 5);
        let three = plan(
            &view(&[1], &[(2, 900), (3, 1000)]),
            1,
            &members(&[1, 2, 3]),
            5,
        );

        assert_eq!(two, Step::Rest);
        assert_eq!(three, voters(&[1, 2, 3]));
    }

    #[test]
    fn a_node_that_lags_is_waited_for() {
        let step = plan(
            &view(&[1], &[(2, 10), (3, 1000)]),
            1,
            &members(&[1, 2, 3]),
            5,
        );

        assert_eq!(step, Step::Wait);
    }

    #[test]
    fn no_more_nodes_vote_than_are_wanted() {
        let step = plan(
            &view(&[1, 2, 3], &[(4, 1000), (5, 1000)]),
            1,
            &members(&[1, 2, 3, 4, 5]),
            3,
        );

        assert_eq!(step, Step::Rest);
    }

    #[test]
    fn of_five_voters_two_that_are_removed_lose_their_vote_and_then_their_place() {
        let stay = members(&[1, 2, 3]);
        let first = plan(&view(&[1, 2, 3, 4, 5], &[]), 1, &stay, 5);
        let then = plan(&view(&[1, 2, 3], &[(4, 1000), (5, 1000)]), 1, &stay, 5);
        let last = plan(&view(&[1, 2, 3], &[]), 1, &stay, 5);

        assert_eq!(first, voters(&[1, 2, 3]));
        assert_eq!(then, Step::Remove([4, 5].into()));
        assert_eq!(last, Step::Rest);
    }

    #[test]
    fn of_four_nodes_the_leader_and_the_two_that_lag_least_vote() {
        let mut now = view(&[1, 2, 3, 4, 5], &[]);
        now.members.get_mut(&2).unwrap().matched = Some(3);

        let step = plan(&now, 1, &members(&[1, 2, 3, 4]), 5);

        assert_eq!(step, voters(&[1, 3, 4]));
    }

    #[test]
    fn a_change_that_was_cut_off_is_gone_on_with() {
        let mut now = view(&[1, 2, 3], &[]);
        now.changing = true;

        let step = plan(&now, 1, &members(&[1, 2, 3]), 5);

        assert_eq!(step, voters(&[1, 2, 3]));
    }

    #[test]
    fn a_leader_that_is_removed_hands_its_vote_to_the_others() {
        let step = plan(&view(&[1, 2, 3], &[]), 1, &members(&[2, 3]), 5);

        assert_eq!(step, voters(&[2]));
    }
}
