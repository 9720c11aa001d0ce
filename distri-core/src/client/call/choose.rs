//! Which node a call goes to, which ones it needs a link to first, and why there is none.

use std::time::Duration;

use tokio::time::Instant;

use super::Plan;
use crate::{
    client::{
        guide::Guide,
        routes::{Route, Routes},
    },
    error::{Code, Error, Result},
    id::PublicKey,
    message::Codec,
    placement, world,
};

/// How long a call waits for any node to be reachable before it says that none is.
const PATIENCE: Duration = Duration::from_secs(5);

/// Nodes without a link that are searched at once for one that offers a method. More finds it sooner,
/// and makes more links for nothing.
const SEARCHED: usize = 16;

/// Which nodes a call needs a link to.
enum Wanted {
    Nothing,
    /// It goes elsewhere meanwhile.
    Beside(PublicKey),
    /// It waits for one of them.
    First(Vec<PublicKey>),
}

impl Plan {
    /// A node for the call that takes calls now, other than those tried before if there is one.
    pub(super) async fn choose(
        &self,
        deadline: Instant,
        tried: &[PublicKey],
        guide: &Guide,
    ) -> Result<Route> {
        if let Some(route) = self.pick_linked(tried, guide) {
            return Ok(route);
        }
        let until = deadline.min(world::now() + PATIENCE);
        let pool = self.client.pool();
        pool.hurry();
        let found = pool
            .wait_for(until, |pool| {
                if let Some(route) = self.pick_linked(&[], guide) {
                    return Some(Some(route));
                }
                let (routes, heard) = pool.routes_so_far();
                // Nodes are there, all have spoken, and none has it: waiting brings nothing.
                let may_come =
                    !routes.of(self.what.id()).is_empty() || routes.is_resting(self.what.service());
                let is_vain = routes.any_ready() && heard && !may_come;
                (is_vain || pool.is_hopeless()).then_some(None)
            })
            .await;
        // Where the node that it should go to could not be linked, another knows better, or serves it.
        let found = found.unwrap_or_else(|| self.pick(&[], guide));
        found.ok_or_else(|| self.nobody())
    }

    /// A node for the call, unless one must be linked first, which is begun.
    fn pick_linked(&self, tried: &[PublicKey], guide: &Guide) -> Option<Route> {
        let pool = self.client.pool();
        let routes = pool.routes();
        let wanted = self.wanted(&routes, tried, guide);
        let (keys, is_needed) = match wanted {
            Wanted::Nothing => return self.pick_of(&routes, tried, guide),
            Wanted::Beside(key) => (vec![key], false),
            Wanted::First(keys) => (keys, true),
        };
        pool.want(keys);
        if is_needed {
            return None;
        }
        self.pick_of(&routes, tried, guide)
    }

    /// Which nodes without a link the call needs, or had better have.
    fn wanted(&self, routes: &Routes, tried: &[PublicKey], guide: &Guide) -> Wanted {
        let standby = routes.standby();
        if standby.is_empty() {
            return Wanted::Nothing;
        }
        let named = self.to.or(guide.hint);
        if let Some(named) = named.filter(|named| !tried.contains(named))
            && standby.contains(&named)
        {
            return Wanted::First(vec![named]);
        }
        if self.to.is_some() {
            return Wanted::Nothing;
        }
        let is_new = |key: &&PublicKey| !tried.contains(key);
        let linked = || {
            let routes = routes.of(self.what.id()).iter();
            routes.filter(|route| {
                let target = &route.target;
                target.is_ready() && !route.doubtful && !tried.contains(&target.key())
            })
        };
        let may_offer = routes.may_offer(self.what.id());
        let mut may_offer = may_offer.into_iter().flatten().filter(is_new);
        if let Some(key) = self.key.filter(|_| guide.hint.is_none()) {
            let mut nearest = None;
            let linked = linked().map(|route| (route.target.key(), true));
            for node in linked.chain(may_offer.map(|node| (*node, false))) {
                let nearness = placement::nearness(key, &node.0);
                if nearest.is_none_or(|(before, _)| nearness > before) {
                    nearest = Some((nearness, node));
                }
            }
            return match nearest {
                Some((_, (owner, false))) => Wanted::First(vec![owner]),
                _ => Wanted::Nothing,
            };
        }
        match linked().take(2).count() {
            0 => {
                let mut keys: Vec<_> = may_offer.take(SEARCHED).copied().collect();
                if keys.is_empty() {
                    // What none offered may be offered since.
                    keys.extend(standby.iter().filter(is_new).take(SEARCHED));
                }
                match keys.is_empty() {
                    true => Wanted::Nothing,
                    false => Wanted::First(keys),
                }
            }
            // One to turn to when that one is busy, or gone.
            1 => may_offer
                .next()
                .copied()
                .map_or(Wanted::Nothing, Wanted::Beside),
            _ => Wanted::Nothing,
        }
    }

