//! Hiding and revealing, beside `steganography`, `stegano-core` and `stenoxide-core`.
//!
//! ```text
//! cargo bench --manifest-path benches/Cargo.toml --bench stego                # from file to file
//! cargo bench --manifest-path benches/Cargo.toml --bench stego -- files hd    # hd, 12mp or grey alone
//! cargo bench --manifest-path benches/Cargo.toml --bench stego -- stages      # parts of one hiding
//! cargo bench --manifest-path benches/Cargo.toml --bench stego -- code        # the trellis by itself
//! cargo bench --manifest-path benches/Cargo.toml --bench stego -- png         # the writer by itself
//! cargo bench --manifest-path benches/Cargo.toml --bench stego -- memory      # peak of one hiding
//! cargo bench --manifest-path benches/Cargo.toml --bench stego -- cover FILE  # a cover, for `once`
//! cargo bench --manifest-path benches/Cargo.toml --bench stego -- once FILE   # one hiding, for counters
//! ```
//!
//! All take turns within each round, and the tables show medians, so that a machine that others use
//! too slows all of them; beside them stands what processors took. `--rounds N` changes their number. Both sides read the cover from a PNG
//! file written with zlib's default level and write a PNG file. `stegano-core` is GPL and takes part
//! with `--features stegano-core` only; what is built so is for measuring, not for passing on.

mod stego {
    pub(crate) mod covers;
    pub(crate) mod files;
    pub(crate) mod measure;
    pub(crate) mod memory;
    pub(crate) mod parts;
    pub(crate) mod rivals;
}

use std::path::Path;

use stego::{covers, files, memory, parts};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let plain: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|argument| *argument != "--bench")
        .collect();
    let folder = std::env::temp_dir().join(format!("distri-bench-stego-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for covers");
    match plain[..] {
        ["stages", ..] => parts::stages(),
        ["code", ..] => parts::code(),
        ["png", ..] => parts::png(),
        ["memory", ..] => memory::memory(&folder),
        ["cover", file] => std::fs::write(file, covers::mosaic(1920, 1080)).expect("to write"),
        ["once", file] => parts::once(Path::new(file)),
        ["files", only, ..] if !only.starts_with("--") => files::compare(&folder, Some(only)),
        _ => files::compare(&folder, None),
    }
    std::fs::remove_dir_all(&folder).expect("to remove what was made");
}
