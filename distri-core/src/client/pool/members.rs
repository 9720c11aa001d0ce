//! The nodes that a pool knows, and to which of them it keeps links. A machine.
//!
//! A node keeps a link to every other. A client keeps links to a few: each further one costs memory and
//! signs of life at both ends, and a thousand clients with links to all of ten nodes are ten thousand
//! links that carry nothing. Which few is drawn by rendezvous hashing of the client's key and the
//! node's, so that the clients of a cloud spread evenly over its nodes, and each has the same few again
//! after a pause. Where one of the few cannot be linked, or drains, the next in that order is linked
//! besides. What a call needs beyond the few is linked for as long as calls need it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    client::routes::Standby,
    id::PublicKey,
    placement,
    rpc::Link,
    transport::{Address, Endpoint},
    wire::Hello,
};

/// Nodes of which a client takes note.
const KNOWN_MAX: usize = 1024;

/// How long a link beyond the few is kept after its last call. Longer spares calls that come now and
/// then a new link, shorter spares the node a link.
const WANTED: Duration = Duration::from_secs(60);

/// The nodes that a pool knows.
pub(super) struct Members {
    me: PublicKey,
    /// To how many of them links are kept; `None`: to all.
    few: Option<usize>,
    by_key: BTreeMap<PublicKey, Member>,
    /// Those that do not answer, as others say.
    absent: BTreeSet<PublicKey>,
    /// How many tasks there have been.
    keepers: u64,
    /// No further links are kept.
    is_stopped: bool,
}

/// A node, and how far one has come with it.
pub(super) struct Member {
    pub(super) address: Address,
    pub(super) link: Option<Link>,
    /// Why there is no link.
    pub(super) trouble: Option<String>,
    /// Dialled at least once, with success or without.
    pub(super) tried: bool,
    /// What it said of itself and of other nodes has been taken in.
    pub(super) heard: bool,
    /// What it said of itself when it was linked last.
    hello: Option<Arc<Hello>>,
    /// When a call needed it, though it is not among the few.
    wanted: Option<Instant>,
    /// The number of the task that keeps the link, while there is one.
    keeper: Option<u64>,
}

/// What follows from a new choice of the few.
#[derive(Default)]
pub(super) struct Choice {
    /// To these links are kept from now on, each by a task of this number.
    pub(super) keep: Vec<(PublicKey, u64)>,
    /// These are not needed any more.
    pub(super) spare: Vec<Link>,
}

impl Member {
    fn at(address: Address) -> Self {
        Self {
            address,
            link: None,
            trouble: None,
            tried: false,
            heard: false,
            hello: None,
            wanted: None,
            keeper: None,
        }
    }

    /// True if links are kept to it.
    pub(super) fn is_kept(&self) -> bool {
        self.keeper.is_some()
    }

    /// Takes the place of one of the few until proven otherwise.
    fn is_fine(&self, is_absent: bool) -> bool {
        match &self.link {
            Some(link) => link.is_ready(),
            None => self.trouble.is_none() && !is_absent,
        }
    }

    /// How long it is wanted from `now` on, as calls go.
    fn wanted_for(&self, now: Instant) -> Option<Duration> {
        let asked = self.link.as_ref().map(Link::asked);
        let (asked, is_busy) = asked.unwrap_or((self.wanted?, false));
        let last = if is_busy { now } else { asked };
        let until = last.max(self.wanted?) + WANTED;
        let left = until.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }
}

impl Members {
    /// No node yet. Links are kept to `few` of them.
    pub(super) fn new(me: PublicKey, few: Option<usize>) -> Self {
        Self {
            me,
            few,
            by_key: BTreeMap::new(),
            absent: BTreeSet::new(),
            keepers: 0,
            is_stopped: false,
        }
    }

    /// At least so many links are kept from now on.
    pub(super) fn keep_at_least(&mut self, count: usize) {
        self.few = self.few.map(|few| few.max(count));
    }

    /// From now on nothing is chosen.
    pub(super) fn stop(&mut self) {
        self.is_stopped = true;
    }