    /// A node that is linked for the call.
    pub(super) fn pick(&self, tried: &[PublicKey], guide: &Guide) -> Option<Route> {
        self.pick_of(&self.client.pool().routes(), tried, guide)
    }

    fn pick_of(&self, routes: &Routes, tried: &[PublicKey], guide: &Guide) -> Option<Route> {
        let candidates = routes.of(self.what.id());
        let is_new = |route: &Route| {
            !tried.contains(&route.target.key())
                && self.to.is_none_or(|to| route.target.key() == to)
        };
        // One that drains serves until others do what only it may.
        let there = |route: &Route| route.target.is_there() && is_new(route);
        if self.to.is_none()
            && let Some(route) = guide.pick(candidates, there)
        {
            return Some(route.clone());
        }
        // So does it what other nodes need of it, and what the calls need that are finished on it: by
        // others that may not be served. Calls of the node's own that come ever anew it does not.
        let is_needed = self.what.is_needed();
        let is_part = self.client.is_of_a_call();
        let fresh = |route: &Route| {
            let target = &route.target;
            let needs = is_needed || (is_part && target.is_here());
            (target.is_ready() || (needs && target.is_there())) && is_new(route)
        };
        let sure = |route: &Route| fresh(route) && !route.doubtful && !route.target.is_silent();
        let preferred = |route: &&Route| Some(route.target.key()) == self.prefer && sure(route);
        if let Some(route) = candidates.iter().find(preferred) {
            return Some(route.clone());
        }
        if let Some(key) = self.key {
            let id = |route: &Route| placement::weight_of(&route.target.key());
            return placement::owner_of(candidates, key, fresh, id).cloned();
        }
        let load = |route: &Route| route.target.load();
        let chosen = placement::better_of_two(candidates, world::dice(), sure, load)
            .or_else(|| placement::better_of_two(candidates, world::dice(), fresh, load));
        chosen.cloned()
    }

    /// Why no node serves the call.
    fn nobody(&self) -> Error {
        let pool = self.client.pool();
        let routes = pool.routes();
        let (service, method) = (self.what.service(), self.what.method());
        if !routes.of(self.what.id()).is_empty() {
            let message = match self.to {
                Some(to) => format!("node {} does not take calls of `{service}`", to.short()),
                None => format!("no node that offers `{service}` takes calls now"),
            };
            return Error::new(Code::Unavailable, message);
        }
        if !routes.any_ready() && routes.services().next().is_none() {
            return pool.unreachable();
        }
        if !routes.has_service(service) && routes.is_resting(service) {
            let message = format!("no node that offers `{service}` serves it now");
            return Error::new(Code::Unavailable, message);
        }
        if routes.has_service(service) {
            let message = format!("service `{service}` has no method `{method}`");
            return Error::new(Code::UnknownMethod, message);
        }
        let offered: Vec<_> = routes.services().collect();
        let message = format!(
            "no node offers a service `{service}` (offered: {})",
            offered.join(", ")
        );
        Error::new(Code::UnknownService, message)
    }

    /// In which codec a call goes there.
    pub(super) fn codec_for(&self, route: &Route) -> Codec {
        self.codec
            .unwrap_or(if self.what.hash() == Some(route.hash) {
                Codec::Compact
            } else {
                Codec::MESSAGE_PACK
            })
    }
}
