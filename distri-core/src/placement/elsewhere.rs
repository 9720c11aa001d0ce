//! [`Elsewhere`]: how a node that must not serve a call says who may.

use serde::{Deserialize, Serialize};

use crate::{
    error::{Code, ServiceError},
    id::PublicKey,
};

/// The node that was asked may not serve the call now; nothing was done. Clients go where it says, or
/// wait and ask again, by themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Elsewhere {
    /// The service is led by another node, or by none yet.
    #[error("this node does not lead `{service}`: {}", who(by.as_ref()))]
    Led {
        /// The service.
        service: String,
        /// The node that leads it, as far as is known.
        by: Option<PublicKey>,
    },
    /// The key belongs to another node, or is on its way to one.
    #[error("this key of `{service}` is not this node's: {}", who(by.as_ref()))]
    Owned {
        /// The service.
        service: String,
        /// The node whose it is; none while it moves.
        by: Option<PublicKey>,
    },
}

impl Elsewhere {
    /// Where to go, if that is known.
    pub(crate) fn to(&self) -> Option<PublicKey> {
        match self {
            Self::Led { by, .. } | Self::Owned { by, .. } => *by,
        }
    }
}

impl ServiceError for Elsewhere {
    fn code(&self) -> Code {
        Code::Unavailable
    }
}

fn who(by: Option<&PublicKey>) -> String {
    by.map_or_else(
        || "it is nobody's at the moment".to_owned(),
        |by| format!("node {} is the one", by.short()),
    )
}
