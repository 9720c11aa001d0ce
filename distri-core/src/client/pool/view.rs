//! The nodes as a client sees them.

use super::{Pool, lock};
use crate::{
    error::{Code, Error},
    id::PublicKey,
    rpc::Link,
    transport::Address,
};

/// A node as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeView {
    /// Its key.
    pub key: PublicKey,
    /// The name it gives itself; empty until it has been linked.
    pub name: String,
    /// Where it is dialled.
    pub address: Address,
    /// Whether it takes calls.
    pub state: NodeState,
    /// Calls that it was serving when it last said so.
    pub in_flight: u32,
    /// The services that it offers.
    pub services: Vec<String>,
    /// Why there is no link, where there is none.
    pub trouble: Option<String>,
}

/// Whether a node takes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeState {
    /// It does.
    Ready,
    /// It finishes its calls and takes no new ones.
    Draining,
    /// A first link is being made.
    Connecting,
    /// There is no link to it, nor can one be made.
    Down,
    /// There is no link to it, since others are enough; one is made when a call needs it.
    Standby,
}

impl Pool {
    /// Why no node can be reached.
    pub(crate) fn unreachable(&self) -> Error {
        if let Some(whereabouts) = &self.whereabouts {
            return whereabouts.trouble();
        }
        let members = lock(&self.members);
        if members.is_empty() {
            return Error::new(
                Code::Unavailable,
                "no node is configured: name at least one as KEY@HOST:PORT in `cloud.nodes`",
            );
        }
        let each: Vec<_> = members
            .iter()
            .map(|(key, member)| {
                let why = member.trouble.as_deref().unwrap_or("not linked yet");
                format!("{} at {}: {why}", key.short(), member.address)
            })
            .collect();
        Error::new(
            Code::Unavailable,
            format!("no node can be reached ({})", each.join("; ")),
        )
    }

    /// The nodes as they are now, sorted by key.
    pub(crate) fn view(&self) -> Vec<NodeView> {
        lock(&self.members)
            .iter()
            .map(|(key, member)| {
                let hello = member.link.as_ref().and_then(Link::hello_now);
                let status = member.link.as_ref().and_then(Link::status);
                let state = match &member.link {
                    Some(link) if link.is_ready() => NodeState::Ready,
                    Some(_) => NodeState::Draining,
                    None if !member.is_kept() => NodeState::Standby,
                    None if member.tried => NodeState::Down,
                    None => NodeState::Connecting,
                };
                NodeView {
                    key: *key,
                    name: hello
                        .as_ref()
                        .map(|hello| hello.name.clone())
                        .unwrap_or_default(),
                    address: member.address.clone(),
                    state,
                    in_flight: status.map_or(0, |status| status.in_flight),
                    services: hello.map_or_else(Vec::new, |hello| {
                        hello
                            .services
                            .iter()
                            .map(|service| service.name.clone())
                            .collect()
                    }),
                    trouble: member.trouble.clone(),
                }
            })
            .collect()
    }
}
