//! [`simulate`]: a scenario under each seed; [`Sim`]: what a scenario has of the simulation.

use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    cluster::ClusterBuilder,
    dice::Dice,
    invariants::{Invariants, Violation},
    seeds,
};
use crate::{
    transport::memory::Network,
    world::{
        self,
        process::{self, Process},
    },
};

/// How long a scenario may take, in virtual time. Only one that waits for what never comes takes so
/// long.
const LIMIT: Duration = Duration::from_secs(3600);

/// How often the invariants are asked, besides after everything that is done to a cluster.
const CHECK: Duration = Duration::from_millis(10);

/// Runs a scenario once for each seed, or for the seeds of the variable `DISTRI_SEED` (`17`, or
/// `1..200` with both ends) if it is set.
///
/// Call it in a plain `#[test]`, not in a runtime: it makes one of its own, with one thread and a
/// clock that jumps over every wait. With the scenario end all its nodes and tasks.
///
/// # Panics
/// As the scenario does, or because an invariant does not hold, with the seed and the command that
/// repeats the run.
pub fn simulate(seeds: impl IntoIterator<Item = u64>, scenario: impl AsyncFn(Sim)) {
    for seed in seeds::asked_for(seeds) {
        println!("seed {seed}");
        if let Err(failure) = run(seed, &scenario) {
            println!("{failure}\nto repeat it exactly:\n{}", seeds::command(seed));
            failure.raise();
        }
    }
}

/// Runs a scenario with one seed, and gives what tells the run from others: two runs of a scenario
/// with the same seed have the same fingerprint, in whichever process, as long as all that happens
/// in them follows from the seed.
///
/// # Panics
/// As [`simulate`] does.
pub fn fingerprint(seed: u64, scenario: impl AsyncFn(Sim)) -> Fingerprint {
    match run(seed, &scenario) {
        Ok(fingerprint) => fingerprint,
        Err(failure) => {
            println!("{failure}\nto repeat it exactly:\n{}", seeds::command(seed));
            failure.raise()
        }
    }
}

/// What a run was: which bytes were read on which link at which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// How many deliveries there were.
    pub deliveries: u64,
    /// When the run ended, in its own time.
    pub ended: Duration,
    /// Of all deliveries with their times, in order.
    pub hash: u64,
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            deliveries,
            ended,
            hash,
        } = self;
        write!(f, "{hash:016x} after {deliveries} deliveries in {ended:?}")
    }
}

/// Why a run failed.
struct Failure {
    seed: u64,
    at: Duration,
    log: Vec<String>,
    why: Why,
}

enum Why {
    Panicked(Box<dyn std::any::Any + Send>),
    Violated(Violation),
}

impl Failure {
    fn raise(self) -> ! {
        match self.why {
            Why::Panicked(panic) => resume_unwind(panic),
            Why::Violated(violation) => panic!("{violation}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.log {
            writeln!(f, "  {line}")?;
        }
        match &self.why {
            Why::Panicked(panic) => writeln!(f, "panicked: {}", process::said(&**panic))?,
            Why::Violated(violation) => writeln!(f, "{violation}")?,
        }
        write!(f, "seed {} failed at {:?}", self.seed, self.at)
    }
}

fn run(seed: u64, scenario: &impl AsyncFn(Sim)) -> Result<Fingerprint, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread can be made");
    let mut made = None;
    let ended = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let sim = Sim::new(seed);
            made = Some(sim.clone());
            let _entered = sim.shared.outside.enter();
            sim.watch();
            sim.within_limit(scenario(sim.clone())).await?;
            sim.check()
        })
    }));
    let sim = made.expect("it was made before anything could fail");
    // The time stands still outside of the runtime as well.
    let at = {
        let _entered = runtime.enter();
        sim.elapsed()
    };
    let fingerprint = sim.fingerprint(at);
    let log = std::mem::take(&mut *lock(&sim.shared.log));
    let why = match ended {
        Ok(Ok(())) => return Ok(fingerprint),
        Ok(Err(violation)) => Why::Violated(violation),
        Err(panic) => Why::Panicked(panic),
    };
    Err(Failure { seed, at, log, why })
}

/// A simulation, as a scenario has it. Cheap to clone.
#[derive(Clone)]
pub struct Sim {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    seed: u64,
    start: Instant,
    /// All that is no node: the scenario and its clients.
    outside: Arc<Process>,
    pub(super) processes: Arc<process::Shared>,
    pub(super) invariants: Arc<Invariants>,
    state: Mutex<State>,
    log: Mutex<Vec<String>>,
    /// Told when an invariant does not hold.
    pub(super) violated: Arc<Notify>,
}

#[derive(Default)]
struct State {
    dice_given: u64,
    clusters: usize,
    storms: u64,
    networks: Vec<Network>,
}

