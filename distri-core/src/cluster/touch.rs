//! Staying in touch with a cluster whose members changed while this node was away.
//!
//! A node admits as nodes whom the directory names, and hears of the directory from the node that
//! leads. Where that one joined while this node was down, neither comes first: the leader's links
//! are refused, and so nothing tells that it is a member. Hence a node asks members that it does
//! know who else belongs by now, and believes them until its own directory has come so far. They are
//! nodes to it already, and could lead it themselves, so this gives them no power that they lack.
//!
//! Where it knows none any more that belongs, it can only say so: those who knock could be anybody.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    protocol::{MEMBERS, MembersArguments, Told, descriptor},
    roster::{Roster, members_of},
};
use crate::{
    client::{Client, NodeState, pool::Pool},
    directory::{Replica, State},
    id::PublicKey,
    transport::Endpoint,
    watch, world,
};

/// How often a member is asked though nothing seems amiss: a node that has moved is called by
/// nobody. Each time another.
const ASK: Duration = Duration::from_secs(10);

/// How soon one is asked again while nodes call that this one does not know.
const ASK_SOON: Duration = Duration::from_secs(1);

/// How long a member may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// How long no member can be reached before that is said. Shorter would speak of restarts.
const ALONE: Duration = Duration::from_secs(15);

/// Unknown nodes that are told apart; more say no more.
const CALLERS_MAX: usize = 16;

/// What the node of this replica answers: nothing if the other knows as much.
pub(super) fn answer(replica: &Replica, asked: &MembersArguments) -> Option<Told> {
    let revision = replica.read(State::revision);
    let nodes = members_of(replica);
    (revision > asked.revision && digest(&nodes) != asked.digest)
        .then_some(Told { revision, nodes })
}

fn digest(nodes: &[Endpoint]) -> u64 {
    let sorted: BTreeSet<&Endpoint> = nodes.iter().collect();
    let mut hasher = DefaultHasher::new();
    sorted.hash(&mut hasher);
    hasher.finish()
}

/// What keeps a node from its cluster, for whoever looks at it.
pub(crate) type Trouble = watch::Sender<Option<String>>;

/// Keeps a node in touch.
pub(crate) struct Touch<F> {
    pub(crate) roster: Arc<Roster>,
    pub(crate) replica: Arc<Replica>,
    pub(crate) pool: Weak<Pool>,
    pub(crate) client: Client,
    /// Told when more are known.
    pub(crate) changed: F,
    pub(crate) trouble: Trouble,
}

impl<F: Fn()> Touch<F> {
    /// Runs until dropped, or until the pool is gone.
    pub(crate) async fn keep(self) {
        let mut callers = self.roster.unknown_callers();
        let mut strangers = BTreeSet::new();
        let mut asked = None;
        let mut alone_since = None;
        loop {
            let called = tokio::time::timeout(ASK, callers.changed()).await;
            match called {
                Ok(Ok(())) => {
                    let caller: Option<PublicKey> = *callers.borrow_and_update();
                    strangers.extend(caller.filter(|_| strangers.len() < CALLERS_MAX));
                }
                Ok(Err(_)) => return,
                Err(_) => {}
            }
            let Some(linked) = self.linked() else { return };
            let next = linked.iter().find(|key| Some(**key) > asked);
            asked = next.or(linked.first()).copied();
            if let Some(member) = asked
                && self.ask(member).await
            {
                strangers.clear();
            }
            // Those known by now are no strangers any more.
            let known = self.roster.members();
            strangers.retain(|key| !known.contains(key));
            self.note(world::now(), &linked, &strangers, &mut alone_since);
            if called.is_ok() {
                world::pause(ASK_SOON).await;
            }
        }
    }

    /// The members that are known and linked; `None` when the node has stopped.
    fn linked(&self) -> Option<Vec<PublicKey>> {
        let pool = self.pool.upgrade()?;
        let members = self.roster.members();
        let there = |state| matches!(state, NodeState::Ready | NodeState::Draining);
        let nodes = pool.view().into_iter();
        let linked = nodes.filter(|node| there(node.state) && members.contains(&node.key));
        Some(linked.map(|node| node.key).collect())
    }

    /// Asks a member who belongs. True if that was news.
    async fn ask(&self, member: PublicKey) -> bool {
        let arguments = MembersArguments {
            revision: self.replica.read(State::revision),
            digest: digest(&self.roster.endpoints()),
        };
        let asked = self
            .client
            .call::<_, Option<Told>>(descriptor(), MEMBERS, arguments)
            .to(member)
            .timeout(ANSWER);
        let told = match asked.await {
            Ok(Some(told)) => told,
            Ok(None) => return false,
            Err(error) => {
                tracing::debug!(member = member.short(), %error, "it does not say who belongs");
                return false;
            }
        };
        // The directory may have come as far meanwhile.
        let revision = self.replica.read(State::revision);
        let nodes = told.nodes.clone();
        if !self.roster.believe(told, revision) {
            return false;
        }
        let Some(pool) = self.pool.upgrade() else {
            return false;
        };
        tracing::info!(
            by = member.short(),
            members = nodes.len(),
            "told who belongs by now"
        );
        nodes.into_iter().for_each(|node| pool.place(node));
        (self.changed)();
        true
    }

    /// Says when no member has been reached for long, and when one is again.
    fn note(
        &self,
        now: Instant,
        linked: &[PublicKey],
        strangers: &BTreeSet<PublicKey>,
        alone_since: &mut Option<Instant>,
    ) {
        let others = self.roster.members().len() > 1;
        if !linked.is_empty() || !others {
            *alone_since = None;
            if self.trouble.borrow().is_some() {
                tracing::info!("a member of the cluster is reached again");
                self.trouble.send_replace(None);
            }
            return;
        }
        let since = *alone_since.get_or_insert(now);
        let is_said = self.trouble.borrow().is_some();
        // Without calls of strangers it may just be that all others are down.
        if is_said || strangers.is_empty() || now.saturating_duration_since(since) < ALONE {
            return;
        }
        let who: Vec<_> = strangers.iter().map(PublicKey::short).collect();
        let trouble = format!(
            "none of the members that this node knows is reached, and nodes that it does not know \
             call it ({}): while it was away its cluster may have replaced them all, which it \
             cannot verify. If so, remove this node there (`distri remove`), and let it join anew \
             with an empty data folder (`distri join`)",
            who.join(", ")
        );
        tracing::error!("{trouble}");
        self.trouble.send_replace(Some(trouble));
    }
}
