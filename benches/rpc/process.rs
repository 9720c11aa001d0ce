//! Servers in processes of their own, and what the system says of a process.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::system::System;

/// A running server. It ends when this is dropped, or with this process.
pub(crate) struct Server {
    child: Child,
    pub(crate) target: String,
}

impl Server {
    pub(crate) fn start(system: System) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["serve", system.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("to run this program once more");
        let mut target = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        let told = BufReader::new(stdout).read_line(&mut target);
        assert!(
            told.is_ok() && !target.is_empty(),
            "{} did not start",
            system.name()
        );
        Self {
            child,
            target: target.trim().to_owned(),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other side of [`Server::start`].
pub(crate) fn serve(system: System) {
    // The parent holds the other end of stdin; when it is gone, nobody needs a server.
    std::thread::spawn(|| {
        let _ = std::io::stdin().lock().read_line(&mut String::new());
        std::process::exit(0);
    });
    runtime().block_on(system.serve(|target| {
        println!("{target}");
        std::io::stdout().flush().expect("the parent reads");
    }));
}

/// The same for every server and every client.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Time that the threads of a process have spent on a processor.
pub(crate) fn cpu_time(process: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("Linux");
    let nanos = tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(nanos)
}

/// Memory that a process has in RAM, in bytes.
pub(crate) fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.and_then(|line| line.split_whitespace().nth(1))
        .and_then(|kib| kib.parse::<u64>().ok())
        .expect("a number")
        * 1024
}

/// The load average of the last minute.
pub(crate) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").expect("Linux");
    let first = text.split_whitespace().next();
    first.and_then(|load| load.parse().ok()).expect("a number")
}
