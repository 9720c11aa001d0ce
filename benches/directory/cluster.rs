//! Three processes on one disk: what a cluster of either kind has to offer to be measured.

use std::{future::Future, path::PathBuf, process::Command, time::Instant};

use tokio::sync::mpsc::UnboundedSender;

/// Connections that the client keeps at most.
pub(crate) const CONNECTIONS: usize = 64;

/// A cluster of three nodes, each a process of its own. Nodes are numbered from 0.
pub(crate) trait Cluster: Sized {
    /// One connection's worth of a client.
    type Client: Clone + Send + Sync + 'static;
    /// Somebody whose writes go through as soon as any node but one takes them.
    type Writer: Send + 'static;

    /// Starts three nodes in an emptied folder. All three vote when it returns.
    async fn start(folder: PathBuf) -> Self;
    /// One of the [`CONNECTIONS`], spread over the nodes; the first is at the leader.
    fn client(&self, index: usize) -> Self::Client;
    /// Writes a document of 256 bytes.
    fn put(client: &Self::Client, id: String) -> impl Future<Output = ()> + Send;
    /// Reads a document, as it is or (`local`) as the node has it. False: it is not there, or the
    /// node does not answer.
    fn get(client: &Self::Client, id: &str, local: bool) -> impl Future<Output = bool> + Send;
    /// Tells of each change of `watched` until dropped. Returns once the watch stands.
    async fn watch(client: &Self::Client, told: UnboundedSender<Instant>) -> Watching;

    async fn leader(&self) -> usize;
    /// Somebody who writes while the node `avoiding` ends.
    async fn writer(&self, avoiding: usize) -> Self::Writer;
    /// Writes, trying until it is acknowledged.
    fn write(writer: &mut Self::Writer) -> impl Future<Output = ()> + Send;

    /// The process of a node.
    fn process(&self, node: usize) -> u32;
    fn kill(&mut self, node: usize);
    /// Waits until a process that was asked to end has done so.
    async fn ended(&mut self, node: usize);
    /// Starts a node where it was, and returns at once or when it says that it is up.
    fn restart(&mut self, node: usize);
    /// Has the cluster expect a fourth node.
    async fn admit(&mut self);
    /// Starts it, empty.
    fn join(&mut self);
    /// Connects to one node alone; none if it does not answer yet.
    async fn connect(&self, node: usize) -> Option<Self::Client>;
    /// Makes all connections anew, once all nodes are up.
    async fn reconnect(&mut self);
}

/// A watch that ends when it is dropped.
pub(crate) struct Watching(pub(crate) tokio::task::JoinHandle<()>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Resident memory of a process in MiB.
pub(crate) fn memory(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// Seconds of processor that a process has used.
pub(crate) fn processor(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything: state is the first, user and system time the 12th
    // and 13th, in hundredths of a second.
    let fields = status.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let at = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    (at(11).unwrap_or(0.0) + at(12).unwrap_or(0.0)) / 100.0
}

/// Bytes of the files in a folder and below, in MiB, as the disk holds them.
pub(crate) fn on_disk(folder: &std::path::Path) -> f64 {
    let run = Command::new("du").arg("-sk").arg(folder).output().expect("du");
    let text = String::from_utf8_lossy(&run.stdout);
    let kib = text.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// Asks a process to end (SIGTERM).
pub(crate) fn terminate(process: u32) {
    let run = Command::new("kill").args(["-TERM", &process.to_string()]).status();
    assert!(run.expect("kill").success());
}
