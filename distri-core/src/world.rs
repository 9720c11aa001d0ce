//! The one place that reads the clock, rolls dice and starts tasks for the rest of the core.
//!
//! State machines get time as an argument and ids from their owner; drivers ask here. Under
//! tokio's paused time this clock stands still as well.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the clock, rolls dice and starts tasks"
)]

use std::{cell::Cell, future::Future};

use tokio::{
    task::{AbortHandle, JoinHandle, JoinSet},
    time::Instant,
};

mod dice;

pub(crate) use dice::Dice;

/// Now, by tokio's clock.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970, by the system's clock, which may jump.
pub(crate) fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Waits for so long. For pauses between tries, never for a condition that could be waited for.
pub(crate) async fn pause(wait: std::time::Duration) {
    tokio::time::sleep(wait).await;
}

/// Starts a task, which the driver that calls this owns.
#[track_caller]
pub(crate) fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(task)
}

/// Starts a task in `set`, as [`spawn`] does.
#[track_caller]
pub(crate) fn spawn_in<F>(set: &mut JoinSet<F::Output>, task: F) -> AbortHandle
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    set.spawn(task)
}

/// Runs CPU work on a thread for such work.
pub(crate) async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, tokio::task::JoinError> {
    tokio::task::spawn_blocking(work).await
}

/// Fills `bytes` with what nobody can guess.
///
/// # Panics
/// If the operating system has no random bytes to give.
pub(crate) fn secret(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

/// 64 bits that differ from all others with overwhelming probability. Not secret: for trace ids,
/// choices between nodes and jitter, never for keys.
pub(crate) fn dice() -> u64 {
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
