//! [`Preparation`]: what a node is to be made of.

use std::{collections::BTreeMap, sync::Arc};

use super::{NodeHandle, StartError};
use crate::{
    cluster::{JoinToken, Vault},
    config::Config,
    directory::CollectionSpec,
    error::Error,
    registry::{self, RegistryError},
    service::{Service, ServiceDescriptor},
    storage::Disk,
    transport::{Listener, TransportChoice},
};

/// What a node is to be made of, as its builder was told.
pub(super) struct Preparation {
    pub(super) config: Config,
    pub(super) transport: TransportChoice,
    pub(super) listener: Option<Box<dyn Listener>>,
    /// Those added by hand.
    pub(super) services: Vec<Arc<dyn Service>>,
    /// Those that registered themselves are hosted too.
    pub(super) registry: bool,
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
            services: Vec::new(),
            registry: true,
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

    /// All services that the node will offer, `own` ones among them.
    pub(super) fn describe(
        &self,
        own: &[Arc<dyn Service>],
    ) -> Result<Vec<&'static ServiceDescriptor>, StartError> {
        let registrations = self.registrations()?;
        let by_hand = self.services.iter().map(|service| service.descriptor());
        let others: Vec<_> = registrations
            .iter()
            .map(registry::Registration::descriptor)
            .chain(by_hand)
            .collect();
        let mut names: Vec<&str> = others.iter().map(|service| service.name.as_str()).collect();
        names.sort_unstable();
        registry::check_configured(self.config.configured_services(), &names)?;
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(RegistryError::Duplicate {
                name: pair[0].to_owned(),
                first: "the registry or the builder".to_owned(),
                second: "the builder".to_owned(),
            }
            .into());
        }
        let own = own.iter().map(|service| service.descriptor());
        Ok(own.chain(others).collect())
    }

    fn registrations(&self) -> Result<Vec<registry::Registration>, StartError> {
        Ok(if self.registry {
            registry::linked()?
        } else {
            Vec::new()
        })
    }

    /// Makes the services, sorted by name.
    pub(super) async fn make_services(
        &self,
        node: &NodeHandle,
    ) -> Result<BTreeMap<String, Arc<dyn Service>>, StartError> {
        let mut services = BTreeMap::new();
        for registration in self.registrations()? {
            let name = registration.name();
            let config = self.config.service(name);
            let service =
                registration
                    .make(node, config)
                    .await
                    .map_err(|source| StartError::Service {
                        name: name.to_owned(),
                        source,
                    })?;
            services.insert(name.to_owned(), service);
        }
        for service in &self.services {
            services.insert(service.descriptor().name.clone(), service.clone());
        }
        Ok(services)
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
