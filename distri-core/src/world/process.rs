//! Processes of a simulation: the one whose code runs now decides what the world looks like.
//!
//! A simulated node is a [`Process`]: it has dice of its own, a clock that may go wrong, and tasks.
//! Each task is [`Scoped`]: while it is polled its process is the current one, so whatever it asks
//! of [`crate::world`] is answered by that process, and what it starts belongs to it. That makes
//! three things possible that no transport could do: a process that dies takes all its tasks with
//! it at once (as `kill -9` would), one that hangs polls none of them until it goes on (as after
//! `SIGSTOP`), and a clock can be wrong on one node alone.
//!
//! Outside of a simulation no process is current, and the only cost is that question.

use std::{
    cell::RefCell,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::{task::AbortHandle, time::Instant};

use super::Dice;

/// What simulated clocks show at the beginning: 2030-01-01.
const BEGINNING_MS: u64 = 1_893_456_000_000;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Process>>> = const { RefCell::new(None) };
}

/// The process whose code runs now, in a simulation.
pub(crate) fn current() -> Option<Arc<Process>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Something that invariants are about.
#[derive(Clone, Debug)]
pub(crate) enum Observation {
    /// An entry of the log was applied, or the state up to it was installed.
    Applied {
        /// Of the entry.
        index: u64,
        /// Of the entry.
        term: u64,
        /// Of what it says.
        hash: u64,
    },
    /// A write to the directory was acknowledged, at this revision.
    Acknowledged(u64),
    /// This process begins to do what only one may do at a time.
    Begins(u64, Part, Arc<Process>),
    /// It does so no more.
    Ends(u64),
}

/// What only one may be at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The holder of an election, under a fence.
    Holder { election: String, fence: u64 },
    /// The owner of a key of something.
    Owner { of: String, key: String },
}

/// That the process which made this plays a part, until it is dropped.
#[derive(Debug)]
pub(crate) struct Act {
    number: u64,
    by: Arc<Process>,
}

/// Tells those who watch the simulation that the process whose code runs now plays a part. `None`
/// outside of a simulation.
pub(crate) fn act(part: impl FnOnce() -> Part) -> Option<Act> {
    let by = current()?;
    let number = by.shared.acts.fetch_add(1, Ordering::Relaxed);
    let begins = Observation::Begins(number, part(), by.clone());
    (by.shared.observer)(by.number, begins);
    Some(Act { number, by })
}

impl Drop for Act {
    fn drop(&mut self) {
        (self.by.shared.observer)(self.by.number, Observation::Ends(self.number));
    }
}

/// Tells those who watch the simulation of something, in the order in which things happen.
pub(crate) fn observe(observation: impl FnOnce() -> Observation) {
    if let Some(process) = current() {
        (process.shared.observer)(process.number, observation());
    }
}

/// Who is told of observations, and of which process.
pub(crate) type Observer = Box<dyn Fn(Option<usize>, Observation) + Send + Sync>;

/// What all processes of a simulation share.
pub(crate) struct Shared {
    start: Instant,
    observer: Observer,
    panics: Mutex<Vec<String>>,
    /// How many acts have begun.
    acts: AtomicU64,
}

impl Shared {
    pub(crate) fn new(start: Instant, observer: Observer) -> Arc<Self> {
        Arc::new(Self {
            start,
            observer,
            panics: Mutex::default(),
            acts: AtomicU64::new(0),
        })
    }

    /// What tasks have panicked with since this was last asked.
    pub(crate) fn take_panics(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.panics))
    }
}

/// A simulated process.
pub(crate) struct Process {
    shared: Arc<Shared>,
    /// Which node it is; `None` for what is no node.
    number: Option<usize>,
    state: Mutex<State>,
}

