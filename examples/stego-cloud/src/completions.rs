//! `completions`: what a shell needs to complete this program's commands and flags.

use std::io::Write;

use clap::Args;
use clap_complete::Shell;
use distri::cli::Failure;

use crate::show::Page;

/// What `completions` takes.
#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
    /// What the program is called there [default: as it was called now]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Writes the script for the program that `command` describes.
///
/// # Errors
/// If stdout cannot be written to.
pub(crate) fn run(args: CompletionsArgs, mut command: clap::Command) -> Result<(), Failure> {
    let name = args.name.unwrap_or_else(called);
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    // In memory a write always succeeds.
    let _ = script.flush();
    Page::stdout().line(&String::from_utf8_lossy(&script))
}

/// The last part of how the program was called.
fn called() -> String {
    let called = std::env::args_os().next().map(std::path::PathBuf::from);
    let name = called.and_then(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned())
}
