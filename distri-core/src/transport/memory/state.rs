//! What a network holds: who listens, which links there are, what is wrong, and who waits.
//!
//! Methods are synchronous and run under the network's lock. They return those to be woken instead
//! of waking them, so that no foreign code runs under it.

#![warn(
    clippy::disallowed_methods,
    reason = "a machine, though inside a driver"
)]

use std::{collections::BTreeMap, task::Waker, time::Duration};

use tokio::{sync::mpsc, time::Instant};

use super::{
    dice::Dice,
    faults::{Faults, Path},
    link::{Link, Read, Side, Write},
    trace::Trace,
};
use crate::{id::PublicKey, transport::ByteLink};

/// What a link holds in each direction unless a test says otherwise: about what a kernel gives a
/// socket at first.
const CAPACITY: usize = 64 * 1024;

pub(super) struct State {
    pub(super) faults: Faults,
    pub(super) capacity: usize,
    seed: u64,
    next_port: u64,
    next_link: u64,
    listeners: BTreeMap<u64, Listening>,
    links: BTreeMap<u64, Linked>,
    pub(super) trace: Trace,
}

/// Who listens at a port, and where accepted links go.
#[derive(Clone)]
pub(super) struct Listening {
    pub(super) key: PublicKey,
    pub(super) ready: mpsc::Sender<ByteLink>,
}

/// A link and its two ends, each field of two by [`Side`].
struct Linked {
    link: Link,
    keys: [PublicKey; 2],
    dice: [Dice; 2],
    waiting: [Waiters; 2],
}

#[derive(Default)]
struct Waiters {
    read: Option<Waker>,
    write: Option<Waker>,
}

/// Those to be woken once the lock is free.
#[must_use]
#[derive(Default)]
pub(super) struct Woken(Vec<Waker>);

impl Woken {
    pub(super) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

impl State {
    pub(super) fn new(seed: u64, now: Instant) -> Self {
        Self {
            faults: Faults::none(),
            capacity: CAPACITY,
            seed,
            next_port: 1,
            next_link: 0,
            listeners: BTreeMap::new(),
            links: BTreeMap::new(),
            trace: Trace::new(now),
        }
    }

    /// Takes port `asked`, or a free one for 0. `None` if it is taken.
    pub(super) fn listen(&mut self, asked: u64, listening: Listening) -> Option<u64> {
        let port = if asked == 0 { self.free_port() } else { asked };
        if self.listeners.contains_key(&port) {
            return None;
        }
        self.listeners.insert(port, listening);
        Some(port)
    }

    fn free_port(&mut self) -> u64 {
        while self.listeners.contains_key(&self.next_port) {
            self.next_port += 1;
        }
        let port = self.next_port;
        // Not given again soon: who dials an old address finds nobody rather than somebody else.
        self.next_port += 1;
        port
    }

    pub(super) fn listening(&self, port: u64) -> Option<Listening> {
        self.listeners.get(&port).cloned()
    }

    pub(super) fn unlisten(&mut self, port: u64) {
        self.listeners.remove(&port);
    }

    /// The number of the next link, and where each of its directions draws delays from.
    pub(super) fn number_link(&mut self) -> (u64, [Dice; 2]) {
        let nr = self.next_link;
        self.next_link += 1;
        (
            nr,
            [
                Dice::new(self.seed, 2 * nr),
                Dice::new(self.seed, 2 * nr + 1),
            ],
        )
    }

    pub(super) fn connect(&mut self, nr: u64, keys: [PublicKey; 2], dice: [Dice; 2], now: Instant) {
        let link = Link::new(self.capacity, now);
        let mut linked = Linked {
            link,
            keys,
            dice,
            waiting: Default::default(),
        };
        for side in Side::BOTH {
            if self.faults.is_blocked(linked.path(side)) {
                linked.link.block(side, now);
            }
        }
        self.links.insert(nr, linked);
    }

    pub(super) fn block(&mut self, paths: impl Iterator<Item = Path>, now: Instant) {
        for path in paths {
            self.faults.block(path);
            for linked in self.links.values_mut() {
                for side in Side::BOTH {
                    if linked.path(side) == path {
                        linked.link.block(side, now);
                    }
                }
            }
        }
    }

