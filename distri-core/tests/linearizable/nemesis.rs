//! What goes wrong: nodes die and come back, links stall, slow down and break, as the seed says.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use distri::{Client, id::PublicKey};

use crate::{dice::Dice, directory_support::Cluster};

/// How long the clients go on when all is well again: long enough to meet what the faults left.
const PEACE: Duration = Duration::from_secs(2);

/// The running nodes' own clients, which come and go with them.
#[derive(Clone, Default)]
pub(crate) struct Doors(Arc<Mutex<Vec<Client>>>);

impl Doors {
    pub(crate) fn any(&self, dice: &mut Dice) -> Option<Client> {
        dice.pick(&self.0.lock().unwrap()).cloned()
    }

    pub(crate) fn renew(&self, cluster: &Cluster) {
        *self.0.lock().unwrap() = cluster.up().map(|i| cluster.node(i).client()).collect();
    }
}

/// Who makes things go wrong.
pub(crate) struct Nemesis {
    dice: Dice,
    doors: Doors,
    /// Clients that are no nodes, which may be cut off as well.
    outside: Vec<PublicKey>,
    deeds: Vec<String>,
}

impl Nemesis {
    pub(crate) fn new(seed: u64, doors: Doors, outside: Vec<PublicKey>) -> Self {
        Self {
            dice: Dice::of(seed, 0x006e_656d_6573_6973),
            doors,
            outside,
            deeds: Vec::new(),
        }
    }

    /// Does so many deeds, with time between them, then puts everything right and lets the clients
    /// go on for a while.
    pub(crate) async fn rage(mut self, cluster: &mut Cluster, deeds: usize) -> Vec<String> {
        for _ in 0..deeds {
            let pause = self.dice.millis(50..=900);
            tokio::time::sleep(pause).await;
            let deed = self.deed(cluster).await;
            self.deeds.push(format!("after {pause:?}: {deed}"));
            self.doors.renew(cluster);
        }
        cluster.network.heal();
        cluster.network.delay(Duration::ZERO..=Duration::ZERO);
        for index in cluster.down() {
            cluster.restart(index).await;
        }
        self.doors.renew(cluster);
        tokio::time::sleep(PEACE).await;
        self.deeds
    }

    async fn deed(&mut self, cluster: &mut Cluster) -> String {
        let down = cluster.down();
        // The more lie down, the likelier one gets up.
        if self
            .dice
            .percent(100 * down.len() as u64 / cluster.size() as u64)
        {
            return self.restart(cluster, &down).await;
        }
        match self.dice.below(14) {
            0..=2 => self.kill_leader(cluster),
            3 | 4 => self.kill_any(cluster),
            5 => self.kill_all(cluster),
            6 => self.stop(cluster).await,
            7 => self.isolate_leader(cluster),
            8 | 9 => self.split(cluster),
            10 => self.shut_out(cluster),
            11 => self.cut(cluster),
            12 => self.slow_down(cluster),
            _ => {
                cluster.network.heal();
                "heal".to_owned()
            }
        }
    }

    async fn restart(&mut self, cluster: &mut Cluster, down: &[usize]) -> String {
        let index = self.dice.pick(down).copied().unwrap();
        cluster.restart(index).await;
        format!("restart {index}")
    }

    fn kill_leader(&mut self, cluster: &mut Cluster) -> String {
        match cluster.leader_now() {
            Some(leader) => {
                cluster.kill(leader);
                format!("kill the leader {leader}")
            }
            None => self.kill_any(cluster),
        }
    }

    fn kill_any(&mut self, cluster: &mut Cluster) -> String {
        let up: Vec<_> = cluster.up().collect();
        match self.dice.pick(&up) {
            Some(&index) => {
                cluster.kill(index);
                format!("kill {index}")
            }
            None => "nobody to kill".to_owned(),
        }
    }

    fn kill_all(&mut self, cluster: &mut Cluster) -> String {
        for index in cluster.up().collect::<Vec<_>>() {
            cluster.kill(index);
        }
        "kill all".to_owned()
    }

    async fn stop(&mut self, cluster: &mut Cluster) -> String {
        let up: Vec<_> = cluster.up().collect();
        match self.dice.pick(&up) {
            Some(&index) => {
                cluster.stop(index).await;
                format!("stop {index} in order")
            }
            None => "nobody to stop".to_owned(),
        }
    }

    fn isolate_leader(&mut self, cluster: &Cluster) -> String {
        let Some(leader) = cluster.leader_now() else {
            return self.split(cluster);
        };
        let others = (0..cluster.size()).filter(|&i| i != leader).collect();
        self.partition(cluster, vec![leader], others)
    }

    fn split(&mut self, cluster: &Cluster) -> String {
        let mut nodes: Vec<_> = (0..cluster.size()).collect();
        self.dice.shuffle(&mut nodes);
        let right = nodes.split_off(1 + self.dice.below(nodes.len() - 1));
        self.partition(cluster, nodes, right)
    }

    fn partition(&mut self, cluster: &Cluster, left: Vec<usize>, right: Vec<usize>) -> String {
        let keys = |of: &[usize]| of.iter().map(|&i| cluster.key(i)).collect::<Vec<_>>();
        match self.dice.below(4) {
            0 => {
                cluster.network.partition_one_way(keys(&left), keys(&right));
                format!("nothing from {left:?} to {right:?}")
            }
            1 => {
                cluster.network.partition_one_way(keys(&right), keys(&left));
                format!("nothing from {right:?} to {left:?}")
            }
            _ => {
                cluster.network.partition(keys(&left), keys(&right));
                format!("nothing between {left:?} and {right:?}")
            }
        }
    }

    /// Cuts a client off from a node, one way or both.
    fn shut_out(&mut self, cluster: &Cluster) -> String {
        let node = self.dice.below(cluster.size());
        let Some(&client) = self.dice.pick(&self.outside) else {
            return self.split(cluster);
        };
        let node_key = cluster.key(node);
        match self.dice.below(3) {
            0 => cluster.network.partition_one_way([client], [node_key]),
            1 => cluster.network.partition_one_way([node_key], [client]),
            _ => cluster.network.partition([client], [node_key]),
        }
        format!("a client is cut off from {node}")
    }

    /// Breaks the links of a node; they can be made again.
    fn cut(&mut self, cluster: &Cluster) -> String {
        let node = self.dice.below(cluster.size());
        let others = (0..cluster.size()).map(|i| cluster.key(i));
        for other in others.chain(self.outside.iter().copied()) {
            cluster.network.cut(cluster.key(node), other);
        }
        format!("break the links of {node}")
    }

    fn slow_down(&mut self, cluster: &Cluster) -> String {
        let most = [1, 20, 60, 150][self.dice.below(4)];
        let range = Duration::ZERO..=Duration::from_millis(most);
        cluster.network.delay(range);
        format!("delays of up to {most} ms")
    }
}
