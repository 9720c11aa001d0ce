//! A state with a clock that the test turns, and short words for commands.

use std::convert::Infallible;

use crate::{
    directory::{
        Actor, Batch, CollectionSpec, Command, Document, Json, Operation, Outcome, Proposal,
        RequestId, Transaction, Verdict, state::State,
    },
    fence::{Fence, Fences},
    id::PublicKey,
};

/// A state to which tests say commands.
#[derive(Clone, Default)]
pub(super) struct Directory {
    pub(super) state: State,
    pub(super) now_ms: u64,
}

impl Directory {
    /// With one collection, of this declaration.
    pub(super) fn with(spec: CollectionSpec) -> Self {
        let mut directory = Self {
            state: State::new(),
            now_ms: 1_000_000,
        };
        directory.run(Command::CreateCollection(spec)).unwrap();
        directory
    }

    /// With the collection `things`, open to listed keys.
    pub(super) fn of_things() -> Self {
        Self::with(CollectionSpec::new("things"))
    }

    /// What comes of a node's command.
    pub(super) fn run(&mut self, command: Command) -> Verdict {
        self.run_as(&Actor::Node, command)
    }

    pub(super) fn run_as(&mut self, actor: &Actor, command: Command) -> Verdict {
        self.propose(Proposal {
            request: None,
            actor: actor.clone(),
            command,
        })
    }

    pub(super) fn request(&mut self, request: RequestId, command: Command) -> Verdict {
        self.propose(Proposal {
            request: Some(request),
            actor: Actor::Node,
            command,
        })
    }

    fn propose(&mut self, proposal: Proposal) -> Verdict {
        self.propose_under(&[], proposal)
    }

    /// What comes of a node's command under fences.
    pub(super) fn run_under<'a>(
        &mut self,
        fences: impl IntoIterator<Item = &'a Fence>,
        command: Command,
    ) -> Verdict {
        let proposal = Proposal {
            request: None,
            actor: Actor::Node,
            command,
        };
        self.propose_under(fences, proposal)
    }

    pub(super) fn propose_under<'a>(
        &mut self,
        fences: impl IntoIterator<Item = &'a Fence>,
        proposal: Proposal,
    ) -> Verdict {
        let fences = Fences::from(fences.into_iter().cloned().collect::<Vec<_>>());
        let batch = Batch {
            proposals: vec![proposal.encode(&fences).unwrap().into()],
            ..batch(self.now_ms, &[])
        };
        self.state.apply(&batch).unwrap().remove(0)
    }

    /// Time goes on.
    pub(super) fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.state.apply(&batch(self.now_ms, &[])).unwrap();
    }

    pub(super) fn lead(&mut self) {
        let batch = Batch {
            new_leader: true,
            ..batch(self.now_ms, &[])
        };
        self.state.apply(&batch).unwrap();
    }

    pub(super) fn get(&self, id: &str) -> Option<Document> {
        self.state.get(&Actor::Node, "things", id).unwrap()
    }

    /// The content of `things/id`.
    pub(super) fn value(&self, id: &str) -> Option<String> {
        self.get(id).map(|document| document.value.to_string())
    }

    /// The same state, by way of a snapshot.
    pub(super) fn restored(&self) -> Self {
        let blocks = self.state.freeze().map(Ok::<_, Infallible>);
        Self {
            state: State::from_blocks(blocks).unwrap(),
            now_ms: self.now_ms,
        }
    }
}

pub(super) fn batch(time_ms: u64, proposals: &[Proposal]) -> Batch {
    Batch {
        time_ms,
        new_leader: false,
        proposals: proposals
            .iter()
            .map(|proposal| postcard::to_stdvec(proposal).unwrap().into())
            .collect(),
    }
}

pub(super) fn transact(operations: impl IntoIterator<Item = Operation>) -> Command {
    Command::Transact(Transaction {
        conditions: Vec::new(),
        operations: operations.into_iter().collect(),
    })
}

pub(super) fn json(text: &str) -> Json {
    text.parse().unwrap()
}

/// Puts `things/id`.
pub(super) fn put(id: &str, value: &str) -> Operation {
    Operation::Put {
        collection: "things".into(),
        id: id.into(),
        value: json(value),
        lease: None,
    }
}

pub(super) fn put_leased(id: &str, lease: u64) -> Operation {
    Operation::Put {
        collection: "things".into(),
        id: id.into(),
        value: json("{}"),
        lease: Some(lease),
    }
}

pub(super) fn insert(id: &str, value: &str) -> Operation {
    Operation::Insert {
        collection: "things".into(),
        id: id.into(),
        value: json(value),
        lease: None,
    }
}

pub(super) fn merge(id: &str, patch: &str) -> Operation {
    Operation::Merge {
        collection: "things".into(),
        id: id.into(),
        patch: json(patch),
    }
}

pub(super) fn delete(id: &str) -> Operation {
    Operation::Delete {
        collection: "things".into(),
        id: id.into(),
        revision: None,
    }
}

/// Adds to `things/id`, within `0..=10`.
pub(super) fn add(id: &str, field: &str, by: &str) -> Operation {
    Operation::Add {
        collection: "things".into(),
        id: id.into(),
        field: field.into(),
        by: json(by),
        min: Some(json("0")),
        max: Some(json("10")),
    }
}

pub(super) fn key(n: u8) -> PublicKey {
    PublicKey::from_bytes([n; 32])
}

/// A client with a listed key.
pub(super) fn client(n: u8) -> Actor {
    with_roles(n, &[])
}

pub(super) fn with_roles(n: u8, roles: &[&str]) -> Actor {
    Actor::Client {
        key: key(n),
        known: true,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    }
}

pub(super) fn stranger(n: u8) -> Actor {
    Actor::Client {
        key: key(n),
        known: false,
        roles: Vec::new(),
    }
}

pub(super) fn at(revision: u64) -> Outcome {
    Outcome::at(revision)
}