    pub(super) fn get(&self, key: PublicKey) -> Option<&Member> {
        self.by_key.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: PublicKey) -> Option<&mut Member> {
        self.by_key.get_mut(&key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&PublicKey, &Member)> {
        self.by_key.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// The links that stand.
    pub(super) fn links(&self) -> impl Iterator<Item = &Link> {
        let members = self.by_key.values();
        members.filter_map(|member| member.link.as_ref())
    }

    /// Takes all links out.
    pub(super) fn take_links(&mut self) -> Vec<Link> {
        let members = self.by_key.values_mut();
        members.filter_map(|member| member.link.take()).collect()
    }

    /// Takes note of a node; false if it is known, or there are too many.
    pub(super) fn add(&mut self, endpoint: Endpoint) -> bool {
        let is_full = self.few.is_some() && self.by_key.len() >= KNOWN_MAX;
        if endpoint.key == self.me || self.by_key.contains_key(&endpoint.key) || is_full {
            return false;
        }
        let member = Member::at(endpoint.address);
        self.by_key.insert(endpoint.key, member);
        true
    }

    /// The node `key`, which has been linked from here or from there, at `address` if it was unknown.
    pub(super) fn linked(
        &mut self,
        key: PublicKey,
        address: impl FnOnce() -> Address,
    ) -> &mut Member {
        let member = self.by_key.entry(key);
        let member = member.or_insert_with(|| Member::at(address()));
        member.tried = true;
        member
    }

    pub(super) fn remove(&mut self, key: PublicKey) -> Option<Member> {
        self.by_key.remove(&key)
    }

    /// A call needs the node `key`. True if there was no link to be kept before.
    pub(super) fn want(&mut self, key: PublicKey, now: Instant) -> bool {
        let Some(member) = self.by_key.get_mut(&key) else {
            return false;
        };
        member.wanted = Some(now);
        !member.is_kept()
    }

    /// Where the task `keeper` dials the node `key`; `None` if it is to end.
    pub(super) fn dials(&mut self, key: PublicKey, keeper: u64, now: Instant) -> Option<Endpoint> {
        let is_chosen = self.chosen(now).contains(&key);
        let member = self.by_key.get_mut(&key)?;
        if member.keeper != Some(keeper) {
            return None;
        }
        if !is_chosen && member.link.is_none() {
            member.keeper = None;
            // What was wrong need not be when it is needed again.
            member.trouble = None;
            return None;
        }
        let address = member.address.clone();
        Some(Endpoint { key, address })
    }

    /// How long the node `key` is wanted from `now` on, if it is for a call's sake.
    pub(super) fn wanted_for(&self, key: PublicKey, now: Instant) -> Option<Duration> {
        self.by_key.get(&key)?.wanted_for(now)
    }

    /// True once each node to which a link is to be kept has been dialled, and a client has heard of each
    /// that it is linked to which others there are.
    pub(super) fn all_heard(&self, now: Instant) -> bool {
        let learns = self.few.is_some();
        let is_heard =
            |member: &Member| member.tried && (member.heard || member.link.is_none() || !learns);
        // Not those that are kept: those that will be, of what is known now.
        let chosen = self.chosen(now);
        chosen
            .iter()
            .filter_map(|key| self.by_key.get(key))
            .all(is_heard)
    }

    /// To which links are to be kept.
    fn chosen(&self, now: Instant) -> BTreeSet<PublicKey> {
        let Some(few) = self.few else {
            return self.by_key.keys().copied().collect();
        };
        let mut ranked: Vec<_> = self.by_key.iter().collect();
        ranked.sort_by_cached_key(|(key, _)| placement::affinity(&self.me, key));
        let mut fine = 0;
        let mut chosen = BTreeSet::new();
        for (key, member) in ranked {
            if fine < few || member.wanted_for(now).is_some() {
                chosen.insert(*key);
            }
            fine += usize::from(member.is_fine(self.absent.contains(key)));
        }
        chosen
    }

    /// Chooses anew, where `absent` do not answer, as others say.
    pub(super) fn choose(&mut self, now: Instant, absent: &BTreeSet<PublicKey>) -> Choice {
        self.absent.clone_from(absent);
        if self.is_stopped {
            return Choice::default();
        }
        let chosen = self.chosen(now);
        let is_ready = |key: &&PublicKey| {
            let link = self.by_key.get(key).and_then(|member| member.link.as_ref());
            link.is_some_and(Link::is_ready)
        };
        let ready = chosen.iter().filter(is_ready).count();
        let enough = self.few.is_some_and(|few| ready >= few);
        let mut choice = Choice::default();
        for (key, member) in &mut self.by_key {
            if chosen.contains(key) {
                if member.keeper.is_none() {
                    self.keepers += 1;
                    member.keeper = Some(self.keepers);
                    choice.keep.push((*key, self.keepers));
                }
            } else if enough && let Some(link) = member.link.take() {
                // Not by what it said long ago, should it be needed again.
                member.heard = false;
                member.keeper = None;
                member.wanted = None;
                choice.spare.push(link);
            }
        }
        choice
    }

    /// What is known of each node linked, for when it is not any more.
    pub(super) fn note_hellos(&mut self) {
        for member in self.by_key.values_mut() {
            if let Some(hello) = member.link.as_ref().and_then(Link::hello_now) {
                member.hello = Some(hello);
            }
        }
    }

    /// The nodes to which there is no link, and may be one when it is needed.
    pub(super) fn standby(&self) -> Vec<Standby> {
        if self.few.is_none() {
            return Vec::new();
        }
        let members = self.by_key.iter();
        members
            .filter(|(key, member)| {
                member.link.is_none() && member.is_fine(self.absent.contains(key))
            })
            .map(|(key, member)| Standby {
                key: *key,
                hello: member.hello.clone(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> PublicKey {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.wrapping_mul(0x9e37_79b9).to_le_bytes());
        bytes[4..8].copy_from_slice(&n.to_le_bytes());
        PublicKey::from_bytes(bytes)
    }

    fn members(client: u32, nodes: u32, few: usize) -> Members {
        let mut members = Members::new(key(client), Some(few));
        for node in 1..=nodes {
            let address = Address::new(format!("memory:{node}"));
            let key = key(node);
            assert!(members.add(Endpoint { key, address }));
        }
        members
    }

    fn kept(members: &Members) -> BTreeSet<PublicKey> {
        let kept = members.iter().filter(|(_, member)| member.is_kept());
        kept.map(|(key, _)| *key).collect()
    }

    fn fails(members: &mut Members, key: PublicKey) {
        let member = members.get_mut(key).unwrap();
        member.tried = true;
        member.trouble = Some("refused".to_owned());
    }

    #[test]
    fn clients_spread_over_the_nodes() {
        let now = crate::world::now();
        let mut shares = BTreeMap::<PublicKey, u32>::new();
        for client in 1000..1700 {
            let mut members = members(client, 7, 3);
            let choice = members.choose(now, &BTreeSet::new());
            assert_eq!(choice.keep.len(), 3);
            for (node, _) in choice.keep {
                *shares.entry(node).or_default() += 1;
            }
        }

        // 300 each on average.
        assert_eq!(shares.len(), 7);
        assert!(
            shares.values().all(|share| (200..400).contains(share)),
            "{shares:?}"
        );
    }

    #[test]
    fn a_node_that_cannot_be_linked_is_tried_on_and_another_takes_its_place() {
        let now = crate::world::now();
        let mut members = members(1000, 7, 3);
        members.choose(now, &BTreeSet::new());
        let first = kept(&members);
        let gone = *first.first().unwrap();

        fails(&mut members, gone);
        members.choose(now, &BTreeSet::new());

        let second = kept(&members);
        assert_eq!(second.len(), 4);
        assert!(second.is_superset(&first));
    }

    #[test]
    fn not_all_is_heard_while_a_node_is_known_that_will_be_dialled() {
        let now = crate::world::now();
        let mut members = members(1000, 1, 3);
        members.choose(now, &BTreeSet::new());
        assert!(!members.all_heard(now));
        fails(&mut members, key(1));
        assert!(members.all_heard(now));

        let address = Address::new("memory:2");
        members.add(Endpoint {
            key: key(2),
            address,
        });

        // Before it is chosen.
        assert!(!members.all_heard(now));
    }

    #[test]
    fn where_all_fail_all_are_tried() {
        let now = crate::world::now();
        let mut members = members(1000, 7, 3);
        for _ in 0..7 {
            members.choose(now, &BTreeSet::new());
            for key in kept(&members) {
                fails(&mut members, key);
            }
        }
        assert_eq!(kept(&members).len(), 7);
    }

    #[test]
    fn a_node_that_others_do_not_reach_does_not_count() {
        let now = crate::world::now();
        let mut members = members(1000, 7, 3);
        members.choose(now, &BTreeSet::new());
        let absent = BTreeSet::from([*kept(&members).first().unwrap()]);

        members.choose(now, &absent);

        assert_eq!(kept(&members).len(), 4);
        assert!(
            members
                .standby()
                .iter()
                .all(|node| !absent.contains(&node.key))
        );
    }

    #[test]
    fn a_node_that_a_call_wants_is_dialled_until_it_is_not_wanted_any_more() {
        let now = crate::world::now();
        let mut members = members(1000, 7, 3);
        members.choose(now, &BTreeSet::new());
        let wanted = members.standby().iter().map(|node| node.key).next_back();
        let wanted = wanted.unwrap();

        assert!(members.want(wanted, now));
        let choice = members.choose(now, &BTreeSet::new());
        let (_, keeper) = *choice.keep.first().unwrap();
        assert!(!members.want(wanted, now));
        assert!(members.dials(wanted, keeper, now).is_some());

        assert!(members.dials(wanted, keeper, now + WANTED).is_none());
        assert!(!kept(&members).contains(&wanted));
    }

    #[test]
    fn those_who_are_given_all_nodes_keep_links_to_all() {
        let now = crate::world::now();
        let mut members = Members::new(key(1000), None);
        for node in 1..=50 {
            let address = Address::new(format!("memory:{node}"));
            let key = key(node);
            members.add(Endpoint { key, address });
        }

        members.choose(now, &BTreeSet::new());

        assert_eq!(kept(&members).len(), 50);
        assert!(members.standby().is_empty());
    }
}
