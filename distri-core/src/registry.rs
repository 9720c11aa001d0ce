//! Which services a program has: those that registered themselves at link time, and those added by
//! hand.
//!
//! `inventory` collects registrations in no particular order; here they are sorted by name, and two
//! of one name are refused with both source places. A crate that nothing mentions is not linked,
//! so its services do not appear: `distri::main!(crate)` mentions it.

use std::{fmt, panic::Location, sync::Arc};

use crate::{
    config::ServiceConfig,
    error::Result,
    node::NodeHandle,
    service::{BoxFuture, Service, ServiceDescriptor},
};

/// Makes an instance of a service from its part of the configuration.
pub type Make =
    for<'a> fn(&'a NodeHandle, ServiceConfig) -> BoxFuture<'a, Result<Arc<dyn Service>>>;

/// A service that registered itself. `#[distri::service]` submits one; by hand it is
/// `inventory::submit! { Registration::new(…) }`.
#[derive(Clone, Copy)]
pub struct Registration {
    name: &'static str,
    descriptor: fn() -> &'static ServiceDescriptor,
    make: Make,
    place: &'static Location<'static>,
}

inventory::collect!(Registration);

impl Registration {
    /// Registers the service `name`, at the place of the caller.
    #[track_caller]
    pub const fn new(
        name: &'static str,
        descriptor: fn() -> &'static ServiceDescriptor,
        make: Make,
    ) -> Self {
        Self {
            name,
            descriptor,
            make,
            place: Location::caller(),
        }
    }

    /// The service's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it offers.
    pub fn descriptor(&self) -> &'static ServiceDescriptor {
        (self.descriptor)()
    }

    /// The source place that registered it.
    pub fn place(&self) -> &'static Location<'static> {
        self.place
    }

    pub(crate) fn make<'a>(
        &self,
        node: &'a NodeHandle,
        config: ServiceConfig,
    ) -> BoxFuture<'a, Result<Arc<dyn Service>>> {
        (self.make)(node, config)
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("name", &self.name)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// Why a set of services cannot be hosted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Two services have one name. Give one of them another: `#[distri::service(name = "…")]`.
    #[error(
        "two services are called `{name}`: one at {first}, one at {second}; give one of them another name with #[distri::service(name = \"…\")]"
    )]
    Duplicate {
        /// The name.
        name: String,
        /// Where one is registered.
        first: String,
        /// Where the other is.
        second: String,
    },
    /// The configuration names a service that this program does not have.
    #[error(
        "the configuration has [services.{name}], but no service `{name}` is linked into this program (linked: {linked}); name its crate in distri::main!(…)"
    )]
    NotLinked {
        /// The name.
        name: String,
        /// The services that the program has.
        linked: String,
    },
}

/// The services that are linked into this program, sorted by name.
///
/// # Errors
/// [`RegistryError::Duplicate`].
pub fn linked() -> Result<Vec<Registration>, RegistryError> {
    sorted(inventory::iter::<Registration>().copied())
}

fn sorted(
    registrations: impl Iterator<Item = Registration>,
) -> Result<Vec<Registration>, RegistryError> {
    let mut sorted: Vec<_> = registrations.collect();
    sorted.sort_by_key(|registration| {
        let place = registration.place;
        (
            registration.name,
            place.file(),
            place.line(),
            place.column(),
        )
    });
    for pair in sorted.windows(2) {
        if pair[0].name == pair[1].name {
            return Err(RegistryError::Duplicate {
                name: pair[0].name.to_owned(),
                first: pair[0].place.to_string(),
                second: pair[1].place.to_string(),
            });
        }
    }
    Ok(sorted)
}

/// Refuses configuration for services that are not there.
pub(crate) fn check_configured<'a>(
    configured: impl Iterator<Item = &'a str>,
    linked: &[&str],
) -> Result<(), RegistryError> {
    for name in configured {
        if !linked.contains(&name) {
            let linked = if linked.is_empty() {
                "none".to_owned()
            } else {
                linked.join(", ")
            };
            return Err(RegistryError::NotLinked {
                name: name.to_owned(),
                linked,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration(name: &'static str) -> Registration {
        Registration::new(name, || unreachable!(), |_, _| unreachable!())
    }

    #[test]
    fn services_are_sorted_by_name() {
        let found = sorted([registration("b"), registration("a")].into_iter()).unwrap();

        assert_eq!(
            found.iter().map(Registration::name).collect::<Vec<_>>(),
            ["a", "b"]
        );
    }

    #[test]
    fn two_services_of_one_name_are_refused_naming_both_places() {
        let one = registration("a");
        let two = Registration::new("a", || unreachable!(), |_, _| unreachable!());

        let error = sorted([one, two].into_iter()).unwrap_err().to_string();

        assert_eq!(error.matches("registry.rs:").count(), 2, "{error}");
    }

    #[test]
    fn configuration_for_a_service_that_is_not_linked_is_refused_naming_the_fix() {
        let error = check_configured(["stego"].into_iter(), &["echo"])
            .unwrap_err()
            .to_string();

        assert!(
            error.contains("distri::main!") && error.contains("linked: echo"),
            "{error}"
        );
    }
}
