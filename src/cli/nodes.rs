//! `nodes`: the nodes of the cloud, as a client sees them.

use std::time::Duration;

use distri_core::client::{NodeState, NodeView};
use serde_json::{Value, json};

use super::{Failure, Global, output::Output};

/// How long nodes that have not answered yet are waited for before the table is shown.
const PATIENCE: Duration = Duration::from_millis(1500);

pub(super) async fn run(global: &Global) -> Result<(), Failure> {
    let client = global.connect().await?;
    // The table is as true with a node that is still silent; it only says so.
    let _ = client.wait_for_nodes(client.nodes().len(), PATIENCE).await;
    let mut nodes = client.nodes();
    nodes.sort_by(|a, b| (&a.name, &a.address).cmp(&(&b.name, &b.address)));
    let output = Output::new(global);
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
    let services = match (&node.trouble, node.services.is_empty()) {
        (Some(trouble), true) => format!("({trouble})"),
        (_, true) => "-".to_owned(),
        (_, false) => node.services.join(", "),
    };
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
        services,
    ]
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
        _ => "unknown",
    }
}
