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
    wire::{Hello, Status, hello::KnownNode},
};

/// Which nodes offer a method.
#[derive(Default)]
pub(crate) struct Routes {
    by_method: IdMap<MethodId, Vec<Route>>,
    services: BTreeSet<String>,
    /// Those that linked nodes have and do not serve now.
    resting: BTreeSet<String>,
    links: Vec<Link>,
    standby: Vec<PublicKey>,
    /// Of those, the ones that offered a method when they were linked last.
    offered: IdMap<MethodId, Vec<PublicKey>>,
    /// And the ones that were never linked.
    unheard: Vec<PublicKey>,
}

/// A node to which there is no link, and may be one when a call needs it.
pub(super) struct Standby {
    pub(super) key: PublicKey,
    /// What it said of itself when it was linked last, if it ever was.
    pub(super) hello: Option<Arc<Hello>>,
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
    pub(crate) fn standby(&self) -> &[PublicKey] {
        &self.standby
    }

    /// Those of them that offered `method` when they were linked last, and those that never were.
    pub(crate) fn may_offer(&self, method: MethodId) -> [&[PublicKey]; 2] {
        let offered = self.offered.get(&method).map_or(&[][..], Vec::as_slice);
        [offered, &self.unheard]
    }

    /// The services that linked nodes offer.
    pub(crate) fn services(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(String::as_str)
    }

    /// Adds a node that is not linked.
    pub(super) fn add_standby(&mut self, Standby { key, hello }: Standby) {
        self.standby.push(key);
        let Some(hello) = hello else {
            self.unheard.push(key);
            return;
        };
        for (method, _) in hello.services.iter().flat_map(|service| &service.methods) {
            self.offered.entry(*method).or_default().push(key);
        }
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

/// The nodes of which most say so of those whose `statuses` these are. One that is cut off from more than
/// half of the others is not asked: whoever is linked to a few nodes only might be linked to more of
/// those that are cut off than of the rest.
pub(super) fn most_say(
    statuses: impl IntoIterator<Item = Arc<Status>>,
    so: impl Fn(&KnownNode) -> bool,
) -> BTreeSet<PublicKey> {
    let mut votes = BTreeMap::<PublicKey, i64>::new();
    for status in statuses {
        let reached = 1 + status.nodes.iter().filter(|node| node.there).count();
        if 2 * reached < 1 + status.nodes.len() {
            continue;
        }
        for node in &status.nodes {
            *votes.entry(node.key).or_default() += if so(node) { 1 } else { -1 };
        }
    }
    votes.retain(|_, sum| *sum > 0);
    votes.into_keys().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Address;

    fn key(n: u8) -> PublicKey {
        PublicKey::from_bytes([n; 32])
    }

    /// What the node `from` of five says when it reaches `there`.
    fn status(from: u8, there: &[u8]) -> Arc<Status> {
        let others = (1..=5).filter(|node| *node != from);
        let nodes = others.map(|node| KnownNode {
            key: key(node),
            address: Address::new(format!("memory:{node}")),
            linked: there.contains(&node),
            there: there.contains(&node),
        });
        Arc::new(Status {
            nodes: nodes.collect(),
            ..Status::default()
        })
    }

    fn absent(statuses: impl IntoIterator<Item = Arc<Status>>) -> BTreeSet<PublicKey> {
        most_say(statuses, |node| !node.there)
    }

    #[test]
    fn a_node_that_hangs_is_absent_though_it_does_not_say_so() {
        let said = [
            status(1, &[2, 4, 5]),
            status(2, &[1, 4, 5]),
            status(3, &[1, 2, 4, 5]),
        ];
        assert_eq!(absent(said), BTreeSet::from([key(3)]));
    }

    #[test]
    fn of_two_parts_the_larger_is_believed_though_most_that_are_linked_are_of_the_smaller() {
        let said = [status(1, &[2, 3]), status(4, &[5]), status(5, &[4])];
        assert_eq!(absent(said), BTreeSet::from([key(4), key(5)]));
    }

    #[test]
    fn one_node_that_does_not_reach_another_does_not_decide() {
        let said = [
            status(1, &[2, 3, 4, 5]),
            status(2, &[1, 3, 4, 5]),
            status(3, &[1, 2, 4]),
        ];
        assert_eq!(absent(said), BTreeSet::new());
    }
}
