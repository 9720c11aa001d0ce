//! [`Chaos`]: what goes wrong how often; [`Storm`]: it going wrong.

use std::{
    fmt,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, task::JoinHandle};

use super::{cluster::Cluster, dice::Dice, sim::STORMS};

/// What goes wrong in a storm, and how often.
///
/// Each weight says how often such a thing is chosen, compared with the others; 0 never. The more
/// nodes lie down, the likelier one gets up again.
///
/// ```
/// # use distri_core::testing::Chaos;
/// let no_partitions = Chaos { partitions: 0, ..Chaos::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chaos {
    /// The time between two things. Default 50 to 900 ms.
    pub pause: RangeInclusive<Duration>,
    /// How many things go wrong until the storm ends by itself. Default: it does not.
    pub deeds: Option<usize>,
    /// The power of a node fails, of half of them the leader's. Default 3.
    pub crashes: u32,
    /// The power of a node fails in the middle of a write. Default 2.
    pub torn_writes: u32,
    /// A node's process is killed. Default 2.
    pub kills: u32,
    /// The power of all nodes fails. Default 1.
    pub blackouts: u32,
    /// A node stops in order. Default 1.
    pub stops: u32,
    /// A node hangs, for up to five seconds. Default 2.
    pub hangs: u32,
    /// Nodes do not hear each other, or only one way. Default 4.
    pub partitions: u32,
    /// A client is cut off from a node, or only one way. Default 1.
    pub lost_clients: u32,
    /// All links of a node break. Default 1.
    pub cuts: u32,
    /// The network is slow, by up to 150 ms. Default 1.
    pub delays: u32,
    /// The clock of a node is set, by up to a minute. Default 1.
    pub clocks: u32,
    /// All partitions end. Default 2.
    pub heals: u32,
    /// A node joins, or is removed; there are three to seven. Default 0.
    pub members: u32,
}

impl Default for Chaos {
    fn default() -> Self {
        Self {
            pause: Duration::from_millis(50)..=Duration::from_millis(900),
            deeds: None,
            crashes: 3,
            torn_writes: 2,
            kills: 2,
            blackouts: 1,
            stops: 1,
            hangs: 2,
            partitions: 4,
            lost_clients: 1,
            cuts: 1,
            delays: 1,
            clocks: 1,
            heals: 2,
            members: 0,
        }
    }
}

impl Chaos {
    /// A storm that ends by itself when so many things have gone wrong: see [`Storm::pass`].
    #[must_use]
    pub fn deeds(self, deeds: usize) -> Self {
        Self {
            deeds: Some(deeds),
            ..self
        }
    }

    fn weights(&self) -> [(Deed, u32); 13] {
        [
            (Deed::Crash, self.crashes),
            (Deed::TearWrite, self.torn_writes),
            (Deed::Kill, self.kills),
            (Deed::BlackOut, self.blackouts),
            (Deed::Stop, self.stops),
            (Deed::Hang, self.hangs),
            (Deed::Partition, self.partitions),
            (Deed::LoseClient, self.lost_clients),
            (Deed::Cut, self.cuts),
            (Deed::Delay, self.delays),
            (Deed::SetClock, self.clocks),
            (Deed::Heal, self.heals),
            (Deed::ChangeMembers, self.members),
        ]
    }

    fn draw(&self, dice: &mut Dice) -> Deed {
        let weights = self.weights();
        let sum: u32 = weights.iter().map(|(_, weight)| weight).sum();
        if sum == 0 {
            return Deed::Heal;
        }
        let mut drawn = dice.below(sum as usize) as u32;
        for (deed, weight) in weights {
            match drawn.checked_sub(weight) {
                Some(rest) => drawn = rest,
                None => return deed,
            }
        }
        Deed::Heal
    }
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Crash,
    TearWrite,
    Kill,
    BlackOut,
    Stop,
    Hang,
    Partition,
    LoseClient,
    Cut,
    Delay,
    SetClock,
    Heal,
    ChangeMembers,
}

