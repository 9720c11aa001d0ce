//! The one place that reads the clock and rolls dice for the rest of the core.
//!
//! State machines get time as an argument and ids from their owner; drivers ask here. Under
//! tokio's paused time this clock stands still as well.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the clock"
)]

use std::cell::Cell;

use tokio::time::Instant;

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

/// Runs CPU work on a thread for such work.
pub(crate) async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, tokio::task::JoinError> {
    tokio::task::spawn_blocking(work).await
}

/// 64 bits that differ from all others with overwhelming probability. Not secret: for trace ids,
/// choices between nodes and jitter, never for keys.
pub(crate) fn dice() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(seed());
    }
    // SplitMix64 (Steele, Lea, Flood 2014): one addition and two multiplications a number.
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn seed() -> u64 {
    // Without the system's randomness the address of a local still differs between threads.
    getrandom::u64().unwrap_or_else(|_| {
        let local = 0_u8;
        std::ptr::from_ref(&local).addr() as u64
    })
}
