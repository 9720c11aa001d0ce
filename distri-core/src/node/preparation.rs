//! [`Preparation`]: what a node is to be made of.

use std::sync::Arc;

use super::{Roll, StartError};
use crate::{
    cluster::{JoinToken, Vault},
    config::Config,
    directory::CollectionSpec,
    error::Error,
    storage::Disk,
    transport::{Listener, TransportChoice},
};

/// What a node is to be made of, as its builder was told.
pub(super) struct Preparation {
    pub(super) config: Config,
    pub(super) transport: TransportChoice,
    pub(super) listener: Option<Box<dyn Listener>>,
    pub(super) roll: Roll,
    pub(super) disk: Option<Arc<dyn Disk>>,
    pub(super) entry: Entry,
    /// Where the cluster's secret is kept, if not beside the identity.
    pub(super) vault: Option<Vault>,
}

/// How a node without a cluster comes to one.
#[derive(Debug)]
pub(super) enum Entry {
    /// It must have one.
    Resume,
    /// It founds one.
    Found,
    /// It joins one.
    Join(JoinToken),
}

impl Default for Preparation {
    fn default() -> Self {
        Self {
            config: Config::default(),
            transport: TransportChoice::default(),
            listener: None,
            roll: Roll::default(),
            disk: None,
            entry: Entry::Resume,
            vault: None,
        }
    }
}

impl Preparation {
    /// Where the cluster's secret is kept: beside the file of the identity, or in memory if that is
    /// in none.
    pub(super) fn vault(&self) -> Vault {
        let given = self.transport.identity.is_some() || self.transport.transport.is_some();
        match &self.vault {
            Some(vault) => vault.clone(),
            None if given => Vault::memory(),
            None => Vault::beside(&self.config.node.identity),
        }
    }

    /// The collections that the configuration declares.
    pub(super) fn collections(&self) -> Result<Vec<CollectionSpec>, StartError> {
        let declared = &self.config.directory.collections;
        let spec = |(name, collection): (&String, &crate::config::CollectionConfig)| {
            collection.spec(name).map_err(|why| StartError::Collection {
                name: name.clone(),
                source: Error::invalid_argument(why),
            })
        };
        declared.iter().map(spec).collect()
    }
}
