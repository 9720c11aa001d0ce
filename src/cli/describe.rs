//! What is known of services and their methods: of those linked into this program, and of those
//! that the cloud offers.

use distri_core::{
    Client,
    config::nearest,
    node::introspect::{MethodInfo, ServiceInfo, info},
    registry,
};

use super::{Exit, Failure, failure::program};

/// The services that are linked into this program.
pub(super) fn linked() -> Result<Vec<ServiceInfo>, Failure> {
    let registrations = registry::linked().map_err(|error| Failure::new(Exit::Usage, error))?;
    Ok(registrations
        .iter()
        .map(|registration| info(registration.descriptor()))
        .collect())
}

/// The services that the cloud offers, sorted by name.
pub(super) async fn remote(client: &Client) -> Result<Vec<ServiceInfo>, Failure> {
    let mut services = client.describe().await?;
    services.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(services)
}

/// The service `name` among `services`.
pub(super) fn service<'s>(
    services: &'s [ServiceInfo],
    name: &str,
) -> Result<&'s ServiceInfo, Failure> {
    services
        .iter()
        .find(|service| service.name == name)
        .ok_or_else(|| {
            let names: Vec<&str> = services
                .iter()
                .map(|service| service.name.as_str())
                .collect();
            let failure = Failure::usage(format!("there is no service `{name}`"));
            failure.with_remedy(suggest(name, &names, "services"))
        })
}

/// The method `name` of `service`.
pub(super) fn method<'s>(service: &'s ServiceInfo, name: &str) -> Result<&'s MethodInfo, Failure> {
    service
        .methods
        .iter()
        .find(|method| method.name == name)
        .ok_or_else(|| {
            let names: Vec<&str> = service
                .methods
                .iter()
                .map(|method| method.name.as_str())
                .collect();
            let message = format!("service `{}` has no method `{name}`", service.name);
            Failure::usage(message).with_remedy(suggest(name, &names, "methods"))
        })
}

/// What was probably meant, or what there is.
pub(super) fn suggest(name: &str, known: &[&str], what: &str) -> String {
    match nearest(name, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if known.is_empty() => format!("there are no {what}"),
        None => format!("{what}: {}", known.join(", ")),
    }
}

/// The call of `method` that one would type, with placeholders for values.
pub(super) fn example(service: &ServiceInfo, method: &MethodInfo) -> String {
    let arguments = super::schema::Schema::parse(&method.arguments);
    let mut line = format!("{} call {} {}", program(), service.name, method.name);
    let required = arguments.required();
    for (name, schema) in arguments
        .properties()
        .into_iter()
        .filter(|(name, _)| required.contains(name))
    {
        line.push_str(&format!(" {name}={}", schema.placeholder()));
    }
    line
}
