//! Gossip in the world: its one task sends packets, keeps time and looks how the node stands; the
//! service takes in what others send.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: it owns the gossip's task and its messages under way"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::{sync::Notify, task::JoinSet, time::Instant};

use super::{
    Member, MemberLoad, MemberState,
    entry::{About, Entry},
    gossip::{Gossip, States},
    protocol::{COMPARE, Compare, Compared, GOSSIP, MEMBERS, Nothing, Packet, descriptor},
};
use crate::{
    client::Client,
    error::{Error, Result},
    id::PublicKey,
    service::{Context, Reply, Request, Service, ServiceDescriptor},
    transport::Address,
    watch, world,
};

/// How often a node looks how it stands itself. What has changed is told with the next packets.
const LOOK: Duration = Duration::from_millis(500);

/// How long it waits with that for something else to wake it, which probes do every half second.
const LOOK_LATE: Duration = Duration::from_millis(100);

/// How long a packet may be under way. One that comes later says nothing any more.
const PACKET_TIME: Duration = Duration::from_secs(1);

/// How long another node may take to compare.
const COMPARE_TIME: Duration = Duration::from_secs(5);

/// Packets under way at once. Those above it are dropped, as a network would: others will carry
/// the news.
const UNDER_WAY: usize = 256;

/// How long a node that goes waits until those it tells have heard it.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// How a node stands, which it says of itself.
///
/// It is told the time, and by how much the node's timer was late.
pub(crate) type Standing =
    Box<dyn Fn(Instant, Duration) -> Option<(About, MemberLoad)> + Send + Sync>;

/// What a node knows of the members of its cloud. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Membership {
    shared: Arc<Shared>,
}

struct Shared {
    gossip: Mutex<Gossip>,
    /// A packet came, or the members changed: there may be something to send.
    stirred: Notify,
    /// What each other member is, whenever that changes.
    states: watch::Sender<States>,
}

impl Membership {
    /// A node that knows nobody but itself.
    pub(crate) fn new(key: PublicKey, name: &str, address: &Address) -> Self {
        let about = About {
            name: name.to_owned(),
            address: address.clone(),
            program: crate::client::program(),
            draining: false,
            services: Vec::new(),
        };
        let gossip = Gossip::new(world::now(), key, world::unix_ms(), world::dice(), about);
        Self {
            shared: Arc::new(Shared {
                gossip: Mutex::new(gossip),
                stirred: Notify::new(),
                states: watch::Sender::default(),
            }),
        }
    }

    fn gossip(&self) -> MutexGuard<'_, Gossip> {
        self.shared
            .gossip
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on these are the members.
    pub(crate) fn set_members(&self, members: BTreeSet<PublicKey>) {
        self.gossip().set_members(world::now(), members);
        self.shared.stirred.notify_one();
    }

    /// All members as this node sees them, sorted by key.
    pub(crate) fn members(&self) -> Vec<Member> {
        self.gossip().members(world::now())
    }

    /// Tells whenever a member comes, goes, or is another than it was.
    pub(crate) fn states(&self) -> watch::Receiver<States> {
        self.shared.states.subscribe()
    }

    /// The service by which others reach it.
    pub(crate) fn service(&self) -> Arc<dyn Service> {
        Arc::new(MembershipService(self.clone()))
    }

    /// Takes part until dropped. `standing` gives nothing once the node has stopped.
    pub(crate) async fn run(self, client: Client, standing: Standing) {
        // Polled here rather than as tasks: a packet, of which a node at rest sends several a second, wakes
        // no other thread.
        let mut under_way = FuturesUnordered::<Pin<Box<dyn Future<Output = ()> + Send>>>::new();
        let mut look = world::now();
        let mut late = Duration::ZERO;
        loop {
            let now = world::now();
            if look <= now {
                look = now + LOOK;
                let Some((about, load)) = standing(now, std::mem::take(&mut late)) else {
                    return;
                };
                self.gossip().say(now, about, load);
            }
            let (packets, compare, next) = {
                let mut gossip = self.gossip();
                gossip.tick(now);
                gossip.look_soon(now);
                let compare = gossip.compare_with(now);
                let packets: Vec<_> = gossip.packets().collect();
                (packets, compare, gossip.next())
            };
            self.publish(now);
            for (to, packet) in packets {
                if under_way.len() < UNDER_WAY {
                    under_way.push(Box::pin(send(client.clone(), to, packet)));
                }
            }
            if let Some((with, digest)) = compare {
                let compare = compare_with(self.clone(), client.clone(), with, digest);
                under_way.push(Box::pin(compare));
            }
            let next = next.min(look + LOOK_LATE);
            tokio::select! {
                biased;
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
                () = self.shared.stirred.notified() => {}
                () = tokio::time::sleep_until(next) => {
                    late = late.max(world::now().saturating_duration_since(next));
                }
            }
        }
    }

