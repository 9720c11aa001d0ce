//! A cloud of processes that can be killed, hung and started again.

use distri::{id::PublicKey, transport::Endpoint};

use crate::{
    siege::Siege,
    support::{cluster::Member, eventually},
};

pub(crate) const DISTRI: &str = env!("CARGO_BIN_EXE_distri");
pub(crate) const NAMES: [&str; 5] = ["one", "two", "three", "four", "five"];

/// Nodes that all vote, each a process of its own.
pub(crate) struct Cloud {
    pub(crate) members: Vec<Member>,
    pub(crate) endpoints: Vec<Endpoint>,
    states: Vec<State>,
}

/// What has been done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Up,
    /// Stopped where it stands, its links open.
    Hung,
    Down,
}

impl Cloud {
    /// So many nodes on this machine.
    pub(crate) fn of(nodes: usize) -> Self {
        Self::from(NAMES[..nodes].iter().map(|name| Member::new(DISTRI, name)))
    }

    /// The first of these nodes founds a cluster, the others join it.
    pub(crate) fn from(members: impl IntoIterator<Item = Member>) -> Self {
        let mut made: Vec<Member> = Vec::new();
        for member in members {
            made.push(match made.first() {
                None => member.founds(),
                Some(founder) => member.joins(founder),
            });
        }
        let mut roles = vec!["voter"; made.len()];
        roles[0] = "leader";
        made[0].eventually_roles(&roles);
        Self {
            endpoints: made.iter().map(|m| m.endpoint().parse().unwrap()).collect(),
            states: vec![State::Up; made.len()],
            members: made,
        }
    }

    pub(crate) fn size(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn keys(&self) -> Vec<PublicKey> {
        self.endpoints.iter().map(|endpoint| endpoint.key).collect()
    }

    /// The node through which a write goes in the end.
    pub(crate) fn eventually_leads(&self, siege: &Siege) -> usize {
        eventually("a leader", || self.place_of(siege.leader()?))
    }

    pub(crate) fn place_of(&self, key: PublicKey) -> Option<usize> {
        self.endpoints.iter().position(|one| one.key == key)
    }

    /// The nodes to which this has been done.
    pub(crate) fn those(&self, state: State) -> Vec<usize> {
        (0..self.size())
            .filter(|&place| self.states[place] == state)
            .collect()
    }

    /// Creates a collection that everybody may read and write.
    pub(crate) fn create(&self, collection: &str) {
        let open = ["--read", "public", "--write", "public"];
        let create = [
            &["directory", "collections", "create", collection],
            &open[..],
        ]
        .concat();
        self.members[0].program.ok(&create);
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, place: usize) {
        self.members[place].kill();
        self.states[place] = State::Down;
    }

    /// `SIGTERM`, and waits for its end.
    pub(crate) fn stop(&mut self, place: usize) {
        self.members[place].stop();
        self.states[place] = State::Down;
    }

    /// `SIGSTOP`.
    pub(crate) fn hang(&mut self, place: usize) {
        self.members[place].hang();
        self.states[place] = State::Hung;
    }

    /// Makes it run again, whatever was done to it.
    pub(crate) fn recover(&mut self, place: usize) {
        match self.states[place] {
            State::Up => {}
            State::Hung => self.members[place].go_on(),
            State::Down => self.members[place].start(),
        }
        self.states[place] = State::Up;
    }

    pub(crate) fn recover_all(&mut self) {
        (0..self.size()).for_each(|place| self.recover(place));
    }
}
