//! Who is in the story: a cloud of three nodes, Alice and Bob, all in this process and each with files,
//! keys and links of its own.

use std::time::Duration;

use distri::{
    cli::{Exit, Failure, Global},
    transport::Endpoint,
};
use distri_services::images::{
    person::{EventLog, Person, PersonEvent, Told},
    record::Handle,
};
use example_stego_cloud::home::{Home, Listening, Online};
use tokio::task::JoinSet;

use super::folder::Folder;
use crate::cloud::Cloud;

/// The nodes.
const NODES: [&str; 3] = ["aspen", "birch", "cedar"];

/// Longer than anything takes that is waited for, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// All of them.
pub(crate) struct Cast {
    pub(crate) cloud: Cloud,
    pub(crate) alice: Actor,
    pub(crate) bob: Actor,
}

/// A person and their program.
pub(crate) struct Actor {
    pub(crate) home: Home,
    online: Option<Running>,
}

struct Running {
    online: Online,
    /// What goes on by itself.
    follows: JoinSet<()>,
}

impl Cast {
    /// Founds the cloud in `folder`; Alice and Bob join it.
    ///
    /// # Errors
    /// If a node or a peer cannot start.
    pub(crate) async fn found(folder: &Folder, global: &Global) -> Result<Self, Failure> {
        let cloud = Cloud::found(&folder.cloud(), &NODES).await?;
        let mut cast = Self::around(cloud, folder, global)?;
        for (actor, handle) in [(&mut cast.alice, "alice"), (&mut cast.bob, "bob")] {
            actor.come().await?;
            actor.follow();
            let handle = Handle::new(handle).map_err(|error| Failure::new(Exit::Failed, error))?;
            actor.person()?.join(&handle).await?;
        }
        Ok(cast)
    }

    /// Starts the nodes again that are in `folder`. Nobody is there yet.
    ///
    /// # Errors
    /// If a node cannot start.
    pub(crate) async fn open(folder: &Folder, global: &Global) -> Result<Self, Failure> {
        let cloud = Cloud::open(&folder.cloud()).await?;
        Self::around(cloud, folder, global)
    }

    fn around(cloud: Cloud, folder: &Folder, global: &Global) -> Result<Self, Failure> {
        let nodes = cloud.endpoints();
        let actor = |handle| Actor::new(folder, handle, &nodes, global);
        Ok(Self {
            alice: actor("alice")?,
            bob: actor("bob")?,
            cloud,
        })
    }

    /// Everybody goes, the cloud last.
    pub(crate) async fn stop(self) {
        let Self { cloud, alice, bob } = self;
        tokio::join!(alice.go(), bob.go());
        cloud.stop().await;
    }
}

impl Actor {
    fn new(
        folder: &Folder,
        handle: &str,
        nodes: &[Endpoint],
        global: &Global,
    ) -> Result<Self, Failure> {
        let home = Home::make(folder.home(handle), nodes, &Listening::default(), global)?;
        Ok(Self { home, online: None })
    }

    /// Starts the person's program: others can fetch from it.
    ///
    /// # Errors
    /// If it cannot start.
    pub(crate) async fn come(&mut self) -> Result<(), Failure> {
        self.online = Some(Running {
            online: self.home.online().await?,
            follows: JoinSet::new(),
        });
        Ok(())
    }

    /// Reads letters as they arrive, from now on, if the person's program runs.
    pub(crate) fn follow(&mut self) {
        if let Some(running) = &mut self.online {
            let person = running.online.person.clone();
            running.follows.spawn(async move { person.follow().await });
        }
    }

    /// Ends the person's program without a word, as when a lid is closed.
    pub(crate) fn vanish(&mut self) {
        self.online = None;
    }

    /// Ends it in good order, if it runs.
    pub(crate) async fn go(mut self) {
        if let Some(mut running) = self.online.take() {
            // What the nodes are asked to tell as it comes is given up first: they would wait for it.
            running.follows.shutdown().await;
            running.online.shutdown().await;
        }
    }

    /// The person, whose program runs.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) fn person(&self) -> Result<&Person, Failure> {
        let away = || Failure::new(Exit::Failed, "the person is away");
        Ok(&self.online.as_ref().ok_or_else(away)?.online.person)
    }

    /// Where the person's program can be dialled.
    pub(crate) fn address(&self) -> String {
        let online = self.online.as_ref();
        let addresses = online.map(|running| running.online.peer.addresses());
        let first = addresses.and_then(|all| Some(all.first()?.address.to_string()));
        first.unwrap_or_else(|| "away".to_owned())
    }

    /// Waits until the cloud knows where the person's program is.
    ///
    /// # Errors
    /// If that takes too long.
    pub(crate) async fn is_known(&self) -> Result<(), Failure> {
        let away = || Failure::new(Exit::Failed, "the person is away");
        let peer = &self.online.as_ref().ok_or_else(away)?.online.peer;
        in_time("the cloud to know where a peer is", peer.wait_announced()).await??;
        Ok(())
    }
}

/// Waits for an event after number `cursor` of which `wanted` gives something.
///
/// # Errors
/// If none comes.
pub(crate) async fn event<T>(
    log: &EventLog,
    mut cursor: u64,
    what: &str,
    wanted: impl Fn(&PersonEvent) -> Option<T>,
) -> Result<T, Failure> {
    let found = async {
        loop {
            match log.after(cursor).await {
                Told::Forgotten { cursor: last } => cursor = last,
                Told::Events {
                    cursor: last,
                    events,
                } => {
                    cursor = last;
                    if let Some(found) = events.iter().find_map(&wanted) {
                        return found;
                    }
                }
            }
        }
    };
    in_time(what, found).await
}

async fn in_time<T>(what: &str, done: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::time::timeout(PATIENCE, done).await.map_err(|_| {
        let message = format!("waited {PATIENCE:?} in vain for {what}");
        Failure::new(Exit::Failed, message)
    })
}
