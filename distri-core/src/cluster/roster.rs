//! Whom a node admits, and as what: from its configuration, and from the directory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock, Weak},
    time::Duration,
};

use serde::de::DeserializeOwned;

use super::{
    protocol::{GUEST, Told},
    records::{MEMBERS, MemberRecord, ROLES, RolesRecord, TOKENS},
};
use crate::{
    client::pool::Pool,
    config::AccessConfig,
    directory::{Actor, Query, Replica, State},
    id::PublicKey,
    service::{Caller, Role},
    transport::Endpoint,
    watch, world,
};

/// How often a node looks whether the others turn it away.
const LOOK_AT_LINKS: Duration = Duration::from_secs(2);

/// What a node says when it closes the link of one that it does not take for a node.
pub(crate) const NO_MEMBER: &str = "is neither a member of the cluster nor in `cloud.nodes` here";

/// Who is what to this node.
#[derive(Debug)]
pub(crate) struct Roster {
    access: AccessConfig,
    /// Nodes named in the configuration, or in the folder of a node that joined.
    configured: Vec<Endpoint>,
    held: RwLock<Held>,
    /// The directory has been read.
    read: watch::Sender<bool>,
    /// Who came as a node last and was not known as one.
    unknown_caller: watch::Sender<Option<PublicKey>>,
}

#[derive(Debug, Default)]
struct Held {
    known: Known,
    /// What another member said, while that is newer than this node's directory.
    told: Option<Told>,
}

/// What the directory says.
#[derive(Debug, Default, Clone, PartialEq)]
struct Known {
    members: BTreeMap<PublicKey, Endpoint>,
    guests: BTreeSet<PublicKey>,
    roles: BTreeMap<PublicKey, Vec<String>>,
    /// The directory has been read once: it alone says who is a node from then on.
    read: bool,
    /// Members on their way out.
    leaving: BTreeSet<PublicKey>,
}

impl Roster {
    pub(crate) fn new(access: AccessConfig, configured: Vec<Endpoint>) -> Self {
        Self {
            access,
            configured,
            held: RwLock::default(),
            read: watch::Sender::new(false),
            unknown_caller: watch::Sender::new(None),
        }
    }

    /// True once the directory has been read.
    pub(crate) fn is_read(&self) -> bool {
        *self.read.borrow()
    }

    /// Waits until the directory has been read.
    pub(crate) async fn wait_until_read(&self) {
        // The sender lives as long as this does.
        let _ = self.read.subscribe().wait_for(|read| *read).await;
    }

    /// Nodes to link to until the directory tells more.
    pub(crate) fn configured(&self) -> &[Endpoint] {
        &self.configured
    }

    pub(crate) fn access(&self) -> &AccessConfig {
        &self.access
    }

    /// The nodes of the cloud, as far as is known.
    pub(crate) fn members(&self) -> BTreeSet<PublicKey> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        self.nodes_of(&held).map(|node| node.key).collect()
    }

    /// The nodes of the cloud and where they are, as far as is known.
    pub(super) fn endpoints(&self) -> Vec<Endpoint> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        match &held.told {
            Some(told) => told.nodes.clone(),
            None => self.nodes_of(&held).cloned().collect(),
        }
    }

    fn nodes_of<'a>(&'a self, held: &'a Held) -> impl Iterator<Item = &'a Endpoint> {
        let configured = (!held.known.read).then_some(&self.configured);
        held.known
            .members
            .values()
            .chain(configured.into_iter().flatten())
            .chain(held.told.iter().flat_map(|told| &told.nodes))
    }

    /// Takes the word of another member for who belongs, until this node's own directory, which
    /// has come to `revision`, has come as far. False if that is no news.
    pub(super) fn believe(&self, told: Told, revision: u64) -> bool {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let before = held.told.as_ref().map_or(revision, |told| told.revision);
        let is_news = told.revision > before.max(revision);
        if is_news {
            held.told = Some(told);
        }
        is_news
    }

    /// Notes that one came as a node who is not known as one.
    pub(crate) fn note_unknown_caller(&self, key: PublicKey) {
        self.unknown_caller.send_replace(Some(key));
    }

    /// Tells who comes as a node and is not known as one.
    pub(super) fn unknown_callers(&self) -> watch::Receiver<Option<PublicKey>> {
        self.unknown_caller.subscribe()
    }

    /// What the key is to this node.
    pub(crate) fn caller(&self, key: PublicKey) -> Caller {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let known = &held.known;
        let mut roles = self.access.roles_of(key);
        roles.extend(known.roles.get(&key).into_iter().flatten().cloned());
        roles.sort();
        roles.dedup();
        let is_node =
            known.members.contains_key(&key) || self.nodes_of(&held).any(|node| node.key == key);
        let role = if is_node {
            Role::Node
        } else if known.guests.contains(&key) {
            roles.push(GUEST.to_owned());
            Role::Stranger
        } else if self.access.keys.contains(&key) || !roles.is_empty() {
            Role::Known
        } else {
            Role::Stranger
        };
        Caller { key, role, roles }
    }

    /// Takes in what the directory says at a revision. Gives who is no node any more, if anything
    /// is another than it was.
    fn update(&self, known: Known, revision: u64) -> Option<Vec<PublicKey>> {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let is_outdated = |told: &Told| told.revision <= revision;
        if held.known == known && !held.told.as_ref().is_some_and(is_outdated) {
            return None;
        }
        let before: BTreeSet<_> = self.nodes_of(&held).map(|node| node.key).collect();
        held.known = known;
        held.told = held.told.take().filter(|told| !is_outdated(told));
        let now: BTreeSet<_> = self.nodes_of(&held).map(|node| node.key).collect();
        Some(before.difference(&now).copied().collect())
    }
}

