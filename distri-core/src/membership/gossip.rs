//! A node's part in the gossip: who is alive, and what each says of itself.
//!
//! A plain machine: [`super::driver`] gives it packets and the time, sends what it wants sent, and
//! asks whom it wants asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Member, MemberLoad, MemberState,
    entry::{About, Entry, Word},
    swim::{Life, Liveness, Refused, Swim},
    table::Table,
};
use crate::id::PublicKey;

/// How often a member of which nothing is known is greeted; each time another.
const GREET: Duration = Duration::from_secs(1);

/// How often a node compares what it knows with another. It finds what was lost on the way.
const COMPARE: Duration = Duration::from_secs(30);

/// How soon it asks when it knows that it lacks something.
const COMPARE_SOON: Duration = Duration::from_millis(500);

/// How often a node tells of its load at most.
const LOAD: Duration = Duration::from_secs(1);

/// Whether each member is there.
pub(crate) type States = Arc<BTreeMap<PublicKey, MemberState>>;

/// What one node knows of all.
pub(crate) struct Gossip {
    swim: Swim,
    table: Arc<Mutex<Table>>,
    about: About,
    load: MemberLoad,
    described: u64,
    measured: u64,
    load_told: Option<Instant>,
    /// What each member was last seen to be, and since when.
    stood: BTreeMap<PublicKey, (MemberState, Instant)>,
    /// The same without the times, and of which lives and descriptions it was made.
    seen: Option<(u64, u64, States)>,
    greet: Instant,
    /// Somebody is to be greeted, or that is not known yet. Otherwise greeting wakes nobody.
    greets: bool,
    greeted: Option<PublicKey>,
    compare: Instant,
    compared: Option<PublicKey>,
}

impl Gossip {
    /// A node that has just started. `number` is greater than in its earlier lives: milliseconds
    /// since 1970; where a clock went back, the others tell it.
    pub(crate) fn new(now: Instant, key: PublicKey, number: u64, seed: u64, about: About) -> Self {
        let table = Arc::new(Mutex::new(Table::new(key)));
        let swim = Swim::new(Life { key, number }, table.clone(), seed);
        let mut gossip = Self {
            swim,
            table,
            about,
            load: MemberLoad::default(),
            described: 0,
            measured: 0,
            load_told: None,
            stood: BTreeMap::new(),
            seen: None,
            greet: now,
            greets: true,
            greeted: None,
            compare: now,
            compared: None,
        };
        gossip.tell_about();
        gossip
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on these are the members, this node among them or not.
    pub(crate) fn set_members(&mut self, now: Instant, mut members: BTreeSet<PublicKey>) {
        members.insert(self.swim.me().key);
        let gone: Vec<PublicKey> = {
            let mut table = self.table();
            let gone = table.members().difference(&members).copied().collect();
            table.set_members(members.clone());
            gone
        };
        for key in gone {
            self.swim.bury(now, key);
            self.stood.remove(&key);
        }
        self.swim.expect_nodes(members.len());
        self.greet = now;
        self.greets = true;
    }

    /// What this node says of itself from now on.
    pub(crate) fn say(&mut self, now: Instant, about: About, load: MemberLoad) {
        if self.about != about {
            self.about = about;
            self.tell_about();
        }
        let members = self.table().members().len() as u32;
        // Each word reaches all, and is passed on by all: what all tell together grows with the
        // square of their number. Those who are linked know each other's load anyway.
        let pause = LOAD.max(Duration::from_millis(20) * members.saturating_mul(members));
        let is_due = self.load_told.is_none_or(|told| told + pause <= now);
        if is_due && !self.load.is_much_like(&load) {
            self.load = load;
            self.load_told = Some(now);
            self.measured += 1;
            self.put_own();
            let word = Word::Load {
                life: self.swim.me(),
                described: self.described,
                measured: self.measured,
                load: self.load.clone(),
            };
            self.swim.tell(&word.encode());
        }
    }

    fn tell_about(&mut self) {
        self.described += 1;
        self.put_own();
        let word = Word::About {
            life: self.swim.me(),
            described: self.described,
            about: self.about.clone(),
        };
        self.swim.tell(&word.encode());
    }

    fn put_own(&mut self) {
        let entry = Entry {
            life: self.swim.me(),
            described: self.described,
            about: self.about.clone(),
            measured: self.measured,
            load: self.load.clone(),
        };
        self.table().put_own(entry);
    }

    /// Takes in a packet from the node `from`.
    pub(crate) fn hear(
        &mut self,
        now: Instant,
        from: PublicKey,
        packet: &[u8],
    ) -> Result<(), String> {
        let heard = self.swim.hear(now, from, packet);
        self.live_on(now);
        heard.map_err(|refused: Refused| refused.to_string())
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.swim.tick(now);
        self.live_on(now);
        if self.greet <= now {
            self.greet = now + GREET;
            let states = self.states(now);
            let there = [MemberState::Alive, MemberState::Suspect];
            let unknown = states.iter().filter(|(_, state)| !there.contains(state));
            let unknown: Vec<PublicKey> = unknown.map(|(key, _)| *key).collect();
            self.greets = !unknown.is_empty();
            self.greeted = next_of(&unknown, self.greeted);
            if let Some(key) = self.greeted {
                self.swim.announce(now, key);
            }
        }
    }

    /// After others took this node for dead, or remember a life with a greater number, it has a new
    /// one, of which all must hear.
    fn live_on(&mut self, now: Instant) {
        let outlived = self.table().take_outlived();
        if let Some(number) = outlived {
            self.swim.outlive(now, number + 1);
        }
        let me = self.swim.me();
        let is_told = self.table().get(me.key).is_some_and(|own| own.life == me);
        if !is_told {
            self.tell_about();
        }
    }

    /// When [`Gossip::tick`] has something to do.
    pub(crate) fn next(&self) -> Instant {
        match self.swim.next() {
            Some(due) if self.greets => due.min(self.greet),
            Some(due) => due,
            None => self.greet,
        }
    }

    /// Packets to be sent.
    pub(crate) fn packets(&mut self) -> std::vec::Drain<'_, (PublicKey, Bytes)> {
        self.swim.packets()
    }

