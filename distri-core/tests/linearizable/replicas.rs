//! All nodes hold the same.

use crate::{
    directory_support::{Cluster, eventually},
    held,
};

/// Every node, once it has caught up, has the same documents at the same revisions.
///
/// # Panics
/// If two do not.
pub(crate) async fn must_agree(cluster: &Cluster, collections: &[&str]) {
    let nodes: Vec<_> = (0..cluster.size())
        .map(|index| cluster.key(index))
        .collect();
    for collection in collections {
        eventually("all nodes hold the same", || async {
            held::agreed(&cluster.node(0).client(), &nodes, collection).await
        })
        .await;
    }
}
