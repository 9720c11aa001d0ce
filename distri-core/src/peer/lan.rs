//! A program on its local network: it says there where it is, if it is a peer, and hears which peers
//! there are, by multicast DNS service discovery (RFC 6762, RFC 6763; the crate `swarm-discovery`).
//!
//! What is told is the record that stands in the directory, whole and signed, in the TXT record of an
//! instance of `_distri._tcp` (`notice`). Everything else that multicast DNS says, names and addresses
//! of hosts, is for other tools and believed by nobody here. What is heard goes to [`Near`], which
//! checks it.
//!
//! The crate keeps everybody it has heard lately, at most some 3 KiB of each, and answers the later the
//! more they are. So they are counted here, and when there are too many it is stopped, and what it kept
//! is thrown away. IPv4 only.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: the task that listens on the local network"
)]

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use swarm_discovery::{Discoverer, DropGuard, IpClass, Protocol, SpawnError};
use tokio::{runtime::Handle, sync::Notify, task::AbortHandle};

use super::{
    Presence,
    near::{NEIGHBOURS_MAX, Near},
};
use crate::{id::PublicKey, signed::Signed, transport::Address, watch, world};

mod notice;

/// The kind of service, as DNS-SD names it: `_distri._tcp`.
const SERVICE: &str = "distri";

/// Announcements that the crate may keep. More on one network is hostile, and thrown away. Each lets it
/// wait up to 50 ms longer before it answers, and takes up to 3 KiB.
const ANNOUNCEMENTS_MAX: usize = NEIGHBOURS_MAX;

/// How long the network is left alone when what it says was thrown away, or cannot be heard.
const RECESS: Duration = Duration::from_secs(10);

/// How often it is looked whether this machine has other addresses, and what is told is told again.
const CHECK: Duration = Duration::from_secs(5);

/// After so many checks in which nobody was heard, not even the echo of oneself, the sockets are made
/// anew: they may have died with an interface.
const SILENT: u32 = 6;

/// Addresses of this machine that are told at most.
const ADDRESSES: usize = 8;

/// What a program says on its network: nothing, or the newest record of the peer.
pub(crate) type Said = watch::Receiver<Option<Signed<Presence>>>;

