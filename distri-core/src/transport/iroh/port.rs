//! [`Port`]: a socket with its endpoint, and those who use it.

use std::{collections::BTreeSet, fmt, io, net::SocketAddr, sync::Arc};

use iroh::{
    Endpoint, RelayConfig, RelayMap, RelayMode, SecretKey, TransportAddr,
    endpoint::{PortmapperConfig, QuicTransportConfig, VarInt, presets},
};

use super::{ALPN, IrohOptions, RelayUrl};
use crate::identity::Identity;

/// An endpoint, open for as long as a listener, a transport or a link uses it.
pub(super) struct Port {
    endpoint: Endpoint,
}

impl Port {
    /// Opens a socket at `place`.
    pub(super) async fn bind(
        identity: &Identity,
        options: &IrohOptions,
        place: SocketAddr,
    ) -> io::Result<Arc<Self>> {
        let relays = options.relays.iter().map(|url| {
            url.parse::<RelayUrl>()
                .map_err(|error| io::Error::other(format!("`{url}` is no relay: {error}")))
        });
        let relays = relays.collect::<io::Result<Vec<_>>>()?;
        let relays = if relays.is_empty() {
            RelayMode::Disabled
        } else {
            // Ours answer on this one port, and to nothing else.
            let only = relays.into_iter().map(|url| RelayConfig::new(url, None));
            RelayMode::Custom(RelayMap::from_iter(only))
        };
        let idle = options.idle.try_into().map_err(io::Error::other)?;
        let quic = QuicTransportConfig::builder()
            // A link is one stream.
            .max_concurrent_bidi_streams(VarInt::from_u32(1))
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .max_idle_timeout(Some(idle))
            .default_path_max_idle_timeout(options.idle)
            .keep_alive_interval(options.keep_alive)
            .default_path_keep_alive_interval(options.keep_alive)
            .build();
        // `Minimal` brings the cryptography and nothing else: no name service, no relay.
        let mut builder = Endpoint::builder(presets::Minimal)
            .secret_key(SecretKey::from_bytes(&identity.expose_seed()))
            .alpns(vec![ALPN.to_vec()])
            .relay_mode(relays)
            .portmapper_config(PortmapperConfig::Disabled)
            .transport_config(quic);
        // On all interfaces it listens over both families, which is what it does by itself.
        if !options.direct || !place.ip().is_unspecified() {
            builder = builder.clear_ip_transports();
        }
        if !options.direct {
            // Over the relays alone.
        } else if !place.ip().is_unspecified() || place.port() != 0 {
            builder = builder.bind_addr(place).map_err(io::Error::other)?;
        }
        let endpoint = builder
            .bind()
            .await
            .map_err(|error| io::Error::other(format!("{error:#}")))?;
        Ok(Arc::new(Self { endpoint }))
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Where others may reach it, as far as it knows.
    pub(super) fn places(&self) -> BTreeSet<TransportAddr> {
        let bound = self.endpoint.bound_sockets();
        let sure = bound
            .into_iter()
            .filter(|socket| !socket.ip().is_unspecified())
            .map(TransportAddr::Ip);
        let mut places: BTreeSet<_> = self.endpoint.addr().addrs.into_iter().collect();
        places.extend(sure);
        places
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Port")
            .field(&self.endpoint.bound_sockets())
            .finish()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // Without a runtime everything of it ends anyway.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let endpoint = self.endpoint.clone();
            runtime.spawn(async move { endpoint.close().await });
        }
    }
}
