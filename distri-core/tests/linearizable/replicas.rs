//! All nodes hold the same.

use distri::directory::{Document, Query};
use serde_json::{Value, json};

use crate::directory_support::{Cluster, eventually};

/// Every node, once it has caught up, has the same documents at the same revisions.
///
/// # Panics
/// If two do not.
pub(crate) async fn must_agree(cluster: &Cluster, collections: &[&str]) {
    for collection in collections {
        eventually("all nodes hold the same", || async {
            let first = held(cluster, 0, collection).await?;
            for index in 1..cluster.size() {
                if held(cluster, index, collection).await? != first {
                    return None;
                }
            }
            Some(())
        })
        .await;
        let documents = held(cluster, 0, collection).await.unwrap();
        for index in 0..cluster.size() {
            assert_eq!(counted(cluster, index, collection).await, documents.len());
        }
    }
}

/// What one node has at hand, asked of that node and no other.
pub(crate) async fn held(
    cluster: &Cluster,
    index: usize,
    collection: &str,
) -> Option<Vec<Document>> {
    let mut query = Query::new(collection);
    let mut documents = Vec::new();
    loop {
        let asked = json!({ "query": query, "local": true });
        let page = ask(cluster, index, "find", asked).await?;
        let page: distri::directory::Page = serde_json::from_value(page).unwrap();
        documents.extend(page.documents);
        query.cursor = page.cursor;
        if query.cursor.is_none() {
            return Some(documents);
        }
    }
}

async fn counted(cluster: &Cluster, index: usize, collection: &str) -> usize {
    let asked = json!({ "collection": collection, "filter": "all", "local": true });
    let count = ask(cluster, index, "count", asked).await.unwrap();
    count.as_u64().unwrap() as usize
}

async fn ask(cluster: &Cluster, index: usize, method: &str, asked: Value) -> Option<Value> {
    let client = cluster.node(index).client();
    let call = client.call_json("distri-directory", method, asked);
    call.to(cluster.key(index))
        .await
        .ok()
        .map(|reply| reply.value)
}
