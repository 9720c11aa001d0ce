//! One place of a cluster: a node, and what outlives its process.

use std::sync::Arc;

use super::{
    dice::Dice,
    invariants::PLACES,
    sim::{NODES, Sim},
};
use crate::{
    Node, cluster::Vault, id::PublicKey, identity::Identity, storage::MemoryDisk,
    transport::Address, world::process::Process,
};

/// A place, with the node that is there, if it runs.
pub(super) struct Seat {
    pub(super) identity: Identity,
    pub(super) disk: MemoryDisk,
    /// Where the cluster's secret is kept.
    pub(super) vault: Vault,
    pub(super) address: Address,
    /// Of the run, so that places of several clusters differ.
    pub(super) number: usize,
    /// How often a process was started here.
    lives: u64,
    /// The machine's clock, which outlives the process.
    ahead_ms: i64,
    process: Arc<Process>,
    pub(super) stands: Stands,
    pub(super) removed: bool,
}

/// How a place stands.
#[derive(Clone)]
pub(super) enum Stands {
    Up(Node),
    Starting,
    Stopping,
    Down,
}

impl Seat {
    pub(super) fn new(sim: &Sim, cluster: usize, index: usize) -> Self {
        let number = cluster * PLACES + index;
        let mut dice = Dice::of(sim.seed(), NODES + number as u64);
        let mut secret = [0; 32];
        for chunk in secret.chunks_mut(8) {
            chunk.copy_from_slice(&dice.roll().to_le_bytes());
        }
        Self {
            identity: Identity::from_seed(&secret),
            disk: MemoryDisk::new(dice.roll()),
            vault: Vault::memory(),
            address: Address::new(format!("memory:{}", 100 + index)),
            number,
            lives: 0,
            ahead_ms: 0,
            process: Process::new(sim.shared.processes.clone(), Some(number), 0),
            stands: Stands::Down,
            removed: false,
        }
    }

    pub(super) fn key(&self) -> PublicKey {
        self.identity.public()
    }

    pub(super) fn node(&self) -> Option<&Node> {
        match &self.stands {
            Stands::Up(node) => Some(node),
            Stands::Starting | Stands::Stopping | Stands::Down => None,
        }
    }

    pub(super) fn is_down(&self) -> bool {
        matches!(self.stands, Stands::Down)
    }

    pub(super) fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// A new process on this machine.
    pub(super) fn begin(&mut self, sim: &Sim) -> Arc<Process> {
        self.lives += 1;
        let who = NODES + ((self.number as u64) << 20) + self.lives;
        let seed = Dice::of(sim.seed(), who).roll();
        self.process = Process::new(sim.shared.processes.clone(), Some(self.number), seed);
        self.process.set_clock_ahead_ms(self.ahead_ms);
        self.stands = Stands::Starting;
        self.process.clone()
    }

    /// Ends the process at once. The node, if it ran, is left to be dropped.
    #[must_use]
    pub(super) fn die(&mut self) -> Stands {
        self.process.die();
        std::mem::replace(&mut self.stands, Stands::Down)
    }

    pub(super) fn set_clock_ahead_ms(&mut self, ahead_ms: i64) {
        self.ahead_ms = ahead_ms;
        self.process.set_clock_ahead_ms(ahead_ms);
    }
}
