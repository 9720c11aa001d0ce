//! The service `distri`, by which every node describes itself: what the command line asks.
//!
//! Written by hand, as a service without the macro is.

use std::{
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "node")]
use super::vitals;
use super::{NodeHandle, host::Host};
use crate::{
    client::{Call, Client},
    error::{Code, Error, Result},
    id::PublicKey,
    service::{Context, MethodDescriptor, Reply, Request, Service, ServiceDescriptor},
    stats::NodeStats,
};

/// A service as it is described to people and programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct ServiceInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// Its documentation.
    pub docs: String,
    /// Its methods, in the order written.
    pub methods: Vec<MethodInfo>,
}

/// A method as it is described to people and programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct MethodInfo {
    /// Its name.
    pub name: String,
    /// Its documentation.
    pub docs: String,
    /// `unary`, `server stream`, `client stream` or `bidirectional stream`.
    pub shape: String,
    /// JSON Schema of the arguments, as JSON text.
    pub arguments: String,
    /// JSON Schema of the result, as JSON text.
    pub result: String,
    /// May be repeated without harm.
    pub idempotent: bool,
    /// Milliseconds that a call may take if the caller does not say.
    pub timeout_ms: u64,
    /// Milliseconds after which a call is asked of a second node too if its caller does not say;
    /// `None`: it is not.
    #[serde(default)]
    pub hedge_ms: Option<u64>,
}

/// How a node stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct NodeStatus {
    /// Its key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// The version of distri it runs.
    pub program: String,
    /// Calls being served.
    pub in_flight: u32,
    /// It takes no new calls.
    pub draining: bool,
    /// What each method has done.
    pub methods: Vec<MethodStatus>,
    /// What keeps it from its cluster, and what to do about it, if it cannot help itself.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// What a method has done since the node started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct MethodStatus {
    /// Service and method, `word-count.count`.
    pub name: String,
    /// Calls being served.
    pub in_flight: u32,
    /// Calls that have ended.
    pub served: u64,
    /// Of those, calls that failed.
    pub failed: u64,
}

/// The service. It reads the host that it is itself a part of.
struct Introspection {
    host: Arc<OnceLock<Weak<Host>>>,
    node: NodeHandle,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct NoArguments {}

const DESCRIBE: usize = 0;
const STATUS: usize = 1;
const STATS: usize = 2;

fn descriptor() -> &'static ServiceDescriptor {
    static DESCRIPTOR: OnceLock<ServiceDescriptor> = OnceLock::new();
    DESCRIPTOR.get_or_init(|| {
        ServiceDescriptor::new("distri")
            .docs("What a node is and does.")
            .method(
                MethodDescriptor::new::<NoArguments, Vec<ServiceInfo>>("describe")
                    .docs("The services that the node hosts.")
                    .idempotent(),
            )
            .method(
                MethodDescriptor::new::<NoArguments, NodeStatus>("status")
                    .docs("How the node stands.")
                    .idempotent(),
            )
            .method(
                MethodDescriptor::new::<NoArguments, NodeStats>("stats")
                    .docs("What the node has done since it started, and what it costs.")
                    .idempotent(),
            )
    })
}

#[async_trait]
impl Service for Introspection {
    fn descriptor(&self) -> &'static ServiceDescriptor {
        descriptor()
    }

    async fn call(self: Arc<Self>, _cx: Context, mut request: Request) -> Result<Reply> {
        let NoArguments {} = request.arguments()?;
        let host = self
            .host
            .get()
            .and_then(Weak::upgrade)
            .ok_or_else(|| Error::new(Code::Unavailable, "the node is still starting"))?;
        match request.method() {
            DESCRIBE => request.reply(&host.descriptors().map(info).collect::<Vec<_>>()),
            STATUS => request.reply(&status_of(&self.node, &host)),
            #[cfg(feature = "node")]
            STATS => request.reply(&vitals::stats(&self.node, &host)),
            _ => Err(request.unknown_method()),
        }
    }
}

/// The service, of a node whose host will be in `host`.
pub(crate) fn service(host: &Arc<OnceLock<Weak<Host>>>, node: &NodeHandle) -> Arc<dyn Service> {
    Arc::new(Introspection {
        host: host.clone(),
        node: node.clone(),
    })
}

/// Asks a node for its services.
pub(crate) async fn describe(client: &Client) -> Result<Vec<ServiceInfo>> {
    client.call(descriptor(), DESCRIBE, NoArguments {}).await
}

impl Client {
    /// How the node `node` stands; without `node`, one of those that take calls.
    pub fn status(&self, node: Option<PublicKey>) -> Call<NodeStatus> {
        let call = self.call(descriptor(), STATUS, NoArguments {});
        match node {
            Some(node) => call.to(node),
            None => call,
        }
    }
}

impl Client {
    /// What the node `node` has done since it started; without `node`, one of those that take calls.
    pub fn node_stats(&self, node: Option<PublicKey>) -> Call<NodeStats> {
        let call = self.call(descriptor(), STATS, NoArguments {});
        match node {
            Some(node) => call.to(node),
            None => call,
        }
    }
}

/// Describes a service.
pub fn info(service: &ServiceDescriptor) -> ServiceInfo {
    ServiceInfo {
        name: service.name.clone(),
        version: service.version,
        docs: service.docs.clone(),
        methods: service
            .methods
            .iter()
            .map(|method| MethodInfo {
                name: method.name.clone(),
                docs: method.docs.clone(),
                shape: method.shape.to_string(),
                arguments: method.arguments.to_string(),
                result: method.result.to_string(),
                idempotent: method.idempotent,
                timeout_ms: millis(method.timeout),
                hedge_ms: method.hedge.map(millis),
            })
            .collect(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn status_of(node: &NodeHandle, host: &Host) -> NodeStatus {
    let methods = host.stats();
    let methods = methods.iter().map(|method| MethodStatus {
        name: format!("{}.{}", method.service, method.method),
        in_flight: method.in_flight,
        served: method.calls(),
        failed: method.failures(),
    });
    NodeStatus {
        key: node.key().to_string(),
        name: node.name().to_owned(),
        program: crate::client::program(),
        in_flight: host.in_flight(),
        draining: host.is_draining(),
        methods: methods.collect(),
        #[cfg(feature = "node")]
        trouble: node.trouble(),
        #[cfg(not(feature = "node"))]
        trouble: None,
    }
}
