//! Where calls can go: a table of the nodes that offer each method, made of what links say of
//! themselves. Made anew when any of that changes, and never changed after.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
};

use crate::{
    hash::IdMap,
    id::{MethodId, PublicKey, SchemaHash},
    node::host::Host,
    rpc::Link,
    wire::{Hello, hello::KnownNode},
};

/// Which nodes offer a method.
#[derive(Default)]
pub(crate) struct Routes {
    by_method: IdMap<MethodId, Vec<Route>>,
    services: BTreeSet<String>,
    /// Those that linked nodes have and do not serve now.
    resting: BTreeSet<String>,
    links: Vec<Link>,
    standby: Vec<Standby>,
}

/// A node to which there is no link, and may be one when a call needs it.
#[derive(Clone)]
pub(crate) struct Standby {
    pub(crate) key: PublicKey,
    /// What it said of itself when it was linked last, if it ever was.
    pub(crate) hello: Option<Arc<Hello>>,
}

impl Standby {
    /// False if it did not offer `method` when it was linked last.
    pub(crate) fn may_offer(&self, method: MethodId) -> bool {
        let Some(hello) = &self.hello else {
            return true;
        };
        let services = hello.services.iter();
        let mut methods = services.flat_map(|service| &service.methods);
        methods.any(|(offered, _)| *offered == method)
    }
}

/// A node that offers a method.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) target: Target,
    pub(crate) hash: SchemaHash,
    /// The number of the fence, if the node says that it leads the service.
    pub(crate) leads: Option<u64>,
    /// The node may not answer: it is chosen where there is no other.
    pub(crate) doubtful: bool,
}

/// Where a call can go.
#[derive(Clone)]
pub(crate) enum Target {
    /// To a node over a link.
    Link(Link),
    /// To the services of this process.
    Local(Weak<Host>, PublicKey),
}

impl Target {
    pub(crate) fn key(&self) -> PublicKey {
        match self {
            Self::Link(link) => link.peer(),
            Self::Local(_, key) => *key,
        }
    }

    /// True if it takes any call.
    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Self::Link(link) => link.is_ready(),
            Self::Local(host, _) => host.upgrade().is_some_and(|host| !host.is_draining()),
        }
    }

    /// True if it is the node that calls.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self, Self::Local(..))
    }

    /// True if it takes some calls at least: those that a node serves until it is gone.
    pub(crate) fn is_there(&self) -> bool {
        match self {
            Self::Link(link) => link.is_there(),
            Self::Local(host, _) => host.upgrade().is_some(),
        }
    }

    /// True if calls wait for it, and it gives no sign of life.
    pub(crate) fn is_silent(&self) -> bool {
        match self {
            Self::Link(link) => link.is_silent(),
            Self::Local(..) => false,
        }
    }

    pub(crate) fn load(&self) -> u32 {
        match self {
            Self::Link(link) => link.load(),
            // While it drains, others serve what is called from here, if there are any.
            Self::Local(host, _) => host
                .upgrade()
                .filter(|host| !host.is_draining())
                .map_or(u32::MAX, |host| host.in_flight()),
        }
    }
}

impl Routes {
    /// The nodes that offer `method`, ready or not.
    pub(crate) fn of(&self, method: MethodId) -> &[Route] {
        self.by_method.get(&method).map_or(&[], Vec::as_slice)
    }

    /// True if some node that takes calls is linked.
    pub(crate) fn any_ready(&self) -> bool {
        self.links.iter().any(Link::is_ready)
    }

    /// True if some linked node offers the service `name`.
    pub(crate) fn has_service(&self, name: &str) -> bool {
        self.services.contains(name)
    }

    /// True if some linked node has the service `name`, and does not serve it now.
    pub(crate) fn is_resting(&self, name: &str) -> bool {
        self.resting.contains(name)
    }

    /// The nodes that are not linked, and may be.
    pub(crate) fn standby(&self) -> &[Standby] {
        &self.standby
    }

    pub(super) fn set_standby(&mut self, standby: Vec<Standby>) {
        self.standby = standby;
    }

    /// The services that linked nodes offer.
    pub(crate) fn services(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(String::as_str)
    }

    /// Adds the services of this process, whose key is `me`.
    pub(super) fn add_local(&mut self, host: &Arc<Host>, me: PublicKey) {
        let leads: BTreeMap<_, _> = host.leads().into_iter().collect();
        for descriptor in host.descriptors() {
            let leads = leads.get(&descriptor.name).copied();
            let methods = descriptor.methods.iter();
            self.add(
                &descriptor.name,
                methods.map(|method| (method.id, method.schema_hash)),
                &Target::Local(Arc::downgrade(host), me),
                leads,
                false,
            );
        }
    }

    /// Adds what the other end of `link` says that it serves, once it has said anything.
    pub(super) fn add_link(&mut self, link: Link, doubtful: bool) {
        let Some(hello) = link.hello_now() else {
            return;
        };
        let status = link.status().unwrap_or_default();
        for service in &hello.services {
            if status.not_serving.contains(&service.name) {
                self.resting.insert(service.name.clone());
                continue;
            }
            let leads = status.leads.iter().find(|(name, _)| *name == service.name);
            self.add(
                &service.name,
                service.methods.iter().copied(),
                &Target::Link(link.clone()),
                leads.map(|(_, fence)| *fence),
                doubtful,
            );
        }
        self.links.push(link);
    }

    fn add(
        &mut self,
        service: &str,
        methods: impl Iterator<Item = (MethodId, SchemaHash)>,
        target: &Target,
        leads: Option<u64>,
        doubtful: bool,
    ) {
        self.services.insert(service.to_owned());
        for (method, hash) in methods {
            let route = Route {
                target: target.clone(),
                hash,
                leads,
                doubtful,
            };
            self.by_method.entry(method).or_default().push(route);
        }
    }
}

/// The nodes of which most of those that are linked say so.
pub(super) fn most_say(links: &[Link], so: impl Fn(&KnownNode) -> bool) -> BTreeSet<PublicKey> {
    let mut votes = BTreeMap::<PublicKey, i64>::new();
    for status in links.iter().filter_map(Link::status) {
        for node in &status.nodes {
            *votes.entry(node.key).or_default() += if so(node) { 1 } else { -1 };
        }
    }
    votes.retain(|_, sum| *sum > 0);
    votes.into_keys().collect()
}
