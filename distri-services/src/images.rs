//! Sharing pictures between people: what is offered, who asks, and what goes from one to the other.
//!
//! - [`media`] takes image files of any origin and gives files and previews that hold pixels and
//!   nothing else.
//! - [`record`] is what people say of themselves and to each other, signed and sealed.
//! - [`cloud`] is the cloud's part: who is there, what is offered, letters for those who are away.
//! - [`delivery`] takes a stego image from its owner's peer to the viewer's.
//! - [`person`] does all of it on somebody's behalf: it publishes, asks, decides, fetches, looks.

pub mod cloud;
mod cover;
pub mod delivery;
mod files;
pub mod media;
pub mod person;
pub mod record;

pub use files::FileError;

/// The time as this machine has it, in milliseconds since 1970. What hangs on it here may be wrong by
/// minutes: the order of the catalogue, the end of letters after a month, what people are told. When a
/// grant ends, the ledger says.
fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

/// Does what waits for the disk off the async threads.
async fn disk<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> distri::Result<R> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| distri::Error::internal("work on the disk panicked", error))
}
