//! Gossip among simulated nodes: packets take a while, or are lost; time is not waited for.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use super::{Member, MemberLoad, MemberState, entry::About, gossip::Gossip};
use crate::{id::PublicKey, transport::Address, world};

mod figures;

/// Nodes and the network between them.
struct World {
    now: Instant,
    nodes: BTreeMap<PublicKey, Gossip>,
    /// Every key that has ever been a member.
    keys: Vec<PublicKey>,
    arriving: BinaryHeap<Reverse<(Instant, u64, Packet)>>,
    waking: BinaryHeap<Reverse<(Instant, PublicKey)>>,
    sent: u64,
    bytes: u64,
    /// Of a thousand packets.
    lost: u64,
    /// Those who hear nothing and are not heard.
    deaf: BTreeSet<PublicKey>,
    /// Which side of a partition a node is on.
    side: BTreeMap<PublicKey, u8>,
    dice: u64,
    /// Who did not know all when it was last asked.
    late: Option<PublicKey>,
}

type Packet = (PublicKey, PublicKey, Bytes);

fn key(number: usize) -> PublicKey {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&mix(number as u64).to_be_bytes());
    PublicKey::from_bytes(bytes)
}

fn mix(number: u64) -> u64 {
    let z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (number >> 3);
    (z ^ (z >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (z >> 32)
}

fn about(name: &str) -> About {
    About {
        name: name.to_owned(),
        address: Address::new("127.0.0.1:7000"),
        program: "test".to_owned(),
        draining: false,
        services: Vec::new(),
    }
}

impl World {
    /// So many nodes, which know each other's keys and nothing else.
    fn of(count: usize, seed: u64) -> Self {
        let keys: Vec<_> = (0..count).map(key).collect();
        let mut world = Self {
            now: world::now(),
            nodes: BTreeMap::new(),
            keys: keys.clone(),
            arriving: BinaryHeap::new(),
            waking: BinaryHeap::new(),
            sent: 0,
            bytes: 0,
            lost: 0,
            deaf: BTreeSet::new(),
            side: BTreeMap::new(),
            dice: seed,
            late: None,
        };
        for key in keys {
            world.start(key, 1_000);
        }
        world
    }

    fn random(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(1);
        mix(mix(self.dice))
    }

    /// Starts a node, whose lives so far had smaller numbers unless its clock went back.
    fn start(&mut self, key: PublicKey, number: u64) {
        let seed = self.random();
        let mut gossip = Gossip::new(self.now, key, number, seed, about(&key.short()));
        gossip.set_members(self.now, self.keys.iter().copied().collect());
        self.nodes.insert(key, gossip);
        self.waking.push(Reverse((self.now, key)));
    }

    fn hears(&self, from: PublicKey, to: PublicKey) -> bool {
        !self.deaf.contains(&from)
            && !self.deaf.contains(&to)
            && self.side.get(&from) == self.side.get(&to)
    }

    /// Lets the node act, and sends what it sends.
    fn touch(&mut self, key: PublicKey, act: impl FnOnce(&mut Gossip, Instant)) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(&key) else {
            return;
        };
        act(node, now);
        self.follow_up(key);
    }

    /// Sends what a node that has acted wants to send.
    fn follow_up(&mut self, key: PublicKey) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(&key) else {
            return;
        };
        let asks = node.compare_with(now);
        let packets: Vec<_> = node.packets().collect();
        self.waking.push(Reverse((node.next(), key)));
        for (to, packet) in packets {
            self.sent += 1;
            self.bytes += packet.len() as u64;
            let is_lost = self.random() % 1000 < self.lost;
            if !is_lost {
                let delay = Duration::from_micros(200 + self.random() % 2_000);
                let number = self.sent;
                self.arriving
                    .push(Reverse((now + delay, number, (key, to, packet))));
            }
        }
        if let Some((with, digest)) = asks
            && self.hears(key, with)
            && let Some(other) = self.nodes.get(&with)
        {
            let entries = other.entries_for(digest);
            self.bytes += postcard::to_stdvec(&entries)
                .expect("entries can be encoded")
                .len() as u64;
            self.touch(key, |node, now| node.learn(now, entries));
        }
    }

    /// Lets so much time pass.
    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let arrives = self.arriving.peek().map(|Reverse((at, ..))| *at);
            let wakes = self.waking.peek().map(|Reverse((at, _))| *at);
            let next = arrives.into_iter().chain(wakes).min();
            let Some(at) = next.filter(|at| *at <= until) else {
                break;
            };
            self.now = self.now.max(at);
            if arrives == Some(at)
                && let Some(Reverse((_, _, (from, to, packet)))) = self.arriving.pop()
            {
                if self.hears(from, to) {
                    self.touch(to, |node, now| {
                        node.hear(now, from, &packet)
                            .expect("a genuine packet is taken");
                    });
                }
            } else if let Some(Reverse((at, key))) = self.waking.pop() {
                // Only the newest of a node's wakeups is still meant.
                if self.nodes.get(&key).is_some_and(|node| node.next() <= at) {
                    self.touch(key, Gossip::tick);
                }
            }
        }
        self.now = until;
    }

    /// Runs until all is as `done` says; tells how long it took.
    fn run_until(&mut self, most: Duration, mut done: impl FnMut(&mut Self) -> bool) -> Duration {
        let began = self.now;
        while !done(self) {
            assert!(self.now - began < most, "not within {most:?}");
            self.run(Duration::from_millis(100));
        }
        self.now - began
    }

    fn member(&mut self, of: PublicKey, key: PublicKey) -> Option<Member> {
        let now = self.now;
        let members = self.nodes.get_mut(&of)?.members(now);
        members.into_iter().find(|member| member.key == key)
    }

    /// How many of the others see the node so.
    fn seen(&mut self, key: PublicKey, state: MemberState) -> usize {
        let now = self.now;
        let others = self.nodes.iter_mut().filter(|(other, _)| **other != key);
        others
            .map(|(_, node)| node.states(now))
            .filter(|states| states.get(&key) == Some(&state))
            .count()
    }

    fn all_know_all(&mut self) -> bool {
        let now = self.now;
        // The one that was not so far the last time first.
        let late = self.late.filter(|key| self.nodes.contains_key(key));
        let order = late
            .into_iter()
            .chain(self.nodes.keys().copied().collect::<Vec<_>>());
        for key in order {
            let Some(node) = self.nodes.get_mut(&key) else {
                continue;
            };
            let there = node
                .states(now)
                .values()
                .all(|state| *state == MemberState::Alive);
            if !there
                || !node
                    .members(now)
                    .iter()
                    .all(|member| !member.name.is_empty())
            {
                self.late = Some(key);
                return false;
            }
        }
        true
    }
}

