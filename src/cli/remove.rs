//! `remove`: takes a node out of the cluster.

use clap::Args;
use distri_core::{
    Code,
    cluster::{ClusterInfo, NodeInfo, NodeRole},
};
use serde_json::json;

use super::{
    Exit, Failure, Global, member,
    output::{Output, tell},
};

/// What `remove` takes.
#[derive(Clone, Debug, Args)]
pub struct RemoveArgs {
    /// The node: its number, its name, or the first letters of its key
    #[arg(value_name = "NODE")]
    pub member: String,
    /// Also if too few nodes are left to decide anything [default: off]
    #[arg(long)]
    pub force: bool,
}

pub(super) async fn run(args: RemoveArgs, global: &Global) -> Result<(), Failure> {
    let client = global.connect().await?;
    let cluster = member::cluster(&client).await?;
    let node = member::called(&cluster, &args.member)?;
    if !args.force {
        refuse_standstill(&cluster, node)?;
    }
    match client.remove_node(node.number).await {
        Ok(()) => {}
        // It was there a moment ago: a first request has done it, whose reply was lost with the
        // link to the node that is removed.
        Err(error) if error.code() == Code::NotFound => {}
        Err(error) => return Err(member::refused(error, client.key())),
    }
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

/// Refuses to take a node out that the others need to decide just that, since voters are down.
fn refuse_standstill(cluster: &ClusterInfo, node: &NodeInfo) -> Result<(), Failure> {
    let voters: Vec<&NodeInfo> = cluster
        .nodes
        .iter()
        .filter(|node| matches!(node.role, NodeRole::Leader | NodeRole::Voter))
        .collect();
    if let [voter] = voters.as_slice()
        && voter.number == node.number
        && cluster.nodes.len() > 1
    {
        let message = format!(
            "node {} is the only one that votes, so nobody could lead after it",
            member::describe_node(node)
        );
        return Err(Failure::new(Exit::Failed, message).with_remedy(
            "let a third node join before, or remove the other one; --force does it all the same",
        ));
    }
    let down: Vec<String> = voters
        .iter()
        .filter(|voter| !voter.linked && voter.number != node.number)
        .map(|voter| member::describe_node(voter))
        .collect();
    let others = voters.iter().filter(|voter| voter.number != node.number);
    let left = others.count() - down.len();
    if down.is_empty() || left > voters.len() / 2 {
        return Ok(());
    }
    let message = format!(
        "without node {}, {left} of {} voters would be left, too few to decide anything",
        member::describe_node(node),
        voters.len()
    );
    Err(Failure::new(Exit::Failed, message).with_remedy(format!(
        "down: {}. Start or remove that first; --force does it all the same",
        down.join(", ")
    )))
}
