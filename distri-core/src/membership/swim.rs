//! Who is alive, by SWIM (Das, Gupta and Motivala 2002). The only room that knows foca.
//!
//! A plain machine: it is given packets and the time, and gives packets back.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    num::{NonZeroU8, NonZeroUsize},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use foca::{
    AccumulatingRuntime, BroadcastHandler, Config, Foca, Header, Identity, Incarnation,
    Invalidates, Member, Message, PeriodicParams, PostcardCodec, State, Timer,
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::table::{Table, Topic};
use crate::{id::PublicKey, world::Dice};

/// Largest packet. The largest entry fits, with room for what else there is to tell.
pub(super) const PACKET_MAX: usize = 16 * 1024;

/// How often a node asks another whether it is there. Shorter notices death sooner.
const PROBE: Duration = Duration::from_millis(500);

/// How long the one asked may take before others are asked to ask it.
const ANSWER: Duration = Duration::from_millis(250);

/// How many others are asked. With one packet in twenty lost, three still took one probe in 1,600 for a
/// suspicion, of which all hear; five, one in 50,000. They are asked only when the first packets fail.
const HELPERS: NonZeroUsize = NonZeroUsize::new(5).expect("five is not zero");

/// How long a suspect has to say that it is there, and how much longer for each tenfold of nodes,
/// among which its word travels for longer. Shorter notices death sooner and takes a busy node for
/// dead more often.
const SUSPECT: Duration = Duration::from_millis(1500);
const SUSPECT_LONGER: Duration = Duration::from_millis(250);

/// How often news is passed on, to how many.
const GOSSIP: (Duration, NonZeroUsize) = (
    Duration::from_millis(200),
    NonZeroUsize::new(3).expect("three is not zero"),
);

/// How often some other node is asked for all that it knows of who is alive.
const ASK_ALL: Duration = Duration::from_secs(60);

/// How often a node that is down is tried.
const TRY_DOWN: Duration = Duration::from_secs(5);

/// How long a node that is down is remembered as down.
const REMEMBER: Duration = Duration::from_secs(60);

/// Lives that follow each other sooner are tries to find a number that is great enough.
const IN_A_ROW: Duration = Duration::from_secs(1);

/// Numbers are milliseconds since 1970: no step needs to be longer than 2 to this power, a century.
const FARTHEST: u32 = 42;

/// One life of a node: from its start to its end. A node that comes back has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Life {
    pub(super) key: PublicKey,
    /// Greater in each life than in those before.
    pub(super) number: u64,
}

impl Identity for Life {
    type Addr = PublicKey;

    fn renew(&self) -> Option<Self> {
        let number = self.number + 1;
        Some(Self { number, ..*self })
    }

    fn addr(&self) -> PublicKey {
        self.key
    }

    fn win_addr_conflict(&self, other: &Self) -> bool {
        self.number > other.number
    }
}

/// Whether a node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    Alive,
    Suspect,
    Down,
}

/// Why a packet was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// The sender is not who the packet says.
    #[error("the packet says that it is from another node")]
    NotTheSender,
    /// It is no packet.
    #[error("the packet does not decode: {0}")]
    Malformed(foca::Error),
}

/// A table that receives what is broadcast.
struct Heard(Arc<Mutex<Table>>);

impl BroadcastHandler<Life> for Heard {
    type Key = Topic;
    type Error = postcard::Error;

    fn receive_item(
        &mut self,
        data: &[u8],
        _sender: Option<&Life>,
    ) -> Result<Option<Topic>, postcard::Error> {
        lock(&self.0).hear(data)
    }
}

impl Invalidates for Topic {
    fn invalidates(&self, other: &Self) -> bool {
        self.replaces(other)
    }
}

/// A timer that is running. Of those that are due, the oldest comes first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    number: u64,
    timer: Sorted,
}

/// A timer, sorted as foca wants those that are due together.
#[derive(PartialEq, Eq)]
struct Sorted(Timer<Life>);

impl PartialOrd for Sorted {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sorted {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

/// Who is alive, as one node knows it.
pub(super) struct Swim {
    foca: Foca<Life, PostcardCodec, Dice, Heard>,
    outbox: AccumulatingRuntime<Life>,
    timers: BinaryHeap<Reverse<Due>>,
    timers_made: u64,
    /// The timer by which news is passed on. It waits for news, however long it is due.
    passing_on: Option<(Instant, Timer<Life>)>,
    packets: Vec<(PublicKey, Bytes)>,
    /// When others last made this node begin another life, and how often without a pause.
    renewed: Option<(Instant, u32)>,
}

impl Swim {
    /// A node that knows nobody yet. What is broadcast goes into `table`.
    pub(super) fn new(me: Life, table: Arc<Mutex<Table>>, seed: u64) -> Self {
        Self {
            foca: Foca::with_custom_broadcast(
                me,
                config(1),
                Dice::new(seed),
                PostcardCodec,
                Heard(table),
            ),
            outbox: AccumulatingRuntime::new(),
            timers: BinaryHeap::new(),
            timers_made: 0,
            passing_on: None,
            packets: Vec::new(),
            renewed: None,
        }
    }

