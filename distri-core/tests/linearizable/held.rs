//! What one node has at hand, asked of that node and no other.

use distri::{
    Client,
    directory::{Document, Page, Query},
    id::PublicKey,
};
use serde_json::{Value, json};

/// The documents of `collection` that `node` holds; `None` if it does not answer.
pub(crate) async fn held(
    client: &Client,
    node: PublicKey,
    collection: &str,
) -> Option<Vec<Document>> {
    let mut query = Query::new(collection);
    let mut documents = Vec::new();
    loop {
        let asked = json!({ "query": query, "local": true });
        let page: Page = serde_json::from_value(ask(client, node, "find", asked).await?).unwrap();
        documents.extend(page.documents);
        query.cursor = page.cursor;
        if query.cursor.is_none() {
            return Some(documents);
        }
    }
}

/// How many documents of `collection` the node counts; `None` if it does not answer.
pub(crate) async fn counted(client: &Client, node: PublicKey, collection: &str) -> Option<usize> {
    let asked = json!({ "collection": collection, "filter": "all", "local": true });
    let count = ask(client, node, "count", asked).await?;
    Some(count.as_u64().unwrap() as usize)
}

/// How many documents of `collection` all `nodes` hold, if they hold the same.
pub(crate) async fn agreed(
    client: &Client,
    nodes: &[PublicKey],
    collection: &str,
) -> Option<usize> {
    let (first, others) = nodes.split_first().unwrap();
    let documents = held(client, *first, collection).await?;
    for node in others {
        if held(client, *node, collection).await? != documents {
            return None;
        }
    }
    for node in nodes {
        if counted(client, *node, collection).await? != documents.len() {
            return None;
        }
    }
    Some(documents.len())
}

async fn ask(client: &Client, node: PublicKey, method: &str, asked: Value) -> Option<Value> {
    let call = client.call_json("distri-directory", method, asked);
    call.to(node).await.ok().map(|reply| reply.value)
}
