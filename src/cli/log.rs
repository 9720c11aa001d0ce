//! Logs on stderr: level and form from configuration and flags.

use std::io::{self, IsTerminal};

use distri_core::{Config, config::LogFormat};
use tracing_subscriber::{EnvFilter, fmt};

use super::{Failure, global::is_level_unset};

/// What a command says when nobody asked for more or less.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verbosity {
    /// What the configuration says: for nodes.
    #[cfg_attr(
        not(any(feature = "node", feature = "peer")),
        expect(dead_code, reason = "only nodes and peers ask for it")
    )]
    Configured,
    /// Warnings: for commands that end at once, unless the configuration says otherwise.
    Brief,
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Starts to log, `steps` levels more than usual.
pub(super) fn start(config: &Config, usual: Verbosity, steps: i16) -> Result<(), Failure> {
    let configured = match usual {
        Verbosity::Brief if is_level_unset(config) => "warn",
        Verbosity::Brief | Verbosity::Configured => config.log.level.as_str(),
    };
    let directives = calm(shift(configured, steps));
    let filter = EnvFilter::try_new(&directives)
        .map_err(|error| Failure::usage(format!("`{directives}` is no log level: {error}")))?;

    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colour);
    // A program that set up logging of its own keeps it.
    let _ = match config.log.format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        _ => lines.with_target(true).try_init(),
    };
    Ok(())
}

/// Adds that consensus keeps to errors: its warnings repeat many times a second what the node says
/// once when it loses a link, and what it calls information is for those who work on it. Who
/// wants more says so, with `debug` or with a level for `openraft`.
fn calm(directives: String) -> String {
    let mut parts = directives.split(',').map(str::trim);
    let is_named = parts.clone().any(|part| part.starts_with("openraft"));
    if !is_named && parts.any(|part| ["info", "warn"].contains(&part.to_ascii_lowercase().as_str()))
    {
        return format!("{directives},openraft=error");
    }
    directives
}

/// Moves the general level of `directives` (`info,distri_core=debug`) by `steps`.
fn shift(directives: &str, steps: i16) -> String {
    let moved = |directive: &str| {
        let place = LEVELS
            .iter()
            .position(|level| level.eq_ignore_ascii_case(directive.trim()))?;
        let place = (place as i16)
            .saturating_add(steps)
            .clamp(0, LEVELS.len() as i16 - 1);
        Some(LEVELS[usize::from(place.unsigned_abs())].to_owned())
    };
    let parts: Vec<String> = directives
        .split(',')
        .map(|directive| moved(directive).unwrap_or_else(|| directive.to_owned()))
        .collect();
    parts.join(",")
}
