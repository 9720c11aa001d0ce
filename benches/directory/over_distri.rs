//! The cluster of distri.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use distri::{
    Client, Config, Node,
    cluster::{JoinToken, NodeRole},
    directory::{Collection, CollectionSpec, Json, Who},
    identity::Identity,
    transport::{Address, Endpoint},
};
use tokio::sync::mpsc::UnboundedSender;

use super::cluster::{CONNECTIONS, Cluster, Watching};

pub(crate) struct Distri {
    folder: PathBuf,
    nodes: Vec<Process>,
    clients: Vec<Client>,
}

/// 256 bytes of JSON.
static VALUE: LazyLock<Arc<Json>> =
    LazyLock::new(|| Arc::new(Json::from(serde_json::json!({ "text": "x".repeat(245) }))));

fn bench(client: &Client) -> Collection<Json> {
    client.directory().collection("bench")
}

impl Distri {
    fn own(&self, node: usize) -> PathBuf {
        self.folder.join((node + 1).to_string())
    }

    async fn client_of(nodes: impl IntoIterator<Item = Endpoint>) -> Option<Client> {
        Client::builder().nodes(nodes).connect().await.ok()
    }
}

impl Cluster for Distri {
    type Client = Client;
    type Writer = Client;

    async fn start(folder: PathBuf) -> Self {
        assert_eq!(VALUE.as_str().len(), 256);
        let _ = std::fs::remove_dir_all(&folder);
        let mut this = Self {
            folder,
            nodes: Vec::new(),
            clients: Vec::new(),
        };
        let first = this.own(0);
        this.nodes.push(Process::start(&first, &["found"]));
        for node in 1..3 {
            let token = token(&first);
            let own = this.own(node);
            this.nodes.push(Process::start(&own, &["join", &token]));
        }
        while !first.join("voting").exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        this.reconnect().await;
        this
    }

    fn client(&self, index: usize) -> Client {
        self.clients[index % self.clients.len()].clone()
    }

    async fn put(client: &Client, id: String) {
        bench(client).put(id, &VALUE).await.expect("a write");
    }

    async fn get(client: &Client, id: &str, local: bool) -> bool {
        let collection = bench(client);
        let collection = if local { collection.local() } else { collection };
        matches!(collection.get(id).await, Ok(Some(_)))
    }

    async fn watch(client: &Client, told: UnboundedSender<Instant>) -> Watching {
        let mut watch = bench(client).watch().await.expect("a watch");
        Watching(tokio::spawn(async move {
            while let Ok(events) = watch.next().await {
                for _ in events.events {
                    let _ = told.send(Instant::now());
                }
            }
        }))
    }

    /// The one that a client's writes are sent on to.
    async fn leader(&self) -> usize {
        Self::put(&self.clients[0], "leader".to_owned()).await;
        let leader = self.clients[0].directory().leader().expect("a leader");
        let at = |node: &Process| node.endpoint.key == leader;
        self.nodes.iter().position(at).expect("a node")
    }

    async fn writer(&self, _avoiding: usize) -> Client {
        self.clients[1].clone()
    }

    async fn write(writer: &mut Client) {
        while bench(writer).put("after", &VALUE).await.is_err() {}
    }

    fn process(&self, node: usize) -> u32 {
        self.nodes[node].child.id()
    }

    fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    async fn ended(&mut self, node: usize) {
        while let Ok(None) = self.nodes[node].child.try_wait() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn restart(&mut self, node: usize) {
        let own = self.own(node);
        self.nodes[node] = Process::start(&own, &["resume"]);
    }

    async fn admit(&mut self) {
        // The tokens are made already.
    }

    fn join(&mut self) {
        let token = token(&self.own(0));
        let own = self.own(3);
        self.nodes.push(Process::start(&own, &["join", &token]));
    }

    async fn connect(&self, node: usize) -> Option<Client> {
        Self::client_of([self.nodes[node].endpoint.clone()]).await
    }

    async fn reconnect(&mut self) {
        self.clients.clear();
        for _ in 0..CONNECTIONS {
            let nodes = self.nodes.iter().map(|node| node.endpoint.clone());
            let client = Self::client_of(nodes).await.expect("a client");
            let wait = Duration::from_secs(10);
            client.wait_for_nodes(3, wait).await.expect("three nodes");
            self.clients.push(client);
        }
    }
}

/// A node of distri as a process.
struct Process {
    child: Child,
    endpoint: Endpoint,
}

impl Process {
    /// Starts a node on `folder`; `entry` is `found`, `resume`, or `join TOKEN`. Returns when the
    /// node says where it listens.
    fn start(folder: &Path, entry: &[&str]) -> Self {
        tokio::task::block_in_place(|| {
            let me = std::env::current_exe().expect("a path");
            let mut child = Command::new(me)
                .arg("serve")
                .arg(folder)
                .args(entry)
                .stdout(Stdio::piped())
                .spawn()
                .expect("a process");
            let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
            let endpoint = lines.next().expect("a line").expect("a text");
            std::thread::spawn(move || lines.for_each(drop));
            Self {
                child,
                endpoint: endpoint.parse().expect("an endpoint"),
            }
        })
    }

    fn kill(&mut self) {
        self.child.kill().expect("a process");
        self.child.wait().expect("an end");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The node's process.
pub(crate) fn serve(folder: &str, entry: &[&str]) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let folder = Path::new(folder);
        std::fs::create_dir_all(folder).expect("a folder");
        let identity = Identity::load_or_create(folder.join("node.key")).expect("a key");
        let port = folder.join("port");
        let listen = std::fs::read_to_string(&port).unwrap_or("127.0.0.1:0".to_owned());
        let mut config = Config::default();
        config.node.listen = Address::new(listen);
        config.directory.path = Some(folder.join("data"));
        let builder = Node::builder().identity(identity).config(config).without_registry();
        let builder = match entry {
            ["found"] => builder.found(),
            ["join", token] => builder.join(token.parse::<JoinToken>().expect("a token")),
            _ => builder,
        };
        let node = builder.start().await.expect("a node");
        std::fs::write(&port, node.address().as_str()).expect("a file");
        if entry == ["found"] {
            let open = CollectionSpec::new("bench").read(Who::Public).write(Who::Public);
            node.handle().directory().create(open).await.expect("a collection");
            for number in 0..3 {
                let valid = Duration::from_secs(3600);
                // The leader makes the place for tokens soon after it has begun to lead.
                let token = loop {
                    match node.client().join_token(valid).await {
                        Ok(token) => break token,
                        Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                    }
                };
                std::fs::write(folder.join(format!("token-{number}")), token.reveal()).expect("a file");
            }
        }
        println!("{}", node.endpoint());
        std::io::stdout().flush().expect("a pipe");
        if entry == ["found"] {
            while voters(&node).await < 3 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            std::fs::write(folder.join("voting"), "").expect("a file");
        }
        let mut ask = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .expect("a signal");
        ask.recv().await;
        node.shutdown().await;
    });
}

async fn voters(node: &Node) -> usize {
    let Ok(cluster) = node.client().cluster().await else {
        return 0;
    };
    let votes = |role| matches!(role, NodeRole::Leader | NodeRole::Voter);
    cluster.nodes.iter().filter(|node| votes(node.role)).count()
}

/// Takes a token that the first node has left in its folder.
fn token(folder: &Path) -> String {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        if entry.file_name().to_string_lossy().starts_with("token-") {
            let token = std::fs::read_to_string(entry.path()).expect("a token");
            std::fs::remove_file(entry.path()).expect("a file");
            return token;
        }
    }
    panic!("no token is left");
}