/// Fewer nodes are not left by removals, and more are not made by joins.
const MEMBERS: RangeInclusive<usize> = 3..=7;

/// Things going wrong, until [`Storm::calm`] or [`Storm::pass`].
///
/// Dropping it lets them go on until the scenario ends.
#[must_use = "a storm is ended by `calm` or `pass`, which put everything right"]
pub struct Storm {
    cluster: Cluster,
    stop: Arc<Stop>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Stop {
    asked: AtomicBool,
    told: Notify,
}

impl Storm {
    pub(super) fn begin(cluster: Cluster, chaos: Chaos) -> Self {
        let stop = Arc::<Stop>::default();
        let nemesis = Nemesis {
            dice: Dice::of(cluster.sim().seed(), STORMS + cluster.sim().next_storm()),
            cluster: cluster.clone(),
            chaos,
            stop: stop.clone(),
        };
        let task = cluster.sim().spawn(nemesis.rage());
        Self {
            cluster,
            stop,
            task,
        }
    }

    /// Ends it now, puts everything right ([`Cluster::mend`]), and waits until all nodes agree.
    ///
    /// # Panics
    /// If they do not within a minute of virtual time.
    pub async fn calm(self) {
        self.stop.asked.store(true, Ordering::Relaxed);
        self.stop.told.notify_one();
        self.pass().await;
    }

    /// Waits until as many things have gone wrong as [`Chaos::deeds`] says, then does as
    /// [`Storm::calm`].
    ///
    /// # Panics
    /// If the nodes do not agree within a minute of virtual time.
    pub async fn pass(self) {
        if let Err(error) = self.task.await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
        self.cluster.mend().await;
        self.cluster.all_vote().await;
        self.cluster.must_agree().await;
    }
}

impl fmt::Debug for Storm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storm")
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

/// Who makes things go wrong.
struct Nemesis {
    dice: Dice,
    cluster: Cluster,
    chaos: Chaos,
    stop: Arc<Stop>,
}

impl Nemesis {
    async fn rage(mut self) {
        let mut done = 0;
        while self.chaos.deeds.is_none_or(|deeds| done < deeds) {
            let pause = self.dice.within(&self.chaos.pause);
            let stop = self.stop.clone();
            if tokio::time::timeout(pause, stop.told.notified())
                .await
                .is_ok()
                || stop.asked.load(Ordering::Relaxed)
            {
                return;
            }
            self.act().await;
            done += 1;
        }
    }

    async fn act(&mut self) {
        let down = self.cluster.down();
        // The more lie down, the likelier one gets up.
        if self
            .dice
            .percent(100 * down.len() as u64 / self.cluster.members().len().max(1) as u64)
            && let Some(&index) = self.dice.pick(&down)
        {
            return self.cluster.restart(index).await;
        }
        match self.chaos.draw(&mut self.dice) {
            Deed::Crash => self.crash(),
            Deed::TearWrite => {
                let nth = 1 + self.dice.below(12) as u64;
                self.with_any(|cluster, index| cluster.crash_while_writing(index, nth));
            }
            Deed::Kill => self.with_any(Cluster::kill),
            Deed::BlackOut => {
                for index in self.cluster.up() {
                    self.cluster.crash(index);
                }
            }
            Deed::Stop => self.stop_any().await,
            Deed::Hang => self.hang(),
            Deed::Partition => self.partition(),
            Deed::LoseClient => self.lose_client(),
            Deed::Cut => {
                let index = self.any_place();
                self.cluster.cut(index);
            }
            Deed::Delay => {
                let most = [1, 20, 60, 150][self.dice.below(4)];
                self.cluster
                    .delay(Duration::ZERO..=Duration::from_millis(most));
            }
            Deed::SetClock => {
                let index = self.any_place();
                let by = self
                    .dice
                    .within(&(Duration::ZERO..=Duration::from_secs(60)));
                if self.dice.percent(50) {
                    self.cluster.set_clock_ahead(index, by);
                } else {
                    self.cluster.set_clock_behind(index, by);
                }
            }
            Deed::Heal => self.cluster.heal(),
            Deed::ChangeMembers => self.change_members(),
        }
    }

