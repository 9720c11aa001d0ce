//! The cluster of etcd.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use etcd_client::{Client, GetOptions, WatchOptions};
use tokio::sync::mpsc::UnboundedSender;

use super::cluster::{CONNECTIONS, Cluster, Watching};

pub(crate) struct Etcd {
    folder: PathBuf,
    nodes: Vec<Child>,
    clients: Vec<Client>,
}

const PORT: u16 = 22_000;

fn number(node: usize) -> u16 {
    u16::try_from(node).expect("few nodes") + 1
}

fn client_at(node: usize) -> String {
    format!("http://127.0.0.1:{}", PORT + number(node))
}

fn peer_at(node: usize) -> String {
    format!("http://127.0.0.1:{}", PORT + 10 + number(node))
}

impl Etcd {
    pub(crate) fn binary() -> Option<String> {
        std::env::var("ETCD").ok()
    }

    /// Everything but addresses as etcd has it: heartbeat 100 ms, election 1000 ms, synced.
    fn spawn(folder: &Path, node: usize, nodes: usize, fresh: bool) -> Child {
        let all: Vec<String> = (0..nodes)
            .map(|node| format!("n{}={}", number(node), peer_at(node)))
            .collect();
        Command::new(Self::binary().expect("ETCD names the program"))
            .args(["--name", &format!("n{}", number(node))])
            .arg("--data-dir")
            .arg(folder.join(number(node).to_string()))
            .args(["--listen-client-urls", &client_at(node)])
            .args(["--advertise-client-urls", &client_at(node)])
            .args(["--listen-peer-urls", &peer_at(node)])
            .args(["--initial-advertise-peer-urls", &peer_at(node)])
            .args(["--initial-cluster", &all.join(",")])
            .args(["--initial-cluster-state", if fresh { "new" } else { "existing" }])
            .args(["--log-level", "error"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process")
    }

    async fn client_of(node: usize) -> Client {
        loop {
            if let Ok(client) = Client::connect([client_at(node)], None).await {
                return client;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Writes, but waits no longer than until it may be worth asking another node.
async fn try_put(client: &Client, id: &str, wait: Duration) -> bool {
    let mut client = client.clone();
    let put = client.put(id, "x".repeat(256), None);
    matches!(tokio::time::timeout(wait, put).await, Ok(Ok(_)))
}

impl Cluster for Etcd {
    type Client = Client;
    type Writer = Vec<Client>;

    async fn start(folder: PathBuf) -> Self {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let nodes = (0..3).map(|node| Self::spawn(&folder, node, 3, true)).collect();
        let mut this = Self {
            folder,
            nodes,
            clients: Vec::new(),
        };
        this.reconnect().await;
        this
    }

    fn client(&self, index: usize) -> Client {
        self.clients[index % self.clients.len()].clone()
    }

    async fn put(client: &Client, id: String) {
        let mut client = client.clone();
        client.put(id, "x".repeat(256), None).await.expect("a write");
    }

    async fn get(client: &Client, id: &str, local: bool) -> bool {
        let mut client = client.clone();
        let options = local.then(|| GetOptions::new().with_serializable());
        matches!(client.get(id, options).await, Ok(found) if found.count() == 1)
    }

    async fn watch(client: &Client, told: UnboundedSender<Instant>) -> Watching {
        let mut client = client.clone();
        let options = None::<WatchOptions>;
        let mut stream = client.watch("watched", options).await.expect("a watch");
        Watching(tokio::spawn(async move {
            while let Ok(Some(answer)) = stream.message().await {
                for _ in answer.events() {
                    let _ = told.send(Instant::now());
                }
            }
        }))
    }

    async fn leader(&self) -> usize {
        loop {
            for node in 0..3 {
                let mut client = Self::client_of(node).await;
                if let Ok(status) = client.status().await
                    && status.leader() != 0
                    && status.header().is_some_and(|header| header.member_id() == status.leader())
                {
                    return node;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn writer(&self, avoiding: usize) -> Vec<Client> {
        let mut clients = Vec::new();
        for node in (0..3).filter(|node| *node != avoiding) {
            let client = Self::client_of(node).await;
            assert!(try_put(&client, "after", Duration::from_secs(5)).await);
            clients.push(client);
        }
        clients
    }

    async fn write(writer: &mut Vec<Client>) {
        // A node that knows no leader keeps a write until it does, or forgets it.
        loop {
            for client in &*writer {
                if try_put(client, "after", Duration::from_millis(100)).await {
                    return;
                }
            }
        }
    }

    fn process(&self, node: usize) -> u32 {
        self.nodes[node].id()
    }

    fn kill(&mut self, node: usize) {
        self.nodes[node].kill().expect("a process");
        self.nodes[node].wait().expect("an end");
    }

    async fn ended(&mut self, node: usize) {
        while let Ok(None) = self.nodes[node].try_wait() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn restart(&mut self, node: usize) {
        self.nodes[node] = Self::spawn(&self.folder, node, 3, false);
    }

    async fn admit(&mut self) {
        // Nobody is let in until all have been up for five seconds.
        while self.client(0).member_add([peer_at(3)], None).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn join(&mut self) {
        self.nodes.push(Self::spawn(&self.folder, 3, 4, false));
    }

    async fn connect(&self, node: usize) -> Option<Client> {
        Client::connect([client_at(node)], None).await.ok()
    }

    async fn reconnect(&mut self) {
        self.clients.clear();
        for node in 0..3 {
            let client = Self::client_of(node).await;
            while !try_put(&client, "ready", Duration::from_secs(1)).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let leader = self.leader().await;
        for index in 0..CONNECTIONS {
            self.clients.push(Self::client_of((leader + index) % 3).await);
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}
