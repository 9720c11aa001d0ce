//! Which node owns a key, and when it may serve it: rings of nodes, one after the other.
//!
//! A *ring* is the list of nodes among which the keys of a service are shared, by rendezvous hashing.
//! Its number is the directory's revision at which it was made. Each node that shares in them has a
//! *hold*, a document under its lease that says which ring it has taken over. A ring is made only when
//! all living holds have taken over the one before, so at any time there are at most two, and a node
//!
//! - serves no key that the ring which is coming gives to another, and takes that ring over only when
//!   the calls of those keys have ended;
//! - serves a key that it did not have before only when the ring is *settled*: all living holds have
//!   taken it over.
//!
//! So no two nodes serve one key at once. A machine; the driver is [`crate::node`]'s `owning`.

use serde::{Deserialize, Serialize};

use super::{owner_of, weight_of};
use crate::id::PublicKey;

/// The nodes among which keys are shared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ring {
    /// Rises with each ring of a service.
    pub(crate) number: u64,
    pub(crate) members: Vec<PublicKey>,
}

impl Ring {
    /// Whose the key is; nobody's in an empty ring.
    pub(crate) fn owner(&self, key: u64) -> Option<PublicKey> {
        owner(&self.members, key)
    }
}

/// A node's hold as it stands in the directory: by its being there, under the node's lease, and by the
/// ring that it says, fences are checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HoldRecord {
    pub(crate) service: String,
    pub(crate) key: PublicKey,
    /// Which hold of that node it is: 64 random bits.
    pub(crate) ticket: u64,
    /// The number of the ring that the node has taken over, and who is in it.
    pub(crate) ring: u64,
    pub(crate) members: Vec<PublicKey>,
    /// It wants no keys any more.
    #[serde(default)]
    pub(crate) leaving: bool,
}

/// Which of the nodes owns the key. Never to be changed: fences are checked by it on every node.
pub(crate) fn owner(members: &[PublicKey], key: u64) -> Option<PublicKey> {
    owner_of(members, key, |_| true, weight_of).copied()
}

/// What one node may serve, during the life of one hold.
#[derive(Debug)]
pub(crate) struct Ownership {
    me: PublicKey,
    /// The ring that was settled before `taken`: what is this node's in both goes on without a break.
    before: Option<Ring>,
    /// The ring that the hold says.
    taken: Ring,
    /// All living holds say it, or a later one.
    settled: bool,
    /// The ring that is to be taken over.
    coming: Option<Ring>,
}

impl Ownership {
    /// A hold that begins with `ring`, of which it served nothing before.
    pub(crate) fn new(me: PublicKey, ring: Ring) -> Self {
        Self {
            me,
            before: None,
            taken: ring,
            settled: false,
            coming: None,
        }
    }

    /// The ring that has been taken over.
    pub(crate) fn taken(&self) -> &Ring {
        &self.taken
    }

    /// May this node serve the key? If not: whose it will be, as far as that is known.
    ///
    /// # Errors
    /// Where to go; nowhere while the key is on its way to this node.
    pub(crate) fn check(&self, key: u64) -> Result<(), Option<PublicKey>> {
        let latest = self.coming.as_ref().unwrap_or(&self.taken);
        let owner = latest.owner(key);
        if owner != Some(self.me) {
            return Err(owner);
        }
        let has = |ring: &Ring| ring.owner(key) == Some(self.me);
        let had = self.before.as_ref().is_some_and(has);
        if has(&self.taken) && (self.settled || had) {
            return Ok(());
        }
        Err(None)
    }

    /// Will this node have to let go of the key, or has it already?
    pub(crate) fn loses(&self, key: u64) -> bool {
        let latest = self.coming.as_ref().unwrap_or(&self.taken);
        latest.owner(key) != Some(self.me)
    }

    /// All living holds have taken over the ring that this one says.
    pub(crate) fn settle(&mut self) {
        self.settled = true;
    }

    /// A next ring has been made: from now on nothing is served that it gives to others.
    pub(crate) fn prepare(&mut self, ring: Ring) {
        let latest = self.coming.as_ref().unwrap_or(&self.taken);
        if ring.number <= latest.number {
            return;
        }
        // It is made only when all living holds, this one among them, say the last. So does this
        // node's, if it had not heard yet that it does.
        self.take_over();
        self.settled = true;
        self.coming = Some(ring);
    }

