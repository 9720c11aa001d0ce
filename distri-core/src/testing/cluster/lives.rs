//! The processes of a cluster's nodes: how one begins, what is noted of it, and how it ends.

use std::{future::Future, sync::Arc, time::Duration};

use super::{Cluster, PATIENCE};
use crate::{
    Config, Node,
    cluster::JoinToken,
    node::{NodeBuilder, StartError},
    testing::seat::Stands,
    transport::TransportError,
    world,
};

/// Until the tasks of a process that died have let go of its address.
const LET_GO: Duration = Duration::from_millis(5);

/// How a node comes into the cluster for the first time.
pub(super) enum Entry {
    Found,
    Join(JoinToken),
}

impl Cluster {
    /// Starts a process at a place, and a node in it.
    pub(super) async fn begin(
        &self,
        index: usize,
        mut entry: Option<Entry>,
    ) -> Result<(), StartError> {
        let process = {
            let mut seats = self.seats();
            seats[index].begin(self.sim())
        };
        let until = world::now() + PATIENCE;
        let started = loop {
            let builder = self.builder(index);
            let builder = match entry.take() {
                Some(Entry::Found) => builder.found(),
                Some(Entry::Join(token)) => builder.join(token),
                None => builder,
            };
            match Self::within(&process, builder.start()).await {
                Some(Err(StartError::Listen(TransportError::Bind { .. })))
                    if world::now() < until =>
                {
                    world::pause(LET_GO).await;
                }
                started => break started,
            }
        };
        let mut seats = self.seats();
        let seat = &mut seats[index];
        // It may have been killed, or even started again, meanwhile.
        let is_current =
            Arc::ptr_eq(seat.process(), &process) && matches!(seat.stands, Stands::Starting);
        match started {
            Some(Ok(node)) if is_current => {
                seat.stands = Stands::Up(node.clone());
                let number = seat.number;
                drop(seats);
                self.follow(number, &node);
                self.end_when_removed(index, node);
                Ok(())
            }
            Some(Err(error)) if is_current => {
                let _ = seat.die();
                seat.disk.abandon();
                Err(error)
            }
            // Whoever killed it knows.
            Some(_) | None => Ok(()),
        }
    }

    fn builder(&self, index: usize) -> NodeBuilder {
        let recipe = &self.shared.recipe;
        let seats = self.seats();
        let seat = &seats[index];
        let mut config = Config::default();
        config.node.listen = seat.address.clone();
        config.node.name = Some(format!("node-{index}"));
        for change in &recipe.config {
            change(&mut config, index);
        }
        let transport = self.shared.network.transport(seat.identity.clone());
        let mut builder = Node::builder()
            .transport(Arc::new(transport))
            .disk(Arc::new(seat.disk.clone()))
            .vault(seat.vault.clone())
            .config(config);
        if !recipe.linked {
            builder = builder.without_registry();
        }
        drop(seats);
        let steps = recipe.build.iter();
        steps.fold(builder, |builder, step| step(builder, index))
    }

    /// Runs something in a process; `None` if that dies before.
    #[expect(
        clippy::disallowed_methods,
        reason = "a driver: the task ends with its process, or the runtime of the simulation"
    )]
    pub(super) async fn within<F>(
        process: &Arc<world::process::Process>,
        work: F,
    ) -> Option<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = {
            let _entered = process.enter();
            world::spawn(work)
        };
        match task.await {
            Ok(done) => Some(done),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => None,
        }
    }

    /// Notes in which terms a node leads.
    fn follow(&self, number: usize, node: &Node) {
        let Some(group) = node.group() else { return };
        let invariants = self.sim().shared.invariants.clone();
        self.sim().spawn(async move {
            let never: Option<()> = group
                .wait_for(|group| {
                    let view = group.view();
                    if view.leads {
                        invariants.leads(number, view.term);
                    }
                    None
                })
                .await;
            debug_assert!(never.is_none());
        });
    }

    /// Stops a node that has been removed from the cluster, as the program that runs one does.
    fn end_when_removed(&self, index: usize, node: Node) {
        let cluster = self.clone();
        self.sim().spawn(async move {
            node.removed().await;
            let same = cluster
                .try_node(index)
                .is_some_and(|now| now.is_same(&node));
            if same {
                cluster.seats()[index].removed = true;
                cluster.stop(index).await;
            }
        });
    }
}