/// The local network cannot be listened to.
#[derive(Debug, thiserror::Error)]
#[error("multicast DNS cannot be started")]
pub struct LanError(#[source] SpawnError);

/// Listens until the task is aborted, and says meanwhile what `said` says: on the networks of the
/// addresses `at`, or on all of this machine's.
///
/// # Errors
/// [`LanError`]: another program has the port for itself, or there is no IPv4.
pub(crate) fn start(
    near: Arc<Near>,
    me: PublicKey,
    at: Vec<Ipv4Addr>,
    said: Said,
) -> Result<AbortHandle, LanError> {
    let ear = Ear::open(&near, me, at, said).map_err(LanError)?;
    Ok(world::spawn(run(ear, near)).abort_handle())
}

async fn run(mut ear: Ear, near: Arc<Near>) {
    loop {
        let ended = ear.listen().await;
        near.lock().clear();
        near.changed.notify_waiters();
        if let Ended::Crowded = ended {
            tracing::warn!(
                "more than {ANNOUNCEMENTS_MAX} peers are announced on the local network: it is left \
                 alone for {RECESS:?}"
            );
            ear.guard = None;
            world::pause(RECESS).await;
        }
        while let Err(error) = ear.again(&near) {
            tracing::warn!(%error, "the local network cannot be listened to");
            world::pause(RECESS).await;
        }
    }
}

/// Why it does not go on listening.
enum Ended {
    /// More is announced than is kept.
    Crowded,
    /// Nothing is heard any more.
    Silent,
}

/// The sockets and tasks of the crate. They end with this.
struct Ear {
    me: PublicKey,
    at: Vec<Ipv4Addr>,
    said: Said,
    guard: Option<DropGuard>,
    heard: Arc<Heard>,
    /// The addresses of this machine, as the crate has been told.
    own: Vec<Ipv4Addr>,
}

/// What the crate's callback tells.
#[derive(Default)]
struct Heard {
    /// How often anything was heard.
    sounds: AtomicU64,
    crowded: Notify,
}

impl Ear {
    fn open(
        near: &Arc<Near>,
        me: PublicKey,
        at: Vec<Ipv4Addr>,
        said: Said,
    ) -> Result<Self, SpawnError> {
        let mut ear = Self {
            me,
            at,
            said,
            guard: None,
            heard: Arc::default(),
            own: Vec::new(),
        };
        ear.again(near)?;
        Ok(ear)
    }

    /// Makes sockets and tasks anew.
    fn again(&mut self, near: &Arc<Near>) -> Result<(), SpawnError> {
        self.guard = None;
        self.heard = Arc::default();
        self.own = own(&self.at);
        let guard = Discoverer::new_interactive(SERVICE.to_owned(), self.me.to_string())
            .with_protocol(Protocol::Tcp)
            .with_ip_class(IpClass::V4Only)
            .with_multicast_interfaces_v4(self.own.clone())
            .with_callback(callback(near.clone(), self.heard.clone()))
            .spawn(&Handle::current())?;
        self.guard = Some(guard);
        self.tell();
        Ok(())
    }

    /// Listens and tells until that does not go on.
    async fn listen(&mut self) -> Ended {
        // A program that is no peer never says anything.
        let mut speaks = true;
        let mut silent = 0;
        let mut sounds = 0;
        loop {
            tokio::select! {
                biased;
                () = self.heard.crowded.notified() => return Ended::Crowded,
                changed = self.said.changed(), if speaks => {
                    speaks = changed.is_ok();
                    self.tell();
                }
                () = world::pause(CHECK) => {
                    let former = std::mem::replace(
                        &mut sounds,
                        self.heard.sounds.load(Ordering::Relaxed),
                    );
                    silent = if former == sounds { silent + 1 } else { 0 };
                    if silent >= SILENT {
                        return Ended::Silent;
                    }
                    self.roam();
                    // What the crate was told it may have dropped, if it was busy.
                    self.tell();
                }
            }
        }
    }

    /// Says what there is to say.
    fn tell(&mut self) {
        let record = self.said.borrow_and_update().clone();
        let (Some(record), Some(guard)) = (record, &self.guard) else {
            return;
        };
        let properties = match notice::write(&record) {
            Ok(properties) => properties,
            Err(error) => {
                tracing::warn!(%error, "the peer is not announced on the local network");
                guard.remove_all();
                return;
            }
        };
        let addresses = self.own.iter().copied().map(IpAddr::V4).collect();
        guard.add(port(record.unchecked()), addresses);
        for (name, value) in properties {
            match value {
                Some(value) => {
                    // Each is shorter than a string of DNS may be.
                    let _ = guard.set_txt_attribute(name.to_owned(), Some(value));
                }
                None => guard.remove_txt_attribute(name.to_owned()),
            }
        }
    }

    /// Looks whether this machine has other addresses than before.
    fn roam(&mut self) {
        let now = own(&self.at);
        let former = std::mem::replace(&mut self.own, now);
        let Some(guard) = &self.guard else { return };
        if former == self.own {
            return;
        }
        for gone in former.iter().filter(|ip| !self.own.contains(ip)) {
            guard.remove_interface_v4(*gone);
            guard.remove_addr(IpAddr::V4(*gone));
        }
        for come in self.own.iter().filter(|ip| !former.contains(ip)) {
            guard.add_interface_v4(*come);
        }
    }
}

/// What the crate calls for each announcement that comes, known or not, and when one has ended.
fn callback(
    near: Arc<Near>,
    heard: Arc<Heard>,
) -> impl FnMut(&str, &swarm_discovery::Peer) + Send + 'static {
    let mut kept = HashSet::new();
    move |name, found| {
        heard.sounds.fetch_add(1, Ordering::Relaxed);
        let news = if found.is_expiry() {
            kept.remove(name);
            near.lock().lost(name)
        } else {
            if !kept.contains(name) {
                if kept.len() >= ANNOUNCEMENTS_MAX {
                    heard.crowded.notify_one();
                    return;
                }
                kept.insert(name.to_owned());
            }
            let record = notice::read(|part| found.txt_attribute(part).flatten());
            let news = record
                .map_err(|error| error.to_string())
                .and_then(|record| {
                    let heard = near.lock().heard(name, record);
                    heard.map_err(|error| error.to_string())
                });
            news.unwrap_or_else(|why| {
                tracing::debug!(
                    name,
                    why,
                    "an announcement on the local network is not believed"
                );
                false
            })
        };
        if news {
            near.changed.notify_waiters();
        }
    }
}

/// The port that is told to other tools: that of the first address which has one.
fn port(presence: &Presence) -> u16 {
    let ports = presence
        .addresses
        .iter()
        .filter_map(|at| at.address.as_str().rsplit_once(':')?.1.parse().ok());
    ports.into_iter().next().unwrap_or_default()
}

/// The addresses of this machine on its networks: those of `at`, or all. On none, itself.
fn own(at: &[Ipv4Addr]) -> Vec<Ipv4Addr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "this machine does not say which addresses it has");
        Vec::new()
    });
    let here = interfaces
        .iter()
        .filter_map(|interface| match interface.ip() {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        });
    let is_meant = |ip: &Ipv4Addr| match at {
        [] => !ip.is_loopback(),
        at => at.contains(ip),
    };
    let mut ips: Vec<Ipv4Addr> = here.filter(is_meant).collect();
    // In an order that does not change by itself.
    ips.sort_unstable();
    ips.dedup();
    ips.truncate(ADDRESSES);
    if ips.is_empty() && at.is_empty() {
        ips.push(Ipv4Addr::LOCALHOST);
    }
    ips
}

/// Where others on its networks dial what listens at the wildcard `address`, if it is one.
pub(super) fn spread(address: &Address, at: &[Ipv4Addr]) -> Option<Vec<Address>> {
    let port = address.as_str().strip_prefix("0.0.0.0:")?;
    let written = own(at)
        .into_iter()
        .map(|ip| Address::new(format!("{ip}:{port}")));
    Some(written.collect())
}