    fn publish(&self, now: Instant) {
        let states = self.gossip().states(now);
        // Most packets change nothing.
        if Arc::ptr_eq(&self.shared.states.borrow(), &states) {
            return;
        }
        self.shared.states.send_if_modified(|known| {
            let changed = *known != states;
            if changed {
                tell(known, &states);
            }
            *known = states;
            changed
        });
    }

    /// Tells some that this node goes, and `about` it that it drains.
    pub(crate) async fn leave(&self, client: &Client, about: About) {
        let packets: Vec<_> = {
            let mut gossip = self.gossip();
            let now = world::now();
            gossip.say(now, about, MemberLoad::default());
            gossip.leave(now);
            gossip.packets().collect()
        };
        let mut under_way = JoinSet::new();
        for (to, packet) in packets {
            world::spawn_in(&mut under_way, send(client.clone(), to, packet));
        }
        // Whoever does not hear it will notice.
        let told = async { while under_way.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_WORDS, told).await;
    }
}

/// Logs who came and who went.
fn tell(known: &BTreeMap<PublicKey, MemberState>, now: &BTreeMap<PublicKey, MemberState>) {
    for (key, state) in now {
        let before = known.get(key);
        if before == Some(state) {
            continue;
        }
        let node = key.short();
        match state {
            MemberState::Alive => tracing::info!(node, "node is there"),
            MemberState::Suspect => tracing::info!(node, "node does not answer"),
            MemberState::Down => tracing::warn!(node, "node is down"),
            MemberState::Left => tracing::info!(node, "node has left"),
            MemberState::Unknown => {}
        }
    }
}

async fn send(client: Client, to: PublicKey, packet: Bytes) {
    let sent = client
        .call::<_, Nothing>(descriptor(), GOSSIP, Packet { packet })
        .to(to)
        .timeout(PACKET_TIME);
    if let Err(error) = sent.await {
        tracing::trace!(to = to.short(), %error, "a packet of gossip did not arrive");
    }
}

async fn compare_with(membership: Membership, client: Client, with: PublicKey, digest: u64) {
    let asked = client
        .call::<_, Compared>(descriptor(), COMPARE, Compare { digest })
        .to(with)
        .timeout(COMPARE_TIME);
    let compared = match asked.into_future().await {
        Ok(compared) => compared,
        Err(error) => {
            tracing::trace!(with = with.short(), %error, "what is known could not be compared");
            return;
        }
    };
    match postcard::from_bytes::<Vec<Entry>>(&compared.entries) {
        Ok(entries) => {
            membership.gossip().learn(world::now(), entries);
            membership.shared.stirred.notify_one();
        }
        // A node of a newer version may say more than this one understands.
        Err(error) => tracing::debug!(with = with.short(), %error, "what it knows does not decode"),
    }
}

/// The service.
struct MembershipService(Membership);

#[async_trait]
impl Service for MembershipService {
    fn descriptor(&self) -> &'static ServiceDescriptor {
        descriptor()
    }

    async fn call(self: Arc<Self>, cx: Context, mut request: Request) -> Result<Reply> {
        let membership = &self.0;
        match request.method() {
            GOSSIP => {
                let Packet { packet } = request.arguments()?;
                let heard = membership
                    .gossip()
                    .hear(world::now(), cx.caller().key, &packet);
                membership.shared.stirred.notify_one();
                heard.map_err(Error::invalid_argument)?;
                request.reply(&Nothing {})
            }
            COMPARE => {
                let Compare { digest } = request.arguments()?;
                let entries = membership.gossip().entries_for(digest);
                let entries = postcard::to_stdvec(&entries)
                    .map_err(|error| Error::internal("the entries do not encode", error))?;
                request.reply(&Compared {
                    entries: entries.into(),
                })
            }
            MEMBERS => {
                let Nothing {} = request.arguments()?;
                request.reply(&membership.members())
            }
            _ => Err(request.unknown_method()),
        }
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership").finish_non_exhaustive()
    }
}
