//! A cloud of several nodes in this process: real nodes on real sockets, linked over TLS, each with its
//! part of the directory in a folder of its own. They share nothing but the process, so one can be
//! killed, and all of them can be started again, also as programs of their own.
//!
//! ```text
//! FOLDER/node-1/distri.toml   name, address, where the others are: `node --config` runs it alone
//! FOLDER/node-1/node.key      who it is; the cluster's secret lies beside it
//! FOLDER/node-1/data          its part of the directory
//! ```

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use distri::{
    Config, Node,
    cli::{Exit, Failure},
    cluster::{JoinToken, NodeRole},
    node::StartError,
    transport::{Address, Endpoint},
};
use tokio::{task::JoinSet, time::Instant};

use crate::files;

/// Longer than any start takes on a busy machine.
const START: Duration = Duration::from_secs(30);

/// How long is waited before it is looked again.
const AGAIN: Duration = Duration::from_millis(10);

/// How long a node that stops waits for its calls: all that are long are those that wait for news.
const DRAIN: Duration = Duration::from_secs(1);

/// How long a token is good for.
const TOKEN: Duration = Duration::from_secs(60);

/// Nodes that run in this process, or did.
pub(crate) struct Cloud {
    seats: Vec<Seat>,
}

/// A node, also while it does not run.
struct Seat {
    name: String,
    folder: PathBuf,
    endpoint: Endpoint,
    node: Option<Node>,
}

impl Cloud {
    /// Founds a cloud in `folder`, with one node for each name, on free ports of this machine. All of
    /// them vote when it is there.
    ///
    /// # Errors
    /// [`StartError`] of the first node that cannot start; if they do not come together in 30 s.
    pub(crate) async fn found(folder: &Path, names: &[&str]) -> Result<Self, Failure> {
        let mut cloud = Self { seats: Vec::new() };
        for (name, number) in names.iter().zip(1..) {
            let folder = folder.join(format!("node-{number}"));
            files::make_folder(&folder)?;
            let builder = Node::builder().config(config(&folder, name));
            let builder = match cloud.seats.first() {
                None => builder.found(),
                Some(first) => builder.join(first.token().await?),
            };
            let node = builder.start().await?;
            cloud.seats.push(Seat {
                name: (*name).to_owned(),
                folder,
                endpoint: node.endpoint(),
                node: Some(node),
            });
        }
        cloud.wait_until_whole().await?;
        let endpoints = cloud.endpoints();
        for seat in &cloud.seats {
            let text = seat.config_text(&endpoints);
            files::write(&seat.folder.join("distri.toml"), text.as_bytes())?;
        }
        Ok(cloud)
    }

    /// Starts the nodes again that [`Cloud::found`] left in `folder`, where they were.
    ///
    /// # Errors
    /// [`StartError`], as when one of the ports is taken; if they do not come together in 30 s.
    pub(crate) async fn open(folder: &Path) -> Result<Self, Failure> {
        let mut starting = JoinSet::new();
        for number in 1.. {
            let folder = folder.join(format!("node-{number}"));
            let file = folder.join("distri.toml");
            if !file.is_file() {
                break;
            }
            let config = Config::loader().file(&file).load()?;
            starting.spawn(async move { (number, folder, Node::start(config).await) });
        }
        let mut seats = Vec::new();
        // All at once: each waits for a majority.
        for (number, folder, node) in starting.join_all().await {
            let node = node?;
            let seat = Seat {
                name: node.name().to_owned(),
                folder,
                endpoint: node.endpoint(),
                node: Some(node),
            };
            seats.push((number, seat));
        }
        if seats.is_empty() {
            let message = format!("there are no nodes in `{}`", folder.display());
            return Err(Failure::new(Exit::Usage, message));
        }
        seats.sort_by_key(|(number, _)| *number);
        let cloud = Self {
            seats: seats.into_iter().map(|(_, seat)| seat).collect(),
        };
        cloud.wait_until_whole().await?;
        Ok(cloud)
    }

