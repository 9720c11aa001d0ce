//! A node's part in the directory: opened before anything else is served, closed after everything.
//!
//! Its tasks: `writes` and `reads` (commands into the log, questions to the leader), `elections` (the
//! node's lease, and what it must clear away), `steward` (the cluster's members), `custodian` (its
//! secret), `roster` (whom the node admits), `touch` (who belongs by now, where the log does not tell),
//! `snapshots`.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: it owns the directory's tasks"
)]

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use data_encoding::BASE32_NOPAD;
use tokio::task::{AbortHandle, JoinHandle};

use super::{
    NodeHandle, StartError,
    preparation::{Entry, Preparation},
};
use crate::{
    client::pool::Pool,
    cluster::{
        self, ClusterService, Custodian, FIRST_SECRET, Folder, JoinArguments, JoinToken,
        MemberRecord, Roster, Secrets, Steward, Touch, Vault, redeem,
    },
    config::{self, Config},
    consensus::{Group, GroupOptions, Member, RaftService, Timing},
    directory::{CollectionSpec, DirectoryService, Replica, Server},
    election::Elections,
    error::{Code, Error},
    id::PublicKey,
    identity::Identity,
    peer::PeersService,
    service::Service,
    storage::{Disk, FsDisk, MemoryDisk, StorageError},
    transport::{Address, Endpoint, Transport, tcp::Tcp},
    watch, world,
};

/// How long a node that stops waits until another leads.
const HAND_OVER: Duration = Duration::from_secs(2);

/// How long a node that is being removed waits to lose its vote.
const LET_GO: Duration = Duration::from_secs(5);

/// Where a node's data is, and of which cluster it is.
pub(super) struct Place {
    disk: Arc<dyn Disk>,
    folder: Folder,
    secrets: Secrets,
    /// The disk is memory: nothing waits for it, and it ends with the node.
    in_memory: bool,
}

impl Place {
    /// Finds the node's data, or makes it: by founding a cluster or joining one. `None` for a node
    /// that keeps no directory.
    pub(super) async fn find(
        prepared: &Preparation,
        transport: &Arc<dyn Transport>,
        key: PublicKey,
        name: &str,
        address: &Address,
    ) -> Result<Option<Self>, StartError> {
        let config = &prepared.config;
        let (disk, in_memory): (Arc<dyn Disk>, bool) =
            match (&prepared.disk, &config.directory.path) {
                (Some(disk), _) => (disk.clone(), disk.in_memory()),
                (None, Some(path)) => {
                    let disk = FsDisk::open(path)
                        .map_err(StorageError::io("open", &path.display().to_string()))?;
                    (Arc::new(disk), false)
                }
                (None, None) => {
                    let is_alone = config.cloud.nodes.iter().all(|node| node.key == key);
                    if !is_alone && matches!(prepared.entry, Entry::Resume) {
                        return Ok(None);
                    }
                    (Arc::new(MemoryDisk::new(world::dice())), true)
                }
            };
        let found = Folder::read(&disk)?;
        let vault = prepared.vault();
        let folder = match (found, &prepared.entry) {
            (Some(folder), _) => folder,
            (None, Entry::Resume) if !in_memory => {
                return Err(StartError::NoCluster {
                    folder: disk.describe(),
                });
            }
            (None, Entry::Resume | Entry::Found) => found_in(&disk, &vault, key, None)?,
            (None, Entry::Join(token)) => {
                let asks = JoinArguments {
                    key,
                    name: name.to_owned(),
                    address: address.clone(),
                    admin: None,
                };
                join_in(&disk, &vault, token, transport, asks).await?
            }
        };
        if folder.key != key {
            return Err(StartError::OtherNode {
                folder: disk.describe(),
                of: folder.key,
                this: key,
            });
        }
        let secrets = Secrets::open(vault, folder.cluster.clone()).map_err(StartError::Secret)?;
        Ok(Some(Self {
            disk,
            folder,
            secrets,
            in_memory,
        }))
    }

    /// Nodes of the cluster, as they were when this one joined.
    pub(super) fn nodes(&self) -> &[Endpoint] {
        &self.folder.nodes
    }
}