struct State {
    dice: Dice,
    /// How far its clock is ahead of the true time.
    ahead_ms: i64,
    runs: Runs,
    /// Tasks that would have run while it hung.
    held_up: Vec<Waker>,
    tasks: Vec<AbortHandle>,
    /// How many tasks there may be before those that have ended are sorted out.
    tidy_at: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Runs {
    /// Since it was started or went on.
    Since(Instant),
    Hangs,
    Died,
}

impl Process {
    pub(crate) fn new(shared: Arc<Shared>, number: Option<usize>, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            shared,
            number,
            state: Mutex::new(State {
                dice: Dice::new(seed),
                ahead_ms: 0,
                runs: Runs::Since(super::now()),
                held_up: Vec::new(),
                tasks: Vec::new(),
                tidy_at: 64,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Makes this the process whose code runs until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Entered {
        Entered(CURRENT.replace(Some(self.clone())))
    }

    pub(super) fn dice(&self) -> u64 {
        self.state().dice.roll()
    }

    pub(super) fn unix_ms(&self, now: Instant) -> u64 {
        let passed = u64::try_from((now - self.shared.start).as_millis()).unwrap_or(u64::MAX);
        BEGINNING_MS
            .saturating_add(passed)
            .saturating_add_signed(self.state().ahead_ms)
    }

    /// Sets how far the clock is ahead of the true time; behind it if negative.
    pub(crate) fn set_clock_ahead_ms(&self, ahead_ms: i64) {
        self.state().ahead_ms = ahead_ms;
    }

    pub(super) fn owns(&self, task: &AbortHandle) {
        let mut state = self.state();
        if state.runs == Runs::Died {
            task.abort();
            return;
        }
        if state.tasks.len() >= state.tidy_at {
            state.tasks.retain(|task| !task.is_finished());
            state.tidy_at = 64.max(2 * state.tasks.len());
        }
        state.tasks.push(task.clone());
    }

    /// Ends it at once: none of its tasks runs on, and nothing it starts from now on runs at all.
    pub(crate) fn die(&self) {
        let tasks = {
            let mut state = self.state();
            state.runs = Runs::Died;
            state.held_up.clear();
            std::mem::take(&mut state.tasks)
        };
        tasks.iter().for_each(AbortHandle::abort);
    }

    /// Lets none of its tasks run until [`Process::go_on`].
    pub(crate) fn hang(&self) {
        let mut state = self.state();
        if matches!(state.runs, Runs::Since(_)) {
            state.runs = Runs::Hangs;
        }
    }

    /// Ends [`Process::hang`].
    pub(crate) fn go_on(&self) {
        let held_up = {
            let mut state = self.state();
            if state.runs == Runs::Hangs {
                state.runs = Runs::Since(super::now());
            }
            std::mem::take(&mut state.held_up)
        };
        held_up.into_iter().for_each(Waker::wake);
    }

    /// Since when its tasks run; `None` if it hangs or has died.
    pub(crate) fn runs_since(&self) -> Option<Instant> {
        match self.state().runs {
            Runs::Since(since) => Some(since),
            Runs::Hangs | Runs::Died => None,
        }
    }

    /// True if its tasks may run; else `waker` is told when they may.
    fn may_run(&self, waker: &Waker) -> bool {
        let mut state = self.state();
        match state.runs {
            Runs::Since(_) => true,
            Runs::Hangs => {
                if !state.held_up.iter().any(|held| held.will_wake(waker)) {
                    state.held_up.push(waker.clone());
                }
                false
            }
            Runs::Died => false,
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// Holds the process that was current before another was entered.
pub(crate) struct Entered(Option<Arc<Process>>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// A task of a process, if there is one.
pub(crate) struct Scoped<F> {
    process: Option<Arc<Process>>,
    /// `None` once it has ended.
    task: Option<Pin<Box<F>>>,
}

impl<F: Future> Scoped<F> {
    pub(crate) fn new(process: Option<Arc<Process>>, task: F) -> Self {
        Self {
            process,
            task: Some(Box::pin(task)),
        }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let Some(task) = &mut this.task else {
            return Poll::Pending;
        };
        let Some(process) = &this.process else {
            return task.as_mut().poll(cx);
        };
        if !process.may_run(cx.waker()) {
            return Poll::Pending;
        }
        let _entered = process.enter();
        match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))) {
            Ok(polled) => polled,
            Err(panic) => {
                lock(&process.shared.panics).push(said(&*panic));
                resume_unwind(panic)
            }
        }
    }
}

impl<F> Drop for Scoped<F> {
    fn drop(&mut self) {
        let _entered = self.process.as_ref().map(Process::enter);
        drop(self.task.take());
    }
}

/// The words of a panic.
pub(crate) fn said(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    match panic.downcast_ref::<String>() {
        Some(text) => text.clone(),
        None => "a panic without words".to_owned(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