    /// This node's life; another one after it was taken for dead and came back.
    pub(super) fn me(&self) -> Life {
        *self.foca.identity()
    }

    /// Takes `number` for the number of this life, if it is a greater one.
    pub(super) fn outlive(&mut self, now: Instant, number: u64) {
        let me = self.me();
        if number > me.number {
            // Fails only for the same life, which it is not.
            let life = Life { number, ..me };
            let _ = self.foca.change_identity(life, &mut self.outbox);
            self.collect(now);
        }
    }

    /// News is passed on more often the more nodes there are.
    pub(super) fn expect_nodes(&mut self, count: usize) {
        // Only what may change is changed.
        let _ = self.foca.set_config(config(count));
    }

    /// Takes in a packet that came from `from`.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        from: PublicKey,
        packet: &[u8],
    ) -> Result<(), Refused> {
        let header: Result<(Header<Life>, _), _> = postcard::take_from_bytes(packet);
        if header.is_ok_and(|(header, _)| header.src.key != from) {
            return Err(Refused::NotTheSender);
        }
        let before = self.me();
        let heard = self.foca.handle_data(packet, &mut self.outbox);
        if self.me() != before {
            self.hurry(now, before);
        }
        self.collect(now);
        heard.map_err(Refused::Malformed)
    }

    /// After others have taken the life `before` for an old one.
    ///
    /// They do not say which they know. A node whose clock went back by a day would try every number
    /// of that day, one in each round trip; so each try in a row goes twice as far.
    fn hurry(&mut self, now: Instant, before: Life) {
        let in_a_row = match self.renewed {
            Some((last, times)) if now - last < IN_A_ROW => times + 1,
            _ => 0,
        };
        self.renewed = Some((now, in_a_row));
        if in_a_row > 0 {
            // They would tell of a life that is over already.
            while self.outbox.to_send().is_some() {}
            let step = 1 << in_a_row.min(FARTHEST);
            self.outlive(now, before.number.saturating_add(step));
        }
    }

    /// Learns of lives that others know of.
    pub(super) fn learn(&mut self, now: Instant, lives: impl Iterator<Item = Life>) {
        let me = self.me().key;
        let alive = lives.filter(|life| life.key != me).map(Member::alive);
        // Fails only if a life cannot be encoded, and it has a fixed form.
        let _ = self.foca.apply_many(alive, false, &mut self.outbox);
        self.collect(now);
    }

    /// Says hello to a node of which nothing is known but its key.
    pub(super) fn announce(&mut self, now: Instant, key: PublicKey) {
        let number = 0;
        let _ = self.foca.announce(Life { key, number }, &mut self.outbox);
        self.collect(now);
    }

    /// Passes on what this node says of itself.
    pub(super) fn tell(&mut self, word: &[u8]) -> bool {
        self.foca.add_broadcast(word).is_ok_and(|told| told)
    }

    /// Tells some that this node goes.
    pub(super) fn leave(&mut self, now: Instant) {
        let _ = self.foca.leave_cluster(&mut self.outbox);
        self.collect(now);
    }

    /// Holds a node for gone, since it is no member any more.
    pub(super) fn bury(&mut self, now: Instant, key: PublicKey) {
        let life = self.lives().find(|(life, _)| life.key == key);
        if let Some((life, _)) = life {
            let gone = std::iter::once(Member::down(life));
            let _ = self.foca.apply_many(gone, false, &mut self.outbox);
            self.collect(now);
        }
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Instant) {
        while let Some(Reverse(due)) = self.timers.pop_if_due(now) {
            // A probe that was not begun well begins anew with the next.
            let _ = self.foca.handle_timer(due.timer.0, &mut self.outbox);
            let suspects = self.collect(now);
            // What it was told by others those have told the suspect.
            for (life, incarnation) in suspects {
                self.warn(life, incarnation);
            }
        }
        let has_news = self.has_news();
        if let Some((_, timer)) = self.passing_on.take_if(|(at, _)| has_news && *at <= now) {
            let _ = self.foca.handle_timer(timer, &mut self.outbox);
            self.collect(now);
        }
    }

    /// True if there is something to pass on. Between nodes that know all of each other there is not,
    /// and none has to wake for it.
    fn has_news(&self) -> bool {
        self.foca.updates_backlog() > 0 || self.foca.custom_broadcast_backlog() > 0
    }