/// Makes a cluster: writes into `directory.path` that the node of `config`, which need not run, is
/// its first. The key `admin` gets the role of that name. Returns the cluster's id.
///
/// # Errors
/// [`StartError::InCluster`], [`StartError::Storage`], [`StartError::Identity`].
pub fn found_cluster(config: &Config, admin: Option<PublicKey>) -> Result<String, StartError> {
    let identity = Identity::load_or_create(&config.node.identity)?;
    let disk = fresh_folder(config)?;
    let vault = Vault::beside(&config.node.identity);
    Ok(found_in(&disk, &vault, identity.public(), admin)?.cluster)
}

/// Makes the node of `config`, which does not run yet, a member of the cluster that `token` is for.
/// The key `admin` gets the role of that name. Returns the node's number in the cluster.
///
/// # Errors
/// [`StartError::Join`] if the cluster does not take it, [`StartError::InCluster`],
/// [`StartError::Storage`], [`StartError::Identity`].
pub async fn join_cluster(
    config: &Config,
    token: &JoinToken,
    admin: Option<PublicKey>,
) -> Result<u64, StartError> {
    let identity = Identity::load_or_create(&config.node.identity)?;
    let disk = fresh_folder(config)?;
    let key = identity.public();
    let address = config.node.advertise.as_ref();
    let asks = JoinArguments {
        key,
        name: config.node.name.clone().unwrap_or_else(|| key.short()),
        address: address.unwrap_or(&config.node.listen).clone(),
        admin,
    };
    let transport: Arc<dyn Transport> = Arc::new(Tcp::new(identity));
    let vault = Vault::beside(&config.node.identity);
    let folder = join_in(&disk, &vault, token, &transport, asks).await?;
    Ok(folder.number)
}

/// The folder of `directory.path`, if it is of no cluster yet.
fn fresh_folder(config: &Config) -> Result<Arc<dyn Disk>, StartError> {
    let path = config
        .directory
        .path
        .clone()
        .unwrap_or_else(|| "data".into());
    let disk: Arc<dyn Disk> = Arc::new(
        FsDisk::open(&path).map_err(StorageError::io("open", &path.display().to_string()))?,
    );
    match Folder::read(&disk)? {
        None => Ok(disk),
        Some(folder) => Err(StartError::InCluster {
            folder: disk.describe(),
            cluster: folder.cluster,
        }),
    }
}

fn found_in(
    disk: &Arc<dyn Disk>,
    vault: &Vault,
    key: PublicKey,
    admin: Option<PublicKey>,
) -> Result<Folder, StartError> {
    let mut bits = [0; 16];
    bits[..8].copy_from_slice(&world::dice().to_be_bytes());
    bits[8..].copy_from_slice(&world::dice().to_be_bytes());
    let cluster = BASE32_NOPAD.encode(&bits).to_ascii_lowercase();
    let folder = Folder::founding(cluster, key, admin);
    // First, so that a folder of a cluster always has its secret beside it.
    secrets_in(vault, &folder.cluster)?
        .make(FIRST_SECRET)
        .map_err(StartError::Secret)?;
    folder.write(disk)?;
    Ok(folder)
}

/// A place for the secret of a cluster that this node has just come to.
fn secrets_in(vault: &Vault, cluster: &str) -> Result<Secrets, StartError> {
    vault.make_room().map_err(StartError::Secret)?;
    Secrets::open(vault.clone(), cluster.to_owned()).map_err(StartError::Secret)
}

async fn join_in(
    disk: &Arc<dyn Disk>,
    vault: &Vault,
    token: &JoinToken,
    transport: &Arc<dyn Transport>,
    asks: JoinArguments,
) -> Result<Folder, StartError> {
    let key = asks.key;
    let Some(transport) = transport.proving(token.identity()) else {
        return Err(StartError::Join(Error::new(
            Code::Unsupported,
            "nodes on this transport cannot join with a token",
        )));
    };
    let ticket = redeem(token, transport, asks)
        .await
        .map_err(StartError::Join)?;
    let folder = Folder::joined(ticket.cluster, ticket.number, key, ticket.nodes);
    let secrets = secrets_in(vault, &folder.cluster)?;
    for handed in ticket.secrets {
        secrets.hold(handed).map_err(StartError::Secret)?;
    }
    folder.write(disk)?;
    Ok(folder)
}

