//! The one place that reads the clock, rolls dice and starts tasks for the rest of the core.
//!
//! State machines get time as an argument and ids from their owner; drivers ask here. Under
//! tokio's paused time this clock stands still as well. In a simulation (feature `testing`) what is
//! answered depends on the simulated process whose code is running: see `world/process.rs`.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the clock, rolls dice and starts tasks"
)]

use std::{cell::Cell, future::Future, time::Duration};

use tokio::{
    task::{AbortHandle, JoinHandle, JoinSet},
    time::Instant,
};

mod dice;
#[cfg(feature = "testing")]
pub(crate) mod process;

pub(crate) use dice::Dice;

/// Now, by tokio's clock.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970, by the system's clock, which may jump.
pub(crate) fn unix_ms() -> u64 {
    #[cfg(feature = "testing")]
    if let Some(process) = process::current() {
        return process.unix_ms(now());
    }
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Waits for so long. For pauses between tries, never for a condition that could be waited for.
pub(crate) async fn pause(wait: Duration) {
    tokio::time::sleep(wait).await;
}

/// Starts a task, which belongs to the process that starts it. The driver that calls this owns it.
#[track_caller]
pub(crate) fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let handle = tokio::spawn(scoped(task));
    owned(&handle.abort_handle());
    handle
}

/// Starts a task in `set`, as [`spawn`] does.
#[track_caller]
pub(crate) fn spawn_in<F>(set: &mut JoinSet<F::Output>, task: F) -> AbortHandle
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let handle = set.spawn(scoped(task));
    owned(&handle);
    handle
}

#[cfg(feature = "testing")]
fn scoped<F: Future>(task: F) -> process::Scoped<F> {
    process::Scoped::new(process::current(), task)
}

#[cfg(not(feature = "testing"))]
fn scoped<F: Future>(task: F) -> F {
    task
}

#[cfg(feature = "testing")]
fn owned(task: &AbortHandle) {
    if let Some(process) = process::current() {
        process.owns(task);
    }
}

#[cfg(not(feature = "testing"))]
fn owned(_: &AbortHandle) {}

/// Runs CPU work on a thread for such work.
pub(crate) async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, tokio::task::JoinError> {
    // Threads finish in an order of their own.
    #[cfg(feature = "testing")]
    if process::current().is_some() {
        return spawn(async { work() }).await;
    }
    tokio::task::spawn_blocking(|| {
        stand_back();
        work()
    })
    .await
}

/// Lowers the priority of this thread, which does work that takes long, below that of the threads that
/// serve links: on a machine that has too much to do, links live on and calls are still refused, redirected
/// and answered in time.
fn stand_back() {
    #[cfg(target_os = "linux")]
    {
        /// About a third of the share of a thread that is not nice.
        const NICENESS: i32 = 5;
        thread_local! {
            static STANDS_BACK: Cell<bool> = const { Cell::new(false) };
        }
        if !STANDS_BACK.replace(true) {
            // Of this thread alone, as Linux has it. Where it may not, the work is done as it is.
            let _ = rustix::process::setpriority_process(None, NICENESS);
        }
    }
}

/// A time between nothing and `most`.
pub(crate) fn jitter(most: Duration) -> Duration {
    let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(dice() % most.max(1))
}

/// A time around `pause`, from half of it to half as much again, so that those who wait for the same
/// do not come back together.
pub(crate) fn about(pause: Duration) -> Duration {
    pause / 2 + jitter(pause)
}

/// Fills `bytes` with what nobody can guess.
///
/// # Panics
/// If the operating system has no random bytes to give.
pub(crate) fn secret(bytes: &mut [u8]) {
    #[cfg(feature = "testing")]
    if process::current().is_some() {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&dice().to_le_bytes()[..chunk.len()]);
        }
        return;
    }
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

/// 64 bits that differ from all others with overwhelming probability. Not secret: for trace ids,
/// choices between nodes and jitter, never for keys.
pub(crate) fn dice() -> u64 {
    #[cfg(feature = "testing")]
    if let Some(process) = process::current() {
        return process.dice();
    }
    thread_local! {
        static DICE: Cell<Dice> = Cell::new(Dice::new(seed()));
    }
    let mut dice = DICE.get();
    let number = dice.roll();
    DICE.set(dice);
    number
}

fn seed() -> u64 {
    // Without the system's randomness the address of a local still differs between threads.
    getrandom::u64().unwrap_or_else(|_| {
        let local = 0_u8;
        std::ptr::from_ref(&local).addr() as u64
    })
}
