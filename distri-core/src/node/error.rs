//! [`StartError`]: why a node cannot start.

use super::roll::CannotMake;
use crate::{
    config::ConfigError, error::Error, id::PublicKey, identity::IdentityError,
    registry::RegistryError, storage::StorageError, transport::TransportError,
};

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The identity file cannot be used.
    #[error("the node's identity cannot be used")]
    Identity(#[from] IdentityError),
    /// The services of the program and the configuration do not fit each other.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The configuration is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be listened on.
    #[error("the node cannot listen")]
    Listen(#[from] TransportError),
    /// The address of `admin.listen` cannot be listened on.
    #[error("the node's admin port cannot be opened")]
    Admin(#[source] TransportError),
    /// A service failed to start.
    #[error("service `{name}` could not start")]
    Service {
        /// Its name.
        name: String,
        /// Why.
        source: Error,
    },
    /// The data folder cannot be used.
    #[error("the node's data cannot be used")]
    Storage(#[from] StorageError),
    /// The data folder is of no cluster. Found one in it, or join one.
    #[error("the folder `{folder}` belongs to no cluster: make one with `init`, or `join` one")]
    NoCluster {
        /// The folder.
        folder: String,
    },
    /// The data folder is of a cluster already, so nothing can be founded or joined in it.
    #[error("the folder `{folder}` belongs to cluster {cluster} already")]
    InCluster {
        /// The folder.
        folder: String,
        /// The cluster's id.
        cluster: String,
    },
    /// The data folder is of another node.
    #[error(
        "the folder `{folder}` is of the node {of}, this is {this}: use that node's key, or another folder"
    )]
    OtherNode {
        /// The folder.
        folder: String,
        /// Whose it is.
        of: PublicKey,
        /// This node's key.
        this: PublicKey,
    },
    /// The file of the cluster's secret cannot be used. Without one the node asks the others for it.
    #[error("the cluster's secret cannot be used")]
    Secret(#[source] IdentityError),
    /// The cluster does not take this node.
    #[error("the node cannot join the cluster")]
    Join(#[source] Error),
    /// A collection that the configuration or a service declares cannot be made.
    #[error("the collection `{name}` cannot be made as it is declared")]
    Collection {
        /// Its name.
        name: String,
        /// Why.
        source: Error,
    },
    /// A collection is declared, and the node keeps no directory.
    #[error(
        "the collection `{collection}` is declared, and this node keeps no directory: set `directory.path` and make a cluster with `init`"
    )]
    NoDirectory {
        /// Its name.
        collection: String,
    },
    /// A service is led by an elected node, and this node keeps no directory to elect one in.
    #[error(
        "service `{name}` has `placement = leader`, which needs a directory, and this node keeps none: set `directory.path` and make a cluster with `init`"
    )]
    NeedsDirectory {
        /// Its name.
        name: String,
    },
}

impl From<CannotMake> for StartError {
    fn from(cannot: CannotMake) -> Self {
        match cannot {
            CannotMake::Registry(error) => error.into(),
            CannotMake::Service { name, source } => Self::Service { name, source },
        }
    }
}