    /// Where all nodes are, those too that do not run.
    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        self.seats
            .iter()
            .map(|seat| seat.endpoint.clone())
            .collect()
    }

    /// The nodes that run.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.seats.iter().filter_map(|seat| seat.node.as_ref())
    }

    /// Where the nodes keep their parts of the directory.
    pub(crate) fn data(&self) -> impl Iterator<Item = PathBuf> {
        self.seats.iter().map(|seat| seat.folder.join("data"))
    }

    /// Takes the node away that leads the directory, without warning: its links close, what it was
    /// doing is lost. Gives its place and its name; `None` while nobody leads.
    pub(crate) fn kill_the_leader(&mut self) -> Option<(usize, String)> {
        let leader = self.nodes().find_map(|node| node.handle().leader())?;
        let place = self
            .seats
            .iter()
            .position(|seat| seat.endpoint.key == leader)?;
        // The last handle of a node stops it where it stands.
        drop(self.seats[place].node.take());
        Some((place, self.seats[place].name.clone()))
    }

    /// Starts the node at `place` again, which comes back with what it had on disk, and waits until it
    /// has got what it missed.
    ///
    /// # Errors
    /// As [`Cloud::open`].
    pub(crate) async fn start_again(&mut self, place: usize) -> Result<(), Failure> {
        let seat = &mut self.seats[place];
        if seat.node.is_none() {
            let config = Config::loader()
                .file(seat.folder.join("distri.toml"))
                .load()?;
            let deadline = Instant::now() + START;
            // Whoever had its folder and its port before is about to let go of them.
            seat.node = Some(loop {
                match Node::start(config.clone()).await {
                    Err(StartError::Storage(_) | StartError::Listen(_))
                        if Instant::now() < deadline => {}
                    other => break other?,
                }
                tokio::time::sleep(AGAIN).await;
            });
        }
        self.wait_until_whole().await
    }

    /// Waits until every node that runs is linked and up to date, and votes.
    async fn wait_until_whole(&self) -> Result<(), Failure> {
        let running = self.nodes().count();
        let deadline = Instant::now() + START;
        while !self.is_whole(running).await {
            if Instant::now() > deadline {
                let message = format!("{running} nodes did not come together within {START:?}");
                return Err(Failure::new(Exit::Failed, message));
            }
            tokio::time::sleep(AGAIN).await;
        }
        Ok(())
    }

    async fn is_whole(&self, running: usize) -> bool {
        let Some(node) = self.nodes().next() else {
            return true;
        };
        let Ok(info) = node.client().cluster().await else {
            return false;
        };
        let is_ready = |node: &&distri::cluster::NodeInfo| {
            matches!(node.role, NodeRole::Leader | NodeRole::Voter) && node.lag == Some(0)
        };
        info.nodes.iter().filter(is_ready).count() == running
            && self.nodes().all(|node| node.handle().leader().is_some())
    }

    /// Stops the nodes that run in good order.
    pub(crate) async fn stop(self) {
        let mut stopping = JoinSet::new();
        for node in self.seats.into_iter().filter_map(|seat| seat.node) {
            stopping.spawn(async move { node.shutdown().await });
        }
        stopping.join_all().await;
    }
}

impl Seat {
    /// A token for one more node.
    async fn token(&self) -> Result<JoinToken, Failure> {
        let node = self.node.as_ref().ok_or_else(|| {
            Failure::new(Exit::Failed, format!("the node {} does not run", self.name))
        })?;
        Ok(node.client().join_token(TOKEN).await?)
    }

    fn config_text(&self, nodes: &[Endpoint]) -> String {
        let mut list = String::new();
        for node in nodes {
            // Writing to a string does not fail.
            let _ = writeln!(list, "    \"{node}\",");
        }
        format!(
            "# A node of the cloud of the demonstration. `config show` prints every other setting.\n\
             \n\
             [node]\n\
             name = \"{}\"\n\
             listen = \"{}\"\n\
             identity = \"node.key\"\n\
             \n\
             [directory]\n\
             path = \"data\"\n\
             \n\
             [limits]\n\
             drain = \"{}s\"\n\
             \n\
             [cloud]\n\
             nodes = [\n{list}]\n",
            self.name,
            self.endpoint.address,
            DRAIN.as_secs(),
        )
    }
}

fn config(folder: &Path, name: &str) -> Config {
    let mut config = Config::default();
    config.node.name = Some(name.to_owned());
    config.node.listen = Address::new("127.0.0.1:0");
    config.node.identity = folder.join("node.key");
    config.directory.path = Some(folder.join("data"));
    config.limits.drain = DRAIN;
    config
}
