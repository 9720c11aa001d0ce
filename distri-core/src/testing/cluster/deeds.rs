//! What can be done to a cluster, and goes wrong with it.

use std::{sync::Arc, time::Duration};

use super::{Cluster, lives::Entry};
use crate::{
    cluster::JoinToken,
    error::{Code, Error},
    node::StartError,
    storage::MemoryDisk,
    testing::{
        chaos::{Chaos, Storm},
        seat::Stands,
    },
    world,
};

/// How long a token is valid with which a node joins.
const TOKEN: Duration = Duration::from_secs(3600);

/// What can be done to it.
impl Cluster {
    /// The power of a node's machine fails: the process ends at once; what it had not synced is
    /// lost, kept or torn.
    pub fn crash(&self, index: usize) {
        self.did(format_args!("the power of {index} fails"));
        self.end(index, MemoryDisk::crash);
    }

    /// The power of a node's machine fails at the `nth` change of its disk from now: in the middle
    /// of what that belongs to. Does nothing if it is down before.
    pub fn crash_while_writing(&self, index: usize, nth: u64) {
        self.did(format_args!(
            "the power of {index} will fail at its {nth}th write"
        ));
        let (disk, life) = {
            let seats = self.seats();
            (seats[index].disk.clone(), seats[index].process().clone())
        };
        disk.stop_after(nth);
        let cluster = self.clone();
        self.sim().spawn(async move {
            let is_alive = || Arc::ptr_eq(cluster.seats()[index].process(), &life);
            while is_alive() && !disk.is_stopped() {
                world::pause(Duration::from_millis(1)).await;
            }
            if is_alive() && cluster.try_node(index).is_some() {
                cluster.crash(index);
            }
        });
    }

    /// A node's process is killed: it ends at once; its disk keeps what was written, synced or not.
    pub fn kill(&self, index: usize) {
        self.did(format_args!("{index} is killed"));
        self.end(index, MemoryDisk::abandon);
    }

    fn end(&self, index: usize, disk: fn(&MemoryDisk)) {
        let (stands, process) = {
            let mut seats = self.seats();
            let seat = &mut seats[index];
            disk(&seat.disk);
            (seat.die(), seat.process().clone())
        };
        if let Stands::Up(node) = stands {
            // What is left of it acts in the name of the dead.
            let _entered = process.enter();
            node.halt();
        }
        self.checked();
    }

    /// Stops a node in order: it hands over what it does and finishes its calls.
    pub async fn stop(&self, index: usize) {
        self.did(format_args!("{index} stops"));
        let (node, process) = {
            let mut seats = self.seats();
            let seat = &mut seats[index];
            let Stands::Up(node) = seat.stands.clone() else {
                return;
            };
            seat.stands = Stands::Stopping;
            (node, seat.process().clone())
        };
        let stopped = Self::within(&process, async move { node.shutdown().await });
        // It may be killed meanwhile.
        let _ = stopped.await;
        let mut seats = self.seats();
        if Arc::ptr_eq(seats[index].process(), &process)
            && matches!(seats[index].stands, Stands::Stopping)
        {
            let _ = seats[index].die();
            seats[index].disk.abandon();
        }
    }

    /// Starts a node again on its disk. Does nothing if it runs or starts already. One that has to
    /// declare a collection and finds no majority ends, as its program would, and is down.
    ///
    /// # Panics
    /// If it does not start for another reason.
    pub async fn restart(&self, index: usize) {
        if !self.seats()[index].is_down() {
            return;
        }
        self.did(format_args!("{index} starts"));
        match self.begin(index, None).await {
            Ok(()) => {}
            Err(error) if lacks_a_majority(&error) => {
                self.did(format_args!("{index} does not start: {error}"));
            }
            Err(error) => panic!("node {index}: {}", crate::error::chain(&error)),
        }
    }

    /// One more node joins. Gives its place.
    ///
    /// # Panics
    /// If it cannot, within a minute of virtual time.
    pub async fn join(&self) -> usize {
        let index = self.add_seat();
        self.did(format_args!("{index} joins"));
        let token = self.token().await;
        if let Err(error) = self.begin(index, Some(Entry::Join(token))).await {
            panic!("node {index}: {}", crate::error::chain(&error));
        }
        index
    }

    /// Tries to let one more node join; says whether it is a member now. If not, nobody will ever
    /// use its place.
    pub async fn try_join(&self) -> Option<usize> {
        let index = self.add_seat();
        self.seats()[index].removed = true;
        self.did(format_args!("{index} tries to join"));
        let node = self.try_node(self.leader_now()?)?;
        let token = node.client().join_token(TOKEN).await.ok()?;
        let joined = self.begin(index, Some(Entry::Join(token))).await;
        if let Err(error) = &joined {
            self.did(format_args!("{index} did not join: {error}"));
        }
        joined.ok()?;
        self.seats()[index].removed = false;
        Some(index)
    }

    /// Removes a node from the cluster for good, running or not.
    ///
    /// # Errors
    /// That of [`Client::remove_node`](crate::Client::remove_node).
    pub async fn remove(&self, index: usize) -> Result<(), Error> {
        self.did(format_args!("{index} is removed"));
        let key = self.key(index);
        let up = self.up();
        let helper = up.iter().find(|other| **other != index).or(up.first());
        let node = helper.and_then(|helper| self.try_node(*helper));
        let Some(node) = node else {
            return Err(Error::new(Code::Unavailable, "no node runs"));
        };
        let info = node.client().cluster().await?;
        if let Some(member) = info.nodes.iter().find(|member| member.key == key) {
            node.client().remove_node(member.number).await?;
        }
        self.seats()[index].removed = true;
        Ok(())
    }

