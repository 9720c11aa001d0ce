//! `nodes`: the nodes of the cloud: what they do for the directory, and how they are.

use std::time::Duration;

use distri_core::{
    Client, Code,
    client::{NodeState, NodeView},
    cluster::{ClusterInfo, NodeInfo, NodeRole},
};
use serde_json::{Value, json};

use super::{
    Failure, Global, member,
    output::{Output, tell},
};

/// How long nodes that have not answered yet are waited for before the table is shown.
const PATIENCE: Duration = Duration::from_millis(1500);

pub(super) async fn run(global: &Global) -> Result<(), Failure> {
    let client = global.connect().await?;
    let output = Output::new(global);
    match client.cluster().await {
        Ok(cluster) => of_cluster(&client, &cluster, &output, global).await,
        // No directory, or not for us: what a client sees by itself.
        Err(error) if matches!(error.code(), Code::UnknownService | Code::Denied) => {
            of_client(&client, &output, global).await
        }
        Err(error) => Err(member::refused(error, client.key())),
    }
}

async fn of_cluster(
    client: &Client,
    cluster: &ClusterInfo,
    output: &Output,
    global: &Global,
) -> Result<(), Failure> {
    // Nodes that the leader cannot reach are not waited for.
    let there = cluster.nodes.iter().filter(|node| node.linked).count();
    let _ = client.wait_for_nodes(there, PATIENCE).await;
    let views = client.nodes();
    let nodes: Vec<(&NodeInfo, Option<&NodeView>)> = cluster
        .nodes
        .iter()
        .map(|node| (node, views.iter().find(|view| view.key == node.key)))
        .collect();
    if global.json {
        let all: Vec<Value> = nodes
            .iter()
            .map(|(node, view)| member_as_json(cluster, node, *view))
            .collect();
        return output.json(&all);
    }
    let rows: Vec<Vec<String>> = nodes
        .iter()
        .map(|(node, view)| {
            vec![
                node.number.to_string(),
                node.name.clone(),
                node.role.to_string(),
                health(node, *view).to_owned(),
                node.lag
                    .map_or_else(|| "-".to_owned(), |lag| lag.to_string()),
                node.address.to_string(),
                node.key.short(),
                view.map_or_else(|| "-".to_owned(), others),
            ]
        })
        .collect();
    output.table(
        &[
            "NODE", "NAME", "ROLE", "HEALTH", "LAG", "ADDRESS", "KEY", "SERVICES",
        ],
        &rows,
    )?;
    if output.is_terminal() {
        tell(&format!(
            "cluster {}, term {}",
            cluster.cluster, cluster.term
        ));
    }
    Ok(())
}

/// The services of a node, but for those that every node has.
fn others(view: &NodeView) -> String {
    let is_own = |name: &str| name == "distri" || name.starts_with("distri-");
    let names = view.services.iter().map(String::as_str);
    let others: Vec<&str> = names.filter(|name| !is_own(name)).collect();
    if others.is_empty() {
        return "-".to_owned();
    }
    others.join(", ")
}

/// How a node is: as this client sees it, or else as the leader does.
fn health(node: &NodeInfo, view: Option<&NodeView>) -> &'static str {
    match view.map(|view| view.state) {
        Some(NodeState::Ready) => "ready",
        Some(NodeState::Draining) => "draining",
        // The leader may be nearer to it than this client.
        _ if node.linked => "linked",
        _ if node.role == NodeRole::Joining => "joining",
        _ => "down",
    }
}

fn member_as_json(cluster: &ClusterInfo, node: &NodeInfo, view: Option<&NodeView>) -> Value {
    json!({
        "number": node.number,
        "key": node.key.to_string(),
        "name": node.name,
        "address": node.address.to_string(),
        "role": node.role,
        "lag": node.lag,
        "state": health(node, view),
        "in_flight": view.map_or(0, |view| view.in_flight),
        "services": view.map(|view| &view.services),
        "trouble": view.and_then(|view| view.trouble.as_ref()),
        "cluster": cluster.cluster,
        "term": cluster.term,
    })
}

async fn of_client(client: &Client, output: &Output, global: &Global) -> Result<(), Failure> {
    // The table is as true with a node that is still silent; it only says so.
    let _ = client.wait_for_nodes(client.nodes().len(), PATIENCE).await;
    let mut nodes = client.nodes();
    nodes.sort_by(|a, b| (&a.name, &a.address).cmp(&(&b.name, &b.address)));
    if global.json {
        let all: Vec<Value> = nodes.iter().map(as_json).collect();
        return output.json(&all);
    }
    let rows: Vec<Vec<String>> = nodes.iter().map(row).collect();
    output.table(
        &["KEY", "NAME", "ADDRESS", "STATE", "IN FLIGHT", "SERVICES"],
        &rows,
    )
}

fn row(node: &NodeView) -> Vec<String> {
    let name = if node.name.is_empty() {
        "-".to_owned()
    } else {
        node.name.clone()
    };
    vec![
        node.key.short(),
        name,
        node.address.to_string(),
        state(node.state).to_owned(),
        node.in_flight.to_string(),
        services(node),
    ]
}

fn services(node: &NodeView) -> String {
    match (&node.trouble, node.services.is_empty()) {
        (Some(trouble), true) => format!("({trouble})"),
        (_, true) => "-".to_owned(),
        (_, false) => node.services.join(", "),
    }
}

fn as_json(node: &NodeView) -> Value {
    json!({
        "key": node.key.to_string(),
        "name": node.name,
        "address": node.address.to_string(),
        "state": state(node.state),
        "in_flight": node.in_flight,
        "services": node.services,
        "trouble": node.trouble,
    })
}

fn state(state: NodeState) -> &'static str {
    match state {
        NodeState::Ready => "ready",
        NodeState::Connecting => "connecting",
        NodeState::Draining => "draining",
        NodeState::Down => "down",
        NodeState::Standby => "standby",
        _ => "unknown",
    }
}
