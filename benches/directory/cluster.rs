//! Three processes on one disk.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use distri::{
    Config, Node,
    cluster::JoinToken,
    directory::{CollectionSpec, Who},
    identity::Identity,
    transport::{Address, Endpoint},
};

/// A node of distri as a process.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) endpoint: Endpoint,
}

impl Process {
    /// Starts a node on `folder`; `entry` is `found`, `resume`, or `join TOKEN`.
    pub(crate) fn start(folder: &Path, entry: &[&str]) -> Self {
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
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a process");
        self.child.wait().expect("an end");
    }

    /// Resident memory in MiB.
    pub(crate) fn memory(&self) -> f64 {
        memory(self.child.id())
    }
}

/// Resident memory of a process in MiB.
pub(crate) fn memory(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
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
        let builder = Node::builder()
            .identity(identity)
            .config(config)
            .without_registry();
        let builder = match entry {
            ["found"] => builder.found(),
            ["join", token] => builder.join(token.parse::<JoinToken>().expect("a token")),
            _ => builder,
        };
        let node = builder.start().await.expect("a node");
        std::fs::write(&port, node.address().as_str()).expect("a file");
        if entry == ["found"] {
            let open = CollectionSpec::new("bench")
                .read(Who::Public)
                .write(Who::Public);
            node.handle()
                .directory()
                .create(open)
                .await
                .expect("a collection");
            for _ in 0..3 {
                let valid = Duration::from_secs(3600);
                let token = node.client().join_token(valid).await.expect("a token");
                std::fs::write(folder.join(format!("token-{}", rand())), token.reveal())
                    .expect("a file");
            }
        }
        println!("{}", node.endpoint());
        std::io::stdout().flush().expect("a pipe");
        std::future::pending::<()>().await;
    });
}

fn rand() -> u128 {
    std::time::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_nanos())
}

/// Takes a token that the first node has left in its folder.
pub(crate) fn token(folder: &Path) -> String {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        if entry.file_name().to_string_lossy().starts_with("token-") {
            let token = std::fs::read_to_string(entry.path()).expect("a token");
            std::fs::remove_file(entry.path()).expect("a file");
            return token;
        }
    }
    panic!("no token is left");
}
