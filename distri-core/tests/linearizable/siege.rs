//! A run of visitors who work on a cluster while things go wrong.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use distri::{Client, id::PublicKey};

use crate::{
    dice::Dice,
    directory_support::Cluster,
    nemesis::{Doors, Nemesis},
};

/// Who takes part in a run, before it begins.
pub(crate) struct Siege {
    seed: u64,
    deeds: usize,
    doors: Doors,
    /// Clients that are no nodes, which may be cut off as well.
    outside: Vec<PublicKey>,
    visitors: Vec<Visitor>,
}

/// Who works on the directory in a run.
pub(crate) struct Visitor {
    pub(crate) number: usize,
    pub(crate) dice: Dice,
    /// `None`: uses the clients of the nodes, now this one's, now that one's.
    own: Option<Client>,
    doors: Doors,
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
    pub(crate) fn new(seed: u64, deeds: usize) -> Self {
        Self {
            seed,
            deeds,
            doors: Doors::default(),
            outside: Vec::new(),
            visitors: Vec::new(),
        }
    }

    /// This client, which is no visitor, may be cut off too.
    pub(crate) fn may_cut_off(&mut self, client: &Client) {
        self.outside.push(client.key());
    }

    /// Visitors that come and go with a node, and visitors with clients of their own.
    pub(crate) async fn visitors(&mut self, cluster: &Cluster, inside: usize, outside: usize) {
        for number in 0..inside + outside {
            let own = if number < inside {
                None
            } else {
                Some(cluster.new_client().await)
            };
            self.outside.extend(own.as_ref().map(Client::key));
            self.visitors.push(Visitor {
                number,
                dice: Dice::of(self.seed, number as u64),
                own,
                doors: self.doors.clone(),
            });
        }
    }

    /// Lets every visitor work until enough has gone wrong; gives what came of each.
    pub(crate) async fn run<R, F>(
        self,
        cluster: &mut Cluster,
        work: impl Fn(Visitor, Stop) -> F,
    ) -> Vec<R>
    where
        R: Send + 'static,
        F: Future<Output = R> + Send + 'static,
    {
        self.doors.renew(cluster);
        let stop = Stop::default();
        let workers: Vec<_> = self
            .visitors
            .into_iter()
            .map(|visitor| tokio::spawn(work(visitor, stop.clone())))
            .collect();
        let nemesis = Nemesis::new(self.seed, self.doors, self.outside);
        let deeds = nemesis.rage(cluster, self.deeds).await;
        stop.0.store(true, Ordering::Relaxed);
        let mut done = Vec::new();
        for worker in workers {
            done.push(worker.await.unwrap());
        }
        println!("{}", deeds.join("\n"));
        done
    }
}

impl Visitor {
    /// A client to work with, if there is one now.
    pub(crate) fn client(&mut self) -> Option<Client> {
        self.own.clone().or_else(|| self.doors.any(&mut self.dice))
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