    /// Whom to ask for its table now, if anybody, and the digest of this node's own to compare with.
    pub(crate) fn compare_with(&mut self, now: Instant) -> Option<(PublicKey, u64)> {
        if now < self.compare {
            return None;
        }
        let me = self.swim.me().key;
        let (is_behind, digest, members) = {
            let table = self.table();
            let is_behind = table.is_behind() || table.lacks_some();
            let members: Vec<PublicKey> = table.members().iter().copied().collect();
            (is_behind, table.digest(), members)
        };
        self.compare = now + if is_behind { COMPARE_SOON } else { COMPARE };
        let mut others: Vec<PublicKey> = self
            .swim
            .lives()
            .filter(|(_, liveness)| *liveness == Liveness::Alive)
            .map(|(life, _)| life.key)
            .collect();
        others.sort();
        if others.is_empty() {
            others = members.into_iter().filter(|key| *key != me).collect();
        }
        // After a greater step each time, so that not all ask the same.
        let step = usize::from(me.as_bytes()[0]) + 1;
        for _ in 0..step.min(others.len()) {
            self.compared = next_of(&others, self.compared);
        }
        self.compared.map(|key| (key, digest))
    }

    /// Looks again soon whether something is missing.
    pub(crate) fn look_soon(&mut self, now: Instant) {
        if self.table().is_behind() {
            self.compare = self.compare.min(now + COMPARE_SOON);
        }
    }

    /// What a node with the digest `digest` lacks: all, or nothing.
    pub(super) fn entries_for(&self, digest: u64) -> Vec<Entry> {
        let table = self.table();
        if table.digest() == digest {
            return Vec::new();
        }
        table.entries().cloned().collect()
    }

    /// Takes in what another node knows.
    pub(super) fn learn(&mut self, now: Instant, entries: Vec<Entry>) {
        let lives = self.table().learn(entries);
        self.swim.learn(now, lives.into_iter());
        self.live_on(now);
    }

    /// Tells some that this node goes.
    pub(crate) fn leave(&mut self, now: Instant) {
        self.swim.leave(now);
    }

    /// Whether each member is there. The same table as before for as long as nothing has changed.
    pub(crate) fn states(&mut self, now: Instant) -> States {
        let (lives, words) = (self.swim.fingerprint(), self.table().version());
        if let Some((of_lives, of_words, states)) = &self.seen
            && (*of_lives, *of_words) == (lives, words)
        {
            return states.clone();
        }
        let states = Arc::new(self.look(now));
        self.seen = Some((lives, words, states.clone()));
        states
    }

    fn look(&mut self, now: Instant) -> BTreeMap<PublicKey, MemberState> {
        let me = self.swim.me().key;
        let lives: BTreeMap<PublicKey, Liveness> = self
            .swim
            .lives()
            .map(|(life, liveness)| (life.key, liveness))
            .collect();
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let stood = &mut self.stood;
        let state_of = |key: &PublicKey| {
            let has_left = || table.get(*key).is_some_and(|entry| entry.about.draining);
            let state = match lives.get(key) {
                _ if *key == me => MemberState::Alive,
                Some(Liveness::Alive) => MemberState::Alive,
                Some(Liveness::Suspect) => MemberState::Suspect,
                Some(Liveness::Down) if has_left() => MemberState::Left,
                Some(Liveness::Down) => MemberState::Down,
                // That it went is remembered by the others for a while only.
                None => match stood.get(key) {
                    None | Some((MemberState::Unknown, _)) => MemberState::Unknown,
                    Some((MemberState::Left, _)) => MemberState::Left,
                    Some(_) => MemberState::Down,
                },
            };
            let since = stood.entry(*key).or_insert((state, now));
            if since.0 != state {
                *since = (state, now);
            }
            (*key, state)
        };
        table.members().iter().map(state_of).collect()
    }

    /// All members as this node sees them, sorted by key; itself among them.
    pub(crate) fn members(&mut self, now: Instant) -> Vec<Member> {
        let states = self.states(now);
        let table = self.table();
        let member_of = |(&key, &state): (&PublicKey, &MemberState)| {
            let since = self.stood.get(&key).map_or(now, |(_, since)| *since);
            let since = now.saturating_duration_since(since);
            let entry = table.get(key);
            let about = entry.map(|entry| &entry.about);
            Member {
                key,
                name: about.map_or_else(String::new, |about| about.name.clone()),
                address: about.map(|about| about.address.clone()),
                program: about.map_or_else(String::new, |about| about.program.clone()),
                state,
                state_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
                draining: about.is_some_and(|about| about.draining),
                load: entry.map_or_else(MemberLoad::default, |entry| entry.load.clone()),
                services: about.map_or_else(Vec::new, |about| about.services.clone()),
            }
        };
        states.iter().map(member_of).collect()
    }
}

/// The one after `last` of those in order, the first after the last.
fn next_of(keys: &[PublicKey], last: Option<PublicKey>) -> Option<PublicKey> {
    let after = keys
        .iter()
        .find(|key| last.is_some_and(|last| **key > last));
    after.or(keys.first()).copied()
}
