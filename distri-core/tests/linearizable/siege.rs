//! A run of visitors who work on a cluster while things go wrong.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use distri::{
    Client,
    testing::{Chaos, Cluster},
};

use crate::dice::Dice;

/// How long the clients go on when all is well again: long enough to meet what the faults left.
const PEACE: Duration = Duration::from_secs(2);

/// Who takes part in a run, before it begins.
pub(crate) struct Siege {
    cluster: Cluster,
    deeds: usize,
    visitors: Vec<Visitor>,
}

/// Who works on the directory in a run.
pub(crate) struct Visitor {
    pub(crate) number: usize,
    pub(crate) dice: Dice,
    /// `None`: uses the clients of the nodes that run, now this one's, now that one's.
    own: Option<Client>,
    cluster: Cluster,
}

/// Says when it is enough.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Siege {
    /// Nobody yet; `deeds` things will go wrong.
    pub(crate) fn new(cluster: &Cluster, deeds: usize) -> Self {
        Self {
            cluster: cluster.clone(),
            deeds,
            visitors: Vec::new(),
        }
    }

    /// Visitors that come and go with a node, and visitors with clients of their own.
    pub(crate) async fn visitors(&mut self, inside: usize, outside: usize) {
        for number in 0..inside + outside {
            let own = if number < inside {
                None
            } else {
                Some(self.cluster.client().await)
            };
            self.visitors.push(Visitor {
                number,
                dice: Dice::of(self.cluster.sim().seed(), number as u64),
                own,
                cluster: self.cluster.clone(),
            });
        }
    }

    /// Lets every visitor work until enough has gone wrong and all is well again; gives what came of
    /// each.
    pub(crate) async fn run<R, F>(self, work: impl Fn(Visitor, Stop) -> F) -> Vec<R>
    where
        R: Send + 'static,
        F: Future<Output = R> + Send + 'static,
    {
        let sim = self.cluster.sim();
        let stop = Stop::default();
        let workers: Vec<_> = self
            .visitors
            .into_iter()
            .map(|visitor| sim.spawn(work(visitor, stop.clone())))
            .collect();
        let storm = self.cluster.chaos(Chaos::default().deeds(self.deeds));
        storm.pass().await;
        sim.sleep(PEACE).await;
        stop.0.store(true, Ordering::Relaxed);
        let mut done = Vec::new();
        for worker in workers {
            done.push(worker.await.unwrap());
        }
        done
    }
}

impl Visitor {
    /// A client to work with, if there is one now.
    pub(crate) fn client(&mut self) -> Option<Client> {
        self.own.clone().or_else(|| {
            let up = self.cluster.up();
            let node = self.cluster.try_node(*self.dice.pick(&up)?)?;
            Some(node.client())
        })
    }

    /// How long to wait for an answer.
    pub(crate) fn patience(&mut self) -> Duration {
        if self.dice.percent(30) {
            self.dice.millis(50..=400)
        } else {
            self.dice.millis(1000..=3000)
        }
    }

    /// Rests before the next thing.
    pub(crate) async fn pause(&mut self) {
        let pause = self.dice.millis(0..=60);
        tokio::time::sleep(pause).await;
    }
}
