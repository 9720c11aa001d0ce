//! [`PeerError`]: why a peer cannot be called.

use std::{fmt::Write as _, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PeerAddress;
use crate::{
    config::duration,
    error::{Code, ServiceError},
    id::PublicKey,
};

/// Why a peer cannot be called. Calls that fail for it have it in their details:
/// `error.details::<PeerError>()`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The cloud knows no peer with this key: it has never been here, or not for long.
    #[error("the cloud knows no peer {key}")]
    Unknown {
        /// The key.
        key: PublicKey,
    },
    /// The peer is known and not there now. It is called as soon as it is back.
    #[error("peer `{name}` ({}) is away{}", key.short(), since(*away_for_ms))]
    Away {
        /// The key.
        key: PublicKey,
        /// Its name.
        name: String,
        /// For how long, in milliseconds, if that is known.
        away_for_ms: Option<u64>,
    },
    /// The peer says that it is there, and answers at none of its addresses.
    #[error("peer `{name}` ({}) is not reachable{}", key.short(), each(tried))]
    Unreachable {
        /// The key.
        key: PublicKey,
        /// Its name.
        name: String,
        /// Its addresses, and why it was not reached there.
        tried: Vec<Tried>,
    },
    /// The cloud could not be asked where the peer is.
    #[error("it is not known where peer {} is: {why}", key.short())]
    NotAsked {
        /// The key.
        key: PublicKey,
        /// Why not.
        why: String,
    },
}

/// An address that was dialled in vain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tried {
    /// The address.
    pub address: PeerAddress,
    /// Why it was in vain.
    pub why: String,
}

impl ServiceError for PeerError {
    fn code(&self) -> Code {
        match self {
            Self::Unknown { .. } => Code::NotFound,
            Self::Away { .. } | Self::Unreachable { .. } | Self::NotAsked { .. } => {
                Code::Unavailable
            }
        }
    }
}

fn since(away_for_ms: Option<u64>) -> String {
    // Seconds are enough for people.
    let away = away_for_ms.map(|ms| Duration::from_secs(ms / 1000));
    away.map_or_else(String::new, |away| {
        format!(", for {} now", duration::format(away))
    })
}

fn each(tried: &[Tried]) -> String {
    if tried.is_empty() {
        return ": it has no address".to_owned();
    }
    let mut text = String::new();
    for (at, Tried { address, why }) in tried.iter().enumerate() {
        let between = if at == 0 { ":" } else { ";" };
        // Writing to a text does not fail.
        let _ = write!(text, "{between} at {address}: {why}");
    }
    text
}