    /// Lets nothing of a node run, while its links stand and its clock goes on, as `SIGSTOP` does.
    pub fn hang(&self, index: usize) {
        self.did(format_args!("{index} hangs"));
        self.seats()[index].process().hang();
        self.checked();
    }

    /// Ends [`Cluster::hang`].
    pub fn resume(&self, index: usize) {
        self.did(format_args!("{index} goes on"));
        self.seats()[index].process().go_on();
        self.checked();
    }

    /// Sets a node's clock so far ahead of the true time, across restarts. What waits is not
    /// changed: timers run on a clock of their own, as everywhere.
    pub fn set_clock_ahead(&self, index: usize, by: Duration) {
        self.did(format_args!("the clock of {index} is {by:?} ahead"));
        let ahead = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.seats()[index].set_clock_ahead_ms(ahead);
    }

    /// Sets a node's clock so far behind the true time; see [`Cluster::set_clock_ahead`].
    pub fn set_clock_behind(&self, index: usize, by: Duration) {
        self.did(format_args!("the clock of {index} is {by:?} behind"));
        let behind = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.seats()[index].set_clock_ahead_ms(-behind);
    }

    /// Lets nothing pass between two groups of nodes, until [`Cluster::heal`].
    pub fn partition(
        &self,
        left: impl IntoIterator<Item = usize>,
        right: impl IntoIterator<Item = usize>,
    ) {
        let (left, right) = (collected(left), collected(right));
        self.did(format_args!("nothing between {left:?} and {right:?}"));
        let keys = (self.keys(&left), self.keys(&right));
        self.network().partition(keys.0, keys.1);
        self.checked();
    }

    /// Lets nothing pass from one group of nodes to another, until [`Cluster::heal`]; the other way
    /// all is well.
    pub fn partition_one_way(
        &self,
        from: impl IntoIterator<Item = usize>,
        to: impl IntoIterator<Item = usize>,
    ) {
        let (from, to) = (collected(from), collected(to));
        self.did(format_args!("nothing from {from:?} to {to:?}"));
        let keys = (self.keys(&from), self.keys(&to));
        self.network().partition_one_way(keys.0, keys.1);
        self.checked();
    }

    /// Lets nothing pass between a node and all other nodes, until [`Cluster::heal`]. Clients still
    /// reach it.
    pub fn isolate(&self, index: usize) {
        let others = (0..self.size()).filter(|other| *other != index);
        self.partition([index], others.collect::<Vec<_>>());
    }

    /// Breaks the links of a node, to nodes and clients. They can be made again at once.
    pub fn cut(&self, index: usize) {
        self.did(format_args!("the links of {index} break"));
        let keys = self.keys(&(0..self.size()).collect::<Vec<_>>());
        for other in keys.into_iter().chain(self.clients()) {
            self.network().cut(self.key(index), other);
        }
        self.checked();
    }

    /// Sets how long everything takes on the network.
    pub fn delay(&self, range: std::ops::RangeInclusive<Duration>) {
        self.did(format_args!("everything takes {range:?}"));
        self.network().delay(range);
    }

    /// Ends all partitions.
    pub fn heal(&self) {
        self.did("all partitions end");
        self.network().heal();
        self.checked();
    }

    /// Puts everything right: network, clocks and disks; what hangs goes on, what is down starts.
    pub async fn mend(&self) {
        self.network().heal();
        self.network().delay(Duration::ZERO..=Duration::ZERO);
        for index in self.members() {
            let seats = self.seats();
            seats[index].disk.heal();
            seats[index].process().go_on();
            drop(seats);
            self.seats()[index].set_clock_ahead_ms(0);
        }
        self.did("everything is put right");
        self.eventually("all nodes run", || async {
            // At once: one may need the others to get on.
            let starting = self.down().into_iter().map(|index| {
                let cluster = self.clone();
                let start = async move { cluster.restart(index).await };
                self.sim().spawn(start)
            });
            for started in starting.collect::<Vec<_>>() {
                if let Err(error) = started.await
                    && error.is_panic()
                {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
            (self.up().len() >= self.members().len()).then_some(())
        })
        .await;
    }

    /// Lets things go wrong, as the seed says, until the storm is told to end.
    pub fn chaos(&self, chaos: Chaos) -> Storm {
        Storm::begin(self.clone(), chaos)
    }
}

impl Cluster {
    async fn token(&self) -> JoinToken {
        self.eventually("a token", || async {
            let node = self.try_node(self.leader_now()?)?;
            node.client().join_token(TOKEN).await.ok()
        })
        .await
    }
}

fn lacks_a_majority(error: &StartError) -> bool {
    let StartError::Collection { source, .. } = error else {
        return false;
    };
    matches!(
        source.code(),
        Code::Unavailable | Code::Busy | Code::DeadlineExceeded | Code::UnknownOutcome
    )
}

fn collected(places: impl IntoIterator<Item = usize>) -> Vec<usize> {
    places.into_iter().collect()
}
