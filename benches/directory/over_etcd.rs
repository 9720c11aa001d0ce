//! The cluster of etcd.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use etcd_client::Client;

pub(crate) struct Etcd {
    folder: PathBuf,
    pub(crate) nodes: Vec<Child>,
    clients: Vec<Client>,
}

const PORT: u16 = 22_000;

impl Etcd {
    pub(crate) fn binary() -> Option<String> {
        std::env::var("ETCD").ok()
    }

    fn spawn(folder: &Path, number: u16, fresh: bool) -> Child {
        let peer = |number: u16| format!("http://127.0.0.1:{}", PORT + 10 + number);
        let client = format!("http://127.0.0.1:{}", PORT + number);
        let all: Vec<String> = (1..=3).map(|n| format!("n{n}={}", peer(n))).collect();
        Command::new(Self::binary().expect("ETCD names the program"))
            .args(["--name", &format!("n{number}")])
            .arg("--data-dir")
            .arg(folder.join(number.to_string()))
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args(["--listen-peer-urls", &peer(number)])
            .args(["--initial-advertise-peer-urls", &peer(number)])
            .args(["--initial-cluster", &all.join(",")])
            .args([
                "--initial-cluster-state",
                if fresh { "new" } else { "existing" },
            ])
            .args(["--log-level", "error"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process")
    }

    pub(crate) async fn start(folder: PathBuf) -> Self {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let nodes = (1..=3).map(|n| Self::spawn(&folder, n, true)).collect();
        let mut this = Self {
            folder,
            nodes,
            clients: Vec::new(),
        };
        loop {
            let mut first = Self::client(1).await;
            if first.put("ready", "", None).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        for index in 0..64 {
            this.clients.push(Self::client(1 + index % 3).await);
        }
        this
    }

    pub(crate) async fn client(number: u16) -> Client {
        loop {
            let at = format!("http://127.0.0.1:{}", PORT + number);
            if let Ok(client) = Client::connect([at], None).await {
                return client;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn one(&self, index: usize) -> Client {
        self.clients[index % self.clients.len()].clone()
    }

    pub(crate) async fn leader(&self) -> usize {
        for number in 1..=3 {
            let mut client = Self::client(number).await;
            let status = client.status().await.expect("a status");
            if status
                .header()
                .is_some_and(|header| header.member_id() == status.leader())
            {
                return usize::from(number) - 1;
            }
        }
        panic!("no leader");
    }

    pub(crate) fn kill(&mut self, index: usize) {
        self.nodes[index].kill().expect("a process");
        self.nodes[index].wait().expect("an end");
    }

    pub(crate) fn restart(&mut self, index: usize) {
        let number = u16::try_from(index + 1).expect("three nodes");
        self.nodes[index] = Self::spawn(&self.folder, number, false);
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
