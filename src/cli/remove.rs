//! `remove`: takes a node out of the cluster.

use clap::Args;
use serde_json::json;

use super::{
    Failure, Global, member,
    output::{Output, tell},
};

/// What `remove` takes.
#[derive(Clone, Debug, Args)]
pub struct RemoveArgs {
    /// The node: its number, its name, or the first letters of its key
    pub member: String,
}

pub(super) async fn run(args: RemoveArgs, global: &Global) -> Result<(), Failure> {
    let client = global.connect().await?;
    let cluster = member::cluster(&client).await?;
    let node = member::called(&cluster, &args.member)?;
    client
        .remove_node(node.number)
        .await
        .map_err(|error| member::refused(error, client.key()))?;
    let output = Output::new(global);
    let left = cluster.nodes.len() - 1;
    if global.json {
        return output.json(&json!({
            "removed": { "number": node.number, "name": node.name, "key": node.key.to_string() },
            "left": left,
        }));
    }
    output.line(&format!("removed node {}", member::describe_node(node)))?;
    tell(match left {
        1 => "1 node is left, without which the cluster stands still",
        2 => "2 nodes are left, of which one leads alone: three survive the failure of any",
        _ => "its process ends by itself; its data folder is of no more use",
    });
    Ok(())
}
