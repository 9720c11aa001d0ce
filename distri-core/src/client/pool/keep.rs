//! The tasks that keep links: they dial, wait until the link ends, and dial again after a pause that
//! grows with each failure; and those that follow what the other end of a link says of itself.

use std::{
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use super::Pool;
use crate::{id::PublicKey, rpc::Link, wire::Status, world};

/// Pauses between dials: from the first, doubled with each failure, to the last. Shorter finds a
/// returned node sooner, longer spares a dead one.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The last while a client has links to other nodes: a crowd that all lost their links to one node that
/// has too much to do would only keep it from its work.
const PAUSE_MAX_LINKED: Duration = Duration::from_secs(5);

/// Keeps a link to one node, as the task of number `keeper` for it: dials, waits for its end, dials
/// again, until it is not needed any more.
pub(super) async fn keep(pool: Weak<Pool>, key: PublicKey, keeper: u64) {
    let mut pause = PAUSE;
    loop {
        let Some(strong) = pool.upgrade() else { return };
        let Some(endpoint) = strong.dials(key, keeper) else {
            return;
        };
        let hurry = strong.hurry.clone();
        let mut hurried = pin!(hurry.notified());
        hurried.as_mut().enable();
        let held = strong.link_to(key);
        let link = match held {
            Some(link) => Some(link),
            None => {
                let result = strong.link(&endpoint).await;
                if let Err(why) = &result {
                    tracing::debug!(node = %key.short(), address = %endpoint.address, why, "cannot link");
                }
                strong.tried(key, result.err());
                strong.link_to(key)
            }
        };
        let pause_max = match strong.is_served_by_others() {
            true => PAUSE_MAX_LINKED,
            false => PAUSE_MAX,
        };
        drop(strong);
        if let Some(link) = link {
            pause = PAUSE;
            hold(&pool, key, &link).await;
            // The watcher of the link takes it out of the table.
            if let Some(pool) = pool.upgrade() {
                pool.forget(&link);
            }
        }
        tokio::select! {
            () = world::pause(world::about(pause)) => {}
            () = hurried => {}
        }
        pause = (pause * 2).min(pause_max);
    }
}

/// Waits until `link` ends. One that calls have wanted is given up when none has for a while.
async fn hold(pool: &Weak<Pool>, key: PublicKey, link: &Link) {
    loop {
        let wanted = pool.upgrade().and_then(|pool| pool.wanted_for(key));
        let Some(left) = wanted else {
            link.closed().await;
            return;
        };
        tokio::select! {
            _ = link.closed() => return,
            () = world::pause(left) => {}
        }
        if let Some(pool) = pool.upgrade() {
            pool.rebuild();
        }
    }
}

/// Follows what the other end of a link says of itself, until it closes.
pub(super) async fn watch(pool: Weak<Pool>, link: Link) {
    let mut seen = None;
    while let Some(status) = link.next_status(seen.as_ref()).await {
        let Some(pool) = pool.upgrade() else { return };
        pool.learn(&link, &status);
        let former: Option<Arc<Status>> = seen.replace(status.clone());
        if former.is_none_or(|former| {
            former.not_serving != status.not_serving
                || former.draining != status.draining
                || former.nodes != status.nodes
                || former.leads != status.leads
        }) {
            pool.rebuild();
        }
    }
    if let Some(pool) = pool.upgrade() {
        pool.forget(&link);
    }
}
