//! Values that their type does not say all about: names, log levels, bounds that must fit together.

use std::{collections::HashSet, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected},
};

use super::{Complaint, Sections, duration, size};

/// Long enough for a host name's first label, short enough for a column of a table.
const NAME_MAX: usize = 63;

/// A bound above this is a slip of the pen, and 0 would stop everything.
const COUNT_MAX: u32 = 10_000_000;

/// As many nodes as a client takes note of.
const LINKS_MAX: u32 = 1024;

/// Reads a node's name.
pub(super) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let Some(name) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(is_plain) {
        let expected = "a name of 1 to 63 letters, digits, `-`, `_` and `.`";
        return Err(D::Error::invalid_value(Unexpected::Str(&name), &expected));
    }
    Ok(Some(name))
}

/// Reads a log level, or levels by part of the program.
pub(super) fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() || !text.split(',').map(str::trim).all(is_directive) {
        let expected = "error, warn, info, debug, trace or off, also by part of the program as in \
                        `info,distri_core::rpc=debug`";
        return Err(D::Error::invalid_value(Unexpected::Str(&text), &expected));
    }
    Ok(text)
}

/// Reads to how many nodes a client keeps links.
pub(super) fn links<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let count = u32::deserialize(deserializer)?;
    if !(1..=LINKS_MAX).contains(&count) {
        let given = Unexpected::Unsigned(count.into());
        return Err(D::Error::invalid_value(given, &"a number from 1 to 1024"));
    }
    Ok(count as usize)
}

fn is_directive(text: &str) -> bool {
    match text.split_once('=') {
        Some((target, level)) => !target.is_empty() && is_level(level),
        None => is_level(text),
    }
}

fn is_level(text: &str) -> bool {
    ["error", "warn", "info", "debug", "trace", "off"]
        .iter()
        .any(|level| level.eq_ignore_ascii_case(text))
}

/// What the sections say that cannot be meant, by key.
pub(super) fn sections(sections: &Sections) -> Vec<(&'static str, Complaint)> {
    let mut found = Vec::new();
    let limits = &sections.limits;

    for (key, value) in [
        ("limits.links", limits.links),
        ("limits.calls", limits.calls),
        ("limits.serving", limits.serving),
        ("limits.burst", limits.burst),
        ("limits.channels", limits.channels),
        ("limits.handshakes", limits.handshakes),
        ("limits.peers", limits.peers),
    ] {
        if value == 0 || value > COUNT_MAX {
            found.push((
                key,
                out_of(value.to_string(), "a number from 1 to 10000000"),
            ));
        }
    }
    for (key, value, low) in [
        ("limits.message_max", limits.message_max, 64 << 10),
        ("limits.channel_window", limits.channel_window, 64 << 10),
        (
            "limits.link_window",
            limits.link_window,
            limits.channel_window,
        ),
        ("limits.unwritten", limits.unwritten, 64 << 10),
        ("limits.replies", limits.replies, 0),
    ] {
        if value < low || value > 1 << 30 {
            let at_least = size::format(u64::from(low));
            let expected = match key {
                "limits.link_window" => {
                    format!("a size from that of limits.channel_window ({at_least}) to 1 GiB")
                }
                _ => format!("a size from {at_least} to 1 GiB"),
            };
            found.push((key, out_of(size::format(u64::from(value)), &expected)));
        }
    }
    let hour = Duration::from_secs(3600);
    for (key, value, low) in [
        (
            "limits.keep_alive",
            limits.keep_alive,
            Duration::from_millis(100),
        ),
        ("limits.hello", limits.hello, Duration::from_millis(100)),
        ("limits.dial", limits.dial, Duration::from_millis(100)),
        ("limits.drain", limits.drain, Duration::ZERO),
        ("limits.replies_kept", limits.replies_kept, Duration::ZERO),
    ] {
        if value < low || value > hour {
            let expected = format!("a duration from {} to 1h", duration::format(low));
            found.push((key, out_of(duration::format(value), &expected)));
        }
    }
    let lease = sections.directory.lease;
    if lease < Duration::from_secs(1) || lease > Duration::from_secs(60) {
        let expected = "a duration from 1s to 1m".to_owned();
        found.push((
            "directory.lease",
            out_of(duration::format(lease), &expected),
        ));
    }
    let lease = sections.peer.lease;
    if !crate::peer::limits::LEASE.contains(&lease) {
        let expected = "a duration from 1s to 2m".to_owned();
        found.push(("peer.lease", out_of(duration::format(lease), &expected)));
    }
    let mut seen = HashSet::new();
    if let Some(node) = sections
        .cloud
        .nodes
        .iter()
        .find(|node| !seen.insert(node.key))
    {
        let found_text = format!("the key {}… twice", node.key.short());
        found.push((
            "cloud.nodes",
            out_of(found_text, "each node once, as KEY@HOST:PORT"),
        ));
    }
    found
}

fn out_of(found: String, expected: &str) -> Complaint {
    Complaint::Invalid {
        found,
        expected: expected.to_owned(),
    }
}