/// A node's part in the directory.
pub(super) struct Keeper {
    group: Group,
    server: Server,
    handle: NodeHandle,
    secrets: Arc<Secrets>,
    steward: Mutex<Option<Steward>>,
    removed: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Keeper {
    /// Opens the node's data and takes part in the cluster.
    pub(super) async fn open(
        place: Place,
        config: &Config,
        handle: &NodeHandle,
        address: &Address,
    ) -> Result<Self, StartError> {
        let Place {
            disk,
            folder,
            secrets,
            in_memory,
        } = place;
        let secrets = Arc::new(secrets);
        let replica = Arc::new(Replica::default());
        let group = Group::start(GroupOptions {
            number: folder.number,
            disk,
            state: replica.clone(),
            client: handle.client().clone(),
            timing: timing(config.directory.timing),
            snapshot_after: config.directory.snapshot_after,
            inline: in_memory,
        })
        .await?;
        let me = MemberRecord {
            key: handle.key(),
            name: handle.name().to_owned(),
            address: address.clone(),
            leaving: false,
        };
        if folder.founder {
            let member = Member {
                key: me.key,
                address: address.clone(),
            };
            group.found(member).await.map_err(|error| {
                StorageError::io("found a cluster in", "the log")(std::io::Error::other(error))
            })?;
        }
        let server = Server::new(group.clone(), replica.clone());
        let elections = Elections::new(
            server.clone(),
            handle.key(),
            handle.name().to_owned(),
            config.directory.lease,
        );
        // Set once, here, all of these.
        let _ = handle.shared.elections.set(elections);
        let _ = handle.shared.vitals.replica.set(replica);
        let _ = handle.shared.group.set(group.clone());
        let _ = handle.shared.secrets.set(secrets.clone());
        let steward = Steward {
            server: server.clone(),
            group: group.clone(),
            folder,
            secrets: secrets.clone(),
            me,
            voters_max: config.directory.voters as usize,
        };
        Ok(Self {
            group,
            server,
            handle: handle.clone(),
            secrets,
            steward: Mutex::new(Some(steward)),
            removed: watch::Sender::new(false),
            tasks: Mutex::default(),
        })
    }

    #[cfg(feature = "testing")]
    pub(super) fn group(&self) -> &Group {
        &self.group
    }

    /// True if the directory has this collection as it is declared, as far as this node knows.
    pub(super) fn has(&self, declared: &CollectionSpec) -> bool {
        let replica = self.server.replica();
        replica.read(|state| state.collections().any(|(spec, _)| spec == declared))
    }

    #[cfg(any(feature = "testing", feature = "relay"))]
    pub(super) fn replica(&self) -> &Arc<Replica> {
        self.server.replica()
    }

    /// The services by which nodes and clients use it.
    pub(super) fn services(&self, config: &Config) -> Vec<Arc<dyn Service>> {
        vec![
            Arc::new(PeersService {
                server: self.server.clone(),
                access: config.access.peers,
                peers_max: config.limits.peers,
            }),
            Arc::new(RaftService::new(self.group.clone())),
            Arc::new(DirectoryService(self.server.clone())),
            Arc::new(ClusterService {
                server: self.server.clone(),
                group: self.group.clone(),
                client: self.handle.client().clone(),
                secrets: self.secrets.clone(),
            }),
        ]
    }

    /// Starts its tasks.
    pub(super) fn start(
        &self,
        roster: &Arc<Roster>,
        pool: &Arc<Pool>,
        on_change: impl Fn() + Clone + Send + Sync + 'static,
    ) -> Vec<AbortHandle> {
        let client = self.handle.client().clone();
        let custodian = Custodian {
            server: self.server.clone(),
            group: self.group.clone(),
            client: client.clone(),
            secrets: self.secrets.clone(),
        };
        let steward = self
            .steward
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let mut tasks = vec![
            world::spawn(self.server.clone().run_writes(client.clone())),
            world::spawn(self.server.clone().run_reads(client)),
        ];
        let elections = self.handle.elections().cloned();
        tasks.extend(elections.map(|elections| world::spawn(elections.run())));
        tasks.extend(steward.map(|steward| world::spawn(steward.run())));
        tasks.push(world::spawn(custodian.run()));
        let touch = Touch {
            roster: roster.clone(),
            replica: self.server.replica().clone(),
            pool: Arc::downgrade(pool),
            client: self.handle.client().clone(),
            changed: on_change.clone(),
            trouble: self.handle.shared.trouble.clone(),
        };
        tasks.push(world::spawn(touch.keep()));
        let group = self.group.clone();
        tasks.push(world::spawn(async move { group.keep_short().await }));
        let group = self.group.clone();
        tasks.push(world::spawn(async move { group.keep_time().await }));
        let follow = cluster::follow(
            roster.clone(),
            self.server.replica().clone(),
            Arc::downgrade(pool),
            self.handle.key(),
            on_change,
        );
        let removed = self.removed.clone();
        let group = self.group.clone();
        tasks.push(world::spawn(async move {
            follow.await;
            // While its vote is needed to let it go, it stays.
            let votes = |group: &Group| {
                let view = group.view();
                view.members
                    .get(&group.number())
                    .is_some_and(|at| at.votes)
                    .then_some(view.leads)
            };
            let free = group.wait_for(|group| votes(group).is_none().then_some(()));
            let _ = tokio::time::timeout(LET_GO, free).await;
            let led = group.wait_for(|group| (votes(group) != Some(true)).then_some(()));
            let _ = led.await;
            tracing::warn!("this node has been removed from its cluster");
            removed.send_replace(true);
        }));
        let handles = tasks.iter().map(JoinHandle::abort_handle).collect();
        *self.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
        handles
    }

    /// Waits until the node is no member any more.
    pub(super) async fn removed(&self) {
        let mut removed = self.removed.subscribe();
        if removed.wait_for(|removed| *removed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Lets another node lead, if this one does and there is one that can.
    pub(super) async fn hand_over(&self) {
        let view = self.group.view();
        if !view.leads {
            return;
        }
        let next = view
            .members
            .iter()
            .filter(|(number, at)| **number != self.group.number() && at.votes)
            .max_by_key(|(_, at)| at.matched)
            .map(|(number, _)| *number);
        let Some(next) = next else { return };
        if let Err(error) = self.group.transfer(next).await {
            tracing::warn!(%error, "leadership could not be handed over");
            return;
        }
        let led = tokio::time::timeout(
            HAND_OVER,
            self.group
                .wait_for(|group| (group.leader() == Some(next)).then_some(())),
        );
        match led.await {
            Ok(_) => tracing::info!(to = next, "leadership handed over"),
            Err(_) => tracing::warn!(to = next, "nobody took over leadership in {HAND_OVER:?}"),
        }
    }

    /// Leaves to others what is under way here and needs others, and ends watches.
    pub(super) fn leave(&self) {
        self.group.leave();
    }

    /// Ends the node's part, with everything on disk.
    pub(super) async fn close(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.iter().for_each(JoinHandle::abort);
        self.group.shutdown().await;
    }

    /// Ends the node's part without waiting for it.
    pub(super) fn abandon(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.iter().for_each(JoinHandle::abort);
        if tokio::runtime::Handle::try_current().is_ok() {
            let group = self.group.clone();
            world::spawn(async move { group.shutdown().await });
        }
    }
}

fn timing(profile: config::Timing) -> Timing {
    let millis = Duration::from_millis;
    match profile {
        config::Timing::Lan => Timing {
            // Three of these fit into the shortest time after which a leader is missed. They are most of
            // what a node at rest does.
            heartbeat: millis(120),
            election: millis(150)..millis(300),
        },
        config::Timing::Cloud => Timing {
            heartbeat: millis(200),
            election: millis(400)..millis(800),
        },
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}
