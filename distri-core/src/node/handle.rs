//! [`NodeHandle`]: what services know of the node that hosts them.

#![cfg_attr(
    feature = "host",
    expect(
        clippy::disallowed_methods,
        reason = "a driver: it owns the tasks of the node's services"
    )
)]

use std::sync::Arc;
#[cfg(feature = "node")]
use std::sync::OnceLock;
#[cfg(feature = "host")]
use std::{
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
};

#[cfg(feature = "host")]
use tokio::task::AbortHandle;

#[cfg(feature = "node")]
use super::vitals::Vitals;
#[cfg(feature = "host")]
use crate::world;
use crate::{client::Client, id::PublicKey};
#[cfg(feature = "node")]
use crate::{
    cluster::{Secrets, Trouble},
    consensus::Group,
    election::{Elections, seen::SeenFences},
    membership::{Member, Membership},
    service::Role,
};
use crate::{error::Result, fence::Fences, service::Caller};

/// What services know of the node that hosts them: who it is, and a client for calls to others.
///
/// Cheap to clone. It does not keep the node running.
#[derive(Clone, Debug)]
pub struct NodeHandle {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) key: PublicKey,
    pub(super) name: String,
    pub(super) client: Client,
    /// What it counts of itself.
    #[cfg(feature = "node")]
    pub(super) vitals: Arc<Vitals>,
    /// The node's part in the cluster, once it has one.
    #[cfg(feature = "node")]
    pub(super) group: OnceLock<Group>,
    /// What it knows of the members of its cloud, once it takes part.
    #[cfg(feature = "node")]
    pub(super) membership: OnceLock<Membership>,
    /// What keeps it from its cluster.
    #[cfg(feature = "node")]
    pub(super) trouble: Trouble,
    /// Its part in elections, if it keeps a directory.
    #[cfg(feature = "node")]
    pub(super) elections: OnceLock<Elections>,
    /// What it knows of its cluster's secret, if it keeps a directory.
    #[cfg(feature = "node")]
    pub(super) secrets: OnceLock<Arc<Secrets>>,
    /// The latest fences that came with calls of nodes.
    #[cfg(feature = "node")]
    pub(super) seen: Mutex<SeenFences>,
    /// Those of its services.
    #[cfg(feature = "host")]
    pub(super) tasks: Tasks,
}

impl NodeHandle {
    /// The node's key.
    pub fn key(&self) -> PublicKey {
        self.shared.key
    }

    /// The node's name, for people.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// A client for calls to services of the cloud, this node's own among them.
    pub fn client(&self) -> &Client {
        &self.shared.client
    }

    /// The directory of the cloud.
    pub fn directory(&self) -> crate::directory::Directory {
        self.client().directory()
    }
}

#[cfg(feature = "peer")]
impl NodeHandle {
    /// What services know of a peer that hosts them.
    pub(crate) fn of_peer(key: PublicKey, name: String, client: Client) -> Self {
        let shared = Shared {
            key,
            name,
            client,
            #[cfg(feature = "node")]
            vitals: Arc::new(Vitals::new(world::now())),
            #[cfg(feature = "node")]
            group: OnceLock::new(),
            #[cfg(feature = "node")]
            membership: OnceLock::new(),
            #[cfg(feature = "node")]
            trouble: Trouble::default(),
            #[cfg(feature = "node")]
            elections: OnceLock::new(),
            #[cfg(feature = "node")]
            secrets: OnceLock::new(),
            #[cfg(feature = "node")]
            seen: Mutex::default(),
            tasks: Tasks::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

#[cfg(feature = "node")]
impl NodeHandle {
    pub(crate) fn elections(&self) -> Option<&Elections> {
        self.shared.elections.get()
    }

    /// Refuses a call that is made under a leadership of which this node knows that it is over.
    pub(crate) fn check_fences(&self, fences: &Fences, caller: &Caller) -> Result<()> {
        let fences = fences.as_slice();
        if fences.is_empty() {
            return Ok(());
        }
        if let Some(elections) = self.elections() {
            elections.check(fences)?;
        }
        let mut seen = self
            .shared
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        seen.check(fences)?;
        // Others could make one up that nobody could ever outdo.
        if caller.role == Role::Node {
            seen.note(fences);
        }
        Ok(())
    }
}

#[cfg(not(feature = "node"))]
impl NodeHandle {
    /// Who hosts nothing refuses nothing.
    pub(crate) fn check_fences(&self, _: &Fences, _: &Caller) -> Result<()> {
        Ok(())
    }
}

#[cfg(feature = "node")]
impl NodeHandle {
    /// The node that leads the cluster, as far as this one knows; `None` while there is none, and
    /// where no directory is kept.
    pub fn leader(&self) -> Option<PublicKey> {
        let group = self.shared.group.get()?;
        Some(group.member(group.leader()?)?.key)
    }

    /// What keeps this node from its cluster, and what to do about it, if it cannot help itself.
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble.borrow().clone()
    }

    /// Waits until the node that leads is another than `known`, and tells which.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn leader_changed(&self, known: Option<PublicKey>) -> Option<PublicKey> {
        let Some(group) = self.shared.group.get() else {
            return std::future::pending().await;
        };
        let changed = group.wait_for(|_| {
            let leader = self.leader();
            (leader != known).then_some(leader)
        });
        match changed.await {
            Some(leader) => leader,
            None => std::future::pending().await,
        }
    }
}

#[cfg(feature = "node")]
impl NodeHandle {
    /// The members of the cloud as this node sees them, sorted by key; itself among them.
    pub fn members(&self) -> Vec<Member> {
        let membership = self.shared.membership.get();
        membership.map_or_else(Vec::new, Membership::members)
    }

