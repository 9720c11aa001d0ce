//! Peak memory of one `hide`.

use std::{fs, path::Path};

use distri_services::stego::{HideOptions, Key, Profile, Settings};

use super::covers::{Random, mosaic};

const PAYLOAD: usize = 80 * 1024;

/// In a process of its own for each, so that making the cover does not count.
const COVER: &str = "DISTRI_BENCH_COVER";

/// Peak memory of the whole process after one `hide`, without what it held before.
pub(crate) fn memory(folder: &Path) {
    let (width, height) = (4000, 3000);
    if let Some(cover) = std::env::var_os(COVER) {
        let profile = match std::env::args().any(|argument| argument == "fast") {
            true => Profile::Fast,
            false => Profile::Auto,
        };
        return hide(Path::new(&cover), profile, f64::from(width * height * 3));
    }
    let cover = folder.join("cover.png");
    fs::write(&cover, mosaic(width, height)).expect("to write a cover");
    for profile in ["adaptive", "fast"] {
        let program = std::env::current_exe().expect("this program");
        let status = std::process::Command::new(program)
            .args(["memory", profile])
            .env(COVER, &cover)
            .status()
            .expect("to run once more");
        assert!(status.success());
    }
}

fn hide(cover: &Path, profile: Profile, decoded: f64) {
    let cover = fs::read(cover).expect("the cover");
    let payload = Random(1).bytes(PAYLOAD);
    let before = peak_kib();
    let options = HideOptions {
        profile,
        ..HideOptions::default()
    };
    let key = Key::from_bytes([7; 32]);
    let hidden = Settings::default().hide(&cover, &payload, &key, &options);
    let hidden = hidden.expect("to hide");
    let taken = (peak_kib() - before) * 1024;
    println!(
        "{profile:?}: {:.1} MB beyond the cover file ({:.2} × the decoded image), of which {:.1} MB \
         are the result",
        taken as f64 / 1e6,
        taken as f64 / decoded,
        hidden.image.len() as f64 / 1e6,
    );
}

fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .expect("a peak");
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("a number")
}