const MOST: Duration = Duration::from_secs(60);

fn settled(count: usize, seed: u64) -> World {
    let mut world = World::of(count, seed);
    world.run_until(MOST, World::all_know_all);
    world
}

#[test]
fn nodes_that_know_only_keys_learn_of_each_other() {
    for count in [1, 2, 3, 7, 40] {
        let mut world = World::of(count, 1);

        let took = world.run_until(MOST, World::all_know_all);

        assert!(
            took < Duration::from_secs(20),
            "{count} nodes took {took:?}"
        );
    }
}

#[test]
fn a_dead_node_is_soon_known_to_be_down() {
    let mut world = settled(20, 2);
    let victim = world.keys[3];
    world.nodes.remove(&victim);

    world.run_until(MOST, |world| world.seen(victim, MemberState::Down) == 19);

    let others = world.keys.clone();
    for other in others.into_iter().filter(|key| *key != victim) {
        assert_eq!(world.seen(other, MemberState::Alive), 18);
    }
}

#[test]
fn a_node_that_starts_again_is_there_again_also_if_its_clock_went_back() {
    for number in [2_000, 500] {
        let mut world = settled(10, 3);
        let victim = world.keys[3];
        world.nodes.remove(&victim);
        world.run_until(MOST, |world| world.seen(victim, MemberState::Down) == 9);

        world.start(victim, number);

        world.run_until(MOST, World::all_know_all);
    }
}

#[test]
fn a_node_whose_clock_went_back_by_a_day_does_not_try_every_number_of_that_day() {
    let mut world = settled(3, 3);
    let victim = world.keys[1];
    world.nodes.remove(&victim);
    world.start(victim, 100_000_000);
    world.run_until(MOST, World::all_know_all);
    world.nodes.remove(&victim);
    let sent = world.sent;

    world.start(victim, 100_000_000 - 86_400_000);
    world.run(Duration::from_millis(150));

    let sent = world.sent - sent;
    assert!(sent < 200, "{sent} packets");
    world.run_until(MOST, World::all_know_all);
}