    fn any_place(&mut self) -> usize {
        let members = self.cluster.members();
        self.dice.pick(&members).copied().unwrap_or(0)
    }

    fn with_any(&mut self, act: impl FnOnce(&Cluster, usize)) {
        let up = self.cluster.up();
        if let Some(&index) = self.dice.pick(&up) {
            act(&self.cluster, index);
        }
    }

    fn crash(&mut self) {
        let leader = self.dice.percent(50).then(|| self.cluster.leader_now());
        match leader.flatten() {
            Some(leader) => self.cluster.crash(leader),
            None => self.with_any(Cluster::crash),
        }
    }

    async fn stop_any(&mut self) {
        let up = self.cluster.up();
        if let Some(&index) = self.dice.pick(&up) {
            self.cluster.stop(index).await;
        }
    }

    /// A node hangs for a while, and other things go on.
    fn hang(&mut self) {
        let time = self
            .dice
            .within(&(Duration::from_millis(100)..=Duration::from_secs(5)));
        let up = self.cluster.up();
        let Some(&index) = self.dice.pick(&up) else {
            return;
        };
        self.cluster.hang(index);
        let cluster = self.cluster.clone();
        drop(self.cluster.sim().spawn(async move {
            cluster.sim().sleep(time).await;
            cluster.resume(index);
        }));
    }

    fn partition(&mut self) {
        let mut left = self.cluster.members();
        let leader = self.dice.percent(40).then(|| self.cluster.leader_now());
        let right = match leader.flatten() {
            Some(leader) => {
                left.retain(|index| *index != leader);
                vec![leader]
            }
            None if left.len() > 1 => {
                self.dice.shuffle(&mut left);
                left.split_off(1 + self.dice.below(left.len() - 1))
            }
            None => Vec::new(),
        };
        match self.dice.below(4) {
            0 => self.cluster.partition_one_way(left, right),
            1 => self.cluster.partition_one_way(right, left),
            _ => self.cluster.partition(left, right),
        }
    }

    fn lose_client(&mut self) {
        let index = self.any_place();
        let clients = self.cluster.clients();
        let Some(&client) = self.dice.pick(&clients) else {
            return self.partition();
        };
        let node = self.cluster.key(index);
        let network = self.cluster.network();
        match self.dice.below(3) {
            0 => network.partition_one_way([client], [node]),
            1 => network.partition_one_way([node], [client]),
            _ => network.partition([client], [node]),
        }
        self.cluster
            .did(format_args!("a client is cut off from {index}"));
    }

    /// A node comes or goes, which may take its time while other things go wrong.
    fn change_members(&mut self) {
        let cluster = self.cluster.clone();
        let members = cluster.members();
        let joins = match members.len() {
            few if few <= *MEMBERS.start() => true,
            many if many >= *MEMBERS.end() => false,
            _ => self.dice.percent(50),
        };
        if joins {
            drop(self.cluster.sim().spawn(async move {
                cluster.try_join().await;
            }));
            return;
        }
        let Some(&index) = self.dice.pick(&members) else {
            return;
        };
        drop(self.cluster.sim().spawn(async move {
            if let Err(error) = cluster.remove(index).await {
                cluster.did(format_args!("{index} was not removed: {error}"));
            }
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_weight_is_never_drawn() {
        let chaos = Chaos {
            crashes: 0,
            ..Chaos::default()
        };
        let mut dice = Dice::of(7, 0);

        let drawn: Vec<_> = (0..2000).map(|_| chaos.draw(&mut dice)).collect();

        assert!(!drawn.iter().any(|deed| matches!(deed, Deed::Crash)));
        assert!(!drawn.iter().any(|deed| matches!(deed, Deed::ChangeMembers)));
        assert!(drawn.iter().any(|deed| matches!(deed, Deed::Hang)));
        assert!(drawn.iter().any(|deed| matches!(deed, Deed::Heal)));
    }
}