    /// The hold says the next ring. To be called when it does, and no call is served any more that
    /// [loses](Self::loses) its key.
    pub(crate) fn take_over(&mut self) {
        if let Some(coming) = self.coming.take() {
            self.before = Some(std::mem::replace(&mut self.taken, coming));
            self.settled = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn node(n: u8) -> PublicKey {
        let mut bytes = [n; 32];
        bytes[1] = n.wrapping_mul(89);
        PublicKey::from_bytes(bytes)
    }

    fn ring(number: u64, members: &[u8]) -> Ring {
        Ring {
            number,
            members: members.iter().map(|n| node(*n)).collect(),
        }
    }

    /// A key that moves from the first to the second node of two rings, and one that stays the first's.
    fn keys(one: &Ring, other: &Ring, from: u8, to: u8) -> (u64, u64) {
        let find = |then: u8| {
            let is = |key: &u64| {
                one.owner(*key) == Some(node(from)) && other.owner(*key) == Some(node(then))
            };
            (0..10_000)
                .map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
                .find(is)
                .unwrap()
        };
        (find(to), find(from))
    }

    #[test]
    fn a_new_hold_serves_nothing_before_its_ring_is_settled() {
        let ring = ring(7, &[1, 2]);
        let (key, _) = keys(&ring, &ring, 1, 1);
        let mut ownership = Ownership::new(node(1), ring);

        assert_eq!(ownership.check(key), Err(None));
        ownership.settle();
        assert_eq!(ownership.check(key), Ok(()));
    }

    #[test]
    fn a_key_that_moves_is_served_no_more_when_the_next_ring_is_seen_and_one_that_stays_always_is()
    {
        let (now, next) = (ring(7, &[1, 2]), ring(9, &[1, 2, 3]));
        let (moves, stays) = keys(&now, &next, 1, 3);
        let mut ownership = Ownership::new(node(1), now);
        ownership.settle();

        ownership.prepare(next);
        let while_it_comes = (ownership.check(moves), ownership.check(stays));
        assert!(ownership.loses(moves) && !ownership.loses(stays));
        ownership.take_over();
        let taken = (ownership.check(moves), ownership.check(stays));

        assert_eq!(while_it_comes, (Err(Some(node(3))), Ok(())));
        assert_eq!(taken, (Err(Some(node(3))), Ok(())));
    }

    #[test]
    fn a_key_that_comes_is_served_when_the_ring_is_settled() {
        let (now, next) = (ring(7, &[1]), ring(9, &[1, 3]));
        let (moves, _) = keys(&now, &next, 1, 3);
        let mut ownership = Ownership::new(node(3), now);
        ownership.settle();
        assert_eq!(ownership.check(moves), Err(Some(node(1))));

        ownership.prepare(next);
        assert_eq!(ownership.check(moves), Err(None));
        ownership.take_over();
        assert_eq!(ownership.check(moves), Err(None));
        ownership.settle();
        assert_eq!(ownership.check(moves), Ok(()));
    }

    /// The protocol with everything in any order: nodes come, go, hear late, take over and settle as the
    /// numbers say.
    #[test]
    fn no_two_nodes_ever_own_one_key_whatever_the_order_of_steps() {
        for seed in 0..60_u64 {
            let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut roll = |bound: usize| {
                dice = dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
                (super::super::mix(dice) % bound as u64) as usize
            };
            // The directory: the ring, and which ring each hold says. What each node itself thinks.
            let mut latest = ring(1, &[]);
            let mut said = BTreeMap::<u8, u64>::new();
            let mut nodes = BTreeMap::<u8, Ownership>::new();
            let mut served = BTreeSet::new();
            for step in 2..300_u64 {
                let who = 1 + roll(4) as u8;
                match roll(6) {
                    // Comes, with a new hold.
                    0 if !said.contains_key(&who) => {
                        said.insert(who, latest.number);
                        nodes.insert(who, Ownership::new(node(who), latest.clone()));
                    }
                    // Loses its lease: it knows first, then the directory.
                    1 if roll(8) == 0 => {
                        nodes.remove(&who);
                        said.remove(&who);
                    }
                    // Hears of the next ring.
                    2 => {
                        if let Some(ownership) = nodes.get_mut(&who) {
                            ownership.prepare(latest.clone());
                        }
                    }
                    // Takes it over; the hold says so a moment before the node knows.
                    3 => {
                        if let Some(ownership) = nodes.get_mut(&who)
                            && let Some(coming) = ownership.coming.clone()
                        {
                            said.insert(who, coming.number);
                            if roll(2) == 0 {
                                ownership.take_over();
                            }
                        }
                    }
                    // Sees that its ring is settled.
                    4 => {
                        if let Some(ownership) = nodes.get_mut(&who) {
                            let taken = ownership.taken().number;
                            let all = said.values().all(|number| *number >= taken);
                            if all && said[&who] == taken {
                                ownership.settle();
                            }
                        }
                    }
                    // A new ring, if all have taken over the last.
                    _ => {
                        if said.values().all(|number| *number == latest.number) {
                            let members: Vec<u8> = said.keys().copied().collect();
                            latest = ring(step, &members);
                        }
                    }
                }
                for key in (0..64_u64).map(super::super::mix) {
                    let owners: Vec<_> = nodes
                        .iter()
                        .filter(|(_, ownership)| ownership.check(key).is_ok())
                        .map(|(who, _)| *who)
                        .collect();
                    assert!(owners.len() <= 1, "seed {seed}, step {step}: {owners:?}");
                    served.extend(owners);
                }
            }
            assert!(!served.is_empty(), "seed {seed} proves nothing");
        }
    }
}
