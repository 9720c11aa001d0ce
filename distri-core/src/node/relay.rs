//! [`Relay`]: carries packets between peers that cannot reach each other directly.
//!
//! The server is that of the library `iroh-relay`; here is who may use it: keys that this node knows
//! (members, listed keys) and peers that have told the cloud where they are. The server has each prove its
//! key. It sees who talks to whom and how much, and nothing of what: links are encrypted from end to end.

use std::{net::SocketAddr, sync::Arc};

use iroh_relay::server::{Access, AccessControl, ClientRequest, RelayConfig, Server, ServerConfig};

use crate::{
    cluster::Roster,
    directory::{Actor, Replica},
    id::PublicKey,
    peer::PEERS,
    service::Role,
    transport::{Address, TransportError},
};

/// A relay. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Relay {
    at: SocketAddr,
    _server: Server,
}

impl Relay {
    /// Starts to relay at `at`, for those whom this node knows.
    pub(super) async fn start(
        at: &Address,
        roster: &Arc<Roster>,
        replica: Option<Arc<Replica>>,
    ) -> Result<Self, TransportError> {
        let invalid = |_| TransportError::InvalidAddress {
            address: at.clone(),
            expected: "IP:PORT",
        };
        let place: SocketAddr = at.as_str().parse().map_err(invalid)?;
        let mut relay = RelayConfig::new(place);
        relay.access = Arc::new(Guests {
            roster: roster.clone(),
            replica,
        });
        let mut config = ServerConfig::default();
        config.relay = Some(relay);
        let failed = |error: String| TransportError::Bind {
            address: at.clone(),
            source: Arc::new(std::io::Error::other(error)),
        };
        let server = Server::spawn(config)
            .await
            .map_err(|error| failed(format!("{error:#}")))?;
        let at = server
            .http_addr()
            .ok_or_else(|| failed("the relay has no address".to_owned()))?;
        Ok(Self {
            at,
            _server: server,
        })
    }

    /// Where it listens, with the port that was picked.
    pub(super) fn address(&self) -> SocketAddr {
        self.at
    }
}

/// Who may use the relay.
#[derive(Debug)]
struct Guests {
    roster: Arc<Roster>,
    /// The node's copy of the directory, if it keeps one.
    replica: Option<Arc<Replica>>,
}

impl Guests {
    fn admit(&self, key: PublicKey) -> bool {
        match self.roster.caller(key).role {
            Role::Node | Role::Known => true,
            Role::Stranger => self.replica.as_ref().is_some_and(|replica| {
                let id = key.to_string();
                let found = replica.read(|state| state.get(&Actor::Node, PEERS, &id));
                matches!(found, Ok(Some(_)))
            }),
        }
    }
}

impl AccessControl for Guests {
    async fn on_connect(&self, request: &ClientRequest) -> Access {
        let key = PublicKey::from_bytes(*request.endpoint_id().as_bytes());
        if self.admit(key) {
            return Access::Allow;
        }
        tracing::debug!(%key, "refused at the relay");
        Access::Deny {
            reason: Some(format!("{key} is no peer of this cloud")),
        }
    }
}