    /// Waits until `done` gives something of the members, asked at once and then whenever one
    /// comes, goes, or is another than it was.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn wait_for_members<R>(&self, mut done: impl FnMut(&[Member]) -> Option<R>) -> R {
        let Some(membership) = self.shared.membership.get() else {
            return std::future::pending().await;
        };
        let mut states = membership.states();
        loop {
            states.borrow_and_update();
            if let Some(result) = done(&membership.members()) {
                return result;
            }
            if states.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

/// Tasks that end with the node.
#[cfg(feature = "host")]
#[derive(Debug, Default)]
pub(super) struct Tasks {
    started: Mutex<Started>,
    /// That of the node, whoever starts a task for it.
    #[cfg(feature = "testing")]
    process: Process,
}

#[cfg(feature = "testing")]
#[derive(Debug)]
struct Process(Option<Arc<world::process::Process>>);

#[cfg(feature = "testing")]
impl Default for Process {
    fn default() -> Self {
        Self(world::process::current())
    }
}

#[cfg(feature = "host")]
#[derive(Debug, Default)]
struct Started {
    running: Vec<AbortHandle>,
    /// The node has stopped.
    over: bool,
    /// How many there may be before those that have ended are sorted out.
    tidy_at: usize,
}

#[cfg(feature = "host")]
impl Tasks {
    fn lock(&self) -> MutexGuard<'_, Started> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self, task: AbortHandle) {
        let mut started = self.lock();
        if started.over {
            task.abort();
            return;
        }
        if started.running.len() >= started.tidy_at {
            started.running.retain(|task| !task.is_finished());
            started.tidy_at = 64.max(2 * started.running.len());
        }
        started.running.push(task);
    }

    fn stop(&self) {
        let mut started = self.lock();
        started.over = true;
        started.running.drain(..).for_each(|task| task.abort());
    }
}

#[cfg(feature = "host")]
impl NodeHandle {
    /// Starts a task that ends with the node at the latest: when it is shut down, after the last
    /// call and after services have been told to stop; or at once when it is dropped.
    ///
    /// For what a service does besides answering calls. (`tokio::spawn` makes tasks that outlive
    /// the node, which shows in tests that start and stop nodes in one process.)
    pub fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        #[cfg(feature = "testing")]
        let _entered = self
            .shared
            .tasks
            .process
            .0
            .as_ref()
            .map(|node| node.enter());
        let task = world::spawn(task);
        self.shared.tasks.own(task.abort_handle());
        task
    }

    /// Ends the tasks of services, and those that are started from now on.
    pub(crate) fn stop_tasks(&self) {
        self.shared.tasks.stop();
    }
}

impl From<&NodeHandle> for Client {
    fn from(node: &NodeHandle) -> Self {
        node.client().clone()
    }
}
