//! Runs distri programs as a shell would: in folders of their own, without the environment of
//! whoever runs the tests.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub(crate) mod cluster;

/// How long anything may take. Far longer than it does, so that a slow machine fails no test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A program in a folder of its own.
pub(crate) struct Program {
    executable: &'static str,
    pub(crate) folder: TempDir,
    environment: Vec<(String, String)>,
    /// What runs the program, if it is not run directly.
    within: Vec<String>,
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) exit: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn new(executable: &'static str) -> Self {
        Self {
            executable,
            folder: tempfile::tempdir().unwrap(),
            environment: Vec::new(),
            within: Vec::new(),
        }
    }

    /// Has all further runs started by this command, to which program and arguments are added. It
    /// must become the program rather than start another process.
    pub(crate) fn within(&mut self, command: &[&str]) {
        self.within = command.iter().map(|&word| word.to_owned()).collect();
    }

    /// From now on the program is this one: another version of it, with the same folder.
    pub(crate) fn replace(&mut self, executable: &'static str) {
        self.executable = executable;
    }

    /// Sets an environment variable for all further runs.
    pub(crate) fn set(&mut self, variable: &str, value: impl Into<String>) {
        self.environment.push((variable.to_owned(), value.into()));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.within.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(self.executable);
                command
            }
            None => Command::new(self.executable),
        };
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("DISTRI_") {
                command.env_remove(variable);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    /// Runs to the end, with nothing on stdin.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, b"")
    }

    /// Runs to the end, with `input` on stdin.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || {
            // A program that does not read its input may well be gone before it is written.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Outcome {
            exit: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs to the end and insists that it went well.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let outcome = self.run(arguments);
        assert_eq!(outcome.exit, 0, "{arguments:?} failed: {}", outcome.stderr);
        outcome.text()
    }

    /// Starts a node and waits until it has said where it is.
    #[track_caller]
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        match self.try_start(arguments) {
            Ok(node) => node,
            Err(stderr) => panic!("the node did not start: {stderr}"),
        }
    }

    /// Starts a node; gives what it said if it ended instead.
    pub(crate) fn try_start(&self, arguments: &[&str]) -> Result<Running, String> {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let mut first = String::new();
        stdout.read_line(&mut first).unwrap();
        let node = Running {
            child,
            first: first.trim().to_owned(),
            stdout,
            log: Some(log),
        };
        if node.first.is_empty() {
            Err(node.wait().1)
        } else {
            Ok(node)
        }
    }
}

impl Outcome {
    /// What it printed, without the last line break.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Insists that it failed with this exit code, and said so on stderr with these words.
    #[track_caller]
    pub(crate) fn failed(&self, exit: i32, words: &str) {
        assert_eq!(self.exit, exit, "{}", self.stderr);
        assert!(self.stderr.contains(words), "{}", self.stderr);
    }

    /// The error that it printed as JSON.
    #[track_caller]
    pub(crate) fn error_json(&self) -> serde_json::Value {
        let all: serde_json::Value =
            serde_json::from_str(&self.stderr).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        all["error"].clone()
    }
}

/// A node that runs until it is stopped or dropped.
pub(crate) struct Running {
    child: Child,
    /// The first line that it printed.
    pub(crate) first: String,
    stdout: BufReader<ChildStdout>,
    log: Option<std::thread::JoinHandle<String>>,
}

impl Running {
    /// Sends a signal, as `kill` names it.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Ends it without a chance to say or save anything.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Waits until it has ended: its exit code, and what it said on stderr.
    pub(crate) fn wait(mut self) -> (i32, String) {
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the node does not end");
            // Nothing wakes a process that waits for another's end with a limit; what it would
            // burn in a tight loop, the node needs for its end.
            std::thread::sleep(Duration::from_millis(5));
        }
        let status = self.child.wait().unwrap();
        (
            status.code().unwrap_or(-1),
            self.log.take().unwrap().join().unwrap(),
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `condition` gives something.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::yield_now();
    }
}

/// A port of this machine that was free a moment ago, for nodes that must have the same one again
/// after a restart. They are above those that the system picks, so that nobody else is given one
/// meanwhile.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at once begin at different places.
    let first = 61_000 + u16::try_from(std::process::id() % 220).unwrap() * 20;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
