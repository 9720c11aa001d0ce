//! What the targets share: limits that keep each try short, and what is hidden in the seeds.

use std::ops::ControlFlow;

use distri_services::stego::{Error, Hidden, HideOptions, Job, Key, Limits, Settings};

/// What the seeds hold.
pub const PAYLOAD: &[u8] = b"meet at six";

/// The key of all of them.
pub fn key() -> Key {
    Key::from_bytes([42; 32])
}

/// Pictures small enough for hundreds of tries a second.
pub fn settings() -> Settings {
    Settings {
        limits: Limits {
            memory_max: 1 << 22,
            width_max: 512,
            height_max: 512,
            ..Limits::default()
        },
        threads: 1,
        ..Settings::default()
    }
}

/// Hides as [`Settings::hide`] does, but always with the same random bytes, so that what was found can
/// be found again.
///
/// # Errors
///
/// As there.
pub fn hide(file: &[u8], payload: &[u8], options: &HideOptions) -> Result<Hidden, Error> {
    let job = Job {
        cover: file,
        payload,
        key: &key(),
        options,
        seed: &[9; 32],
        go_on: &|| true,
    };
    settings().hide_with(&job, &mut |_| ControlFlow::Continue(()))
}
