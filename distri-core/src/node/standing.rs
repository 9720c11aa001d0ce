//! How a node stands, which it says of itself to the members of its cloud.

use super::host::Host;
use crate::{
    membership::{About, MemberLoad, MemberService},
    service::ServiceDescriptor,
    transport::Address,
};

/// What the node says of itself now.
pub(super) fn about(host: &Host, name: &str, address: &Address) -> About {
    let not_serving = host.not_serving();
    let services = host.descriptors().map(|service| MemberService {
        name: service.name.clone(),
        version: service.version,
        schema: schema(service),
        serving: !not_serving.contains(&service.name),
    });
    About {
        name: name.to_owned(),
        address: address.clone(),
        program: crate::client::program(),
        draining: host.is_draining(),
        services: services.collect(),
    }
}

/// How busy the node is now.
pub(super) fn load(host: &Host, cpu_percent: Option<u16>) -> MemberLoad {
    let services = host.descriptors().map(|service| {
        let methods = service.methods.iter();
        methods.map(|method| host.in_flight_of(method.id)).sum()
    });
    MemberLoad::new(host.in_flight(), services, cpu_percent)
}

/// The same for two services only if all their methods have the same schemas (FNV-1a).
fn schema(service: &ServiceDescriptor) -> u64 {
    let methods = service.methods.iter();
    let numbers = methods.flat_map(|method| [method.id.0, method.schema_hash.0]);
    let bytes = numbers.flat_map(u64::to_le_bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
