//! Clusters of real processes, made as an operator makes them.

use serde_json::Value;

use super::{Program, Running, eventually, free_port};

/// A node with its folder, which may run.
pub(crate) struct Member {
    pub(crate) program: Program,
    pub(crate) name: &'static str,
    pub(crate) address: String,
    running: Option<Running>,
}

impl Member {
    /// A node that founds a cluster, and runs.
    #[track_caller]
    pub(crate) fn found(executable: &'static str, name: &'static str) -> Self {
        Self::new(executable, name).founds()
    }

    /// Founds a cluster, and runs.
    #[track_caller]
    pub(crate) fn founds(self) -> Self {
        let mut member = self;
        let name = member.name;
        member
            .program
            .ok(&["init", "--listen", &member.address, "--name", name]);
        member.start();
        member.eventually_listed("leader");
        member
    }

    /// A node that joins the cluster of `of`, and runs.
    #[track_caller]
    pub(crate) fn join(of: &Self, name: &'static str) -> Self {
        Self::new(of.program.executable, name).joins(of)
    }

    /// Joins the cluster of `of`, and runs.
    #[track_caller]
    pub(crate) fn joins(self, of: &Self) -> Self {
        self.joins_by("join", of)
    }

    /// The same, with what the program calls the command.
    #[track_caller]
    pub(crate) fn joins_by(self, command: &str, of: &Self) -> Self {
        let mut member = self;
        let name = member.name;
        let token = of.program.ok(&["token"]);
        let arguments = [command, "-", "--listen", &member.address, "--name", name];
        let joined = member.program.run_with(&arguments, token.as_bytes());
        assert_eq!(joined.exit, 0, "{}", joined.stderr);
        member.start();
        member
    }

    pub(crate) fn new(executable: &'static str, name: &'static str) -> Self {
        Self::at(executable, name, format!("127.0.0.1:{}", free_port()))
    }

    /// A node that will listen at `address`.
    pub(crate) fn at(executable: &'static str, name: &'static str, address: String) -> Self {
        Self {
            program: Program::new(executable),
            name,
            address,
            running: None,
        }
    }

    #[track_caller]
    pub(crate) fn start(&mut self) {
        self.running = Some(self.program.start(&["node"]));
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.running.take().unwrap().kill();
    }

    /// Stops the process where it stands, with its links open: hung, not dead.
    pub(crate) fn hang(&self) {
        self.running.as_ref().unwrap().signal("STOP");
    }

    /// Lets it go on after [`Member::hang`].
    pub(crate) fn go_on(&self) {
        self.running.as_ref().unwrap().signal("CONT");
    }

    /// Asks it to stop in an orderly way, and waits until it has.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.stop_and_tell();
    }

    /// The same; gives what it said on stderr.
    #[track_caller]
    pub(crate) fn stop_and_tell(&mut self) -> String {
        let running = self.running.take().unwrap();
        running.signal("TERM");
        let (exit, stderr) = running.wait();
        assert_eq!(exit, 0, "{}: {stderr}", self.name);
        stderr
    }

    /// Waits until it has ended by itself: its exit code, and what it said.
    pub(crate) fn ended(&mut self) -> (i32, String) {
        self.running.take().unwrap().wait()
    }

    /// How to call this node and no other.
    pub(crate) fn endpoint(&self) -> String {
        format!("{}@{}", self.program.ok(&["id"]), self.address)
    }

    /// The nodes, as this one's folder lists them.
    #[track_caller]
    pub(crate) fn nodes(&self) -> Vec<Value> {
        let listed = self.program.run(&["nodes", "--json"]);
        assert_eq!(listed.exit, 0, "{}", listed.stderr);
        listed.json().as_array().unwrap().clone()
    }

    /// Waits until the nodes are ready and have these roles, in any order.
    #[track_caller]
    pub(crate) fn eventually_roles(&self, roles: &[&str]) -> Vec<Value> {
        eventually(&format!("{roles:?}"), || {
            let nodes = self.nodes();
            let mut found: Vec<&str> = nodes
                .iter()
                // A node that has just joined does not know yet who may ask this.
                .map(|node| node["role"].as_str().unwrap_or("not told"))
                .collect();
            found.sort_unstable();
            let all_ready = nodes
                .iter()
                .all(|node| node["state"] == "ready" && node["lag"] == 0);
            (found == roles && all_ready).then_some(nodes)
        })
    }

    #[track_caller]
    fn eventually_listed(&self, role: &str) {
        eventually(role, || {
            let listed = self.program.run(&["nodes", "--json"]);
            (listed.exit == 0 && listed.json()[0]["role"] == role).then_some(())
        });
    }
}
