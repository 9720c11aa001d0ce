//! The addresses of `[node]`, checked where they are read, so that a complaint names their key.

use serde::{
    Deserialize, Deserializer,
    de::{self, Unexpected},
};

use crate::transport::Address;

/// Reads an address to listen on: `HOST:PORT`.
pub(super) fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
    listening(String::deserialize(deserializer)?)
}

/// The same, where there need be none.
pub(super) fn optional_listen<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Address>, D::Error> {
    Option::<String>::deserialize(deserializer)?
        .map(listening)
        .transpose()
}

fn listening<E: de::Error>(text: String) -> Result<Address, E> {
    match port(&text) {
        Some(_) => Ok(Address::new(text)),
        None => Err(refuse(
            &text,
            "HOST:PORT, such as 127.0.0.1:4600 or [::]:4600",
        )),
    }
}

/// Reads an address that others dial: `HOST:PORT` with a port that is one.
pub(super) fn advertise<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Address>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    match port(&text) {
        Some(port) if port != 0 && !is_wildcard(&text) => Ok(Some(Address::new(text))),
        _ => Err(refuse(
            &text,
            "HOST:PORT that others can dial, such as node-1.example.org:4600",
        )),
    }
}

/// True for an address that stands for all addresses of a machine: one listens on it, nobody can
/// dial it from elsewhere.
fn is_wildcard(text: &str) -> bool {
    text.starts_with("0.0.0.0:") || text.starts_with("[::]:")
}

fn port(text: &str) -> Option<u16> {
    let (host, port) = text.rsplit_once(':')?;
    // A bare IPv6 address would read as a host with a port that nobody meant.
    let is_host = match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok()),
        None => {
            !host.is_empty()
                && !host.contains([':', '@', '/'])
                && !host.contains(char::is_whitespace)
        }
    };
    if !is_host || !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    port.parse().ok()
}

fn refuse<E: de::Error>(text: &str, expected: &str) -> E {
    E::invalid_value(Unexpected::Str(text), &expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_ports_are_addresses() {
        for (text, expected) in [
            ("127.0.0.1:0", 0),
            ("localhost:4600", 4600),
            ("[::1]:4600", 4600),
            ("0.0.0.0:65535", 65535),
        ] {
            assert_eq!(port(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "4600",
            ":4600",
            "::1:4600",
            "[::1:4600",
            "host:",
            "host:65536",
            "host:+1",
            "a b:1",
            "http://x:1",
            "K@h:1",
        ] {
            assert_eq!(port(text), None, "{text}");
        }
    }
}
