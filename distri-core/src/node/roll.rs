//! [`Roll`]: the services that a program is to host, those added by hand and those that registered
//! themselves.

use std::{collections::BTreeMap, sync::Arc};

use super::NodeHandle;
use crate::{
    config::Config,
    error::Error,
    registry::{self, RegistryError},
    service::{Service, ServiceDescriptor},
};

/// The services that a program is to host.
pub(crate) struct Roll {
    by_hand: Vec<Arc<dyn Service>>,
    /// Those that registered themselves are hosted too.
    registered: bool,
}

impl Default for Roll {
    fn default() -> Self {
        Self {
            by_hand: Vec::new(),
            registered: true,
        }
    }
}

/// A service that cannot be made.
pub(crate) enum CannotMake {
    Registry(RegistryError),
    Service { name: String, source: Error },
}

impl Roll {
    pub(crate) fn add(&mut self, service: Arc<dyn Service>) {
        self.by_hand.push(service);
    }

    pub(crate) fn leave_out_registered(&mut self) {
        self.registered = false;
    }

    /// All services that will be offered, `own` ones among them.
    pub(crate) fn describe(
        &self,
        config: &Config,
        own: &[Arc<dyn Service>],
    ) -> Result<Vec<&'static ServiceDescriptor>, RegistryError> {
        let registrations = self.registrations()?;
        let by_hand = self.by_hand.iter().map(|service| service.descriptor());
        let others: Vec<_> = registrations
            .iter()
            .map(registry::Registration::descriptor)
            .chain(by_hand)
            .collect();
        let mut names: Vec<&str> = others.iter().map(|service| service.name.as_str()).collect();
        names.sort_unstable();
        registry::check_configured(config.configured_services(), &names)?;
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(RegistryError::Duplicate {
                name: pair[0].to_owned(),
                first: "the registry or the builder".to_owned(),
                second: "the builder".to_owned(),
            });
        }
        let own = own.iter().map(|service| service.descriptor());
        Ok(own.chain(others).collect())
    }

    fn registrations(&self) -> Result<Vec<registry::Registration>, RegistryError> {
        if self.registered {
            registry::linked()
        } else {
            Ok(Vec::new())
        }
    }

    /// Makes the services, sorted by name.
    pub(crate) async fn make(
        &self,
        config: &Config,
        node: &NodeHandle,
    ) -> Result<BTreeMap<String, Arc<dyn Service>>, CannotMake> {
        let mut services = BTreeMap::new();
        for registration in self.registrations().map_err(CannotMake::Registry)? {
            let name = registration.name();
            let made = registration.make(node, config.service(name)).await;
            let service = made.map_err(|source| CannotMake::Service {
                name: name.to_owned(),
                source,
            })?;
            services.insert(name.to_owned(), service);
        }
        for service in &self.by_hand {
            services.insert(service.descriptor().name.clone(), service.clone());
        }
        Ok(services)
    }
}
