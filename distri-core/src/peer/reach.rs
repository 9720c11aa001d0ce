//! Keeps a link to a peer: dials its addresses, several at once if need be, and lets go of a link that
//! goes to the wrong place.

#![expect(
    clippy::disallowed_methods,
    reason = "a driver: the task that keeps the link to a peer"
)]

use std::{
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::task::JoinSet;

use super::{
    PeerAddress,
    course::Aim,
    error::Tried,
    remote::{PeerEvent, Whereabouts},
};
use crate::{
    client::pool::Pool,
    id::PublicKey,
    rpc::Link,
    transport::{Endpoint, Transport},
    world,
};

/// After so long without an answer the next address is dialled as well (as RFC 8305 has it). Shorter
/// wastes dials, longer makes an address that swallows packets cost more.
const STAGGER: Duration = Duration::from_millis(250);

/// Pauses before a peer that answers nowhere is dialled again: from the first, doubled each time, to
/// the last. A new record, or a new link to the cloud, ends them.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Starts the task, which `pool` owns.
pub(super) fn start(pool: &Arc<Pool>, whereabouts: &Arc<Whereabouts>, key: PublicKey) {
    let task = keep(Arc::downgrade(pool), whereabouts.clone(), key);
    pool.own(world::spawn(task).abort_handle());
}

async fn keep(pool: Weak<Pool>, whereabouts: Arc<Whereabouts>, key: PublicKey) {
    let mut pause = PAUSE;
    loop {
        let mut changed = pin!(whereabouts.changed.notified());
        changed.as_mut().enable();
        let aim = whereabouts.course().aim();
        let Some(aim) = aim else {
            changed.await;
            continue;
        };
        let reached = tokio::select! {
            biased;
            reached = reach(&pool, key, &aim.addresses) => reached,
            // The record is another now: what is being dialled may be of no use.
            () = outdated(&whereabouts, &aim) => continue,
        };
        match reached {
            Ok((link, address)) => {
                pause = PAUSE;
                hold(&pool, &whereabouts, &aim, link, address).await;
            }
            Err(tried) => {
                let Some(pool) = pool.upgrade() else { return };
                whereabouts.course().unreached(&aim, tried);
                whereabouts.wake(&pool);
                drop(pool);
                let wait = world::about(pause);
                pause = (pause * 2).min(PAUSE_MAX);
                tokio::select! {
                    biased;
                    () = outdated(&whereabouts, &aim) => pause = PAUSE,
                    () = world::pause(wait) => {}
                }
            }
        }
    }
}

/// Waits until the course is another than that of `aim`.
async fn outdated(whereabouts: &Whereabouts, aim: &Aim) {
    loop {
        let mut changed = pin!(whereabouts.changed.notified());
        changed.as_mut().enable();
        if whereabouts.course().version() != aim.version {
            return;
        }
        changed.await;
    }
}

/// Holds a link until it ends, or goes to the wrong place.
async fn hold(
    pool: &Weak<Pool>,
    whereabouts: &Arc<Whereabouts>,
    aim: &Aim,
    link: Link,
    address: PeerAddress,
) {
    {
        let Some(pool) = pool.upgrade() else { return };
        whereabouts.course().reached(aim, address.clone());
        whereabouts.tell(PeerEvent::Linked(address));
        if let Some(hello) = link.hello_now() {
            pool.adopt(&link, &hello);
        }
        whereabouts.wake(&pool);
    }
    let why = loop {
        let mut changed = pin!(whereabouts.changed.notified());
        changed.as_mut().enable();
        let misplaced = whereabouts.course().misplaced();
        if let Some(why) = misplaced {
            link.close(why);
            // Some transports dial a key where they have it linked, wherever it is said to be.
            link.closed().await;
            break why.to_owned();
        }
        tokio::select! {
            biased;
            why = link.closed() => break why,
            () = changed => {}
        }
    };
    let Some(pool) = pool.upgrade() else { return };
    pool.forget(&link);
    whereabouts.course().lost();
    whereabouts.tell(PeerEvent::Unlinked(why));
    whereabouts.wake(&pool);
}

/// Dials the addresses, each a little after the one before it, until one leads to a link.
///
/// # Errors
/// Why each of them did not.
async fn reach(
    pool: &Weak<Pool>,
    key: PublicKey,
    addresses: &[PeerAddress],
) -> Result<(Link, PeerAddress), Vec<Tried>> {
    let mut dials: JoinSet<(usize, Result<Begun, String>)> = JoinSet::new();
    let mut tried = Vec::new();
    let mut rest = addresses.iter().enumerate();
    let mut next = rest.next();
    loop {
        if let Some((at, address)) = next.take() {
            world::spawn_in(&mut dials, dial(pool.clone(), key, at, address.clone()));
            next = rest.next();
        }
        let ended = async {
            let more = next.is_some();
            tokio::select! {
                biased;
                ended = dials.join_next() => ended,
                () = world::pause(STAGGER), if more => None,
            }
        };
        match ended.await {
            Some(Ok((at, Ok(begun)))) => {
                if let Some(link) = begun.keep() {
                    return Ok((link, addresses[at].clone()));
                }
            }
            Some(Ok((at, Err(why)))) => tried.push(Tried {
                address: addresses[at].clone(),
                why,
            }),
            // A dial that panicked counts as one in vain, and is told by the runtime.
            Some(Err(_)) => {}
            None if next.is_some() => {}
            None => {
                tried.sort_by_key(|tried| addresses.iter().position(|a| *a == tried.address));
                return Err(tried);
            }
        }
    }
}

async fn dial(
    pool: Weak<Pool>,
    key: PublicKey,
    at: usize,
    address: PeerAddress,
) -> (usize, Result<Begun, String>) {
    let made = async {
        let gone = || "nobody wants the peer any more".to_owned();
        let transport = pool.upgrade().ok_or_else(gone)?.way(&address.transport)?;
        let endpoint = Endpoint {
            key,
            address: address.address.clone(),
        };
        let bytes = Transport::dial(&*transport, &endpoint)
            .await
            .map_err(|error| crate::error::chain(&error))?;
        let pool = pool.upgrade().ok_or_else(gone)?;
        let (link, patience) = pool.begin(bytes);
        let begun = Begun(Some(link.clone()));
        drop(pool);
        match tokio::time::timeout(patience, link.hello()).await {
            Ok(Ok(_)) => Ok(begun),
            Ok(Err(error)) => Err(error.message().to_owned()),
            Err(_) => Err(format!("no hello within {patience:?}")),
        }
    };
    (at, made.await)
}

/// A link that is closed unless it is kept: another address may have been faster.
struct Begun(Option<Link>);

impl Begun {
    fn keep(mut self) -> Option<Link> {
        self.0.take()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(link) = self.0.take() {
            link.close("it is not needed");
        }
    }
}
