//! Which transport a program links over.

use std::sync::Arc;

use super::{
    Transport,
    tcp::{Tcp, TcpLimits},
};
use crate::{config::Limits, identity::Identity};

/// What a builder was told about the transport.
#[derive(Debug, Default)]
pub(crate) struct TransportChoice {
    /// Proved over TCP.
    pub(crate) identity: Option<Identity>,
    /// Linked over instead of TCP.
    pub(crate) transport: Option<Arc<dyn Transport>>,
}

impl TransportChoice {
    /// The transport given, else TCP that proves the identity given, else TCP that proves the one
    /// that `find` finds.
    ///
    /// # Errors
    /// Those of `find`.
    pub(crate) fn settle<E>(
        &self,
        limits: &Limits,
        find: impl FnOnce() -> Result<Identity, E>,
    ) -> Result<Arc<dyn Transport>, E> {
        if let Some(transport) = &self.transport {
            return Ok(transport.clone());
        }
        let identity = match &self.identity {
            Some(identity) => identity.clone(),
            None => find()?,
        };
        let limits = TcpLimits {
            dial_time: limits.dial,
            handshakes: limits.handshakes as usize,
            ..TcpLimits::default()
        };
        Ok(Arc::new(Tcp::with_limits(identity, limits)))
    }
}