    /// Tells a node that this one suspects it. It would hear of it by gossip as well, when most others
    /// have, and its own word would be as long under way again.
    fn warn(&mut self, suspect: Life, incarnation: Incarnation) {
        let me = self.me();
        let header = Header {
            src: me,
            // Others know a greater one, or this is it.
            src_incarnation: 0,
            dst: suspect,
            message: Message::Gossip,
        };
        let suspicion = Member::new(suspect, incarnation, State::Suspect);
        let (Ok(mut packet), Ok(suspicion)) = (
            postcard::to_stdvec(&header),
            postcard::to_stdvec(&suspicion),
        ) else {
            return;
        };
        packet.extend(1_u16.to_be_bytes());
        packet.extend(suspicion);
        self.packets.push((suspect.key, packet.into()));
    }

    /// The same for as long as all lives are what they are. Without it each packet would cost those who
    /// watch them a table of all.
    pub(super) fn fingerprint(&self) -> u64 {
        let prints = self.lives().map(|(life, liveness)| {
            let mut start = [0; 8];
            start.copy_from_slice(&life.key.as_bytes()[..8]);
            let print = u64::from_le_bytes(start) ^ life.number.rotate_left(32) ^ liveness as u64;
            let print = print.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (print ^ (print >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        });
        // Whatever order they are in.
        prints.fold(0, u64::wrapping_add)
    }

    /// When something is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let pass_on = self.passing_on.as_ref().filter(|_| self.has_news());
        let others = self.timers.peek().map(|Reverse(due)| due.at);
        others.into_iter().chain(pass_on.map(|(at, _)| *at)).min()
    }

    /// The lives that this node knows of, its own not among them.
    pub(super) fn lives(&self) -> impl Iterator<Item = (Life, Liveness)> {
        self.foca.iter_membership_state().map(|member| {
            let liveness = match member.state() {
                State::Alive => Liveness::Alive,
                State::Suspect => Liveness::Suspect,
                State::Down => Liveness::Down,
            };
            (*member.id(), liveness)
        })
    }

    /// Packets to be sent.
    pub(super) fn packets(&mut self) -> std::vec::Drain<'_, (PublicKey, Bytes)> {
        self.packets.drain(..)
    }

    /// Takes in what is to be sent and done. Gives who is newly suspected.
    fn collect(&mut self, now: Instant) -> Vec<(Life, Incarnation)> {
        let mut suspects = Vec::new();
        while let Some((to, packet)) = self.outbox.to_send() {
            self.packets.push((to.key, packet));
        }
        while let Some((after, timer)) = self.outbox.to_schedule() {
            if let Timer::ChangeSuspectToDown {
                member_id,
                incarnation,
                ..
            } = &timer
            {
                suspects.push((*member_id, *incarnation));
            }
            if matches!(timer, Timer::PeriodicGossip(_)) {
                // One that was there already was of a time before this node was alone, and is void.
                self.passing_on = Some((now + after, timer));
                continue;
            }
            self.timers_made += 1;
            self.timers.push(Reverse(Due {
                at: now + after,
                number: self.timers_made,
                timer: Sorted(timer),
            }));
        }
        while self.outbox.to_notify().is_some() {}
        suspects
    }
}

trait PopIfDue {
    fn pop_if_due(&mut self, now: Instant) -> Option<Reverse<Due>>;
}

impl PopIfDue for BinaryHeap<Reverse<Due>> {
    fn pop_if_due(&mut self, now: Instant) -> Option<Reverse<Due>> {
        self.peek()
            .is_some_and(|Reverse(due)| due.at <= now)
            .then(|| self.pop())?
    }
}

fn config(nodes: usize) -> Config {
    let periodic = |(frequency, num_members)| {
        Some(PeriodicParams {
            frequency,
            num_members,
        })
    };
    let one = NonZeroUsize::MIN;
    // The number of rounds after which news has reached all with overwhelming probability grows
    // with the logarithm of their number.
    let rounds = 4 * (nodes + 1).ilog10() + 4;
    Config {
        probe_period: PROBE,
        probe_rtt: ANSWER,
        num_indirect_probes: HELPERS,
        max_transmissions: NonZeroU8::new(rounds.min(u32::from(u8::MAX)) as u8)
            .unwrap_or(NonZeroU8::MIN),
        suspect_to_down_after: SUSPECT + SUSPECT_LONGER * nodes.max(1).ilog10(),
        remove_down_after: Some(REMEMBER),
        max_packet_size: NonZeroUsize::new(PACKET_MAX).unwrap_or(NonZeroUsize::MAX),
        notify_down_members: true,
        periodic_announce: periodic((ASK_ALL, one)),
        periodic_announce_to_down_members: periodic((TRY_DOWN, one)),
        periodic_gossip: periodic(GOSSIP),
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
