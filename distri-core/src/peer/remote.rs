//! [`RemotePeer`]: a peer as others hold it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, broadcast};

use super::{Boot, PeerAddress, PeerError, Presence, course::Course, follow, near::Near, reach};
use crate::{
    client::{Client, pool::Pool},
    error::{Code, Error},
    id::PublicKey,
    signed::{RecordError, Signed},
    world,
};

/// Events that are kept for one who reads them late.
const EVENTS: usize = 64;

/// A peer, wherever it is now. [`Client::peer`] gives one.
///
/// The generated clients work on it as on a client of the cloud. A link is made when it is first asked
/// for, at the addresses that the peer's record in the directory says, and kept; when the record says
/// that the peer has moved or was started anew, the old link is closed and another made. Cheap to clone;
/// the link closes when the last clone, and the last client made of it, are dropped.
///
/// Calls wait a few seconds while a peer that is there is being dialled, and fail at once where the
/// directory knows of no such peer, or says that it is away. Why is in the error's details
/// ([`PeerError`]).
///
/// ```no_run
/// # extern crate distri_core as distri;
/// # #[derive(Default)]
/// # pub struct Greeter;
/// # #[distri::service]
/// # impl Greeter {
/// #     async fn greet(&self, name: String) -> distri::Result<String> { Ok(name) }
/// # }
/// # async fn example(client: distri::Client, key: distri::id::PublicKey) -> distri::Result<()> {
/// let alice = client.peer(key);
/// let greeting = GreeterClient::new(&alice).greet("Bob".into()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RemotePeer {
    client: Client,
    whereabouts: Arc<Whereabouts>,
}

/// How a peer stands, as this program knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerState {
    /// It is being found out.
    Asking,
    /// It is linked, at this address.
    Linked(PeerAddress),
    /// It is there and being dialled.
    Connecting,
    /// It cannot be called, and why.
    Out(PeerError),
}

/// What happened about a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerEvent {
    /// It says something new of itself.
    Announced {
        /// The number of its record.
        seq: u64,
        /// Which of its lives.
        boot: Boot,
    },
    /// The directory has no record of it any more.
    Gone,
    /// A node told a record that is not to be believed; the one known before is kept.
    Refused(RecordError),
    /// A link was made.
    Linked(PeerAddress),
    /// The link ended, and why.
    Unlinked(String),
}

/// What happens about a peer, from when it was asked for.
#[derive(Debug)]
pub struct PeerEvents {
    receiver: broadcast::Receiver<PeerEvent>,
}

impl PeerEvents {
    /// The next event; `None` when nobody holds the peer any more. Whoever reads more than 64 events
    /// late misses the earliest.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<PeerEvent> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// What the tasks of a peer share with those who hold it.
pub(crate) struct Whereabouts {
    course: Mutex<Course>,
    /// What is heard on the local network, if that is listened to.
    near: Option<Arc<Near>>,
    /// Woken when the course changes.
    pub(super) changed: Notify,
    events: broadcast::Sender<PeerEvent>,
}

impl Whereabouts {
    pub(super) fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self, event: PeerEvent) {
        // Mostly nobody listens.
        let _ = self.events.send(event);
    }

    /// The course has changed: whoever waits looks again.
    pub(super) fn wake(&self, pool: &Pool) {
        self.changed.notify_waiters();
        pool.look_again();
    }
}

impl Whereabouts {
    fn new(key: PublicKey, near: Option<Arc<Near>>) -> Arc<Self> {
        Arc::new(Self {
            course: Mutex::new(Course::new(key)),
            near,
            changed: Notify::new(),
            events: broadcast::Sender::new(EVENTS),
        })
    }

    pub(super) fn near(&self) -> Option<&Arc<Near>> {
        self.near.as_ref()
    }

    /// Why no call can be made now.
    pub(crate) fn trouble(&self) -> Error {
        let course = self.course();
        match course.trouble(world::unix_ms()) {
            Some(trouble) => trouble.into(),
            None => {
                let why = match self.near {
                    Some(_) => ", nor heard on the local network",
                    None => "",
                };
                let message = format!("peer {} is not linked yet{why}", course.key().short());
                Error::new(Code::Unavailable, message)
            }
        }
    }

    /// True if waiting for a link brings nothing.
    pub(crate) fn is_hopeless(&self) -> bool {
        let now = world::now();
        let may_be_heard = self.near.as_ref().is_some_and(|near| near.is_settling(now));
        !may_be_heard && self.course().is_hopeless()
    }
}

impl Client {
    /// The peer with this key. It is looked for, and linked, when it is first called, waited for or
    /// asked how it stands; all clones of a client share one link to it.
    ///
    /// A client that holds a peer keeps its own links to the cloud, where it follows the peer's record;
    /// one that listens to its local network follows it there as well.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn peer(&self, key: PublicKey) -> RemotePeer {
        let make = || Whereabouts::new(key, self.pool().near().cloned());
        let pool = self.pool().peer(key, make, |pool, whereabouts| {
            follow::start(self.unscoped(), pool, whereabouts, key);
            reach::start(pool, whereabouts, key);
        });
        let whereabouts = pool.whereabouts().cloned().unwrap_or_else(make);
        RemotePeer {
            client: self.over(pool),
            whereabouts,
        }
    }
}

impl RemotePeer {
    /// The peer's key.
    pub fn key(&self) -> PublicKey {
        self.whereabouts.course().key()
    }

    /// A client whose calls go to this peer and nowhere else.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What the peer last said of itself, checked; `None` if nothing is known. It may be away since:
    /// [`RemotePeer::state`] says.
    pub fn record(&self) -> Option<Signed<Presence>> {
        self.whereabouts.course().record().cloned()
    }

    /// How the peer stands.
    pub fn state(&self) -> PeerState {
        let course = self.whereabouts.course();
        if let Some(address) = course.linked() {
            return PeerState::Linked(address.clone());
        }
        match course.trouble(world::unix_ms()) {
            Some(trouble) => PeerState::Out(trouble),
            None if course.is_present() => PeerState::Connecting,
            None => PeerState::Asking,
        }
    }

    /// Waits until `done` gives something of the peer's state, asked at once and whenever it changes.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn wait_for<R>(&self, mut done: impl FnMut(&PeerState) -> Option<R>) -> R {
        loop {
            let mut changed = std::pin::pin!(self.whereabouts.changed.notified());
            changed.as_mut().enable();
            if let Some(result) = done(&self.state()) {
                return result;
            }
            changed.await;
        }
    }

    /// What happens about the peer from now on.
    pub fn events(&self) -> PeerEvents {
        PeerEvents {
            receiver: self.whereabouts.events.subscribe(),
        }
    }
}

impl From<RemotePeer> for Client {
    fn from(peer: RemotePeer) -> Self {
        peer.client
    }
}

impl From<&RemotePeer> for Client {
    fn from(peer: &RemotePeer) -> Self {
        peer.client.clone()
    }
}

impl fmt::Debug for RemotePeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemotePeer")
            .field("key", &self.key())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