impl Sim {
    fn new(seed: u64) -> Self {
        let start = world::now();
        let violated = Arc::<Notify>::default();
        let invariants = Arc::new(Invariants::new(violated.clone()));
        let observer = {
            let invariants = invariants.clone();
            Box::new(move |node, observation| invariants.observe(node, &observation))
        };
        let processes = process::Shared::new(start, observer);
        let outside = Process::new(processes.clone(), None, Dice::of(seed, OUTSIDE).roll());
        Self {
            shared: Arc::new(Shared {
                seed,
                start,
                outside,
                processes,
                invariants,
                state: Mutex::default(),
                log: Mutex::default(),
                violated,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    /// The seed of this run.
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// Dice of one's own, which follow from the seed and from how many were asked for before.
    pub fn dice(&self) -> Dice {
        let mut state = self.state();
        state.dice_given += 1;
        Dice::of(self.shared.seed, state.dice_given)
    }

    /// Prepares a cluster of so many nodes.
    pub fn cluster(&self, nodes: usize) -> ClusterBuilder {
        ClusterBuilder::new(self.clone(), nodes)
    }

    /// How much virtual time has passed.
    pub fn elapsed(&self) -> Duration {
        world::now() - self.shared.start
    }

    /// Lets so much virtual time pass.
    pub async fn sleep(&self, time: Duration) {
        world::pause(time).await;
    }

    /// Runs a task beside the scenario, at most until that ends.
    #[expect(
        clippy::disallowed_methods,
        reason = "a driver: the task ends with the runtime of the simulation"
    )]
    pub fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let _entered = self.shared.outside.enter();
        world::spawn(task)
    }

    /// Notes what happened, to be told if the run fails.
    pub fn note(&self, what: impl fmt::Display) {
        let line = format!("{:>9.3}s {what}", self.elapsed().as_secs_f64());
        lock(&self.shared.log).push(line);
    }

    /// Adds an invariant: `holds` panics when it does not. It is asked every ten milliseconds of
    /// virtual time, and after everything that is done to a cluster.
    ///
    /// [`Cluster::always`](super::Cluster::always) is the same for what is about a cluster.
    pub fn always(&self, name: impl Into<String>, holds: impl FnMut() + Send + 'static) {
        self.shared.invariants.add(name.into(), Box::new(holds));
    }

    /// The number of the next cluster.
    pub(super) fn next_cluster(&self) -> usize {
        let mut state = self.state();
        state.clusters += 1;
        state.clusters - 1
    }

    /// The number of the next storm.
    pub(super) fn next_storm(&self) -> u64 {
        let mut state = self.state();
        state.storms += 1;
        state.storms - 1
    }

    /// Makes a new network part of the run's fingerprint.
    pub(super) fn network(&self) -> Network {
        let mut state = self.state();
        let nr = state.networks.len() as u64;
        let network = Network::new(Dice::of(self.shared.seed, NETWORKS + nr).roll());
        state.networks.push(network.clone());
        network
    }

    /// Asks all invariants now.
    pub(super) fn check(&self) -> Result<(), Violation> {
        if let Some(panic) = self.shared.processes.take_panics().into_iter().next() {
            self.shared.invariants.violate(Violation {
                name: "no task of a node panics".to_owned(),
                what: panic,
            });
        }
        self.shared.invariants.check()
    }

    fn watch(&self) {
        let sim = self.clone();
        drop(self.spawn(async move {
            while sim.check().is_ok() {
                world::pause(CHECK).await;
            }
        }));
    }

    /// Waits for the scenario's end, unless an invariant is violated or time is up before.
    async fn within_limit(&self, scenario: impl Future<Output = ()>) -> Result<(), Violation> {
        tokio::select! {
            biased;
            () = self.shared.violated.notified() => self.check(),
            () = scenario => Ok(()),
            () = world::pause(LIMIT) => Err(Violation {
                name: "the scenario ends".to_owned(),
                what: format!("it did not within {LIMIT:?} of its time"),
            }),
        }
    }

    fn fingerprint(&self, ended: Duration) -> Fingerprint {
        let mut print = Fingerprint {
            deliveries: 0,
            ended,
            hash: 0,
        };
        for network in &self.state().networks {
            let (deliveries, hash) = network.trace();
            print.deliveries += deliveries;
            print.hash = print.hash.rotate_left(1) ^ hash;
        }
        print
    }
}

/// Streams of dice that are not given by number.
const OUTSIDE: u64 = 1 << 40;
const NETWORKS: u64 = 2 << 40;
pub(super) const NODES: u64 = 3 << 40;
pub(super) const STORMS: u64 = 4 << 40;

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("seed", &self.shared.seed)
            .finish_non_exhaustive()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