    pub(super) fn heal(&mut self, now: Instant) -> Woken {
        let mut woken = Woken::default();
        for linked in self.links.values_mut() {
            for side in Side::BOTH {
                if self.faults.is_blocked(linked.path(side)) {
                    let delay = linked.delay(side, &self.faults);
                    linked.link.unblock(side, now, delay);
                    linked.wake_all(&mut woken);
                }
            }
        }
        self.faults.unblock_all();
        woken
    }

    pub(super) fn cut(&mut self, a: PublicKey, b: PublicKey) -> Woken {
        let mut woken = Woken::default();
        for linked in self.links.values_mut() {
            if linked.keys == [a, b] || linked.keys == [b, a] {
                linked.link.cut();
                linked.wake_all(&mut woken);
            }
        }
        woken
    }

    /// Reads for one end, and remembers `waker` if it has to wait.
    pub(super) fn read(
        &mut self,
        (nr, side): (u64, Side),
        now: Instant,
        buf: &mut [u8],
        waker: &Waker,
    ) -> (Read, Woken) {
        let mut woken = Woken::default();
        let Some(linked) = self.links.get_mut(&nr) else {
            return (Read::Reset, woken);
        };
        let rate = self.faults.rate_of(linked.keys[side as usize]);
        let read = linked.link.read(side, now, rate, buf);
        match read {
            Read::Wait(_) => linked.waiting[side as usize].read = Some(waker.clone()),
            Read::Took(taken) => {
                self.trace.delivered(now, (nr, side), &buf[..taken]);
                let writer = &mut linked.waiting[side.other() as usize].write;
                woken.0.extend(writer.take());
            }
            Read::End | Read::Reset => {}
        }
        (read, woken)
    }

    /// Writes for one end, and remembers `waker` if it has to wait.
    pub(super) fn write(
        &mut self,
        (nr, side): (u64, Side),
        now: Instant,
        bytes: &[u8],
        waker: &Waker,
    ) -> (Write, Woken) {
        let mut woken = Woken::default();
        let Some(linked) = self.links.get_mut(&nr) else {
            return (Write::Broken, woken);
        };
        let range = self.faults.delay_of(linked.path(side));
        let dice = &mut linked.dice[side as usize];
        let write = linked.link.write(side, now, || dice.within(range), bytes);
        match write {
            Write::Wait(_) => linked.waiting[side as usize].write = Some(waker.clone()),
            Write::Took(_) => woken
                .0
                .extend(linked.waiting[side.other() as usize].read.take()),
            Write::Broken => {}
        }
        (write, woken)
    }

    pub(super) fn shut_down(&mut self, (nr, side): (u64, Side), now: Instant) -> Woken {
        let mut woken = Woken::default();
        if let Some(linked) = self.links.get_mut(&nr) {
            let delay = linked.delay(side, &self.faults);
            linked.link.shut_down(side, now, delay);
            linked.wake_all(&mut woken);
        }
        woken
    }

    pub(super) fn drop_end(&mut self, (nr, side): (u64, Side), now: Instant) -> Woken {
        let mut woken = Woken::default();
        let Some(linked) = self.links.get_mut(&nr) else {
            return woken;
        };
        let delay = linked.delay(side, &self.faults);
        let both = linked.link.drop_end(side, now, delay);
        linked.wake_all(&mut woken);
        if both {
            self.links.remove(&nr);
        }
        woken
    }
}

impl Linked {
    /// From whom to whom bytes written by `side` go.
    fn path(&self, side: Side) -> Path {
        (self.keys[side as usize], self.keys[side.other() as usize])
    }

    fn delay(&mut self, side: Side, faults: &Faults) -> Duration {
        let range = faults.delay_of(self.path(side));
        self.dice[side as usize].within(range)
    }

    fn wake_all(&mut self, woken: &mut Woken) {
        for waiters in &mut self.waiting {
            woken.0.extend(waiters.read.take());
            woken.0.extend(waiters.write.take());
        }
    }
}
