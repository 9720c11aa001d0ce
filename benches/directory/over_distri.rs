//! The cluster of distri.

use std::{path::PathBuf, sync::Arc, time::Duration};

use distri::{
    Client,
    cluster::NodeRole,
    directory::{Collection, Filter, Json},
};

use super::cluster::{Process, token};

pub(crate) struct Distri {
    pub(crate) folder: PathBuf,
    pub(crate) nodes: Vec<Process>,
    clients: Vec<Client>,
}

impl Distri {
    pub(crate) async fn start(folder: PathBuf) -> Self {
        let _ = std::fs::remove_dir_all(&folder);
        let first = folder.join("1");
        let mut nodes = vec![Process::start(&first, &["found"])];
        for number in 2..=3 {
            let token = token(&first);
            nodes.push(Process::start(
                &folder.join(number.to_string()),
                &["join", &token],
            ));
        }
        let mut this = Self {
            folder,
            nodes,
            clients: Vec::new(),
        };
        this.connect(64).await;
        this.voters(3).await;
        this
    }

    pub(crate) async fn connect(&mut self, count: usize) {
        self.clients.clear();
        for _ in 0..count {
            let nodes = self.nodes.iter().map(|node| node.endpoint.clone());
            let client = Client::builder()
                .nodes(nodes)
                .connect()
                .await
                .expect("a client");
            client
                .wait_for_nodes(3, Duration::from_secs(10))
                .await
                .expect("three nodes");
            self.clients.push(client);
        }
    }

    async fn voters(&self, count: usize) {
        // The bench's clients are strangers and may not list nodes: a majority that answers while
        // one process is stopped would show it too, but the time that joining takes is enough here.
        let _ = (count, NodeRole::Voter);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    pub(crate) fn collection(&self, index: usize) -> Collection<Json> {
        self.clients[index % self.clients.len()]
            .directory()
            .collection("bench")
    }

    pub(crate) fn value() -> Arc<Json> {
        Arc::new(Json::from(serde_json::json!({ "text": "x".repeat(243) })))
    }

    /// Which process leads: the one that a client's writes are sent on to.
    pub(crate) async fn leader(&self) -> usize {
        let collection = self.collection(0);
        collection
            .put("leader", &Self::value())
            .await
            .expect("a write");
        let leader = self.clients[0].directory().leader().expect("a leader");
        self.nodes
            .iter()
            .position(|node| node.endpoint.key == leader)
            .expect("a node")
    }

    pub(crate) async fn count(&self) -> u64 {
        self.collection(0)
            .count(Filter::All)
            .await
            .expect("a count")
    }
}
