//! A cloud on this machine for as long as it is measured: this very program as node, once for each,
//! in a folder that is gone afterwards, made with the commands that an operator would type.

use std::{
    fs::File,
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use distri::{
    cli::{Exit, Failure},
    transport::Endpoint,
};
use serde_json::Value;
use tempfile::TempDir;

/// How long a cloud may take until all its nodes are ready.
const READY: Duration = Duration::from_secs(60);

/// How long is waited before it is looked at again.
const AGAIN: Duration = Duration::from_millis(50);

/// Nodes that vote, at most; the others of a larger cloud follow.
const VOTERS: usize = 5;

/// Nodes that run until this is dropped.
pub(super) struct Nodes {
    folder: TempDir,
    nodes: Vec<Child>,
    pub(super) endpoints: Vec<Endpoint>,
}

impl Nodes {
    /// A cluster of so many nodes, which are all ready.
    pub(super) fn start(count: u16) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(|e| failed("make a folder for the nodes", e))?;
        let mut nodes = Self {
            folder,
            nodes: Vec::new(),
            endpoints: Vec::new(),
        };
        for (nr, port) in (1..).zip(free_ports(count)?) {
            nodes.add(nr, port)?;
        }
        nodes.wait_until_ready()?;
        Ok(nodes)
    }

    /// Runs a command as the admin of the cloud.
    pub(super) fn admin(&self, arguments: &[&str]) -> Result<String, Failure> {
        run(&self.folder_of(1), arguments, "")
    }

    fn folder_of(&self, nr: u16) -> PathBuf {
        self.folder.path().join(format!("node-{nr}"))
    }

    fn add(&mut self, nr: u16, port: u16) -> Result<(), Failure> {
        let folder = self.folder_of(nr);
        std::fs::create_dir(&folder).map_err(|e| failed("make a folder for a node", e))?;
        let (name, listen) = (format!("node-{nr}"), format!("127.0.0.1:{port}"));
        let place = ["--listen", &listen, "--name", &name];
        if nr == 1 {
            run(&folder, &[&["init"], &place[..]].concat(), "")?;
        } else {
            let token = self.admin(&["token"])?;
            run(&folder, &[&["join-node", "-"], &place[..]].concat(), &token)?;
        }
        let key = run(&folder, &["id"], "")?;
        let endpoint = format!("{}@{listen}", key.trim());
        self.endpoints.push(endpoint.parse().map_err(|error| {
            Failure::new(Exit::Failed, format!("`{endpoint}` is no node: {error}"))
        })?);
        self.nodes.push(spawn(&folder)?);
        if nr == 1 {
            self.wait_until_ready()?;
        }
        Ok(())
    }

    /// Waits until all nodes are there, and as many vote as are to.
    fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let count = self.nodes.len();
        let voters = VOTERS.min(count - usize::from(count.is_multiple_of(2)));
        let deadline = Instant::now() + READY;
        while !self
            .admin(&["nodes", "--json"])
            .is_ok_and(|nodes| are_ready(&nodes, count, voters))
        {
            self.all_run()?;
            if Instant::now() > deadline {
                let message = format!("{count} nodes were not ready within {READY:?}");
                return Err(Failure::new(Exit::Failed, message));
            }
            std::thread::sleep(AGAIN);
        }
        Ok(())
    }

    /// Fails if a node has ended by itself, with its last words.
    fn all_run(&mut self) -> Result<(), Failure> {
        for nr in 1..=self.nodes.len() {
            let ended = self.nodes[nr - 1].try_wait();
            if let Ok(Some(status)) = ended {
                let folder = self.folder_of(u16::try_from(nr).unwrap_or(u16::MAX));
                let log = std::fs::read_to_string(log_of(&folder)).unwrap_or_default();
                let message = format!("node {nr} ended ({status}): {}", log.trim());
                return Err(Failure::new(Exit::Failed, message));
            }
        }
        Ok(())
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

/// So many ports that nobody uses now.
fn free_ports(count: u16) -> Result<Vec<u16>, Failure> {
    let listen = || TcpListener::bind("127.0.0.1:0");
    let ports = || -> std::io::Result<Vec<u16>> {
        // All are held until the last one is known, so that none comes twice.
        let held: Vec<_> = (0..count).map(|_| listen()).collect::<Result<_, _>>()?;
        held.iter()
            .map(|one| Ok(one.local_addr()?.port()))
            .collect()
    };
    ports().map_err(|error| failed("find free ports", error))
}

fn are_ready(nodes: &str, count: usize, voters: usize) -> bool {
    let Ok(Value::Array(nodes)) = serde_json::from_str(nodes) else {
        return false;
    };
    let is_ready = |node: &Value| node["state"] == "ready" && node["lag"] == 0;
    let votes = |node: &&Value| node["role"] == "leader" || node["role"] == "voter";
    nodes.len() == count
        && nodes.iter().all(is_ready)
        && nodes.iter().filter(votes).count() == voters
}

/// This program, in `folder` and with nothing but that folder to go by.
fn program(folder: &Path) -> Result<Command, Failure> {
    let path = std::env::current_exe().map_err(|error| failed("find this program", error))?;
    let mut command = Command::new(path);
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("DISTRI_") {
            command.env_remove(variable);
        }
    }
    command.current_dir(folder);
    Ok(command)
}

fn log_of(folder: &Path) -> PathBuf {
    folder.join("log")
}

fn spawn(folder: &Path) -> Result<Child, Failure> {
    let log = File::create(log_of(folder)).map_err(|error| failed("make a log", error))?;
    let mut command = program(folder)?;
    command
        .arg("node")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command
        .spawn()
        .map_err(|error| failed("start a node", error))
}

/// Runs a command to its end; gives what it printed.
fn run(folder: &Path, arguments: &[&str], input: &str) -> Result<String, Failure> {
    let mut command = program(folder)?;
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = command
        .spawn()
        .and_then(|mut child| {
            // A program that does not read its input may well be gone before it is written.
            let _ = child
                .stdin
                .take()
                .map(|mut stdin| stdin.write_all(input.as_bytes()));
            child.wait_with_output()
        })
        .map_err(|error| failed("run this program", error))?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        let message = format!("`{}` failed: {}", arguments.join(" "), told.trim());
        return Err(Failure::new(Exit::Failed, message));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn failed(what: &str, error: std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("could not {what}: {error}"))
}