#[test]
fn a_node_that_hung_is_there_again_when_it_goes_on() {
    let mut world = settled(10, 4);
    let victim = world.keys[3];
    world.deaf.insert(victim);
    world.run_until(MOST, |world| world.seen(victim, MemberState::Down) == 9);

    world.deaf.clear();

    world.run_until(MOST, World::all_know_all);
}

#[test]
fn two_halves_find_each_other_again_however_long_they_were_apart() {
    for apart in [10, 300] {
        let mut world = settled(10, 5);
        let half = world.keys[..5].to_vec();
        world.side.extend(half.into_iter().map(|key| (key, 1)));
        world.run(Duration::from_secs(apart));
        let across = world.keys[9];
        assert_eq!(world.seen(across, MemberState::Down), 5);
        assert_eq!(world.seen(across, MemberState::Alive), 4);

        world.side.clear();

        world.run_until(MOST, World::all_know_all);
    }
}

#[test]
fn a_node_that_leaves_is_not_taken_for_dead() {
    let mut world = settled(10, 6);
    let leaver = world.keys[3];

    world.touch(leaver, |node, now| {
        let draining = About {
            draining: true,
            ..about("leaver")
        };
        node.say(now, draining, MemberLoad::default());
        node.leave(now);
    });
    world.nodes.remove(&leaver);

    world.run_until(MOST, |world| world.seen(leaver, MemberState::Left) == 9);
}

#[test]
fn what_a_node_says_of_itself_reaches_all() {
    let mut world = settled(10, 7);
    let speaker = world.keys[3];

    world.touch(speaker, |node, now| {
        let load = MemberLoad::new(40, [0, 40].into_iter(), Some(150));
        node.say(now, about("another name"), load);
    });

    let keys = world.keys.clone();
    world.run_until(MOST, |world| {
        keys.iter().all(|key| {
            let member = world.member(*key, speaker).unwrap();
            member.name == "another name" && member.load.services == [(1, 40)]
        })
    });
}

#[test]
fn a_node_that_is_no_member_any_more_is_not_seen() {
    let mut world = settled(10, 8);
    let gone = world.keys.remove(3);
    let members: BTreeSet<_> = world.keys.iter().copied().collect();
    for key in world.keys.clone() {
        let members = members.clone();
        world.touch(key, |node, now| node.set_members(now, members));
    }

    // It is still running, and speaks to those that it knows.
    world.run(Duration::from_secs(30));

    for key in world.keys.clone() {
        assert_eq!(world.member(key, gone), None);
    }
}

#[test]
fn lost_packets_make_no_node_seem_dead() {
    let mut world = settled(30, 9);
    world.lost = 50;

    for _ in 0..600 {
        world.run(Duration::from_millis(100));

        for key in world.keys.clone() {
            assert_eq!(world.seen(key, MemberState::Down), 0);
        }
    }
}

#[test]
fn a_suspect_is_told_at_once_by_who_suspects_it() {
    let mut world = settled(3, 9);
    let victim = world.keys[0];
    world.deaf.insert(victim);
    while world.seen(victim, MemberState::Suspect) == 0 {
        world.run(Duration::from_millis(1));
    }

    world.deaf.clear();
    world.run(Duration::from_millis(10));

    assert_eq!(world.seen(victim, MemberState::Alive), 2);
}

#[test]
fn a_packet_in_anothers_name_is_refused() {
    let mut world = settled(3, 10);
    let [a, b, c] = [world.keys[0], world.keys[1], world.keys[2]];
    let now = world.now + Duration::from_secs(1);
    let node = world.nodes.get_mut(&a).unwrap();
    node.tick(now);
    let packet = node.packets().next().unwrap().1;

    let refused = world.nodes.get_mut(&b).unwrap().hear(now, c, &packet);

    assert!(refused.unwrap_err().contains("another node"));
}

#[test]
fn bytes_that_are_no_packet_are_refused() {
    let mut world = settled(2, 11);
    let [a, b] = [world.keys[0], world.keys[1]];
    for packet in [&[][..], &[0; 7], &[255; 200]] {
        let now = world.now;
        let node = world.nodes.get_mut(&a).unwrap();

        assert!(node.hear(now, b, packet).is_err());
    }
}
