//! A node of a cluster as an operator names it, and what operators are told when they may not.

use distri_core::{
    Client, Code, Error,
    cluster::{ClusterInfo, NodeInfo},
    id::PublicKey,
};

use super::{Failure, describe, failure::program};

/// The nodes of the cluster.
pub(super) async fn cluster(client: &Client) -> Result<ClusterInfo, Failure> {
    client
        .cluster()
        .await
        .map_err(|error| refused(error, client.key()))
}

/// The node that `text` means: its number, its name, its key or the first letters of that.
pub(super) fn called<'a>(cluster: &'a ClusterInfo, text: &str) -> Result<&'a NodeInfo, Failure> {
    let all = |is: &dyn Fn(&NodeInfo) -> bool| -> Vec<&'a NodeInfo> {
        cluster.nodes.iter().filter(|node| is(node)).collect()
    };
    let found = [
        all(&|node| node.number.to_string() == text),
        all(&|node| node.name == text),
        all(&|node| !text.is_empty() && node.key.to_string().starts_with(text)),
    ]
    .into_iter()
    .find(|found| !found.is_empty());
    match found.as_deref() {
        Some([node]) => Ok(node),
        Some(several) => {
            let known: Vec<String> = several.iter().map(|node| describe_node(node)).collect();
            let message = format!("`{text}` may be any of {} nodes", several.len());
            Err(Failure::usage(message)
                .with_remedy(format!("give the number of one of: {}", known.join(", "))))
        }
        None => {
            let known: Vec<&str> = cluster
                .nodes
                .iter()
                .map(|node| node.name.as_str())
                .collect();
            Err(Failure::usage(format!("the cluster has no node `{text}`"))
                .with_remedy(describe::suggest(text, &known, "nodes")))
        }
    }
}

/// A node in a few words.
pub(super) fn describe_node(node: &NodeInfo) -> String {
    format!("{} ({}, {})", node.number, node.name, node.key.short())
}

/// Why the cluster does not do what the client `key` asks, with what to do about it.
pub(super) fn refused(error: Error, key: PublicKey) -> Failure {
    let program = program();
    let remedy = match error.code() {
        Code::Denied => format!(
            "this client is {key}, which has no role `admin`: run it in a folder that `{program} \
             init` or `{program} join` made, or with --set client.identity=FILE"
        ),
        Code::UnknownService => format!(
            "the nodes of this cloud keep no directory, so they are no cluster: `{program} init` \
             makes one"
        ),
        Code::DeadlineExceeded => format!(
            "a majority of the voters must be up to decide anything: `{program} nodes` shows them"
        ),
        _ => return error.into(),
    };
    Failure::from(error).with_remedy(remedy)
}
