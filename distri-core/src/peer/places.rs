//! [`Places`]: which addresses of a peer others are told; and what of it depends on the feature `lan`.

use std::{net::Ipv4Addr, sync::Arc};

use tokio::task::AbortHandle;

use super::{Near, PeerAddress, Presence, StartError};
use crate::{
    config::{Config, PeerConfig},
    id::PublicKey,
    signed::Signed,
    transport::Address,
    watch,
};

/// Where others dial a peer over its main transport.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) kind: &'static str,
    /// Where it is to listen.
    pub(super) listen: Address,
    /// On a local network, all addresses of the machine there are told for a wildcard.
    #[cfg_attr(
        not(feature = "lan"),
        allow(dead_code, reason = "nobody asks without the feature `lan`")
    )]
    lan: Option<Vec<Ipv4Addr>>,
}

impl Places {
    pub(super) fn of(config: &Config, kind: &'static str) -> Self {
        let PeerConfig {
            listen,
            lan,
            lan_at,
            ..
        } = &config.peer;
        // Where it would listen by default, nobody else on the network reaches it.
        let is_default = *listen == PeerConfig::default().listen;
        let listen = if *lan && is_default {
            Address::new("0.0.0.0:0")
        } else {
            listen.clone()
        };
        Self {
            kind,
            listen,
            lan: lan.then(|| lan_at.clone()),
        }
    }

    /// What is told of a listener at `address`, unless `advertise` says.
    pub(super) fn told(&self, advertise: Option<Address>, address: Address) -> Vec<PeerAddress> {
        #[cfg(feature = "lan")]
        let on_lan = |address: &Address| super::lan::spread(address, self.lan.as_deref()?);
        #[cfg(not(feature = "lan"))]
        let on_lan = |_: &Address| None;
        let addresses: Vec<Address> = match advertise {
            Some(address) => vec![address],
            None => on_lan(&address).unwrap_or_else(|| dialable(address).into_iter().collect()),
        };
        let addresses = addresses.into_iter();
        addresses
            .map(|address| PeerAddress::new(self.kind, address))
            .collect()
    }
}

/// What is heard on the local network, if the peer is to listen there.
#[cfg(feature = "lan")]
pub(super) fn listens(config: &Config, key: PublicKey) -> Result<Option<Arc<Near>>, StartError> {
    Ok(config.peer.lan.then(|| Near::new(key, crate::world::now())))
}

#[cfg(not(feature = "lan"))]
pub(super) fn listens(config: &Config, _: PublicKey) -> Result<Option<Arc<Near>>, StartError> {
    if config.peer.lan {
        return Err(StartError::NoLan);
    }
    Ok(None)
}

/// Goes on the local network.
#[cfg(feature = "lan")]
pub(super) fn on_lan(
    near: Arc<Near>,
    key: PublicKey,
    places: &Places,
    said: watch::Receiver<Option<Signed<Presence>>>,
) -> Result<Option<AbortHandle>, StartError> {
    let at = places.lan.clone().unwrap_or_default();
    let task = super::lan::start(near, key, at, said)?;
    Ok(Some(task))
}

#[cfg(not(feature = "lan"))]
pub(super) fn on_lan(
    _: Arc<Near>,
    _: PublicKey,
    _: &Places,
    _: watch::Receiver<Option<Signed<Presence>>>,
) -> Result<Option<AbortHandle>, StartError> {
    Err(StartError::NoLan)
}

/// The addresses of a listener that others can dial.
pub(super) fn told(kind: &'static str, addresses: &[Address]) -> Vec<PeerAddress> {
    let dialable = addresses.iter().cloned().filter_map(dialable);
    dialable
        .map(|address| PeerAddress::new(kind, address))
        .collect()
}

/// The address, unless it stands for all addresses of the machine: nobody can dial that.
fn dialable(address: Address) -> Option<Address> {
    let text = address.as_str();
    let is_wildcard = text.starts_with("0.0.0.0:") || text.starts_with("[::]:");
    if is_wildcard {
        tracing::warn!(%address, "others cannot dial where the peer listens: set `peer.advertise`");
    }
    (!is_wildcard).then_some(address)
}
