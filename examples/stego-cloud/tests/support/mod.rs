//! The program as a user runs it: processes, their output, and clouds of them.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// Longer than anything here takes on a machine with other things to do.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// How often a cloud is tried on other ports. Ports are looked for and then left for the nodes to
/// take; in between, somebody else may.
const TRIES: usize = 10;

/// What a process said, and whether it succeeded.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// The result, of a command that was to succeed.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// The program, not yet started, in `folder`, with nothing but its arguments to go by.
pub(crate) fn program<const N: usize>(folder: &Path, arguments: [&str; N]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_example-stego-cloud"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs a command to its end.
pub(crate) async fn finish(mut command: Command) -> Finished {
    finished(command.spawn().unwrap()).await
}

/// Waits for the end of a process.
pub(crate) async fn finished(child: Child) -> Finished {
    let output = timeout(DEADLINE, child.wait_with_output())
        .await
        .expect("ends in time")
        .unwrap();
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Three nodes, each a process of its own.
pub(crate) struct Cloud {
    pub(crate) folder: TempDir,
    pub(crate) endpoints: Vec<String>,
    nodes: Vec<Child>,
    /// Held open, as a supervisor would.
    _stdouts: Vec<Lines<BufReader<ChildStdout>>>,
}

impl Cloud {
    pub(crate) async fn start() -> Self {
        for _ in 0..TRIES {
            if let Some(cloud) = Self::try_start().await {
                return cloud;
            }
        }
        panic!("no three ports in a row could be had in {TRIES} tries");
    }

    /// What a client's `--config` names.
    pub(crate) fn client(&self) -> String {
        self.path("cloud/client.toml").to_str().unwrap().to_owned()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Ends a node as a power cut would.
    pub(crate) async fn kill(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        node.start_kill().unwrap();
        timeout(DEADLINE, node.wait()).await.expect("dies").unwrap();
    }

    async fn try_start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = three_free_ports()?.to_string();
        let made = finish(program(
            folder.path(),
            ["new-cloud", "cloud", "--port", &port],
        ))
        .await;
        assert_eq!(made.code, Some(0), "{made:?}");
        let mut cloud = Self {
            folder,
            endpoints: Vec::new(),
            nodes: Vec::new(),
            _stdouts: Vec::new(),
        };
        for number in 1..=3 {
            let config = format!("cloud/node-{number}/distri.toml");
            let mut command = program(cloud.folder.path(), ["node", "--config", &config]);
            let mut node = command.stderr(Stdio::null()).spawn().unwrap();
            let mut stdout = BufReader::new(node.stdout.take().unwrap()).lines();
            let line = timeout(DEADLINE, stdout.next_line())
                .await
                .expect("starts in time");
            // A node that cannot listen ends without a word on stdout.
            cloud.endpoints.push(line.unwrap()?);
            cloud.nodes.push(node);
            cloud._stdouts.push(stdout);
        }
        Some(cloud)
    }
}

/// The first of three ports in a row that nobody uses now.
fn three_free_ports() -> Option<u16> {
    let first = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = first.local_addr().unwrap().port();
    let others = [port.checked_add(1)?, port.checked_add(2)?];
    let held = others.map(|port| TcpListener::bind(("127.0.0.1", port)));
    held.iter().all(Result::is_ok).then_some(port)
}
