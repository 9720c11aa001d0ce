//! The figures of docs/operating.md for a cloud of a thousand nodes:
//!
//! ```text
//! cargo test --release -p distri-core --lib -- --ignored --nocapture a_thousand_nodes
//! ```
//!
//! `DISTRI_NODES` is another number of nodes, `DISTRI_LOST` one rate of lost packets of a thousand
//! instead of all three.
#![expect(
    clippy::disallowed_methods,
    reason = "it says how long it has run by the clock on the wall"
)]

use std::time::Instant as Wall;

use super::*;
use crate::membership::gossip::States;

/// How long is looked for false alarms.
const REST: Duration = Duration::from_secs(600);

/// How often.
const LOOK: Duration = Duration::from_millis(250);

/// How often it is said how far one has come.
const SAY: Duration = Duration::from_secs(60);

/// How many deaths and joins are averaged over.
const TIMES: usize = 5;

#[test]
#[ignore = "takes minutes"]
fn a_thousand_nodes() {
    let nodes = asked("DISTRI_NODES").unwrap_or(1000);
    let lost = asked("DISTRI_LOST").map_or(vec![0, 10, 50], |lost| vec![lost as u64]);
    for lost in lost {
        figures(nodes, lost);
    }
}

fn asked(name: &str) -> Option<usize> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is `{text}`, expected a number")),
    )
}

fn figures(nodes: usize, lost: u64) {
    let began = Wall::now();
    let say = |what: &str| println!("[{:>4.0} s] {what}", began.elapsed().as_secs_f64());
    say(&format!(
        "{nodes} nodes, {} % of packets lost",
        lost as f64 / 10.0
    ));
    let mut world = World::of(nodes, 12);
    let all = world.run_until(Duration::from_secs(300), World::all_know_all);
    say(&format!(
        "all know all {all:?} after all were started at once"
    ));
    world.lost = lost;
    (world.sent, world.bytes) = (0, 0);

    let mut alarms = Alarms::default();
    while world.now_after(REST, &mut alarms, |so_far, alarms| {
        say(&format!("{so_far:?} at rest, {alarms}"));
    }) {}
    let each = |sum: u64| sum as f64 / nodes as f64 / REST.as_secs_f64();
    let (sent, bytes) = (each(world.sent), each(world.bytes));
    say(&format!(
        "at rest {sent:.1} packets and {bytes:.0} bytes a node and second; {alarms}"
    ));

    let mut sums = [Duration::ZERO; 4];
    for time in 0..TIMES {
        let [first, most, last] = world.death(nodes / 2 + time);
        let joined = world.join(5_000_000 + time);
        say(&format!(
            "a death is known to one after {first:?}, to 99 % after {most:?}, to all after {last:?}; a join to all after {joined:?}"
        ));
        for (sum, time) in sums.iter_mut().zip([first, most, last, joined]) {
            *sum += time;
        }
    }
    let [first, most, last, joined] = sums.map(|sum| sum / TIMES as u32);
    say(&format!(
        "on average: {first:?}, {most:?}, {last:?}; a join {joined:?}"
    ));
}

/// Views of living nodes as what they are not.
#[derive(Default)]
struct Alarms {
    seen: BTreeMap<PublicKey, States>,
    so_far: Duration,
    suspect: usize,
    down: usize,
}

impl std::fmt::Display for Alarms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { suspect, down, .. } = self;
        write!(
            f,
            "{down} times a node took one for down that lives, {suspect} times for suspect"
        )
    }
}

impl Alarms {
    fn look(&mut self, world: &mut World) {
        let now = world.now;
        for (key, node) in &mut world.nodes {
            let states = node.states(now);
            let before = self.seen.insert(*key, states.clone());
            let Some(before) = before.filter(|before| !std::sync::Arc::ptr_eq(before, &states))
            else {
                continue;
            };
            for (of, state) in states
                .iter()
                .filter(|(of, state)| before.get(of) != Some(state))
            {
                debug_assert!(world.keys.contains(of));
                match state {
                    MemberState::Suspect => self.suspect += 1,
                    MemberState::Down => self.down += 1,
                    MemberState::Alive | MemberState::Left | MemberState::Unknown => {}
                }
            }
        }
    }
}

impl World {
    /// Looks for alarms for a while. False once `rest` has passed in all.
    fn now_after(
        &mut self,
        rest: Duration,
        alarms: &mut Alarms,
        say: impl Fn(Duration, &Alarms),
    ) -> bool {
        for _ in 0..SAY.as_millis() / LOOK.as_millis() {
            self.run(LOOK);
            alarms.look(self);
        }
        alarms.so_far += SAY;
        say(alarms.so_far, alarms);
        alarms.so_far < rest
    }

    /// Kills a node. When one, 99 % and all others know.
    fn death(&mut self, place: usize) -> [Duration; 3] {
        let victim = self.keys[place];
        self.nodes.remove(&victim);
        let others = self.nodes.len();
        let began = self.now;
        [1, others * 99 / 100, others].map(|wanted| {
            let most = Duration::from_secs(60);
            self.run_until(most, |world| {
                world.seen(victim, MemberState::Down) >= wanted
            });
            self.now - began
        })
    }

    /// Lets a new node join in place of those that are gone. When all others see it.
    fn join(&mut self, number: usize) -> Duration {
        let newcomer = key(number);
        let nodes: BTreeSet<_> = self.nodes.keys().copied().collect();
        self.keys.retain(|key| nodes.contains(key));
        self.keys.push(newcomer);
        let members: BTreeSet<_> = self.keys.iter().copied().collect();
        for key in nodes {
            let members = members.clone();
            self.touch(key, |node, now| node.set_members(now, members));
        }
        self.start(newcomer, 1_000);
        let others = self.nodes.len() - 1;
        let most = Duration::from_secs(60);
        self.run_until(most, |world| {
            world.seen(newcomer, MemberState::Alive) == others
        })
    }
}