/// Keeps the roster and the links as the directory says, until this node is a member no more or on
/// its way out. `changed` is told of every change.
pub(crate) async fn follow(
    roster: Arc<Roster>,
    replica: Arc<Replica>,
    pool: Weak<Pool>,
    me: PublicKey,
    changed: impl Fn(),
) {
    let mut changes = [MEMBERS, TOKENS, ROLES].map(|name| replica.subscribe(name));
    let mut was_member = false;
    loop {
        for change in &mut changes {
            change.borrow_and_update();
        }
        // Read first: what is seen then is at least as new.
        let revision = replica.read(State::revision);
        let known = look(&replica);
        let is_member = known.members.contains_key(&me);
        if was_member && (!is_member || known.leaving.contains(&me)) {
            return;
        }
        was_member |= is_member;
        // A node that has not heard of its own membership yet knows too little to judge others.
        if is_member && let Some(gone) = roster.update(known, revision) {
            let Some(pool) = pool.upgrade() else { return };
            for endpoint in roster.endpoints() {
                pool.place(endpoint);
            }
            for key in gone {
                pool.remove(key, "the node was removed from the cluster");
            }
            changed();
            roster.read.send_replace(true);
        }
        let [members, tokens, roles] = &mut changes;
        let more = tokio::select! {
            biased;
            more = members.changed() => more.is_ok(),
            more = tokens.changed() => more.is_ok(),
            more = roles.changed() => more.is_ok(),
            () = world::pause(LOOK_AT_LINKS) => true,
        };
        if !more || pool.upgrade().is_none_or(|pool| is_cast_out(&pool)) {
            return;
        }
    }
}

/// True if this node was removed while it was down: it does not hear of it from the log any more,
/// but every other node turns it away.
fn is_cast_out(pool: &Pool) -> bool {
    let nodes = pool.view();
    let turned_away = |node: &crate::client::NodeView| {
        let why = node.trouble.as_deref();
        why.is_some_and(|why| why.contains(NO_MEMBER))
    };
    !nodes.is_empty() && nodes.iter().all(turned_away)
}

fn look(replica: &Replica) -> Known {
    let key_of = |id: &str| id.parse::<PublicKey>().ok();
    let records = all::<MemberRecord>(replica, MEMBERS);
    let leaving = records
        .iter()
        .filter(|(_, member)| member.leaving)
        .map(|(_, member)| member.key)
        .collect();
    let members = records
        .into_iter()
        .map(|(_, member)| (member.key, member.endpoint()))
        .collect();
    let guests = all::<serde_json::Value>(replica, TOKENS)
        .into_iter()
        .filter_map(|(id, _)| key_of(&id))
        .collect();
    let roles = all::<RolesRecord>(replica, ROLES)
        .into_iter()
        .filter_map(|(id, record)| Some((key_of(&id)?, record.roles)))
        .collect();
    Known {
        members,
        guests,
        roles,
        read: true,
        leaving,
    }
}

/// The members as this node's directory has them.
pub(super) fn members_of(replica: &Replica) -> Vec<Endpoint> {
    let records = all::<MemberRecord>(replica, MEMBERS).into_iter();
    records.map(|(_, member)| member.endpoint()).collect()
}

/// All documents of a collection of the directory's own, as this node has them.
pub(super) fn all<T: DeserializeOwned>(replica: &Replica, collection: &str) -> Vec<(String, T)> {
    let mut query = Query::new(collection);
    query.limit = 10_000;
    let mut found = Vec::new();
    // A collection that is not there yet has no documents.
    let Ok(view) = replica.read(|state| state.view(collection)) else {
        return found;
    };
    while let Ok(page) = view.find(&Actor::Node, &query) {
        found.extend(page.documents.into_iter().filter_map(|document| {
            // Written by a newer version: not for this one.
            let value = document.value.to().ok()?;
            Some((document.id, value))
        }));
        match page.cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => break,
        }
    }
    found
}
